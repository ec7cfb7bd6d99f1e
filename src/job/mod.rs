//! Job and tenant files.
