//! CCXT's errors as this project's.

use ccxt::ExchangeError;
use qicore_data::{Error, ErrorKind, RetryAdvice};

/// Longer messages (a page of HTML) are cut.
const LONGEST: usize = 300;

/// By the classes of CCXT's hierarchy, the more special ones first. Whether to try again is what CCXT's manual says of
/// them: what is an `OperationFailed` may work the next time.
const CLASSES: &[(&str, ErrorKind, RetryAdvice)] = &[
    ("AuthenticationError", ErrorKind::Unauthorized, RetryAdvice::Never),
    ("BadRequest", ErrorKind::Config, RetryAdvice::Never),
    ("ArgumentsRequired", ErrorKind::Config, RetryAdvice::Never),
    ("InvalidProxySettings", ErrorKind::Config, RetryAdvice::Never),
    ("NotSupported", ErrorKind::Unsupported, RetryAdvice::Never),
    ("RestrictedLocation", ErrorKind::Unauthorized, RetryAdvice::Never),
    ("RateLimitExceeded", ErrorKind::RateLimited, RetryAdvice::Backoff),
    ("DDoSProtection", ErrorKind::RateLimited, RetryAdvice::Backoff),
    ("RequestTimeout", ErrorKind::Timeout, RetryAdvice::Backoff),
    ("BadResponse", ErrorKind::Decode, RetryAdvice::Backoff),
    ("OperationFailed", ErrorKind::Unavailable, RetryAdvice::Backoff),
    // What an exchange says without a class of its own, and what CCXT says of a panic without one.
    ("ExchangeError", ErrorKind::Unavailable, RetryAdvice::Backoff),
];

/// An error of CCXT's method `method`.
pub(crate) fn of(error: &ExchangeError, method: &str) -> Error {
    let class = CLASSES.iter().find(|(class, ..)| error.is(class));
    // No class of CCXT's: a panic of the library's own, with some brackets in its text.
    let (kind, retry) = class.map_or((ErrorKind::Internal, RetryAdvice::Never), |(_, kind, retry)| {
        (*kind, *retry)
    });
    let class = if class.is_some() { error.kind.as_str() } else { "panic" };
    Error::new(kind, "ccxt.call", without_queries(&error.message))
        .with_retry(retry)
        .with("method", method)
        .with("class", class)
}

/// CCXT tells whole URLs, and the queries of some are signed with the secret.
fn without_queries(message: &str) -> String {
    let mut told = String::with_capacity(message.len().min(LONGEST));
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at);
        let end = url
            .find(|c: char| c.is_whitespace() || "\"'<>)".contains(c))
            .unwrap_or(url.len());
        told += before;
        told += url[..end].split('?').next().unwrap_or_default();
        rest = &url[end..];
    }
    told += rest;
    match told.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &told[..at]),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_their_children() {
        let cases = [
            ("RateLimitExceeded", ErrorKind::RateLimited, RetryAdvice::Backoff),
            ("DDoSProtection", ErrorKind::RateLimited, RetryAdvice::Backoff),
            ("NetworkError", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("OnMaintenance", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("RequestTimeout", ErrorKind::Timeout, RetryAdvice::Backoff),
            ("NullResponse", ErrorKind::Decode, RetryAdvice::Backoff),
            ("BadSymbol", ErrorKind::Config, RetryAdvice::Never),
            ("AuthenticationError", ErrorKind::Unauthorized, RetryAdvice::Never),
            ("PermissionDenied", ErrorKind::Unauthorized, RetryAdvice::Never),
            ("NotSupported", ErrorKind::Unsupported, RetryAdvice::Never),
            ("ExchangeError", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("0", ErrorKind::Internal, RetryAdvice::Never),
        ];
        for (class, kind, retry) in cases {
            let error = of(&ExchangeError::new(class, "x"), "fetch_trades");
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{class}");
        }
    }

    #[test]
    fn a_signature_is_not_told() {
        let message = "kraken GET https://h/0/x?signature=hunter2 429 \"http://h/y?z=hunter2\" done";
        let error = of(&ExchangeError::new("RateLimitExceeded", message), "fetch_ticker");
        assert_eq!(error.message(), "kraken GET https://h/0/x 429 \"http://h/y\" done");
        let long = of(&ExchangeError::new("BadResponse", "é".repeat(1_000)), "fetch_ticker");
        assert_eq!(long.message().chars().count(), LONGEST + 1);
    }
}
