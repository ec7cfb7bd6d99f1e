//! What a refusing answer says, in any of the service's forms.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::http::HeaderMap;

/// Code and text of an answer that refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The service's own code, for example `TOO_MANY_REQUESTS`.
    pub code: Option<String>,
    /// The service's text, cut to a readable length.
    pub text: String,
    /// How long the service asks us to wait.
    pub wait: Option<Duration>,
    /// How long until the operation may be called again. It stands in good answers too, and says nothing where the refusal has
    /// another cause than the rate.
    pub reset: Option<Duration>,
}

/// How much of a text is shown.
const SHOWN: usize = 200;

impl Refusal {
    /// Reads `{code, description}` (API 2.0), `{error, error_description}` (OAuth), `{errorCode, errorMessage}`,
    /// `{code, message}` and the version 1 envelope (classic), or shows what else came.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Refusal {
        let mut refusal = Refusal {
            status,
            wait: retry_after(headers, now),
            reset: seconds(headers, "ratelimit-reset"),
            ..Refusal::default()
        };
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => {
                let first = |keys: &[&str]| keys.iter().find_map(|key| fields.get(*key).and_then(text_of));
                // A gateway answer may carry a number in `errorCode` and the word in `code`: the word says more.
                refusal.code = first(&["code", "errorCode", "error"]);
                refusal.text = first(&["description", "errorMessage", "message", "error_description"])
                    .unwrap_or_default();
            }
            _ => refusal.text = shown(&String::from_utf8_lossy(body)),
        }
        refusal
    }

    /// Whether code or text holds a word, whatever the case.
    pub(super) fn mentions(&self, word: &str) -> bool {
        let has = |text: &str| text.to_ascii_uppercase().contains(word);
        self.code.as_deref().is_some_and(has) || has(&self.text)
    }

    /// Whether the code holds a word, whatever the case.
    pub(super) fn code_mentions(&self, word: &str) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| code.to_ascii_uppercase().contains(word))
    }

    /// Whether this is the refusal of a service account's token by Drive (API 2.0 docs, EN/auth-jwt).
    pub(super) fn is_service_account(&self) -> bool {
        self.status == 403
            && (self.code_mentions("SERVICE_ACCOUNT_NOT_ALLOWED") || self.mentions("NOT ALLOWED API"))
    }

    /// A sentence for people.
    pub(super) fn message(&self) -> String {
        let mut message = format!("the service answered {}", self.status);
        if let Some(code) = &self.code {
            message.push(' ');
            message.push_str(code);
        }
        if !self.text.is_empty() {
            message.push_str(": ");
            message.push_str(&self.text);
        }
        if self.is_service_account() {
            message.push_str(" (the token of a service account cannot open Drive)");
        }
        message
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(shown(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text from outside, fit for a message: one line, no control characters, cut at [`SHOWN`] characters.
pub(super) fn shown(text: &str) -> String {
    let mut words = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == SHOWN {
            words.push('…');
            break;
        }
        words.push(if character.is_control() { ' ' } else { character });
    }
    words
}

/// `Retry-After`, in seconds or as an HTTP date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    const NAME: &str = "retry-after";
    seconds(headers, NAME).or_else(|| {
        let date = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(headers.get(NAME)?.to_str().ok()?)
            .ok()?;
        Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
    })
}

/// A header that is a number of seconds, as `rateLimit-reset` (API 2.0 docs, EN/rate-limits).
fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let text = headers.get(name)?.to_str().ok()?;
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::type_complexity)]
mod tests {
    use super::*;
    use crate::api::tests::hostile::body;

