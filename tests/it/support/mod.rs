//! What the themes share: a job in a folder of its own, listeners, and snapshots read back.

// Each theme takes what it needs.
#![allow(dead_code, unused_imports)]

pub(crate) mod bench;
pub(crate) mod hostile;
pub(crate) mod lab;
mod listener;
mod nights;
mod shelf;

pub(crate) use bench::{Bench, Face, tenant_file};
pub(crate) use listener::{Recorder, StopAt};
pub(crate) use nights::{add, link, modified, remove, simulator_with, touch};
pub(crate) use shelf::{Held, Shelf, held, sha256, tree_of, truth};
