//! ClickHouse's errors in the project's terms.

use clickhouse::error::Error as DriverError;
use qicore_data::{Error, ErrorKind, RetryAdvice};

/// What a failed insert says about the rows that it was given.
#[derive(Debug)]
pub enum Failure {
    /// The server refuses a row, for this reason; the others may be sound.
    Row(Error),
    /// The rows are too many at a time.
    TooLarge(Error),
    /// It is not for the rows.
    Other(Error),
}

impl Failure {
    /// The error itself.
    pub fn into_error(self) -> Error {
        match self {
            Self::Row(error) | Self::TooLarge(error) | Self::Other(error) => error,
        }
    }
}

const MEMORY_LIMIT_EXCEEDED: u32 = 241;

/// What an insert failed with.
pub(super) fn failure(operation: &'static str, error: DriverError, named: impl FnOnce(Error) -> Error) -> Failure {
    let code = code(&error);
    let error = named(mapped(operation, error));
    match (code, error.kind()) {
        (Some(MEMORY_LIMIT_EXCEEDED), _) => Failure::TooLarge(error),
        (_, ErrorKind::Rejected) => Failure::Row(error),
        _ => Failure::Other(error),
    }
}

/// Whether the rows may have been written all the same: the answer has not come, or says that it does not know.
pub(super) fn is_uncertain(error: &DriverError) -> bool {
    // UNKNOWN_STATUS_OF_INSERT, TIMEOUT_EXCEEDED, and answers that were cut.
    !matches!(error, DriverError::BadResponse(_)) || matches!(code(error), Some(319 | 159) | None)
}

/// Whether another server may be able to where this one is not.
pub(super) fn is_of_server(error: &DriverError) -> bool {
    match (error, code(error)) {
        (DriverError::Network(_) | DriverError::TimedOut, _) => true,
        // TABLE_IS_READ_ONLY, TOO_MANY_SIMULTANEOUS_QUERIES, Keeper, and proxies before the server.
        (DriverError::BadResponse(_), code) => matches!(code, Some(242 | 202 | 999) | None),
        _ => false,
    }
}

