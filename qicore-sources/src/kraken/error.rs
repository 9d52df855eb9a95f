//! What Kraken's REST interface says instead of an answer: `{"error":["EQuery:Unknown asset pair"]}`, with status 200
//! like any other. A text begins with `E` (an error) or `W` (a warning, beside an answer), its category and a colon.

use std::time::Duration;

use qicore_data::{Error, ErrorKind, RetryAdvice};
use serde::Deserialize;

use super::wire::Name;
use super::{excerpt, malformed};

/// How long a temporary lockout lasts.
const LOCKOUT: Duration = Duration::from_secs(15 * 60);

/// What the texts mean. The first row whose beginning fits counts; spaces after the colon are not compared, for
/// `EService: Throttled: …` has one.
#[rustfmt::skip]
const MEANINGS: [(&str, ErrorKind, RetryAdvice); 18] = [
    ("EAPI:Rate limit exceeded",     ErrorKind::RateLimited,  RetryAdvice::Backoff),
    ("EOrder:Rate limit exceeded",   ErrorKind::RateLimited,  RetryAdvice::Backoff),
    ("EGeneral:Too many requests",   ErrorKind::RateLimited,  RetryAdvice::Backoff),
    ("EService:Throttled",           ErrorKind::RateLimited,  RetryAdvice::Backoff),
    ("EGeneral:Temporary lockout",   ErrorKind::RateLimited,  RetryAdvice::After(LOCKOUT)),
    ("EService:Timeout",             ErrorKind::Timeout,      RetryAdvice::Backoff),
    ("EService:Deadline elapsed",    ErrorKind::Timeout,      RetryAdvice::Backoff),
    ("EService:",                    ErrorKind::Unavailable,  RetryAdvice::Backoff),
    ("EGeneral:Internal error",      ErrorKind::Unavailable,  RetryAdvice::Backoff),
    ("EAPI:Invalid key",             ErrorKind::Unauthorized, RetryAdvice::Never),
    ("EAPI:Invalid signature",       ErrorKind::Unauthorized, RetryAdvice::Never),
    ("EAPI:Invalid nonce",           ErrorKind::Unauthorized, RetryAdvice::Never),
    ("EGeneral:Permission denied",   ErrorKind::Unauthorized, RetryAdvice::Never),
    ("EAuth:",                       ErrorKind::Unauthorized, RetryAdvice::Never),
    // What was asked for does not exist: asking again does not help, another configuration does.
    ("EQuery:",                      ErrorKind::Config,       RetryAdvice::Never),
    ("EGeneral:Invalid arguments",   ErrorKind::Config,       RetryAdvice::Never),
    ("EGeneral:Unknown method",      ErrorKind::Config,       RetryAdvice::Never),
    ("EAPI:Bad request",             ErrorKind::Config,       RetryAdvice::Never),
];

/// The error that a body carries; `None` for an answer, for warnings, and for what is not of this form.
pub(crate) fn answer_error(body: &str) -> Option<Error> {
    refusal(&Envelope::read(body).ok()?.error)
}

/// Refuses an object that came without a word of what it is, when it has the form of a REST answer.
pub(super) fn unasked(body: &str) -> Option<Error> {
    let envelope = Envelope::read(body).ok()?;
    let refused = refusal(&envelope.error).unwrap_or_else(|| {
        let message = "an answer of the REST interface, and nothing says which: name its endpoint (rest_OHLC, \
                       rest_Trades, …)";
        Error::new(ErrorKind::Unsupported, "kraken.decode", message)
    });
    Some(refused)
}

/// The first error among an answer's messages.
pub(super) fn refusal(messages: &[Name<'_>]) -> Option<Error> {
    let text = &*messages.iter().find(|message| !message.0.starts_with('W'))?.0;
    let (kind, retry) = meaning(text);
    let said = format!("the venue answers {:?}", excerpt(text, 200));
    Some(Error::new(kind, "kraken.answer", said).with_retry(retry))
}

/// A text that is not known may be one that passes: it is worth another try, of which there are only so many.
fn meaning(text: &str) -> (ErrorKind, RetryAdvice) {
    let (category, said) = text.split_once(':').unwrap_or((text, ""));
    let means = |beginning: &str| {
        let (of, begins) = beginning.split_once(':').unwrap_or((beginning, ""));
        category == of && said.trim_start().starts_with(begins)
    };
    let found = MEANINGS.iter().find(|(beginning, ..)| means(beginning));
    found.map_or((ErrorKind::Unavailable, RetryAdvice::Backoff), |(_, kind, retry)| {
        (*kind, *retry)
    })
}

/// An answer, as far as its errors.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Vec<Name<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(body: &'a str) -> Result<Self, Error> {
        serde_json::from_str(body).map_err(|error| malformed("kraken.answer", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_a_kind_and_advice() {
        use ErrorKind::*;
        use RetryAdvice::{After, Backoff, Never};
        for (text, kind, retry) in [
            ("EQuery:Unknown asset pair", Config, Never),
            ("EGeneral:Invalid arguments:pair", Config, Never),
            ("EAPI:Rate limit exceeded", RateLimited, Backoff),
            ("EGeneral:Too many requests", RateLimited, Backoff),
            ("EService: Throttled: 1699999999", RateLimited, Backoff),
            (
                "EGeneral:Temporary lockout",
                RateLimited,
                After(Duration::from_secs(900)),
            ),
            ("EService:Unavailable", Unavailable, Backoff),
            ("EService:Busy", Unavailable, Backoff),
            ("EService:Timeout", Timeout, Backoff),
            ("EAPI:Invalid key", Unauthorized, Never),
            ("EAPI:Invalid signature", Unauthorized, Never),
            ("EAPI:Invalid nonce", Unauthorized, Never),
            ("EGeneral:Permission denied", Unauthorized, Never),
            ("ENew:Never heard of", Unavailable, Backoff),
            ("", Unavailable, Backoff),
        ] {
            let body = format!(r#"{{"error":["WDatabase:Slow","{text}"],"result":{{}}}}"#);
            let error = answer_error(&body).unwrap();
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{text}");
            assert!(error.message().contains(text), "{error}");
        }
    }

    #[test]
    fn answers_and_other_texts_carry_no_error() {
        for body in [
            r#"{"error":[],"result":{"last":1}}"#,
            r#"{"error":["WDatabase:Slow"],"result":{}}"#,
            r#"{"error":"Currency pair not supported","method":"subscribe","success":false}"#,
            r#"{"result":{}}"#,
            "<html>",
            "",
        ] {
            assert!(answer_error(body).is_none(), "{body}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let body = format!(r#"{{"error":["E{}"]}}"#, "é".repeat(10_000));
        assert!(answer_error(&body).unwrap().to_string().len() < 600);
    }
}
