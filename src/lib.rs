//! drivejob backs up, restores, migrates and audits LINE WORKS Drive (NAVER WORKS Drive in Korea).
//!
//! It reads a declarative job file, walks the Drive tree from its root with bounded concurrency inside the tenant's rate
//! limits, downloads files into a dated archive with a CSV manifest of every property, and replays uploads from it.
//!
//! # Floor plan
//!
//! Layers, bottom up. A module uses only modules of its own layer's row and of the layers below that its row names;
//! `tests/it/layering.rs` holds the same table as data and fails on an arrow that is not in it.
//!
//! | layer | module | one line |
//! |---|---|---|
//! | 0 values | `secret` | a string that will not print itself |
//! | | `id` | names of drives, files, snapshots, runs |
//! | | `path` | a path inside a drive, as a person sees it |
//! | | `entry` | what the service tells of a file or folder, and the words we ask in |
//! | | `filter` | globs that prune folders before they are listed |
//! | | `monitor` | the reporting seam and its sinks |
//! | | `stop` | how a run is told to stop, and what time it is |
//! | 1 pure | `manifest` | one row per resource: CSV reader and writer |
//! | | `depth` | which details beyond the listing are worth a call |
//! | | `coverage` | what was seen, what could not be seen, and the totals |
//! | | `plan` | what to do with each file, and why |
//! | | `job` | job and tenant files, checked |
//! | | `report` | the summary of a run |
//! | | `retention` | which snapshots stay |
//! | | `notify` | what is told of a run, to whom, and when |
//! | | `status` | the status file: the run under way, and how the last ones ended |
//! | | `metrics` | a run's figures for Prometheus |
//! | | `page` | an archive as one self-contained HTML page |
//! | | `estimate` | what a run would cost |
//! | 2 edges | `drive` | the seam: a drive that can be listed, read and written |
//! | | `ledger` | the state of a run on disk |
//! | | `api` | the seam over HTTP, in two dialects |
//! | | `archive` | snapshots on disk |
//! | | `sim` | a server that behaves like the service |
//! | | `blocking` | what waits for the disk, on a thread that may wait |
//! | 3 operations | `walk` | drives listed into the ledger |
//! | | `throttle` | all transfers together under one rate of bytes |
//! | | `keep` | small files into a snapshot and the ledger, many at a time |
//! | | `fetch` | the bytes of one file, into a snapshot |
//! | | `details` | what listings do not tell: permissions, links, shares, earlier contents, trash |
//! | | `backup` | walk, reuse, fetch, commit |
//! | | `diff` | what changed between two snapshots |
//! | | `restore` | rows of a snapshot, back into a drive |
//! | | `verify` | an archive read back, and compared with the drive |
//! | | `prune` | removes snapshots by the retention |
//! | | `watch` | a run watched from within: heartbeat and watchdog |
//! | | `browse` | what is in an archive, over all nights |
//! | | `migrate` | one tenant's drives into another's, pass by pass |
//! | 4 whole | `runner` | a job becomes a run |
//! | 5 shell | `cli` | words, progress, exit codes |
//!
//! # Invariants
//!
//! - Operations never see HTTP, JSON, a status code or a dialect; only `api` does.
//! - `api` never sees the archive; `archive` never sees a drive.
//! - `sim` shares no type with `api`: it states the protocol a second time, so that a misreading cannot cancel itself out.
//! - Layers 0 and 1 do no I/O, read no clock and are not async. Time comes in as an argument.
//! - Only `cli` prints. Only `cli` and `runner` read the environment. Only `api::auth` reveals a secret.
//! - A name of the service never chooses a local path: places come from `archive::names`, and no link is followed.
//! - The order of trust is bytes, ledger, manifest, tail. A snapshot folder at the top of an archive is whole.

pub mod secret;
pub mod id;
pub mod path;
pub mod entry;
pub mod filter;
pub mod monitor;
pub mod stop;

pub mod manifest;
pub mod depth;
pub mod coverage;
pub mod plan;
pub mod job;
pub mod keep;
pub mod report;
pub mod retention;
pub mod notify;
pub mod status;
pub mod metrics;
pub mod page;
pub mod estimate;

pub mod drive;
pub mod ledger;
pub mod api;
pub mod archive;
pub mod sim;

pub mod blocking;
pub mod walk;
pub mod throttle;
pub mod fetch;
pub mod details;
pub mod backup;
pub mod diff;
pub mod restore;
pub mod verify;
pub mod prune;
pub mod watch;
pub mod browse;
pub mod migrate;

pub mod runner;
pub mod cli;