/// The server's code, from its text: `Code: 60. DB::Exception: …`.
fn code(error: &DriverError) -> Option<u32> {
    let DriverError::BadResponse(text) = error else {
        return None;
    };
    let digits = text.strip_prefix("Code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The kind of a failure that the server tells, whether another try can help, and what there is to do about it.
fn verdict(code: u32) -> (ErrorKind, RetryAdvice, Option<&'static str>) {
    use ErrorKind as Kind;
    use RetryAdvice::{Backoff, Never};
    match code {
        192..=195 | 511 | 516 => (
            Kind::Unauthorized,
            Never,
            Some("check connection.user and its password"),
        ),
        497 => (
            Kind::Unauthorized,
            Never,
            Some("the user lacks a privilege: see `qicore schema clickhouse --roles`"),
        ),
        164 | 452 => (
            Kind::Unauthorized,
            Never,
            Some("the user's profile is read-only or fixes a setting: see `qicore schema clickhouse --roles`"),
        ),
        450 | 478 | 701 => (
            Kind::Config,
            Never,
            Some("the server has no such volume, storage policy or cluster: see tables"),
        ),
        81 => (
            Kind::Schema,
            Never,
            Some("the database is not there: let a sink make it"),
        ),
        158 | 307 | 396 => (
            Kind::Config,
            Never,
            Some("the user's profile limits what is read: raise max_rows_to_read and the like, or select less"),
        ),
        115 | 719 => (
            Kind::Config,
            Never,
            Some("see connection.settings and the user's profile"),
        ),
        8 | 10 | 16 | 20 | 36 | 42 | 43 | 44 | 46 | 47 | 50 | 53 | 57 | 60 | 62 | 70 | 80 | 288 | 386 => (
            Kind::Schema,
            Never,
            Some("the schema is not as it was made: see `qicore schema clickhouse`"),
        ),
        48 | 1 | 344 => (Kind::Unsupported, Never, None),
        201 => (Kind::RateLimited, Backoff, Some("the user's quota is used up")),
        202 => (Kind::RateLimited, Backoff, None),
        252 => (
            Kind::RateLimited,
            Backoff,
            Some("merges are behind: make batches larger, or write with fewer lanes"),
        ),
        MEMORY_LIMIT_EXCEEDED => (
            Kind::Unavailable,
            Backoff,
            Some("raise max_memory_usage, or make batches smaller"),
        ),
        242 => (
            Kind::Unavailable,
            Backoff,
            Some("the replica is read-only: has it lost Keeper?"),
        ),
        243 => (Kind::Unavailable, Backoff, Some("the server's disk is full")),
        159 | 160 => (
            Kind::Timeout,
            Backoff,
            Some("raise max_execution_time, or make batches smaller"),
        ),
        // Values, constraints, and what views of one's own throw: besides CANNOT_PARSE_ and what it is.
        6 | 25 | 26 | 27 | 38 | 41 | 69 | 72 | 117 | 128 | 130 | 131 | 153 | 190 | 321 | 349 | 395 | 407 | 469
        | 691 => (Kind::Rejected, Never, None),
        // Networks, replicas, Keeper, restarts, and whatever may pass.
        _ => (Kind::Unavailable, Backoff, None),
    }
}

/// What is told by its name, or by where it came from: a type that cannot be converted is a mistake of the schema, but in
/// a view of one's own it is a value.
fn is_of_a_row(code: u32, text: &str) -> bool {
    const CANNOT_CONVERT_TYPE: u32 = 70;
    text.contains("(CANNOT_PARSE_") || code == CANNOT_CONVERT_TYPE && text.contains("while pushing to view")
}

/// An error of the driver or of the server.
pub(super) fn mapped(operation: &'static str, error: DriverError) -> Error {
    if let (Some(code), DriverError::BadResponse(text)) = (code(&error), &error) {
        let (kind, retry, advice) = match is_of_a_row(code, text) {
            true => (ErrorKind::Rejected, RetryAdvice::Never, None),
            false => verdict(code),
        };
        let mapped = Error::new(kind, operation, said(text))
            .with_retry(retry)
            .with("code", code);
        return match advice {
            Some(advice) => mapped.with("advice", advice),
            None => mapped,
        };
    }
    let text = causes(&error);
    let (kind, retry) = match &error {
        // What the other side shows of itself will be the same the next time.
        DriverError::Network(_) if text.to_lowercase().contains("certificate") => {
            (ErrorKind::Unauthorized, RetryAdvice::Never)
        }
        DriverError::Network(_) | DriverError::Custom(_) | DriverError::Other(_) | DriverError::BadResponse(_) => {
            (ErrorKind::Unavailable, RetryAdvice::Backoff)
        }
        DriverError::TimedOut => (ErrorKind::Timeout, RetryAdvice::Backoff),
        // An answer that was cut in the middle of a block.
        DriverError::DataFormat(_) | DriverError::Decompression(_) | DriverError::NotEnoughData => {
            (ErrorKind::Unavailable, RetryAdvice::Backoff)
        }
        DriverError::InvalidParams(_) => (ErrorKind::Config, RetryAdvice::Never),
        DriverError::SchemaMismatch(_) | DriverError::InvalidColumnsHeader(_) => {
            (ErrorKind::Schema, RetryAdvice::Never)
        }
        _ => (ErrorKind::Decode, RetryAdvice::Never),
    };
    Error::new(kind, operation, text).with_retry(retry)
}

/// An error with its causes, which alone tell a refused connection from a broken one.
fn causes(error: &DriverError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// The server's message: the first line, without what is around it.
fn said(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split_once("DB::Exception: ").map_or(line, |(_, said)| said);
    let line = line.split(" (version ").next().unwrap_or(line);
    line.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Error {
        mapped("t", DriverError::BadResponse(text.into()))
    }

    #[test]
    fn what_helps() {
        for (code, kind, retry) in [
            (516, ErrorKind::Unauthorized, RetryAdvice::Never),
            (60, ErrorKind::Schema, RetryAdvice::Never),
            (158, ErrorKind::Config, RetryAdvice::Never),
            (252, ErrorKind::RateLimited, RetryAdvice::Backoff),
            (242, ErrorKind::Unavailable, RetryAdvice::Backoff),
            (469, ErrorKind::Rejected, RetryAdvice::Never),
            (1002, ErrorKind::Unavailable, RetryAdvice::Backoff),
        ] {
            let error = told(&format!("Code: {code}. DB::Exception: x y. (NAME) (version 26.7.2.1)"));
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
            assert_eq!(error.message(), "x y. (NAME)");
        }
        for row in [
            "Code: 376. DB::Exception: Cannot parse uuid x: while pushing to view d.v. (CANNOT_PARSE_UUID) (version 26.7)",
            "Code: 70. DB::Exception: Value in column 300 cannot be safely converted: while pushing to view d.v. (CANNOT_CONVERT_TYPE)",
        ] {
            assert_eq!(told(row).kind(), ErrorKind::Rejected, "{row}");
        }
        let proxy = told("502 Bad Gateway");
        assert_eq!(
            (proxy.kind(), proxy.retry()),
            (ErrorKind::Unavailable, RetryAdvice::Backoff)
        );
    }

    #[test]
    fn only_an_answer_makes_certain() {
        let told = |text: &str| DriverError::BadResponse(text.into());
        assert!(!is_uncertain(&told("Code: 252. DB::Exception: Too many parts")));
        assert!(is_uncertain(&told("Code: 319. DB::Exception: Unknown status")));
        assert!(is_uncertain(&told("504 Gateway Timeout")));
        assert!(is_uncertain(&DriverError::TimedOut));
    }
}
