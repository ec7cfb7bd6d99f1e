//! What to do with each entry, and why.
