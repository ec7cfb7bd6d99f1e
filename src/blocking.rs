//! Runs what waits for the disk on a thread that may wait.

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Runs `work` where blocking is allowed, and waits for it without blocking. Dropped early, the work still goes to its end.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finished(spawn_blocking(work)).await
}

/// Waits for a task. Its panic goes on here.
pub async fn finished<T>(task: JoinHandle<T>) -> T {
    match outcome(task.await) {
        Some(value) => value,
        // The runtime is going down, and this future with it.
        None => std::future::pending().await,
    }
}

/// The value of a task that ended; `None` when it was aborted. Its panic, a bug of ours, goes on here.
pub fn outcome<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined {
        Ok(value) => Some(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}
