//! What venues say on one WebSocket connection, apart from the socket.

use std::sync::Arc;

/// One item to send or note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Acknowledgements, heartbeats, errors: faults of data leave them alone.
    Control(String),
    /// Data that faults leave alone too: bursts.
    Ahead(String),
    /// Data of a canonical symbol on a channel.
    Data {
        symbol: Arc<str>,
        channel: Arc<str>,
        text: String,
    },
    Close(u16, String),
    Violation(String),
}

/// What a session wants sent, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(super) items: Vec<Item>,
}

impl Outbox {
    pub(crate) fn control(&mut self, text: impl Into<String>) {
        self.items.push(Item::Control(text.into()));
    }

    pub(crate) fn data(&mut self, symbol: &Arc<str>, channel: &Arc<str>, text: String) {
        self.items.push(Item::Data {
            symbol: symbol.clone(),
            channel: channel.clone(),
            text,
        });
    }

    pub(super) fn ahead(&mut self, texts: Vec<String>) {
        self.items.extend(texts.into_iter().map(Item::Ahead));
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.items.push(Item::Close(code, reason.to_owned()));
    }

    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        self.items.push(Item::Violation(what.into()));
    }
}

/// A venue's side of one connection. Times are the venue's clock in nanoseconds.
pub(crate) trait Session: Send {
    /// The handshake is done.
    fn opened(&mut self, _now: i64, _out: &mut Outbox) {}

    /// A text message of the client.
    fn message(&mut self, text: &str, now: i64, out: &mut Outbox);

    /// Sends what has come due.
    fn tick(&mut self, now: i64, out: &mut Outbox);

    /// Up to `frames` data messages of the trades behind the last one sent, made beforehand. Empty without subscriptions of trades.
    fn ahead(&mut self, frames: u64) -> Vec<String>;

    /// A trade of a symbol, subscribed or not.
    fn foreign(&mut self, symbol: &str, now: i64, out: &mut Outbox);

    /// A closed bar was revised.
    fn revised(&mut self, _symbol: &str, _timeframe: &str, _open: i64, _now: i64, _out: &mut Outbox) {}

    /// Sent before the connection is closed for its age.
    fn shutdown_notice(&self, _now: i64) -> Option<String> {
        None
    }

    /// Streams that are subscribed.
    fn streams(&self) -> usize;
}
