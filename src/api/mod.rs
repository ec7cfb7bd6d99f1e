//! The service over HTTP.

mod http_ping;

pub use http_ping::{LONGEST_PAUSE, Patience, PingError, ping};
