//! The one error type.

use std::fmt;
use std::time::Duration;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration mistake: nothing was tried.
    Config,
    /// Credentials are missing or refused.
    Unauthorized,
    /// The other side asks to slow down.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// The other side cannot be reached or cannot serve now.
    Unavailable,
    /// A payload is not what its sender documents.
    Decode,
    /// A store's schema does not fit.
    Schema,
    /// A row was refused, with a reason.
    Rejected,
    /// Data was dropped without a verdict; the run cannot vouch for it.
    Abandoned,
    /// The plugin cannot do this.
    Unsupported,
    /// Reading or writing local files failed.
    Io,
    /// A stored checkpoint does not fit the pipeline.
    Checkpoint,
    /// Another process has taken over what this one was writing.
    Fenced,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// The name, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Decode => "decode",
            Self::Schema => "schema",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
            Self::Unsupported => "unsupported",
            Self::Io => "io",
            Self::Checkpoint => "checkpoint",
            Self::Fenced => "fenced",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryAdvice {
    /// The same call will fail again.
    #[default]
    Never,
    /// Try again, with growing pauses.
    Backoff,
    /// Try again, not before this (a server's Retry-After).
    After(Duration),
    /// A layer below has tried and given up: do not nest retries.
    Exhausted,
}

/// The error of every fallible operation.
///
/// Carries what an operator needs: the kind, whether to retry, the operation, a message and key-value context. Vendor
/// errors are its `source` and never part of a public signature. A URL in a message must have lost its query.
///
/// ```
/// use qicore_data::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Io, "jsonl.write", "disk full").with("path", "out/trade.jsonl");
/// assert_eq!(error.to_string(), "jsonl.write: disk full (io; path=out/trade.jsonl)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: RetryAdvice,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of every fallible operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that trying again does not help.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: RetryAdvice::Never,
            operation,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// A configuration error.
    pub fn config(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, operation, message)
    }

    /// A payload that cannot be decoded.
    pub fn decode(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Decode, operation, message)
    }

    /// A local file operation that failed. A full disk or a missing directory is worth another try; a missing
    /// permission is not.
    pub fn io(operation: &'static str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let retry = match source.kind() {
            Io::PermissionDenied
            | Io::NotFound
            | Io::ReadOnlyFilesystem
            | Io::InvalidInput
            | Io::NotADirectory
            | Io::IsADirectory => RetryAdvice::Never,
            _ => RetryAdvice::Backoff,
        };
        Self::new(ErrorKind::Io, operation, source.to_string())
            .with("path", path.as_ref().display())
            .with_retry(retry)
            .with_source(source)
    }

    /// Says whether trying again can help.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryAdvice) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds context, once: several layers may know the same. Never a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        let entry = (key, value.to_string());
        if !self.0.context.contains(&entry) {
            self.0.context.push(entry);
        }
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Marks that a layer has tried and given up.
    #[must_use]
    pub fn exhausted(self) -> Self {
        self.with_retry(RetryAdvice::Exhausted)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> RetryAdvice {
        self.0.retry
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Key-value context, in the order it was added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "{}: {} ({}", inner.operation, inner.message, inner.kind)?;
        for (at, (key, value)) in inner.context.iter().enumerate() {
            write!(f, "{} {key}={value}", if at == 0 { ";" } else { "," })?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("retry", &inner.retry)
            .field("operation", &inner.operation)
            .field("message", &inner.message)
            .field("context", &inner.context)
            .field("source", &inner.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn local_files() {
        let full = Error::io("t", "x", std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(full.retry(), RetryAdvice::Backoff);
        let denied = Error::io("t", "x", std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        assert_eq!(denied.retry(), RetryAdvice::Never);
    }
}
