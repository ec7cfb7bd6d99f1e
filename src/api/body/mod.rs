//! A download that makes its connection good: it follows redirects by hand, resumes after a break where the server
//! allows it, and asks for a fresh address when the old one has ended.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;

use super::auth::Bearer;
use super::http::{
    Broken, Client, HeaderName, HeaderValue, Line, Method, Payload, Reply, Sent, Shot, Url, Work,
};
use super::refusal::Refusal;
use super::retry::{Budget, Judgement, judge};
use crate::drive::{Download, Error, ErrorKind, Piece, Result};
use crate::monitor::Counter;

/// Where a content comes from.
pub(super) struct Source {
    /// The connection to the service.
    pub client: Arc<Client>,
    /// Whose token is sent.
    pub bearer: Bearer,
    /// The operation that gives the address.
    pub work: Work,
    /// The operation that gives the bytes.
    pub content_operation: &'static str,
    /// The address to begin with.
    pub url: Url,
    /// Headers beside the token.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The size in the listing.
    pub listed: Option<u64>,
    /// Whether the file, by its name, may be a page itself: HTML or JSON.
    pub may_be_page: bool,
    /// Whether the first address gives the bytes itself, so that a range may be asked of it.
    pub direct: bool,
}

/// Redirects that are followed from one address.
const REDIRECTS: u32 = 5;
/// Breaks without a new byte after which a fresh address is asked for.
const BARREN: u32 = 2;
/// New bytes that give the failures so far back to the budget.
const PROGRESS: u64 = 1 << 20;

/// Opens a content at `from` and keeps it alive.
pub(super) async fn open(source: Source, from: u64) -> Result<Download> {
    let mut fetcher = Fetcher {
        budget: source.client.budget(),
        source,
        address: None,
        etag: None,
        whole: None,
        refreshed: false,
        mismatched: false,
    };
    let opened = fetcher.open(from).await?;
    let (from, size) = (opened.from, opened.whole);
    let attempts = fetcher.budget.attempts();
    let body = Body {
        fetcher,
        reply: Some(opened.reply),
        position: from,
        began: from,
        highest: from,
        whole: size,
        barren: 0,
    };
    let body = stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match body.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(body))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Download {
        from,
        size,
        attempts,
        body: body.boxed(),
    })
}

/// Asks for the content until it comes.
struct Fetcher {
    source: Source,
    budget: Budget,
    /// The storage address that the last redirect gave.
    address: Option<Url>,
    /// A strong entity tag of the content that came so far.
    etag: Option<HeaderValue>,
    /// Length of the content that came so far.
    whole: Option<u64>,
    /// Whether a fresh address was already asked for since bytes last came.
    refreshed: bool,
    /// Whether the told length already differed from the listed size once.
    mismatched: bool,
}

/// The head of an answer that brings the content.
struct Opened {
    reply: Reply,
    from: u64,
    whole: Option<u64>,
}

impl Fetcher {
    /// Asks for the content from `from` on; the answer may begin at 0 instead.
    async fn open(&mut self, mut from: u64) -> Result<Opened> {
        let mut stale = None;
        let mut redirects = 0;
        loop {
            let at_start = self.address.is_none();
            let work = Work {
                operation: if at_start {
                    self.source.work.operation
                } else {
                    self.source.content_operation
                },
                subject: self.source.work.subject.clone(),
            };
            let url = self.address.as_ref().unwrap_or(&self.source.url).clone();
            let mut headers = self.source.headers.clone();
            if from > 0 && (self.source.direct || !at_start) {
                headers.extend(self.range(from));
            }
            let shot = Shot {
                method: Method::GET,
                url,
                bearer: Some(self.source.bearer.clone()),
                stale,
                headers,
                payload: Payload::Nothing,
                line: Line::Content,
            };
            let client = Arc::clone(&self.source.client);
            let Sent {
                mut reply,
                generation,
            } = match client.send(&work, shot).await? {
                Ok(sent) => sent,
                Err(broken) => {
                    client.bridge(&work, &mut self.budget, broken).await?;
                    continue;
                }
            };
            match reply.status {
                301 | 302 | 303 | 307 | 308 => {
                    redirects += 1;
                    if redirects > REDIRECTS {
                        let message = format!("more than {REDIRECTS} redirects");
                        return Err(self.final_error(&work, ErrorKind::Protocol, message));
                    }
                    let target = reply.header("location").map(|to| reply.url().join(to));
                    let Some(Ok(target)) = target else {
                        let message = "a redirect to nowhere";
                        return Err(self.final_error(&work, ErrorKind::Protocol, message));
                    };
                    self.address = Some(target);
                }
                200 | 206 => match self.check(&work, &reply, from) {
                    Checked::Good(begin, whole) => {
                        self.refreshed = false;
                        if begin == 0 || self.etag.is_none() {
                            self.etag = strong_tag(&reply);
                        }
                        self.whole = whole;
                        return Ok(Opened {
                            reply,
                            from: begin,
                            whole,
                        });
                    }
                    Checked::StartAnew(message) => {
                        from = 0;
                        self.failed(&work, message).await?;
                    }
                    Checked::Broken(message) => self.failed(&work, message).await?,
                    Checked::Wrong(kind, message) if self.mismatched => {
                        return Err(self.final_error(&work, kind, message));
                    }
                    Checked::Wrong(_, message) => {
                        self.mismatched = true;
                        self.address = None;
                        redirects = 0;
                        self.failed(&work, message).await?;
                    }
                },
                // The server has not that many bytes (any more).
                416 if from > 0 => from = 0,
                401 | 403 | 404 | 410 if !at_start => {
                    let refusal = client.refusal(&mut reply).await;
                    if self.refreshed {
                        return Err(self.ended(&work, &refusal));
                    }
                    self.refreshed = true;
                    self.address = None;
                    redirects = 0;
                    client.monitor().count(Counter::Retries, 1);
                }
                _ => {
                    let refusal = client.refusal(&mut reply).await;
                    match judge(&refusal) {
                        Judgement::Renew if stale.is_none() && generation.is_some() => {
                            stale = generation;
                        }
                        Judgement::Renew => {
                            let kind = self.source.bearer.refused_kind();
                            return Err(self.final_error(&work, kind, refusal.message()));
                        }
                        Judgement::Final(kind) => {
                            return Err(self.final_error(&work, kind, refusal.message()));
                        }
                        judgement => {
                            client
                                .hold_back(&work, &mut self.budget, &judgement, refusal)
                                .await?;
                        }
                    }
                }
            }
        }
    }

