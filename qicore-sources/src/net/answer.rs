//! What a host answers, and the errors that its status says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use qicore_data::{Error, ErrorKind, RetryAdvice, Timestamp};

/// The answer to a request that succeeded.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// What was asked for, without what is secret: the channel of the body's frame.
    pub(crate) url: Box<str>,
    /// When the whole of it was there.
    pub(crate) received: Timestamp,
    /// How far the host's clock is ahead, in nanoseconds, where its answer tells: to a second, and rather less than that.
    pub(crate) ahead: Option<i64>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Error::decode("net.http", "the answer is not UTF-8").with_source(error))
    }
}

/// An answer whose status is no success, before it is known what its body says.
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: &'a [u8],
}

impl Refusal<'_> {
    /// The error: what the venue's body says where it is one of its own, with what the status says besides.
    pub(super) fn error(&self, of_body: fn(&str) -> Option<Error>) -> Error {
        let text = String::from_utf8_lossy(self.body);
        let said = of_body(&text);
        let by_status = self.by_status(&text);
        let error = match said {
            Some(said) if matches!(by_status.kind(), ErrorKind::Rejected) => said,
            Some(said) => by_status.with("venue", said.message()),
            None => by_status,
        };
        let error = error.with("status", self.status);
        match (self.retry_after, error.retry()) {
            (Some(wait), RetryAdvice::Backoff | RetryAdvice::After(_)) => error.with_retry(RetryAdvice::After(wait)),
            _ => error,
        }
    }

    fn by_status(&self, text: &str) -> Error {
        let (kind, retry, told) = match self.status {
            401 => (
                ErrorKind::Unauthorized,
                RetryAdvice::Never,
                "the host wants credentials, or other ones".to_owned(),
            ),
            403 => (
                ErrorKind::Unauthorized,
                RetryAdvice::Never,
                "the host refuses this client: its address may be blocked, or the key lacks a right".to_owned(),
            ),
            429 => (
                ErrorKind::RateLimited,
                RetryAdvice::Backoff,
                "the host asks to slow down".to_owned(),
            ),
            418 => (
                ErrorKind::RateLimited,
                RetryAdvice::Backoff,
                "the host has banned this address for a while, for asking too much".to_owned(),
            ),
            451 => (
                ErrorKind::Unsupported,
                RetryAdvice::Never,
                "the host does not serve the place that this address is in".to_owned(),
            ),
            408 | 425 | 500..=599 => (
                ErrorKind::Unavailable,
                RetryAdvice::Backoff,
                format!("the host cannot serve now: {}", excerpt(text)),
            ),
            _ => (
                ErrorKind::Rejected,
                RetryAdvice::Never,
                format!("the host refuses the request: {}", excerpt(text)),
            ),
        };
        Error::new(kind, "net.http", told).with_retry(retry)
    }
}

/// What a body says, in short: of a page its title.
fn excerpt(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "with no words".to_owned();
    }
    if text.starts_with('<') {
        let title = text
            .split_once("<title>")
            .and_then(|(_, rest)| rest.split_once("</title>"))
            .map_or("without a title", |(title, _)| title.trim());
        return format!("an HTML page, {:?}", title.chars().take(80).collect::<String>());
    }
    format!("{:?}", text.chars().take(200).collect::<String>())
}

/// How far the clock is ahead that the header `Date` is of, in nanoseconds, if the header comes at `now`. It is in whole
/// seconds, and has been under way: what is left of the time is no more than the clock's.
pub(super) fn ahead(date: Option<&str>, now: Timestamp) -> Option<i64> {
    let date = httpdate::parse_http_date(date?).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?;
    Some(i64::try_from(date.as_nanos()).ok()? - now.nanos())
}

/// The length that `Retry-After` asks for: seconds, or until a date.
pub(super) fn retry_after(header: Option<&str>) -> Option<Duration> {
    let header = header?.trim();
    match header.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(header)
            .ok()?
            .duration_since(SystemTime::now())
            .ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, retry_after: Option<u64>, body: &str) -> Error {
        let of_body = |body: &str| body.contains("code").then(|| Error::config("venue", "Invalid symbol."));
        Refusal {
            status,
            retry_after: retry_after.map(Duration::from_secs),
            body: body.as_bytes(),
        }
        .error(of_body)
    }

    #[test]
    fn lengths_of_pauses() {
        assert_eq!(retry_after(Some(" 7")), Some(Duration::from_secs(7)));
        let later = SystemTime::now() + Duration::from_secs(100);
        let wait = retry_after(Some(&httpdate::fmt_http_date(later))).unwrap();
        assert!(
            (Duration::from_secs(60)..=Duration::from_secs(100)).contains(&wait),
            "{wait:?}"
        );
        for nothing in [
            None,
            Some(""),
            Some("soon"),
            Some("-1"),
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert_eq!(retry_after(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn how_far_a_clock_is_ahead() {
        let now = Timestamp::from_nanos(784_111_777_250_000_000);
        assert_eq!(ahead(Some("Sun, 06 Nov 1994 08:49:37 GMT"), now), Some(-250_000_000));
        assert_eq!(ahead(Some("Sun, 06 Nov 1994 08:51:37 GMT"), now), Some(119_750_000_000));
        assert_eq!((ahead(None, now), ahead(Some("today"), now)), (None, None));
    }

    #[test]
    fn statuses() {
        for (status, kind, retry) in [
            (429, ErrorKind::RateLimited, RetryAdvice::Backoff),
            (418, ErrorKind::RateLimited, RetryAdvice::Backoff),
            (403, ErrorKind::Unauthorized, RetryAdvice::Never),
            (451, ErrorKind::Unsupported, RetryAdvice::Never),
            (502, ErrorKind::Unavailable, RetryAdvice::Backoff),
            (404, ErrorKind::Rejected, RetryAdvice::Never),
        ] {
            let error = error(status, None, "<html><head><title>Oh</title>");
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
        }
        let limited = error(429, Some(7), "");
        assert_eq!(limited.retry(), RetryAdvice::After(Duration::from_secs(7)));
        // No pause helps where trying again does not.
        assert_eq!(error(451, Some(7), "").retry(), RetryAdvice::Never);
    }

    #[test]
    fn the_venue_s_own_words_count() {
        let told = error(400, None, "{\"code\":-1121}").to_string();
        assert_eq!(told, "venue: Invalid symbol. (config; status=400)");
        let told = error(429, None, "{\"code\":-1003}").to_string();
        assert!(
            told.contains("slow down") && told.contains("venue=Invalid symbol."),
            "{told}"
        );
        let told = error(503, None, "<html><title> Bad gateway </title>").to_string();
        assert!(told.contains("an HTML page, \"Bad gateway\""), "{told}");
    }
}
