//! What the venue says instead of data.

use qicore_data::ErrorKind::{Config, RateLimited, Timeout, Unauthorized, Unavailable};
use qicore_data::{Error, ErrorKind, RetryAdvice};

use super::wire::rest::Refusal;

const OPERATION: &str = "coinbase.answer";

/// Characters of a text of the venue that an error shows.
const SHOWN: usize = 300;

/// The names of gRPC's statuses, which Advanced Trade answers with, and their numbers. They decide before any text does.
const STATUSES: &[(&str, i64, ErrorKind)] = &[
    ("INVALID_ARGUMENT", 3, Config),
    ("DEADLINE_EXCEEDED", 4, Timeout),
    ("NOT_FOUND", 5, Config),
    ("PERMISSION_DENIED", 7, Unauthorized),
    ("RESOURCE_EXHAUSTED", 8, RateLimited),
    ("FAILED_PRECONDITION", 9, Config),
    ("OUT_OF_RANGE", 11, Config),
    ("UNIMPLEMENTED", 12, Config),
    ("INTERNAL", 13, Unavailable),
    ("UNAVAILABLE", 14, Unavailable),
    ("UNAUTHENTICATED", 16, Unauthorized),
];

/// What a text in small letters says; the first that fits counts. Exchange has nothing else: "Public rate limit
/// exceeded", "NotFound", "Unauthorized.", "Unsupported granularity", "Internal server error".
const TEXTS: &[(&str, ErrorKind)] = &[
    ("rate limit", RateLimited),
    ("ratelimit", RateLimited),
    ("rate_limit", RateLimited),
    ("too many requests", RateLimited),
    ("unauthorized", Unauthorized),
    ("unauthenticated", Unauthorized),
    ("forbidden", Unauthorized),
    ("permission", Unauthorized),
    ("api key", Unauthorized),
    ("cb-access", Unauthorized),
    ("signature", Unauthorized),
    ("timestamp expired", Unauthorized),
    ("internal", Unavailable),
    ("unavailable", Unavailable),
    ("maintenance", Unavailable),
    ("timeout", Timeout),
    ("timed out", Timeout),
    ("notfound", Config),
    ("not found", Config),
    ("not_found", Config),
    ("not allowed", Config),
    ("invalid", Config),
    ("unsupported", Config),
    ("required", Config),
    ("granularity", Config),
    ("number of candles", Config),
    ("bad request", Config),
    ("bad_request", Config),
];

/// The error that a body of the REST interfaces tells, or `None` where it is of no such form.
///
/// A request that the venue finds wrong (an unknown product, a granularity that it does not have) is a configuration
/// error. What no rule knows is taken for a failure of the venue: a bounded number of tries decides.
pub(crate) fn answer_error(body: &str) -> Option<Error> {
    let refusal: Refusal<'_> = serde_json::from_str(body).ok()?;
    let first = refusal.errors.first();
    let name = refusal.error.as_deref().or(first.and_then(|item| item.id.as_deref()));
    let details = refusal.error_details.as_deref();
    let message = refusal
        .message
        .as_deref()
        .or(first.and_then(|item| item.message.as_deref()));
    // `code` alone is no error: other services number their answers too.
    let mut said: Vec<&str> = [name, details, message].into_iter().flatten().collect();
    said.retain(|text| !text.is_empty());
    said.dedup();
    if said.is_empty() {
        return None;
    }
    let kind = kind(name, refusal.code, &said);
    let retry = match kind {
        Config | Unauthorized => RetryAdvice::Never,
        _ => RetryAdvice::Backoff,
    };
    let shown: String = said.join(": ").chars().take(SHOWN).collect();
    Some(Error::new(kind, OPERATION, format!("the venue answers: {shown}")).with_retry(retry))
}

fn kind(name: Option<&str>, code: Option<i64>, said: &[&str]) -> ErrorKind {
    let status = STATUSES
        .iter()
        .find(|(status, number, _)| name == Some(*status) || code == Some(*number));
    if let Some((_, _, kind)) = status {
        return *kind;
    }
    let said = said.join(" ").to_ascii_lowercase();
    let text = TEXTS.iter().find(|(text, _)| said.contains(text));
    text.map_or(Unavailable, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn kind_of(body: &str) -> (ErrorKind, RetryAdvice) {
        let error = answer_error(body).unwrap();
        (error.kind(), error.retry())
    }

    #[test]
    fn every_form_has_its_kind() {
        use RetryAdvice::{Backoff, Never};
        for (body, kind) in [
            (r#"{"message":"Public rate limit exceeded"}"#, (RateLimited, Backoff)),
            (r#"{"message":"Slow rate limit exceeded"}"#, (RateLimited, Backoff)),
            (r#"{"message":"NotFound"}"#, (Config, Never)),
            (r#"{"message":"Invalid product"}"#, (Config, Never)),
            (r#"{"message":"Unsupported granularity"}"#, (Config, Never)),
            (
                r#"{"message":"granularity too small for the requested time range. Count of aggregations requested exceeds 300"}"#,
                (Config, Never),
            ),
            (r#"{"message":"Unauthorized."}"#, (Unauthorized, Never)),
            (
                r#"{"message":"CB-ACCESS-KEY header is required"}"#,
                (Unauthorized, Never),
            ),
            (r#"{"message":"Internal server error"}"#, (Unavailable, Backoff)),
            (r#"{"message":"Something new"}"#, (Unavailable, Backoff)),
            (
                r#"{"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid product_id is required"}"#,
                (Config, Never),
            ),
            (
                r#"{"error":"PERMISSION_DENIED","code":7,"message":"Missing required scopes","details":[]}"#,
                (Unauthorized, Never),
            ),
            (
                r#"{"error":"unknown","error_details":"something went wrong","message":"something went wrong"}"#,
                (Unavailable, Backoff),
            ),
            (
                r#"{"code":8,"message":"slow down, please","details":[]}"#,
                (RateLimited, Backoff),
            ),
            (
                r#"{"error":"INTERNAL","error_details":"invalid response","message":""}"#,
                (Unavailable, Backoff),
            ),
            (
                r#"{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}"#,
                (RateLimited, Backoff),
            ),
            (
                r#"{"errors":[{"id":"invalid_request","message":"Currency is invalid"}]}"#,
                (Config, Never),
            ),
        ] {
            assert_eq!(kind_of(body), kind, "{body}");
        }
    }

    #[test]
    fn what_the_venue_said_is_told_once_and_not_without_end() {
        let error =
            answer_error(r#"{"error":"NOT_FOUND","error_details":"no such product","message":"no such product"}"#);
        assert_eq!(
            error.unwrap().message(),
            "the venue answers: NOT_FOUND: no such product"
        );
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5_000));
        assert!(answer_error(&long).unwrap().message().len() < 400);
    }

    #[test]
    fn data_is_no_error() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>502 Bad Gateway</html>",
            r#"{"products":[{"product_id":"BTC-USD","status_message":"x"}]}"#,
            r#"{"trades":[],"best_bid":"","best_ask":""}"#,
            r#"{"message":"","error":""}"#,
            r#"{"message":7}"#,
            r#"{"code":0}"#,
        ] {
            assert!(answer_error(body).is_none(), "{body}");
        }
    }
}
