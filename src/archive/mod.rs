//! Snapshots on storage.
