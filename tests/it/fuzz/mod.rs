//! Hostile text and bytes for whatever reads them from outside: it is read as it stands, or refused, and nothing else.
//!
//! `PROPTEST_CASES` sets how many cases each property is tried on; the usual figure is 256.

mod archives;
mod files;
mod globs;
mod tables;
mod words;