    #[test]
    fn every_form_of_refusal_is_read() {
        let table: [(u16, &str, Option<&str>, &str); 9] = [
            (
                429,
                r#"{"code":"TOO_MANY_REQUESTS","description":"API rate limit exceeded"}"#,
                Some("TOO_MANY_REQUESTS"),
                "API rate limit exceeded",
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"gone"}"#,
                Some("invalid_grant"),
                "gone",
            ),
            (
                401,
                r#"{"errorMessage":"Authentication failed, no authority","errorCode":"024","code":"UNAUTHORIZED"}"#,
                Some("UNAUTHORIZED"),
                "Authentication failed, no authority",
            ),
            (
                404,
                r#"{"errorCode":"001","message":"Not support url"}"#,
                Some("001"),
                "Not support url",
            ),
            (
                500,
                r#"{"code":1008,"message":"dup","result":{}}"#,
                Some("1008"),
                "dup",
            ),
            (403, r#"{"errorCode":42}"#, Some("42"), ""),
            (502, "<html>\r\n<b>Bad</b>", None, "<html>  <b>Bad</b>"),
            (502, "", None, ""),
            (400, "[1]", None, "[1]"),
        ];
        for (status, body, code, text) in table {
            let refusal = Refusal::read(status, &HeaderMap::new(), body.as_bytes(), Timestamp::UNIX_EPOCH);
            assert_eq!(
                (refusal.code.as_deref(), refusal.text.as_str()),
                (code, text),
                "{body}"
            );
        }
        let long = Refusal::read(
            500,
            &HeaderMap::new(),
            "가".repeat(9000).as_bytes(),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(long.text.chars().count(), SHOWN + 1);
        let service = Refusal::read(
            403,
            &HeaderMap::new(),
            br#"{"code":"FORBIDDEN","description":"Not allowed api"}"#,
            Timestamp::UNIX_EPOCH,
        );
        assert!(service.message().contains("service account"));
    }

    #[test]
    fn waits_are_read_where_they_say_something() {
        let table: [(&[(&'static str, &str)], Option<u64>, Option<u64>); 7] = [
            (
                &[("ratelimit-reset", "21"), ("retry-after", "9")],
                Some(21),
                Some(9),
            ),
            (
                &[("ratelimit-reset", "soon"), ("retry-after", "9")],
                None,
                Some(9),
            ),
            (
                &[("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT")],
                None,
                Some(30),
            ),
            (&[("retry-after", "Wed, 31 Dec 1969 00:00:30 GMT")], None, Some(0)),
            (&[("retry-after", "-5")], None, None),
            (&[("retry-after", "NaN")], None, None),
            (&[], None, None),
        ];
        for (pairs, reset, wait) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            let refusal = Refusal::read(429, &headers, b"", Timestamp::UNIX_EPOCH);
            let seconds = |figure: Option<u64>| figure.map(Duration::from_secs);
            let expected = (seconds(reset), seconds(wait));
            assert_eq!((refusal.reset, refusal.wait), expected, "{pairs:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_refusal_says_fits_one_line(
            status in 300..=599_u16,
            body in body(serde_json::json!({"code": "TOO_MANY_REQUESTS", "description": "API rate limit exceeded"})),
            noise in "\\PC{0,3}.{0,9}",
            reset in "[0-9.eE+-]{0,22}|NaN|inf|-inf|infinity",
            after in "[0-9.eE+-]{0,22}|(Thu, )?[0-9]{1,2} (Jan|Feb) [0-9]{1,5} [0-9:]{5,8} (GMT|\\+0900)",
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in [("ratelimit-reset", reset), ("retry-after", after)] {
                if let Ok(value) = value.parse() {
                    headers.insert(name, value);
                }
            }
            for body in [body, noise.into_bytes()] {
                let refusal = Refusal::read(status, &headers, &body, Timestamp::UNIX_EPOCH);
                let message = refusal.message();
                proptest::prop_assert!(message.chars().count() < 3 * SHOWN);
                proptest::prop_assert!(!message.chars().any(char::is_control), "{:?}", message);
                proptest::prop_assert!(!refusal.text.chars().any(char::is_control));
                super::super::retry::judge(&refusal);
            }
        }
    }
}
