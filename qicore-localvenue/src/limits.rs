//! What a venue allows its clients, and when it loses patience.

use std::time::Duration;

use crate::VenueKind;

/// Limits of a venue. Start from [`Limits::of`] and change what a test needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// REST: Binance request weight in `rest_window`; Coinbase and Kraken the requests of a burst.
    pub rest_budget: u32,
    /// Binance: the fixed window of the budget. Coinbase and Kraken: the time in which one request is earned back.
    pub rest_window: Duration,
    /// Binance: how long a client that goes on after 429 is banned with 418.
    pub ban: Duration,
    /// WebSocket messages (pings and pongs too) of a client in one second; one more closes the connection.
    pub messages_per_second: u32,
    /// Streams (symbol and channel) of one connection.
    pub streams_per_connection: usize,
    /// Server pings, if the venue sends them.
    pub ping_interval: Option<Duration>,
    /// How long a pong may take.
    pub pong_timeout: Duration,
    /// Age at which a connection is closed.
    pub max_age: Duration,
    /// Binance: how long before that `serverShutdown` is announced.
    pub shutdown_notice: Duration,
    /// How long a connection without subscriptions lives (Coinbase 5 s).
    pub subscribe_timeout: Option<Duration>,
    /// How long a connection without traffic in either direction lives (Kraken 60 s).
    pub idle_timeout: Option<Duration>,
    /// Connection attempts in 5 minutes.
    pub connections: u32,
}

impl Limits {
    /// The limits a venue documents.
    pub fn of(kind: VenueKind) -> Self {
        let day = Duration::from_secs(24 * 3_600);
        let base = Self {
            rest_budget: 6_000,
            rest_window: Duration::from_secs(60),
            ban: Duration::from_secs(120),
            messages_per_second: 5,
            streams_per_connection: 1_024,
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Duration::from_secs(60),
            max_age: day,
            shutdown_notice: Duration::from_secs(10),
            subscribe_timeout: None,
            idle_timeout: None,
            connections: 300,
        };
        match kind {
            VenueKind::Binance => base,
            VenueKind::Coinbase => Self {
                rest_budget: 15,
                rest_window: Duration::from_millis(100),
                messages_per_second: 8,
                ping_interval: None,
                subscribe_timeout: Some(Duration::from_secs(5)),
                idle_timeout: Some(Duration::from_secs(90)),
                connections: 2_250,
                ..base
            },
            VenueKind::Kraken => Self {
                rest_budget: 15,
                rest_window: Duration::from_secs(1),
                messages_per_second: 50,
                ping_interval: None,
                idle_timeout: Some(Duration::from_secs(60)),
                connections: 75,
                ..base
            },
        }
    }

    /// No REST budget worth mentioning: for tests about something else.
    #[must_use]
    pub fn without_rest_budget(mut self) -> Self {
        self.rest_budget = u32::MAX;
        self
    }
}
