//! REST: requests, answers, and the faults between them.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    body::{Frame, Incoming},
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};

use super::{Core, truth};
use crate::faults::HttpFault;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How rows are falsified; venues apply it where they make their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// Rows before the range come first.
    Outside,
    /// No rows.
    Empty,
}

/// Answers that were made before, packed, by path and query.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<String, Bytes>>);

impl Kept {
    /// The answer of a path and query, made if it is the first time.
    fn get(&self, target: &str, make: impl FnOnce() -> Answer) -> Result<Response<Body>, io::Error> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept().get(target).cloned();
        let packed = match found {
            Some(packed) => packed,
            None => {
                let answer = make();
                if answer.status != 200 {
                    return Ok(plain(answer));
                }
                let packed = Bytes::from(pack(&answer.body)?);
                kept().insert(target.to_owned(), packed.clone());
                packed
            }
        };
        respond(&Answer::ok(""), true, packed.len(), full(packed))
    }
}

/// A request as venues see it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Query,
    pub(crate) rows: Option<RowFault>,
}

/// Query parameters in order, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decode(k), decode(v)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number of a parameter; `Err` with the text if it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, String> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| text.to_owned()))
            .transpose()
    }

    /// Logs parameters that the endpoint does not have.
    pub(crate) fn allow(&self, core: &Core, path: &str, names: &[&str]) {
        for (name, _) in self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            core.log.violation(None, format!("{path}: unknown parameter {name}"));
        }
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer before faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::with(200, body)
    }

    /// JSON with a status.
    pub(crate) fn with(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Answers a request, or breaks it as a fault says. An error ends the connection without an answer.
pub(super) async fn answer(core: Arc<Core>, request: &hyper::Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let method = request.method().as_str();
    if path.starts_with("/_truth/") {
        let path = path.to_owned();
        return computed(move || truth::answer(&core, &path, &query)).await.map(plain);
    }
    let target = request.uri().path_and_query().map_or(path, |target| target.as_str());
    let record = core.log.request(method, target);
    let fault = core.faults.take_http(target);
    match &fault {
        Some(HttpFault::Answer { status, headers, body }) => {
            core.log.answered(record, *status);
            return Ok(plain(Answer {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            }));
        }
        Some(HttpFault::Lost) => return Err(io::Error::other("answer lost")),
        Some(HttpFault::Hang(wait)) => tokio::time::sleep(*wait).await,
        _ => {}
    }
    let rows = match fault {
        Some(HttpFault::OutsideRows) => Some(RowFault::Outside),
        Some(HttpFault::EmptyPage) => Some(RowFault::Empty),
        _ => None,
    };
    let own = (core.clone(), method.to_owned(), path.to_owned());
    let make = move || {
        let (core, method, path) = &own;
        core.rest(&Request {
            method,
            path,
            query,
            rows,
        })
    };
    let accepts = request
        .headers()
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if core.load.keep && fault.is_none() && accepts.contains("gzip") {
        return core.kept.get(target, make);
    }
    let mut answer = computed(make).await?;
    if answer.status == 200 && fault != Some(HttpFault::EmptyPage) {
        let same = fault == Some(HttpFault::SamePage);
        if let Some(page) = core.faults.page(path, &answer.body, same) {
            answer.body = page;
        }
    }
    core.log.answered(record, answer.status);
    broken(answer, fault, accepts.contains("gzip"))
}

/// A page may take a while to compute, and a test's runtime has one thread.
async fn computed(make: impl FnOnce() -> Answer + Send + 'static) -> Result<Answer, io::Error> {
    tokio::task::spawn_blocking(make).await.map_err(io::Error::other)
}

fn broken(answer: Answer, fault: Option<HttpFault>, gzip: bool) -> Result<Response<Body>, io::Error> {
    match fault {
        Some(HttpFault::Garbage) => {
            let half = answer.body.len() / 2;
            let start: String = answer.body.chars().take(half).collect();
            Ok(plain(Answer {
                body: start + "\u{fffd}<garbage",
                ..answer
            }))
        }
        Some(HttpFault::TruncatedGzip) => {
            let packed = Bytes::from(pack(&answer.body)?);
            let cut = packed.slice(..packed.len() / 2);
            respond(&answer, true, cut.len(), full(cut))
        }
        Some(HttpFault::CloseMidBody) => {
            let all = Bytes::from(answer.body.clone());
            let half = all.slice(..all.len() / 2);
            let pieces = vec![
                Ok(Frame::data(half)),
                Err(io::Error::other("closed in the middle of the body")),
            ];
            respond(
                &answer,
                false,
                all.len(),
                BodyExt::boxed_unsync(StreamBody::new(stream::iter(pieces))),
            )
        }
        Some(HttpFault::Slow { bytes, every }) => {
            let all = Bytes::from(answer.body.clone());
            respond(&answer, false, all.len(), slow(all, bytes, every))
        }
        _ if gzip => {
            let packed = Bytes::from(pack(&answer.body)?);
            respond(&answer, true, packed.len(), full(packed))
        }
        _ => Ok(plain(answer)),
    }
}

fn slow(all: Bytes, bytes: usize, every: Duration) -> Body {
    let pieces = stream::unfold(all, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(every).await;
        let piece = rest.split_to(bytes.clamp(1, rest.len()));
        Some((Ok(Frame::data(piece)), rest))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

fn pack(body: &str) -> Result<Vec<u8>, io::Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes())?;
    encoder.finish()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// An answer without faults and encoding.
pub(super) fn plain(answer: Answer) -> Response<Body> {
    let body = Bytes::from(answer.body.clone());
    let length = body.len();
    respond(&answer, false, length, full(body)).unwrap_or_else(|_| Response::new(full(Bytes::new())))
}

fn respond(answer: &Answer, gzip: bool, length: usize, body: Body) -> Result<Response<Body>, io::Error> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    if !answer
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        response = response.header(CONTENT_TYPE, "application/json;charset=UTF-8");
    }
    if gzip {
        response = response.header(CONTENT_ENCODING, "gzip");
    }
    response
        .header(CONTENT_LENGTH, length)
        .body(body)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("streams=btcusdt%40trade/ethusdt@kline_1m&limit=5&x");
        assert_eq!(query.get("streams"), Some("btcusdt@trade/ethusdt@kline_1m"));
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(query.number("x"), Err(String::new()));
        assert_eq!(query.number("none"), Ok(None));
    }
}