    /// What an answer that brings bytes is worth.
    fn check(&self, work: &Work, reply: &Reply, from: u64) -> Checked {
        let encoding = reply.header("content-encoding").unwrap_or("identity");
        if !encoding.eq_ignore_ascii_case("identity") {
            return Checked::Broken(format!("the content came encoded as {encoding}"));
        }
        let length = reply
            .header("content-length")
            .and_then(|text| text.trim().parse::<u64>().ok());
        let (begin, whole) = if reply.status == 206 {
            match reply.header("content-range").and_then(content_range) {
                Some((begin, whole)) if begin == from => (
                    begin,
                    whole.or(length.and_then(|length| begin.checked_add(length))),
                ),
                _ => return Checked::StartAnew("a part came that was not asked for".to_owned()),
            }
        } else {
            (0, length)
        };
        if begin > 0 && whole.is_some() && self.whole.is_some() && whole != self.whole {
            return Checked::StartAnew("the content changed meanwhile".to_owned());
        }
        let kind = reply.header("content-type").unwrap_or_default();
        if self.source.listed.is_none() && !self.source.may_be_page && is_page(kind) {
            let message = format!("a page came, and no listed size tells whether it is the content ({kind})");
            return Checked::Wrong(ErrorKind::Protocol, message);
        }
        if let (Some(whole), Some(listed)) = (whole, self.source.listed)
            && whole != listed
        {
            let message = format!("{whole} bytes were told, {listed} are listed ({kind})");
            tracing::debug!(operation = work.operation, message, "a content of another length");
            return Checked::Wrong(
                if is_page(kind) {
                    ErrorKind::Protocol
                } else {
                    ErrorKind::Changed
                },
                message,
            );
        }
        Checked::Good(begin, whole)
    }

    fn range(&self, from: u64) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if let Ok(value) = HeaderValue::from_str(&format!("bytes={from}-")) {
            headers.push((HeaderName::from_static("range"), value));
        }
        if let Some(tag) = &self.etag {
            headers.push((HeaderName::from_static("if-range"), tag.clone()));
        }
        headers
    }

    /// Takes a failure out of the budget and pauses.
    async fn failed(&mut self, work: &Work, message: String) -> Result<()> {
        let unavailable = ErrorKind::Unavailable { retry_after: None };
        let client = Arc::clone(&self.source.client);
        client
            .pause(work, &mut self.budget, unavailable, message, None)
            .await?;
        Ok(())
    }

    fn final_error(&self, work: &Work, kind: ErrorKind, message: impl Into<String>) -> Error {
        let mut error = work.error(kind, message);
        error.attempts = self.budget.attempts();
        error
    }

    /// The storage host refuses an address that was fresh. The file itself is there, so it is not "not found".
    fn ended(&self, work: &Work, refusal: &Refusal) -> Error {
        let kind = match refusal.status {
            401 | 403 => ErrorKind::Denied,
            _ => ErrorKind::Protocol,
        };
        let message = format!("at a fresh address too, {}", refusal.message());
        self.final_error(work, kind, message)
    }
}

