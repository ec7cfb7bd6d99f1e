//! Bytes on their way to the service: exactly as many as were told, and errors of the source kept apart from those of
//! the network.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::http::{Content, content};
use crate::drive::ByteSource;
use crate::monitor::{Counter, Monitor};

/// Holds what went wrong with a source while the network carried it.
#[derive(Debug, Default)]
pub(super) struct Guard(Arc<Mutex<Option<io::Error>>>);

impl Guard {
    /// The source's error, if it had one.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Opens a source at `offset` for `length` bytes. A source that gives more or fewer ends in an error before the last
/// byte is sent.
pub(super) async fn outgoing(
    source: &dyn ByteSource,
    offset: u64,
    length: u64,
    monitor: &Arc<dyn Monitor>,
) -> io::Result<(Content, Guard)> {
    let guard = Guard::default();
    let bytes = if length == 0 {
        stream::empty().boxed()
    } else {
        exactly(source.open(offset).await?, length, Arc::clone(&guard.0))
    };
    let monitor = Arc::clone(monitor);
    let content = content(bytes, length, move |sent| {
        monitor.count(Counter::BytesMoved, sent);
    });
    Ok((content, guard))
}

fn exactly(
    bytes: BoxStream<'static, io::Result<Bytes>>,
    length: u64,
    kept: Arc<Mutex<Option<io::Error>>>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let state = Some((bytes, length));
    stream::unfold(state, move |state| {
        let kept = Arc::clone(&kept);
        async move {
            let (mut bytes, left) = state?;
            if left == 0 {
                return None;
            }
            match next(&mut bytes, left).await {
                Ok(piece) => {
                    let left = left - piece.len() as u64;
                    Some((Ok(piece), Some((bytes, left))))
                }
                Err(error) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Some((Err(told), None))
                }
            }
        }
    })
    .boxed()
}

/// The next bytes of a source that owes `left`. With the last of them the source must be at its end.
async fn next(bytes: &mut BoxStream<'static, io::Result<Bytes>>, left: u64) -> io::Result<Bytes> {
    let piece = filled(bytes)
        .await?
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the source is shorter than told"))?;
    let longer = match left.checked_sub(piece.len() as u64) {
        None => true,
        Some(0) => filled(bytes).await?.is_some(),
        Some(_) => false,
    };
    if longer {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the source is longer than told",
        ));
    }
    Ok(piece)
}

async fn filled(bytes: &mut BoxStream<'static, io::Result<Bytes>>) -> io::Result<Option<Bytes>> {
    loop {
        match bytes.next().await.transpose()? {
            Some(piece) if piece.is_empty() => {}
            piece => return Ok(piece),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_gives_exactly_what_was_told() {
        let table: [(&[&str], u64, Option<&str>); 5] = [
            (&["ab", "", "c"], 3, Some("abc")),
            (&["ab", "c", ""], 3, Some("abc")),
            (&["ab"], 3, None),
            (&["ab", "cd"], 3, None),
            (&["abc", "d"], 3, None),
        ];
        for (pieces, length, expected) in table {
            let pieces: Vec<io::Result<Bytes>> = pieces
                .iter()
                .map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())))
                .collect();
            let guard = Guard::default();
            let sent: Vec<io::Result<Bytes>> =
                exactly(stream::iter(pieces).boxed(), length, Arc::clone(&guard.0))
                    .collect()
                    .await;
            let whole: io::Result<Vec<Bytes>> = sent.into_iter().collect();
            let whole = whole.ok().map(|pieces| pieces.concat());
            assert_eq!(whole.as_deref(), expected.map(str::as_bytes));
            assert_eq!(guard.error().is_none(), expected.is_some());
        }
    }
}
