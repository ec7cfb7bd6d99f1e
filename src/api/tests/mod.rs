//! What a service may say to us, distorted, and a service that is away for a while: nothing of it may make a call panic, hang,
//! misread, give up too early or tell a token.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

mod answers;
pub(super) mod hosts;
mod outage;
// One set of distortions serves the tests inside the library and those outside.
#[path = "../../../tests/it/support/hostile.rs"]
pub(super) mod hostile;
