//! Backs up drives into a snapshot.