/// What an answer that brings bytes is worth.
enum Checked {
    /// The bytes from the first figure on; the second is the length of the whole.
    Good(u64, Option<u64>),
    /// To be asked for again from the first byte on.
    StartAnew(String),
    /// To be asked for again.
    Broken(String),
    /// Not the content; believed when it comes twice.
    Wrong(ErrorKind, String),
}

/// The bytes of a content, over as many connections as it takes.
struct Body {
    fetcher: Fetcher,
    reply: Option<Reply>,
    /// The offset of the next byte.
    position: u64,
    /// The offset at which the current connection began.
    began: u64,
    /// The offset up to which progress was rewarded.
    highest: u64,
    whole: Option<u64>,
    /// Breaks in a row without a new byte.
    barren: u32,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Piece>> {
        let Some(reply) = &mut self.reply else {
            return self.reopen().await.map(Some);
        };
        let end = self.whole.or(self.fetcher.source.listed);
        match reply.chunk().await {
            Ok(Some(bytes)) => {
                let length = bytes.len() as u64;
                self.position += length;
                let client = &self.fetcher.source.client;
                client.monitor().count(Counter::BytesMoved, length);
                if end.is_some_and(|end| self.position > end) {
                    let message = format!("more bytes came than the {} expected", end.unwrap_or(0));
                    return Err(self.error(ErrorKind::Changed, message));
                }
                if self.position >= self.highest + PROGRESS {
                    self.highest = self.position;
                    self.fetcher.budget.restore();
                }
                Ok(Some(Piece::Bytes(bytes)))
            }
            Ok(None) if end.is_none_or(|end| end == self.position) => Ok(None),
            Err(_) if end.is_some_and(|end| end == self.position) => Ok(None),
            Ok(None) => {
                let message = format!("the content ended after {} bytes", self.position);
                self.broke(message).await
            }
            Err(Broken { slow, message, .. }) => {
                if slow && !self.fetcher.budget.slow() {
                    let unavailable = ErrorKind::Unavailable { retry_after: None };
                    return Err(self.error(unavailable, message));
                }
                self.broke(message).await
            }
        }
    }

    async fn broke(&mut self, message: String) -> Result<Option<Piece>> {
        self.reply = None;
        if self.position == self.began {
            self.barren += 1;
        } else {
            self.barren = 0;
        }
        if self.barren >= BARREN {
            self.barren = 0;
            self.fetcher.address = None;
        }
        let work = self.work();
        self.fetcher.failed(&work, message).await?;
        self.reopen().await.map(Some)
    }

    async fn reopen(&mut self) -> Result<Piece> {
        // With a tag, the service gives a part only of the content that the tag was for.
        let same = self.fetcher.etag.is_some();
        let opened = self.fetcher.open(self.position).await?;
        let piece = if opened.from == self.position {
            Piece::Resumed { same }
        } else {
            Piece::Restarted
        };
        self.position = opened.from;
        self.began = opened.from;
        self.whole = opened.whole.or(match piece {
            Piece::Resumed { .. } => self.whole,
            _ => None,
        });
        self.reply = Some(opened.reply);
        Ok(piece)
    }

    fn work(&self) -> Work {
        Work {
            operation: self.fetcher.source.content_operation,
            subject: self.fetcher.source.work.subject.clone(),
        }
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        self.fetcher.final_error(&self.work(), kind, message)
    }
}

/// `bytes 5-9/10`: the first offset and the whole length, `None` for `*`. Figures that do not fit together are no range.
pub(super) fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let number = |digits: &str| -> Option<u64> {
        let digits = digits.trim();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let (unit, range) = text.trim().split_once(' ')?;
    let (range, whole) = range.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let whole = match whole.trim() {
        "*" => None,
        whole => Some(number(whole)?),
    };
    let fits = first <= last && whole.is_none_or(|whole| last < whole);
    (unit.eq_ignore_ascii_case("bytes") && fits).then_some((first, whole))
}

/// Only a strong tag may stand in `If-Range` (RFC 9110, section 13.1.5).
fn strong_tag(reply: &Reply) -> Option<HeaderValue> {
    let tag = reply.headers.get("etag")?;
    tag.as_bytes().starts_with(b"\"").then(|| tag.clone())
}

/// Whether a file of this name may well come with the content type of a page.
pub(super) fn may_be_page(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    [
        "html",
        "htm",
        "xhtml",
        "json",
        "map",
        "webmanifest",
        "geojson",
        "ipynb",
    ]
    .iter()
    .any(|known| known.eq_ignore_ascii_case(ending))
}

/// Whether a content type is that of an error page.
fn is_page(content_type: &str) -> bool {
    let kind = content_type.to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/json")
}

#[cfg(test)]
mod tests;
