//! A plain HTTP and WebSocket client, and the comparison of shapes.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{fs, io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use qicore_localvenue::LocalVenue;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        let text = std::str::from_utf8(&self.body).unwrap();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One request on a connection of its own.
pub(crate) async fn get_with(venue: &LocalVenue, target: &str, encoding: Option<&str>) -> io::Result<Reply> {
    let stream = TcpStream::connect(venue.address()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::get(target).header("host", venue.address().to_string());
    if let Some(encoding) = encoding {
        request = request.header("accept-encoding", encoding);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    drop(sender);
    let _ = connection.await;
    Ok(Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

pub(crate) async fn get(venue: &LocalVenue, target: &str) -> Reply {
    get_with(venue, target, None).await.unwrap()
}

pub(crate) async fn json(venue: &LocalVenue, target: &str) -> Value {
    let reply = get(venue, target).await;
    assert_eq!(reply.status, 200, "{target}: {:?}", reply.body);
    reply.json()
}

pub(crate) struct Socket(pub(crate) WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn open(venue: &LocalVenue, path: &str) -> Self {
        Self::try_open(venue, path).await.unwrap()
    }

    pub(crate) async fn try_open(
        venue: &LocalVenue,
        path: &str,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let stream = TcpStream::connect(venue.address()).await?;
        let (socket, _) = client_async(format!("{}{path}", venue.ws_url()), stream).await?;
        Ok(Self(socket))
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message that is not a ping or pong. `None` when the connection has ended.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(5), self.0.next());
            match next.await.expect("no message in 5 s")? {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return Some(message),
                Err(_) => return None,
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.message().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next message that `wanted` accepts.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..5_000 {
            let value = self.json().await;
            if wanted(&value) {
                return value;
            }
        }
        panic!("not among 5000 messages");
    }
}

/// A recorded payload; of a `.jsonl`, the first line.
pub(crate) fn recorded(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| serde_json::from_str(text.lines().next().unwrap()).unwrap())
}

/// Asserts that keys and JSON types agree. `allowed` are paths (`.k.B`, `[].id`) that may differ; the caller says why.
pub(crate) fn same_shape(recorded: &Value, ours: &Value, allowed: &[&str]) {
    let mut found = Vec::new();
    compare(recorded, ours, "", &mut found);
    found.retain(|(path, _)| !allowed.contains(&path.as_str()));
    assert!(found.is_empty(), "{found:#?}\nrecorded {recorded}\nours {ours}");
}

fn compare(recorded: &Value, ours: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match (recorded, ours) {
        (Value::Object(theirs), Value::Object(mine)) => {
            for (key, value) in theirs {
                match mine.get(key) {
                    Some(other) => compare(value, other, &format!("{path}.{key}"), found),
                    None => found.push((format!("{path}.{key}"), "missing".to_owned())),
                }
            }
            for key in mine.keys().filter(|key| !theirs.contains_key(*key)) {
                found.push((format!("{path}.{key}"), "not in the recording".to_owned()));
            }
        }
        (Value::Array(theirs), Value::Array(mine)) => {
            let scalars = |array: &[Value]| array.iter().all(|value| !value.is_array() && !value.is_object());
            if mine.is_empty() {
                return;
            }
            if !theirs.is_empty() && scalars(theirs) && scalars(mine) {
                if theirs.len() != mine.len() {
                    found.push((path.to_owned(), format!("{} columns, not {}", mine.len(), theirs.len())));
                }
                for (index, (value, other)) in theirs.iter().zip(mine).enumerate() {
                    compare(value, other, &format!("{path}[{index}]"), found);
                }
            } else if let Some(first) = theirs.first() {
                mine.iter()
                    .for_each(|value| compare(first, value, &format!("{path}[]"), found));
            }
        }
        _ if kind(recorded) == kind(ours) => {}
        _ => found.push((path.to_owned(), format!("{}, not {}", kind(ours), kind(recorded)))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A decimal text without trailing zeros, as the truth has it.
pub(crate) fn plain(value: &Value) -> String {
    // The shortest text of the double is the number's own up to 15 digits, without an exponent.
    let text = value
        .as_str()
        .map_or_else(|| value.as_f64().unwrap().to_string(), str::to_owned);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
