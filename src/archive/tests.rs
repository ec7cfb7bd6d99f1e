//! Snapshots, runs, staged writes, reuse, lock: on a real folder.
