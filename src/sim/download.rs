//! Sends the bytes of a file or revision, whole or a range of them.

use axum::http::{HeaderMap, header};

use super::answer::{Answer, Payload};
use super::content::Content;
use super::form::encode;
use super::options::Options;

/// Bytes to send, and what is told about them.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content: Content,
    pub(super) size: u64,
    pub(super) name: String,
    /// Differs whenever the bytes differ.
    pub(super) tag: String,
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(u64, u64),
    Outside,
}

/// The answer to a download.
pub(super) fn answer(options: &Options, headers: &HeaderMap, body: Body) -> Answer {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = format!("\"{}\"", body.tag);
    let same = text(header::IF_RANGE).is_none_or(|given| options.etag && given == tag);
    let wanted = match text(header::RANGE) {
        Some(range) if options.ranges && same => wanted(range, body.size),
        _ => Wanted::All,
    };
    let (status, offset, length, range) = match wanted {
        Wanted::All => (200, 0, body.size, None),
        Wanted::Part(from, length) => {
            let range = format!("bytes {from}-{}/{}", from + length - 1, body.size);
            (206, from, length, Some(range))
        }
        Wanted::Outside => {
            return Answer::empty(416).with(header::CONTENT_RANGE, format!("bytes */{}", body.size));
        }
    };
    let mut headers = vec![
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{}", encode(&body.name)),
        ),
    ];
    if options.etag {
        headers.push((header::ETAG, tag));
    }
    if options.ranges {
        headers.push((header::ACCEPT_RANGES, "bytes".to_owned()));
    }
    headers.extend(range.map(|range| (header::CONTENT_RANGE, range)));
    Answer {
        status,
        headers,
        payload: Payload::Content {
            content: body.content,
            offset,
            length,
        },
        listing: None,
    }
}

/// Reads one range of bytes; several ranges, other units and nonsense ask for everything.
fn wanted(range: &str, size: u64) -> Wanted {
    let single = range
        .trim()
        .strip_prefix("bytes=")
        .filter(|range| !range.contains(','));
    let Some((from, to)) = single.and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), to) if from < size => {
            let to = to.unwrap_or(u64::MAX).min(size - 1);
            if to < from {
                Wanted::All
            } else {
                Wanted::Part(from, to - from + 1)
            }
        }
        (Ok(_), _) => Wanted::Outside,
        (Err(_), Ok(last)) if from.is_empty() && last > 0 && size > 0 => {
            let length = last.min(size);
            Wanted::Part(size - length, length)
        }
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, wanted};

    #[test]
    fn ranges_are_read_as_http_says() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0, 10)),
            ("bytes=4-", Wanted::Part(4, 6)),
            ("bytes=4-5", Wanted::Part(4, 2)),
            ("bytes=4-500", Wanted::Part(4, 6)),
            ("bytes=-3", Wanted::Part(7, 3)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=5-4", Wanted::All),
            ("items=1-2", Wanted::All),
            ("bytes=1-2,4-5", Wanted::All),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Outside);
    }
}
