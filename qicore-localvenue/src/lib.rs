//! A local venue: a server on loopback that speaks the wire format of Binance, Coinbase or Kraken (REST and WebSocket on one
//! port, plain or TLS) with a generated market behind it. Clients of market data are built and tested against it: the market's
//! [truth](Market) can be computed for any time, [faults](Faults) are injected while it runs, and the [log](Log) tells what a client
//! asked for and which rules it broke.
//!
//! It shares no code with clients: formats are written from the venues' documentation and from recorded payloads.
//!
//! ```
//! use qicore_localvenue::{HttpFault, LocalVenue, VenueKind};
//! use std::time::Duration;
//!
//! # async fn example() -> std::io::Result<()> {
//! let venue = LocalVenue::builder(VenueKind::Binance)
//!     .symbols(["BTC/USDT", "ETH/USDT"])
//!     .seed(7)
//!     .history(Duration::from_secs(600))
//!     .trade_interval(Duration::from_millis(20))
//!     .start()
//!     .await?;
//! println!("{} {}", venue.http_url(), venue.ws_url()); // http://127.0.0.1:PORT ws://127.0.0.1:PORT
//! venue.faults().http("/api/v3/klines", 1, HttpFault::too_many_requests(1, r#"{"code":-1003,"msg":"Too many requests."}"#));
//! // … run a client against the URLs, then compare what it has with the truth:
//! let market = venue.market();
//! let last = market.last_id("BTC/USDT", market.now());
//! let trades = market.trades("BTC/USDT", 1..=last);
//! assert_eq!(trades.len() as u64, last);
//! assert!(venue.log().violations().is_empty());
//! venue.stop().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

mod binance;
mod builder;
mod coinbase;
mod faults;
mod kraken;
mod limits;
mod log;
mod market;
mod server;

use std::{net::SocketAddr, sync::Arc};

pub use builder::Builder;
pub use faults::{ChaosConfig, Faults, HttpFault};
pub use limits::Limits;
pub use log::{ConnectionRecord, Log, RequestRecord, Violation};
pub use market::{Instrument, Market, Side, Timeframe, TruthBook, TruthCandle, TruthQuote, TruthTrade};

/// Whose wire format a venue speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VenueKind {
    /// Binance spot.
    Binance,
    /// Coinbase: Advanced Trade (REST and WebSocket) and the Exchange's REST.
    Coinbase,
    /// Kraken spot: REST and WebSocket v2.
    Kraken,
}

impl std::str::FromStr for VenueKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "binance" => Ok(Self::Binance),
            "coinbase" => Ok(Self::Coinbase),
            "kraken" => Ok(Self::Kraken),
            other => Err(format!("unknown venue {other:?}: binance, coinbase or kraken")),
        }
    }
}

/// A running venue. Dropping it ends it at once; [`LocalVenue::stop`] also waits.
#[derive(Debug)]
pub struct LocalVenue {
    core: Arc<server::Core>,
    address: SocketAddr,
    tls: Option<server::Tls>,
    accepting: Option<tokio::task::JoinHandle<()>>,
    /// Kept while the venue runs on threads of its own.
    runtime: Option<tokio::runtime::Runtime>,
}

impl LocalVenue {
    /// Starts to describe a venue.
    pub fn builder(kind: VenueKind) -> Builder {
        Builder::new(kind)
    }

    /// `http://127.0.0.1:PORT`, or `https://…`.
    pub fn http_url(&self) -> String {
        format!("http{}://{}", self.secure(), self.address)
    }

    /// `ws://127.0.0.1:PORT`, or `wss://…`. The path is the venue's: `/ws` or `/stream?streams=` (Binance), `/` (Coinbase), `/v2` (Kraken).
    pub fn ws_url(&self) -> String {
        format!("ws{}://{}", self.secure(), self.address)
    }

    fn secure(&self) -> &'static str {
        if self.tls.is_some() { "s" } else { "" }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to trust, as PEM, when TLS is on. It signed one for `127.0.0.1`, `::1` and `localhost`.
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// The market's truth.
    pub fn market(&self) -> Market {
        self.core.market.clone()
    }

    /// The handle that injects faults.
    pub fn faults(&self) -> Faults {
        self.core.faults.clone()
    }

    /// What clients did.
    pub fn log(&self) -> Log {
        self.core.log.clone()
    }

    /// Takes a symbol off the market: no more data, and REST says that it is invalid.
    pub fn delist(&self, symbol: &str) {
        self.core.market.delist(symbol, self.core.market.now());
    }

    /// Sends every connection `frames` trades of its subscriptions as fast as the socket takes them: those behind the last one
    /// sent, even if their time has not come. The messages are made before the first is sent.
    pub fn burst(&self, frames: u64) {
        self.core.faults.burst(frames);
    }

    /// Sends every connection this many trades a second beyond those whose time has come; 0 ends it.
    pub fn frames_per_second(&self, frames: u64) {
        self.core.faults.rate(frames);
    }

    /// Closes the listener and all connections, and waits until they are gone.
    pub async fn stop(mut self) {
        self.core.stop();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
    }
}

impl Drop for LocalVenue {
    fn drop(&mut self) {
        self.core.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
