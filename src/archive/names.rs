//! A name of the service as a segment of a local path that every file system can hold.

use unicode_normalization::UnicodeNormalization;

use super::hash::short_hash;

/// The local names an item may get in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalName {
    /// The name itself, when it can stand on Linux, Windows and macOS alike.
    pub plain: Option<String>,
    /// A name made of a readable part, the id's hash and the extension: always legal, at most [`DERIVED_BYTES`] long, and no other item's.
    pub derived: String,
    /// The same for two names that some file system takes for one: by case, or by Unicode form.
    /// Of two siblings with the same fold, the second gets `derived`.
    pub fold: u64,
}

/// The longest name in UTF-8 bytes: ext4, XFS, Btrfs. A name within it is also within the 255 UTF-16 units of NTFS and APFS,
/// and within the 255 units of HFS+ after decomposition.
pub const NAME_BYTES: usize = 255;

/// The longest derived name in bytes. Encrypted folders (eCryptfs, as on NAS devices) hold 143.
pub const DERIVED_BYTES: usize = 140;

/// The longest extension that a derived name keeps, in bytes.
const EXTENSION_BYTES: usize = 12;

/// What stands between the readable part of a derived name and its hash.
const MARK: char = '~';

/// Hexadecimal digits of the hash in a derived name.
const DIGITS: usize = 16;

/// Device names of Windows, which no file may have, whatever its extension (Microsoft, "Naming Files, Paths, and Namespaces").
const DEVICES: [&str; 30] = [
    "con", "prn", "aux", "nul", "conin$", "conout$", "com1", "com2", "com3", "com4", "com5", "com6", "com7",
    "com8", "com9", "com¹", "com²", "com³", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8",
    "lpt9", "lpt¹", "lpt²", "lpt³",
];

/// The local names of an item that the service calls `name` and knows by `id`.
pub fn plain_or_derived(name: &str, id: &str) -> LocalName {
    LocalName {
        plain: is_plain(name).then(|| name.to_owned()),
        derived: derived(name, id),
        fold: fold(name),
    }
}

/// Whether `name` can stand as it is, everywhere, and is not a name that [`plain_or_derived`] could derive.
pub fn is_plain(name: &str) -> bool {
    is_legal(name) && !is_marked(name)
}

/// Whether `name` can stand on Linux, Windows and macOS alike, and shows as what it is.
pub(super) fn is_legal(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && !name.ends_with(['.', ' '])
        && !name.chars().any(is_illegal)
        && !is_device(name)
}

/// A 64-bit digest of `name` without case and Unicode form. It is stable: it may be written down.
pub fn fold(name: &str) -> u64 {
    // FNV-1a. Whoever forces two names together gains a derived name, nothing else.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    if name.is_ascii() {
        name.bytes().map(|byte| byte.to_ascii_lowercase()).for_each(eat);
    } else {
        // Down, up, down, and apart once more: that joins ß and ẞ with ss, ſ with s, and the two sigmas.
        let mut bytes = [0; 4];
        name.nfd()
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfd()
            .filter(|letter| !is_invisible(*letter))
            .for_each(|letter| letter.encode_utf8(&mut bytes).bytes().for_each(&mut eat));
    }
    hash
}

/// A segment for a part of a drive's scope word. Upper case makes it derived, since two keys may differ in case alone;
/// so do letters beyond ASCII, which no id has.
pub(super) fn drive_segment(word: &str) -> String {
    let stable = word.is_ascii() && !word.bytes().any(|byte| byte.is_ascii_uppercase());
    if stable && is_plain(word) {
        word.to_owned()
    } else {
        derived(word, word)
    }
}

