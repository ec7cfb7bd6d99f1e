//! A string that will not print itself.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A token, key or password: its text is wiped from memory on drop, and no `Debug` or `Display` shows it.
///
/// Only `api::auth` may call [`Secret::reveal`]; the layering test looks for other callers.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret from its text. White space at both ends is not part of it: files end in a newline.
    pub fn new(text: &str) -> Secret {
        Secret(SecretString::from(text.trim().to_owned()))
    }

    /// The text itself, for the one place that puts it on the wire.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether there is any text at all.
    pub fn is_empty(&self) -> bool {
        self.0.expose_secret().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing_and_newlines_are_dropped() {
        let secret = Secret::new("hunter2\n");
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
