//! Builds addresses from parts that come from outside.

use super::Url;

/// One part of a path or query, percent-encoded but for letters, digits and `-._~`: drive ids begin with `@`, and
/// cursors hold `+`, `/` and `=`, which some readers take for something else (API 2.0 docs, JP/sharedrive-file-root-list).
///
/// `None` for an empty text and for `.` and `..`, which no path can hold as a part.
pub(in crate::api) fn segment(text: &str) -> Option<String> {
    (!matches!(text, "" | "." | "..")).then(|| encoded(text))
}

/// A query value, percent-encoded as [`segment`] does.
pub(in crate::api) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// An address with query values.
pub(in crate::api) fn with_query(base: &str, query: &[(&str, &str)]) -> Option<Url> {
    let mut text = base.to_owned();
    for (number, (key, value)) in query.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        text.push_str(&encoded(value));
    }
    Url::parse(&text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_the_address() {
        let table = [
            ("@2101000000000008", "%402101000000000008"),
            ("YQ==", "YQ%3D%3D"),
            ("a+b/c", "a%2Bb%2Fc"),
            ("가?#%", "%EA%B0%80%3F%23%25"),
            ("a.b-c_d~", "a.b-c_d~"),
        ];
        for (text, encoded) in table {
            let part = segment(text).unwrap();
            assert_eq!(part, encoded);
            let url = with_query(&format!("http://host/{part}/x"), &[("cursor", text)]).unwrap();
            assert_eq!(url.path(), format!("/{encoded}/x"));
            assert_eq!(url.query(), Some(format!("cursor={encoded}").as_str()));
        }
        assert_eq!(segment(".."), None);
        assert_eq!(segment("."), None);
        assert_eq!(segment(""), None);
    }
}
