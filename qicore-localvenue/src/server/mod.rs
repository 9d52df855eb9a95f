//! The server under every venue: one port for REST and WebSocket, faults and log. What is said on it is the venues' part.

mod budget;
mod burst;
mod connection;
mod http;
mod sender;
mod session;
mod socket;
mod tls;
mod truth;
mod websocket;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;

pub(crate) use budget::{Budget, Verdict};
pub(crate) use connection::accept;
pub(crate) use http::{Answer, Query, Request, RowFault};
pub(crate) use session::{Outbox, Session};
pub(crate) use tls::Tls;

use crate::{Faults, Limits, Log, Market, VenueKind};

/// What connections are sent beyond the market's own pace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Frames after each subscription.
    pub(crate) burst: u64,
    /// Frames a second.
    pub(crate) rate: u64,
    /// Whether REST answers are made once.
    pub(crate) keep: bool,
}

/// What all connections of a venue share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) kind: VenueKind,
    pub(crate) market: Market,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) limits: Limits,
    pub(crate) load: Load,
    pub(crate) budget: Budget,
    kept: http::Kept,
    /// Least time between two messages of an open bar, nanoseconds.
    pub(crate) candle_interval: i64,
    attempts: Budget,
    connections: AtomicU64,
    stopping: watch::Sender<bool>,
}

impl Core {
    pub(crate) fn new(kind: VenueKind, market: Market, limits: Limits, load: Load, candle_interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            kind,
            faults: Faults::new(market.clone()),
            market,
            log: Log::default(),
            budget: if kind == VenueKind::Binance {
                Budget::window(limits.rest_budget, limits.rest_window, limits.ban, now)
            } else {
                Budget::bucket(limits.rest_budget, limits.rest_window, now)
            },
            attempts: Budget::window(limits.connections, Duration::from_secs(300), Duration::ZERO, now),
            kept: http::Kept::default(),
            limits,
            load,
            candle_interval: i64::try_from(candle_interval.as_nanos()).unwrap_or(i64::MAX),
            connections: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn stopped(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The REST answer of the venue.
    fn rest(&self, request: &Request<'_>) -> Answer {
        match self.kind {
            VenueKind::Binance => crate::binance::rest(self, request),
            VenueKind::Coinbase => crate::coinbase::rest(self, request),
            VenueKind::Kraken => crate::kraken::rest(self, request),
        }
    }

    /// The WebSocket session of a path, if there is one.
    fn session(self: &std::sync::Arc<Self>, path: &str, query: &Query) -> Option<Box<dyn Session>> {
        match self.kind {
            VenueKind::Binance => crate::binance::session(self.clone(), path, query),
            VenueKind::Coinbase => crate::coinbase::session(self.clone(), path),
            VenueKind::Kraken => crate::kraken::session(self.clone(), path),
        }
    }
}
