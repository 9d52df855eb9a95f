//! What a venue saw of its clients.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// One REST request.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// When it came.
    pub at: Instant,
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The status that was answered; 0 while or when no answer was given.
    pub status: u16,
}

/// One WebSocket connection.
#[derive(Debug, Clone)]
pub struct ConnectionRecord {
    /// Counted from 1.
    pub id: u64,
    /// When the handshake was done.
    pub opened: Instant,
    /// When it ended.
    pub closed: Option<Instant>,
    /// Why it ended: `client closed`, `client vanished` or the venue's own reason.
    pub reason: String,
    /// Path and query of the handshake.
    pub target: String,
    /// The client's text messages, in order.
    pub messages: Vec<String>,
    /// Data messages sent.
    pub sent: u64,
}

/// A mistake of the client against the venue's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The WebSocket connection, if it was there.
    pub connection: Option<u64>,
    /// What was wrong.
    pub what: String,
}

/// The log of a venue. Cheap to clone; every method gives a copy of what is known now.
#[derive(Debug, Clone, Default)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Requests that were forgotten: what comes later keeps its number.
    forgotten: usize,
    requests: Vec<RequestRecord>,
    connections: BTreeMap<u64, ConnectionRecord>,
    violations: Vec<Violation>,
}

/// Texts kept of one connection and requests and violations kept in all: a soak test must not fill the memory.
const KEPT: usize = 100_000;

impl Log {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// REST requests, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.inner().requests.clone()
    }

    /// REST requests whose path and query contain `part`.
    pub fn requests_of(&self, part: &str) -> Vec<RequestRecord> {
        self.inner()
            .requests
            .iter()
            .filter(|request| request.target.contains(part))
            .cloned()
            .collect()
    }

    /// WebSocket connections, oldest first.
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.inner().connections.values().cloned().collect()
    }

    /// WebSocket connections so far.
    pub fn connection_count(&self) -> usize {
        self.inner().connections.len()
    }

    /// WebSocket connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.inner()
            .connections
            .values()
            .filter(|connection| connection.closed.is_none())
            .count()
    }

    /// Mistakes of clients, oldest first. A well-behaved client leaves none.
    pub fn violations(&self) -> Vec<Violation> {
        self.inner().violations.clone()
    }

    /// Forgets requests, ended connections and violations.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.forgotten += inner.requests.len();
        inner.requests.clear();
        inner.violations.clear();
        inner.connections.retain(|_, connection| connection.closed.is_none());
    }

    /// Notes a request; its number is what [`Log::answered`] wants.
    pub(crate) fn request(&self, method: &str, target: &str) -> usize {
        let mut inner = self.inner();
        if inner.requests.len() >= KEPT {
            return usize::MAX;
        }
        inner.requests.push(RequestRecord {
            at: Instant::now(),
            method: method.to_owned(),
            target: target.to_owned(),
            status: 0,
        });
        inner.forgotten + inner.requests.len() - 1
    }

    pub(crate) fn answered(&self, index: usize, status: u16) {
        let mut inner = self.inner();
        let kept = index.checked_sub(inner.forgotten);
        if let Some(request) = kept.and_then(|index| inner.requests.get_mut(index)) {
            request.status = status;
        }
    }

    pub(crate) fn opened(&self, id: u64, target: &str) {
        let record = ConnectionRecord {
            id,
            opened: Instant::now(),
            closed: None,
            reason: String::new(),
            target: target.to_owned(),
            messages: Vec::new(),
            sent: 0,
        };
        self.inner().connections.insert(id, record);
    }

    pub(crate) fn connection(&self, id: u64, change: impl FnOnce(&mut ConnectionRecord)) {
        if let Some(connection) = self.inner().connections.get_mut(&id) {
            change(connection);
        }
    }

    pub(crate) fn message(&self, id: u64, text: &str) {
        self.connection(id, |connection| {
            if connection.messages.len() < KEPT {
                connection.messages.push(text.to_owned());
            }
        });
    }

    pub(crate) fn closed(&self, id: u64, reason: &str) {
        self.connection(id, |connection| {
            connection.closed = Some(Instant::now());
            connection.reason = reason.to_owned();
        });
    }

    pub(crate) fn violation(&self, connection: Option<u64>, what: impl Into<String>) {
        let mut inner = self.inner();
        if inner.violations.len() < KEPT {
            inner.violations.push(Violation {
                connection,
                what: what.into(),
            });
        }
    }
}
