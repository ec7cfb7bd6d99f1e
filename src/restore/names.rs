//! Names of items whose own name is taken.

use unicode_normalization::UnicodeNormalization;

/// The longest name in characters (API 2.0 docs, EN/drive-file-root-create).
pub const NAME_CHARACTERS: usize = 200;

/// The longest name in bytes on this machine: ext4, XFS, Btrfs; NTFS and APFS take no fewer characters.
const LOCAL_BYTES: usize = 255;

/// The longest extension in characters that a numbered name keeps at its end.
const EXTENSION_CHARACTERS: usize = 20;

/// The n-th name for an item called `name`: `Report (2).docx`. It is shortened where the service would not take it.
pub fn numbered(name: &str, number: u32) -> String {
    build(name, number, |text| text.chars().count() <= NAME_CHARACTERS)
}

/// The n-th name for a file of this machine.
pub fn numbered_local(name: &str, number: u32) -> String {
    build(name, number, |text| text.len() <= LOCAL_BYTES)
}

/// Equal for names that differ by case or Unicode form alone. How the service compares names is not documented;
/// this finds what it may have taken for the same.
pub fn fold(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Whether two names are the same but for their Unicode form.
pub(crate) fn same_text(left: &str, right: &str) -> bool {
    left == right || left.nfc().eq(right.nfc())
}

fn build(name: &str, number: u32, fits: impl Fn(&str) -> bool) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.chars().count() <= EXTENSION_CHARACTERS => {
            (stem, format!(".{extension}"))
        }
        _ => (name, String::new()),
    };
    let mut stem = stem.to_owned();
    loop {
        let candidate = format!("{stem} ({number}){extension}");
        if fits(&candidate) || stem.pop().is_none() {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_stands_before_the_extension() {
        for (name, expected) in [
            ("a.txt", "a (2).txt"),
            ("a", "a (2)"),
            (".profile", ".profile (2)"),
            ("a.tar.gz", "a.tar (2).gz"),
            ("報告書.xlsx", "報告書 (2).xlsx"),
            ("", " (2)"),
        ] {
            assert_eq!(numbered(name, 2), expected);
        }
        let long = "あ".repeat(200);
        assert_eq!(numbered(&long, 12), format!("{} (12)", "あ".repeat(195)));
        assert_eq!(numbered_local(&long, 12).len(), 83 * 3 + 5);
        assert_eq!(fold("\u{1100}\u{1161}.TXT"), fold("\u{ac00}.txt"));
    }

    proptest! {
        #[test]
        fn numbered_names_fit_and_differ(name in "\\PC{0,260}", first in 2_u32..10_000, second in 2_u32..10_000) {
            let one = numbered(&name, first);
            prop_assert!(one.chars().count() <= NAME_CHARACTERS);
            prop_assert!(numbered_local(&name, first).len() <= LOCAL_BYTES);
            let mark = format!(" ({first})");
            prop_assert!(one.contains(&mark));
            prop_assert_eq!(first == second, one == numbered(&name, second));
            prop_assert_eq!(fold(&fold(&name)), fold(&name));
        }
    }
}
