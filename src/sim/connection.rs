//! Connections that can be broken on purpose.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Breaks the connection it belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker(Arc<AtomicBool>);

impl Breaker {
    /// From now on nothing is written; the next attempt resets the connection.
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Tells whether [`Breaker::reset`] was called.
    pub(super) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A TCP connection with its breaker.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    breaker: Breaker,
}

impl Connection {
    /// Makes the closing of the socket a reset, and tells the server that it is over.
    fn broken(&self) -> io::Error {
        // Without it the client sees a clean end instead of a reset; both break the answer.
        let _ = self.stream.set_zero_linger();
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.breaker.is_broken() {
            return Poll::Ready(Err(self.broken()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.breaker.is_broken() {
            return Poll::Ready(Err(self.broken()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.breaker.is_broken() {
            return Poll::Ready(Err(self.broken()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.breaker.is_broken() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

/// Accepts connections and counts them.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    accepted: Arc<AtomicUsize>,
}

impl Door {
    pub(super) async fn open(address: SocketAddr, accepted: Arc<AtomicUsize>) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            accepted,
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                // Small answers are to leave at once; where it cannot be set they leave a little later.
                let _ = stream.set_nodelay(true);
                let breaker = Breaker::default();
                return (Connection { stream, breaker }, address);
            }
            // No descriptor is free, most likely; some are a moment later.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().breaker.clone()
    }
}
