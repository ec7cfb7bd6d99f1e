//! Globs on Drive paths.
