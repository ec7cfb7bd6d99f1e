//! The seam over HTTP.
