//! The database's errors in the project's terms.

use std::io::ErrorKind::InvalidData;

use qicore_data::{Error, ErrorKind, RetryAdvice};
use sqlx::postgres::PgDatabaseError;

/// What a failed statement says about the rows that it was given.
#[derive(Debug)]
pub enum Failure {
    /// A row is there already, or was given twice.
    Duplicate(Error),
    /// The database refuses a row, for this reason; the others may be sound.
    Row(Error),
    /// It is not for the rows.
    Other(Error),
}

impl Failure {
    /// What a statement that was given rows failed with.
    pub fn of(operation: &'static str, error: sqlx::Error) -> Self {
        let Some(told) = database(&error) else {
            return Self::Other(mapped(operation, error));
        };
        let code = told.code().to_owned();
        let key = told.constraint().is_some_and(|name| name.ends_with("_key"));
        let error = mapped(operation, error);
        match (code.as_str(), error.kind()) {
            ("23505", _) if key => Self::Duplicate(error),
            // Two rows of one merge have the same key.
            ("21000", _) => Self::Duplicate(error),
            (_, ErrorKind::Rejected) => Self::Row(error),
            _ => Self::Other(error),
        }
    }

    /// The error itself.
    pub fn into_error(self) -> Error {
        match self {
            Self::Duplicate(error) | Self::Row(error) | Self::Other(error) => error,
        }
    }
}

fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    match error {
        sqlx::Error::Database(error) => error.try_downcast_ref(),
        _ => None,
    }
}

/// Classes of SQLSTATE that say nothing about the rows: connections, transactions, access, the schema, resources,
/// operators, the system, foreign servers and defects.
pub(super) const NOT_OF_ROWS: &[&str] = &[
    "08", "0A", "25", "26", "28", "2D", "34", "3B", "3D", "3F", "40", "42", "53", "55", "57", "58", "72", "F0", "HV",
    "XX",
];

/// A row that the server has refused, by what it told.
pub(super) fn refused(code: &str, message: &str, detail: &str, constraint: &str) -> Error {
    let mut error = Error::new(ErrorKind::Rejected, "timescale.write", message).with("sqlstate", code);
    for (key, value) in [("detail", detail), ("constraint", constraint)] {
        if !value.is_empty() {
            error = error.with(key, value);
        }
    }
    error
}

/// The kind of a failure that the server tells, whether another try can help, and what there is to do about it.
///
/// By the classes of PostgreSQL's appendix A: what concerns the data is a refused row, what concerns the schema or the
/// role needs a person, and the rest passes.
fn verdict(code: &str) -> (ErrorKind, RetryAdvice, Option<&'static str>) {
    use ErrorKind as Kind;
    use RetryAdvice::{Backoff, Never};
    match code {
        "28P01" | "28000" => (
            Kind::Unauthorized,
            Never,
            Some("check the user, its password and pg_hba.conf"),
        ),
        "42501" => (
            Kind::Unauthorized,
            Never,
            Some("the role lacks a privilege: see `qicore schema timescale --roles`"),
        ),
        "3D000" | "57P04" => (Kind::Config, Never, Some("create the database first")),
        "0A000" => (
            Kind::Unsupported,
            Never,
            Some("the server's version or edition does not support it"),
        ),
        "XX001" | "XX002" => (
            Kind::Unavailable,
            Never,
            Some("the server found damaged data: see its log"),
        ),
        "25006" => (
            Kind::Unavailable,
            Backoff,
            Some(
                "the server is read-only: a replica, a failover under way, or default_transaction_read_only of the role or database",
            ),
        ),
        "57014" => (
            Kind::Timeout,
            Backoff,
            Some("cancelled, or longer than connection.statement_timeout: raise it, or make batches smaller"),
        ),
        "55P03" => (
            Kind::Timeout,
            Backoff,
            Some("longer than lock_timeout: who holds the lock? see pg_locks"),
        ),
        "53300" => (
            Kind::Unavailable,
            Backoff,
            Some("the server or the role has too few connections for all: lower connection.connections"),
        ),
        "53100" => (Kind::Unavailable, Backoff, Some("the server's disk is full")),
        "42P01" | "42703" | "3F000" | "42704" | "42883" | "42P10" => (
            Kind::Schema,
            Never,
            Some("the schema is not as it was made: see `qicore schema timescale`"),
        ),
        _ => match &code[..code.len().min(2)] {
            "42" | "3F" => (Kind::Schema, Never, None),
            class if NOT_OF_ROWS.contains(&class) => (Kind::Unavailable, Backoff, None),
            // Data, constraints, limits, and whatever triggers of one's own raise.
            _ => (Kind::Rejected, Never, None),
        },
    }
}

/// An error of the driver or of the server.
pub(super) fn mapped(operation: &'static str, error: sqlx::Error) -> Error {
    if let Some(told) = database(&error) {
        let (kind, retry, advice) = verdict(told.code());
        let mut mapped = Error::new(kind, operation, told.message())
            .with_retry(retry)
            .with("sqlstate", told.code());
        let context = [
            ("detail", told.detail().filter(|_| kind == ErrorKind::Rejected)),
            ("constraint", told.constraint()),
            ("hint", told.hint()),
            ("advice", advice),
        ];
        for (key, value) in context {
            if let Some(value) = value {
                mapped = mapped.with(key, value);
            }
        }
        return mapped.with_source(error);
    }
    let (kind, retry) = match &error {
        // What the other side shows of itself will be the same the next time.
        sqlx::Error::Io(io) if io.kind() == InvalidData && io.to_string().contains("certificate") => {
            (ErrorKind::Unauthorized, RetryAdvice::Never)
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
            (ErrorKind::Unavailable, RetryAdvice::Backoff)
        }
        sqlx::Error::Tls(_) => (ErrorKind::Unauthorized, RetryAdvice::Never),
        sqlx::Error::Configuration(_) => (ErrorKind::Config, RetryAdvice::Never),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (ErrorKind::Decode, RetryAdvice::Never),
        _ => (ErrorKind::Internal, RetryAdvice::Never),
    };
    Error::new(kind, operation, error.to_string())
        .with_retry(retry)
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps() {
        for (code, kind, retry) in [
            ("28P01", ErrorKind::Unauthorized, RetryAdvice::Never),
            ("40P01", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("40001", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("57P01", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("53100", ErrorKind::Unavailable, RetryAdvice::Backoff),
            ("42P01", ErrorKind::Schema, RetryAdvice::Never),
            ("22003", ErrorKind::Rejected, RetryAdvice::Never),
            ("23514", ErrorKind::Rejected, RetryAdvice::Never),
            ("54000", ErrorKind::Rejected, RetryAdvice::Never),
            ("UQ001", ErrorKind::Rejected, RetryAdvice::Never),
        ] {
            let (found, advice, _) = verdict(code);
            assert_eq!((found, advice), (kind, retry), "{code}");
        }
    }
}
