//! Faults of REST answers.

use std::time::Duration;

/// What happens to a REST request instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFault {
    /// A status, headers and a body, as they are.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// The right answer, `bytes` at a time with a pause of `every`.
    Slow {
        /// Bytes in each piece.
        bytes: usize,
        /// Pause before each piece.
        every: Duration,
    },
    /// The right answer, after a wait.
    Hang(Duration),
    /// Half the right answer, then the connection is closed: the content length promised more.
    CloseMidBody,
    /// The right answer as gzip, cut short, with a content length that agrees.
    TruncatedGzip,
    /// Status 200 and a body that is no JSON.
    Garbage,
    /// Rows before the range that was asked for come first.
    OutsideRows,
    /// The answer given last on this path, whatever is asked: an endless loop of pages.
    SamePage,
    /// The right envelope, but no rows.
    EmptyPage,
    /// No answer: the connection is closed after the request was read.
    Lost,
}

impl HttpFault {
    /// A status with a body and no headers.
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// 429 with `Retry-After` and a body.
    pub fn too_many_requests(retry_after: u64, body: impl Into<String>) -> Self {
        Self::retry_after(429, retry_after, body)
    }

    /// Any status with `Retry-After` seconds.
    pub fn retry_after(status: u16, seconds: u64, body: impl Into<String>) -> Self {
        let headers = vec![("Retry-After".to_owned(), seconds.to_string())];
        Self::Answer {
            status,
            headers,
            body: body.into(),
        }
    }

    /// An HTML page, as proxies and firewalls answer (403, 451, 502).
    pub fn html(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\r\n");
        Self::Answer {
            status,
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body,
        }
    }
}
