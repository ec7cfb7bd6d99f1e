//! A job becomes a run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::stop::Clock;

/// What a run takes from the machine it runs on. Nothing below reads the environment by itself.
#[derive(Clone)]
pub struct Host {
    /// Looks up an environment variable.
    pub variable: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
    /// The user's folder for state that outlives a run: token stores, rate limit files.
    pub state_dir: PathBuf,
    /// Where the time comes from.
    pub clock: Clock,
    /// The machine's name, for the lock.
    pub name: String,
    /// This process's number, for the lock.
    pub pid: u32,
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Host")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
