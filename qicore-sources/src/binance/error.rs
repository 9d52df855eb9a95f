//! Errors of the REST endpoints: from `{"code":…,"msg":…}` to a kind and a retry advice.

use qicore_data::{Error, ErrorKind, RetryAdvice};

use super::wire::rest::Envelope;

/// The error that a body is, whatever its HTTP status; `None` where the body is none of the venue's error envelopes.
///
/// The venue's text is quoted, since a ban tells its end there only; the code is in the context. Waits that the headers
/// tell (`Retry-After`) are the client's to add.
pub(crate) fn answer_error(body: &str) -> Option<Error> {
    let body = body.trim_start();
    if !body.starts_with('{') {
        return None;
    }
    let Envelope { code, msg } = serde_json::from_str(body).ok()?;
    // Futures answer so to requests that they have served.
    if code == 200 {
        return None;
    }
    let (kind, retry) = meaning(code);
    let message = format!("the venue answers: {:?}", excerpt(&msg));
    let error = Error::new(kind, "binance.answer", message).with_retry(retry);
    Some(error.with("code", code))
}

/// What a documented code means (`errors.md` of spot, "Error Codes" of futures). Ranges of what is not named: 10xx are the
/// server's own, all others say that the request is wrong.
fn meaning(code: i64) -> (ErrorKind, RetryAdvice) {
    use ErrorKind::{Config, RateLimited, Timeout, Unauthorized, Unavailable, Unsupported};
    use RetryAdvice::{Backoff, Never};
    match code {
        // Too many requests (and banned), orders, connections.
        -1003 | -1015 | -1034 => (RateLimited, Backoff),
        -1006 | -1007 => (Timeout, Backoff),
        // Outside of the receive window: the next attempt has a new time.
        -1021 => (Unauthorized, Backoff),
        // No authority, a bad signature; keys that are unknown, malformed, or not allowed this or from here.
        -1002 | -1022 | -1099 | -2008 | -2014 | -2015 => (Unauthorized, Never),
        -1020 => (Unsupported, Never),
        // A malformed request.
        -1013 | -1014 => (Config, Never),
        -1099..=-1000 => (Unavailable, Backoff),
        // A restricted location.
        0 => (Unavailable, Never),
        _ => (Config, Never),
    }
}

/// As much of a venue's text as fits a message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_codes() {
        use ErrorKind as Kind;
        for (code, kind, retry) in [
            (-1000, Kind::Unavailable, RetryAdvice::Backoff),
            (-1001, Kind::Unavailable, RetryAdvice::Backoff),
            (-1003, Kind::RateLimited, RetryAdvice::Backoff),
            (-1006, Kind::Timeout, RetryAdvice::Backoff),
            (-1007, Kind::Timeout, RetryAdvice::Backoff),
            (-1008, Kind::Unavailable, RetryAdvice::Backoff),
            (-1015, Kind::RateLimited, RetryAdvice::Backoff),
            (-1016, Kind::Unavailable, RetryAdvice::Backoff),
            (-1020, Kind::Unsupported, RetryAdvice::Never),
            (-1021, Kind::Unauthorized, RetryAdvice::Backoff),
            (-1022, Kind::Unauthorized, RetryAdvice::Never),
            (-1100, Kind::Config, RetryAdvice::Never),
            (-1121, Kind::Config, RetryAdvice::Never),
            (-1130, Kind::Config, RetryAdvice::Never),
            (-2008, Kind::Unauthorized, RetryAdvice::Never),
            (-2014, Kind::Unauthorized, RetryAdvice::Never),
            (-2015, Kind::Unauthorized, RetryAdvice::Never),
            (-4141, Kind::Config, RetryAdvice::Never),
            (0, Kind::Unavailable, RetryAdvice::Never),
            (i64::MIN, Kind::Config, RetryAdvice::Never),
        ] {
            let error = answer_error(&format!(r#"{{"code":{code},"msg":"m"}}"#)).unwrap();
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
            assert_eq!(error.context(), [("code", code.to_string())]);
        }
    }

    #[test]
    fn the_venues_text_is_quoted_and_bounded() {
        let ban = r#" { "msg": "Way too much request weight used; IP banned until 1700000000000.", "code": -1003 }"#;
        let error = answer_error(ban).unwrap();
        assert!(error.message().contains("IP banned until 1700000000000"), "{error}");
        let long = format!(r#"{{"code":-1000,"msg":"line\n{}"}}"#, "é".repeat(100_000));
        let error = answer_error(&long).unwrap();
        assert!(
            error.message().len() < 700 && !error.message().contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_error() {
        for body in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            "<html>403 Forbidden</html>",
            r#"{"code":-1121}"#,
            r#"{"msg":"Invalid symbol."}"#,
            r#"{"code":"-1121","msg":"Invalid symbol."}"#,
            r#"{"code":99999999999999999999,"msg":"Invalid symbol."}"#,
            r#"{"code":-1121,"msg":null}"#,
            r#"{"code":-1121,"msg":"Invalid"#,
            r#"[{"code":-1121,"msg":"Invalid symbol."}]"#,
            r#"{"code":200,"msg":"success"}"#,
            r#"{"symbol":"BTCUSDT","price":"1"}"#,
        ] {
            assert!(answer_error(body).is_none(), "{body}");
        }
    }
}
