//! Ctrl-C and SIGTERM: the first finishes what is under way, the second drops it, the third ends the process.

use std::io;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use super::exit::ExitCode;
use super::terminal::Terminal;
use crate::stop::{Stop, StopReason};

/// Listens from now on, in a task of its own, until the runtime ends.
///
/// # Errors
///
/// The system does not let this process listen.
pub(super) fn watch(stop: Stop, terminal: Terminal) -> io::Result<()> {
    let presses = presses()?;
    tokio::spawn(async move {
        obey(presses, &stop, |line| terminal.line(line)).await;
        std::process::exit(ExitCode::Interrupted.code().into());
    });
    Ok(())
}

/// Waits for the first Ctrl-C or SIGTERM, for a command that has nothing to finish.
///
/// # Errors
///
/// The system does not let this process listen.
pub(super) async fn first() -> io::Result<()> {
    presses()?.next().await;
    Ok(())
}

/// Obeys the first two and returns at the third; never returns when fewer come.
async fn obey(mut presses: impl Stream<Item = ()> + Unpin, stop: &Stop, say: impl Fn(&str)) {
    wait(&mut presses).await;
    stop.drain(StopReason::Interrupted);
    say("stopping: finishing what is under way, again to stop at once");
    wait(&mut presses).await;
    stop.abort(StopReason::Interrupted);
    say("stopping at once");
    wait(&mut presses).await;
}

async fn wait(presses: &mut (impl Stream<Item = ()> + Unpin)) {
    if presses.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
fn presses() -> io::Result<BoxStream<'static, ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let each = |kind| {
        let signal = signal(kind)?;
        Ok::<_, io::Error>(stream::unfold(signal, |mut signal| async {
            signal.recv().await.map(|()| ((), signal))
        }))
    };
    let presses = stream::select(each(SignalKind::interrupt())?, each(SignalKind::terminate())?);
    Ok(presses.boxed())
}

#[cfg(not(unix))]
fn presses() -> io::Result<BoxStream<'static, ()>> {
    let presses = stream::unfold((), |()| async {
        tokio::signal::ctrl_c().await.ok().map(|()| ((), ()))
    });
    Ok(presses.boxed())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_first_drains_the_second_aborts_the_third_ends() {
        for (count, drains, aborts, ends) in [
            (0, false, false, false),
            (1, true, false, false),
            (2, true, true, false),
            (3, true, true, true),
        ] {
            let stop = Stop::new();
            let said = Mutex::new(0);
            let presses = stream::iter(std::iter::repeat_n((), count));
            let over = obey(presses, &stop, |_| {
                if let Ok(mut said) = said.lock() {
                    *said += 1;
                }
            })
            .now_or_never()
            .is_some();
            assert_eq!(stop.is_draining(), drains, "{count}");
            assert_eq!(stop.aborting().now_or_never().is_some(), aborts, "{count}");
            assert_eq!(over, ends, "{count}");
            assert_eq!(said.into_inner().ok(), Some(count.min(2)), "{count}");
        }
    }
}
