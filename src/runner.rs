//! A job becomes a run.
