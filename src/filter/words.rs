//! Globs on names and ids of drives, and on what is searched for: whatever the case, compiled once.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The longest such glob in bytes. A name of the service has 200 characters; the library beneath works on nested braces
/// level by level on the stack.
const LONGEST: usize = 2_000;

/// A glob that does not tell ASCII capitals from small letters.
#[derive(Clone, Debug)]
pub struct WordGlob(GlobSet);

/// A glob that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordGlobError(String);

impl WordGlob {
    /// Reads a glob. With `on_paths`, `*` and `?` stop at a slash.
    ///
    /// # Errors
    /// It cannot be read, or it is too long or too large to match with.
    pub fn new(text: &str, on_paths: bool) -> Result<WordGlob, WordGlobError> {
        if text.len() > LONGEST {
            return Err(WordGlobError(format!(
                "the glob has {} bytes, more than {LONGEST}",
                text.len()
            )));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(on_paths)
            .case_insensitive(true)
            .build();
        // The single matcher of the library panics where a glob is too large for it; the set gives an error.
        glob.and_then(|glob| GlobSetBuilder::new().add(glob).build())
            .map(WordGlob)
            .map_err(|error| WordGlobError(error.to_string()))
    }

    /// Whether it matches the whole of `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
