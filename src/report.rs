//! Summaries of a run.
