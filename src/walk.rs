//! A Drive tree as entries.