fn derived(name: &str, id: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && (1..=EXTENSION_BYTES).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            (stem, Some(extension))
        }
        _ => (name, None),
    };
    let room = DERIVED_BYTES
        - 1 // an underscore before a device name
        - MARK.len_utf8()
        - DIGITS
        - extension.map_or(0, |extension| extension.len() + 1);
    let mut readable = String::with_capacity(DERIVED_BYTES);
    for letter in stem.trim_start().chars() {
        let letter = match letter {
            letter if is_invisible(letter) => continue,
            letter if is_illegal(letter) => '_',
            letter => letter,
        };
        if readable.len() + letter.len_utf8() > room {
            break;
        }
        readable.push(letter);
    }
    readable.truncate(readable.trim_end_matches([' ', '.']).len());
    if is_device(&readable) {
        readable.insert(0, '_');
    }
    readable.push(MARK);
    readable.push_str(&short_hash(id));
    if let Some(extension) = extension {
        readable.push('.');
        readable.push_str(extension);
    }
    readable
}

/// Whether a name looks as if it were derived: `…~<16 hexadecimal digits>` with or without an extension.
fn is_marked(name: &str) -> bool {
    let is_stem = |stem: &str| {
        stem.rsplit_once(MARK).is_some_and(|(_, digits)| {
            digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    is_stem(name) || name.rsplit_once('.').is_some_and(|(stem, _)| is_stem(stem))
}

fn is_illegal(letter: char) -> bool {
    matches!(
        letter,
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{2028}' | '\u{2029}'
    ) || letter.is_control()
        || is_invisible(letter)
}

/// Letters that show nothing or turn the text around them, so that a name looks like another one (UAX #9, UAX #31 on default ignorables).
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    // The longest device name has 7 bytes; most names need no look at the list.
    base.len() <= 7 && DEVICES.contains(&base.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "~6b86b273ff34fce1"; // of the id "1"

    #[test]
    fn names_that_stand_everywhere_stay() {
        for name in [
            "a",
            "報告書 2026.docx",
            "각.txt",
            "か\u{3099}",
            ".profile",
            " lead",
            "-rf",
            "...a",
            "console",
            "COM10",
            "com0",
            "a~1",
            "a~0123456789abcde",
            "😀❤\u{fe0f}",
            "～",
            &"あ".repeat(85),
        ] {
            assert_eq!(plain_or_derived(name, "1").plain.as_deref(), Some(name));
        }
    }

    #[test]
    fn other_names_are_derived() {
        let long = "あ".repeat(86) + ".docx";
        let cut = "あ".repeat(39) + HASH + ".docx";
        for (name, expected) in [
            ("", HASH.to_owned()),
            (".", HASH.to_owned()),
            ("..", HASH.to_owned()),
            ("a/b.txt", format!("a_b{HASH}.txt")),
            ("..\\..\\etc", format!(".._.._etc{HASH}")),
            ("a:b", format!("a_b{HASH}")),
            ("\u{7}bell?*\"<>|", format!("_bell______{HASH}")),
            ("a\0b", format!("a_b{HASH}")),
            ("a.", format!("a{HASH}")),
            ("a. . ", format!("a{HASH}")),
            ("CON", format!("_CON{HASH}")),
            ("nul.tar.gz", format!("_nul.tar{HASH}.gz")),
            ("Com¹.txt", format!("_Com¹{HASH}.txt")),
            ("LPT9 .x", format!("_LPT9{HASH}.x")),
            ("conin$", format!("_conin${HASH}")),
            ("\u{202e}gpj.exe", format!("gpj{HASH}.exe")),
            ("a\u{200b}b", format!("ab{HASH}")),
            ("a~0123456789ABCDEF.x", format!("a~0123456789ABCDEF{HASH}.x")),
            ("a~0123456789abcdef", format!("a~0123456789abcdef{HASH}")),
            (&long, cut),
        ] {
            let local = plain_or_derived(name, "1");
            assert_eq!((local.plain, local.derived), (None, expected));
        }
    }

    #[test]
    fn a_derived_name_takes_all_the_room_that_it_has() {
        // One byte is left for the underscore before a device name.
        for name in ["x".repeat(300), "x".repeat(300) + ".docx", "x".repeat(300) + ".a"] {
            assert_eq!(
                plain_or_derived(&name, "1").derived.len(),
                DERIVED_BYTES - 1,
                "{name}"
            );
        }
    }

    #[test]
    fn a_fold_that_is_written_down_stays() {
        // FNV-1a with 64 bits, as its authors publish it (draft-eastlake-fnv, section 4).
        assert_eq!(fold(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fold("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fold("FooBar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn twins_have_one_fold() {
        for twins in [
            ["Report.TXT", "report.txt"],
            ["が", "か\u{3099}"],
            ["각", "\u{1100}\u{1161}\u{11a8}"],
            ["É", "e\u{301}"],
            ["straße", "STRASSE"],
            ["ẞ", "ß"],
            ["σς", "ΣΣ"],
            ["\u{212a}", "k"],
            ["é\u{200b}", "É"],
        ] {
            assert_eq!(fold(twins[0]), fold(twins[1]), "{twins:?}");
        }
        for strangers in [["a", "b"], ["か", "が"], ["ｶ", "カ"], ["", "a"], ["é", "e"]] {
            assert_ne!(fold(strangers[0]), fold(strangers[1]), "{strangers:?}");
        }
    }

    #[test]
    fn drives_that_differ_in_case_do_not_meet() {
        assert_eq!(drive_segment("@2101000000000008"), "@2101000000000008");
        assert_eq!(drive_segment("taro@example.com"), "taro@example.com");
        let keys = [
            drive_segment("QDIw"),
            drive_segment("qDIw"),
            drive_segment("qdiw"),
        ];
        assert!(keys[0].starts_with("QDIw~") && keys[1].starts_with("qDIw~"));
        assert_eq!(keys[2], "qdiw");
        assert_ne!(fold(&keys[0]), fold(&keys[1]));
    }

    #[test]
    fn no_letter_is_told_from_its_other_case() {
        for letter in '\0'..=char::MAX {
            let upper: String = letter.to_uppercase().collect();
            let lower: String = letter.to_lowercase().collect();
            if upper != lower {
                let fold_of = fold(&letter.to_string());
                assert_eq!((fold(&upper), fold(&lower)), (fold_of, fold_of), "{letter}");
            }
        }
    }

    /// Names that are likely to hit a rule.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            "[ .~/\\\\:\u{0}-\u{20}\u{200b}-\u{200f}]{0,4}",
            "(?i)(con|nul|com1|lpt¹|conout\\$)",
            "~[0-9a-fA-F]{16}",
            "[a-z]{0,90}|[あ-ん]{0,90}|[가-힣]{0,90}",
            "\\.[a-zA-Z0-9]{1,13}",
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_name_gets_a_legal_one(name in hostile(), id in any::<String>()) {
            let local = plain_or_derived(&name, &id);
            prop_assert!(is_legal(&local.derived), "{:?}", local.derived);
            prop_assert!(is_marked(&local.derived));
            prop_assert!(local.derived.len() <= DERIVED_BYTES);
            for segment in [Some(&local.derived), local.plain.as_ref()].into_iter().flatten() {
                let path = std::path::Path::new(segment);
                prop_assert!(path.components().eq([std::path::Component::Normal(segment.as_ref())]));
            }
            if let Some(plain) = &local.plain {
                prop_assert_eq!(plain, &name);
                prop_assert!(!is_marked(plain));
            }
        }

        #[test]
        fn two_ids_never_share_a_derived_name(name in hostile(), other in hostile(), one in "[0-9a-c]{1,3}", two in "[0-9a-c]{1,3}") {
            let first = plain_or_derived(&name, &one).derived;
            let second = plain_or_derived(&other, &two).derived;
            if one != two {
                prop_assert_ne!(fold(&first), fold(&second));
            }
        }

        #[test]
        fn a_fold_knows_no_form(name in any::<String>()) {
            let composed: String = name.nfc().collect();
            let apart: String = name.nfd().collect();
            prop_assert_eq!(fold(&composed), fold(&apart));
        }
    }
}
