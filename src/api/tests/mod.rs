//! What a service may say to us, distorted: nothing of it may make a call panic, hang, misread or tell a token.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

mod answers;
pub(super) mod hosts;
// One set of distortions serves the tests inside the library and those outside.
#[path = "../../../tests/it/support/hostile.rs"]
pub(super) mod hostile;
