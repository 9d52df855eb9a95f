//! What is wanted of a venue, and how it is reached.

use std::fmt;
use std::time::Duration;

use qicore_data::{Result, RetryPolicy, Symbol, Timestamp, settings};
use serde::{Deserialize, Deserializer};

use super::capture::{self, CaptureConfig};
use super::protocol::unusable;
use super::seam::Order;
use crate::net::{self, NetConfig, Window, without_secrets};
use crate::venue::{Channel, Stream, VenueContext};

/// The configuration of a venue's source: the same for all venues.
///
/// Without `from` and `to` it is live from now on; with `from`, history from then on comes first and is joined with what is
/// live; with `to` as well it is history alone, and ends.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MarketConfig {
    /// The instruments, by their canonical names (`BTC/USD`).
    pub symbols: Vec<Symbol>,
    /// What is wanted of each of them: `trades`, `quotes`, `tickers`, `book`, `candles:1m`.
    pub channels: Vec<Channel>,
    /// Whether the instruments are described first. With no channels that is all, as a table wants it; and with no symbols it is
    /// all of the venue's.
    pub instruments: bool,
    /// History from this time on. Quotes, tickers and books have none.
    pub from: Option<Timestamp>,
    /// History up to this time, and nothing live.
    pub to: Option<Timestamp>,
    /// Whether bars that are still open are told whenever they change, marked so (`closed` is false).
    pub open_candles: bool,
    /// What comes first after something was missed: the rest of the stream in order (`strict`), or what is live
    /// (`live-first`).
    pub order: Order,
    /// The depth of order books, in levels of each side, where the venue lets choose.
    pub book_depth: Option<usize>,
    /// The exchange that events get: for Binance `binance_us` is the separate venue of that name.
    pub exchange: Option<String>,
    /// The HTTP interface, where it is not the venue's own.
    pub rest_url: Option<String>,
    /// The WebSocket, where it is not the venue's own.
    pub ws_url: Option<String>,
    /// Coinbase: the HTTP interface of Coinbase Exchange, which has the history of trades.
    pub exchange_url: Option<String>,
    /// What may be asked over HTTP, where it is not what the venue documents. Empty: no limit.
    pub limits: Option<Vec<Window>>,
    /// The most streams of a connection, where it is to be fewer than the venue allows.
    pub streams_per_connection: Option<usize>,
    /// The most pages of a stream's history that are asked for side by side.
    pub parallel: usize,
    /// The most live events of a stream that wait for what was missed. Beyond that they are asked of the history too.
    pub waiting: usize,
    /// How long after its end a candle's last message is awaited.
    #[serde(with = "settings::duration")]
    pub candle_grace: Duration,
    /// How long after a connection came back a silent stream is asked whether it has missed something.
    #[serde(with = "settings::duration")]
    pub verify_after: Duration,
    /// How long the answer to a subscription is awaited.
    #[serde(with = "settings::duration")]
    pub answer_within: Duration,
    /// A subscription that says nothing for so long is made anew; longer each time it does not help.
    #[serde(with = "settings::duration")]
    pub stale_after: Duration,
    /// A connection that says nothing for so long, no heartbeat and no ping either, is dead; where it is to be another time
    /// than what the venue's heartbeats allow.
    #[serde(deserialize_with = "given")]
    pub silence: Option<Duration>,
    /// A connection that is so old gives its place to another one, without a gap; where it is to be another age than the
    /// one at which the venue ends it.
    #[serde(deserialize_with = "given")]
    pub lasts: Option<Duration>,
    /// How long the pipeline may be behind, with all buffers full, before a connection is given up and made again later.
    #[serde(with = "settings::duration")]
    pub behind_for: Duration,
    /// The pauses before a connection is made again. `retries` is not looked at: there is no end to them.
    pub reconnect: RetryPolicy,
    /// A copy of all that is received.
    pub capture: Option<CaptureConfig>,
    /// Connections.
    pub net: NetConfig,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    settings::duration::deserialize(deserializer).map(Some)
}

/// Of URLs only where they lead to: users and queries may be secret.
impl fmt::Debug for MarketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_deref().map(without_secrets);
        f.debug_struct("MarketConfig")
            .field("symbols", &self.symbols)
            .field("channels", &self.channels)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("order", &self.order)
            .field("exchange", &self.exchange)
            .field("rest_url", &url(&self.rest_url))
            .field("ws_url", &url(&self.ws_url))
            .field("exchange_url", &url(&self.exchange_url))
            .field("limits", &self.limits)
            .field("capture", &self.capture)
            .field("net", &self.net)
            .finish_non_exhaustive()
    }
}

impl Default for MarketConfig {
    fn default() -> Self {
        Self {
            symbols: Vec::new(),
            channels: Vec::new(),
            instruments: false,
            from: None,
            to: None,
            open_candles: false,
            order: Order::Strict,
            book_depth: None,
            exchange: None,
            rest_url: None,
            ws_url: None,
            exchange_url: None,
            limits: None,
            streams_per_connection: None,
            parallel: 4,
            waiting: 100_000,
            candle_grace: Duration::from_secs(5),
            verify_after: Duration::from_secs(5),
            answer_within: Duration::from_secs(10),
            stale_after: Duration::from_secs(120),
            silence: None,
            lasts: None,
            behind_for: Duration::from_secs(10),
            reconnect: RetryPolicy::default().pauses(Duration::from_millis(250), Duration::from_secs(30)),
            capture: None,
            net: NetConfig::default(),
        }
    }
}

impl MarketConfig {
    /// Whether it can be carried out, as far as can be told without asking the venue.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |setting: &str, message: &str| Err(unusable(setting, message));
        let listing = self.instruments && self.channels.is_empty();
        if self.symbols.is_empty() && !listing {
            return wrong("symbols", "symbols is empty: name instruments, such as \"BTC/USD\"");
        }
        if self.channels.is_empty() && !self.instruments {
            let message = "channels is empty: name some of trades, quotes, tickers, book, candles:1m";
            return wrong("channels", message);
        }
        if let Some(to) = self.to {
            let Some(from) = self.from else {
                return wrong("to", "to is the end of a history: say in from where it begins");
            };
            if from >= to {
                return wrong("from", "from must be before to");
            }
            if to > Timestamp::now() {
                return wrong(
                    "to",
                    "to is in the future: leave it out, and what is live follows on the history",
                );
            }
            if let Some(channel) = self.channels.iter().find(|channel| !channel.is_kept()) {
                let message = format!("no venue keeps a history of {channel}: trades and candles have one");
                return wrong("channels", &message);
            }
        }
        for (setting, url, schemes) in [
            ("rest_url", &self.rest_url, net::HTTP),
            ("ws_url", &self.ws_url, net::WS),
            ("exchange_url", &self.exchange_url, net::HTTP),
        ] {
            if let Some(url) = url {
                net::url(url, &schemes)
                    .map_err(|error| unusable(setting, format!("{setting}: {}", error.message())))?;
            }
        }
        let no_limit = |window: &Window| window.limit == 0 || window.period.is_zero();
        if self.limits.iter().flatten().any(no_limit) {
            return wrong("limits", "limits must be above 0; an empty list is no limit");
        }
        for (setting, nothing) in [
            ("waiting", self.waiting == 0),
            ("parallel", self.parallel == 0),
            ("streams_per_connection", self.streams_per_connection == Some(0)),
            ("answer_within", self.answer_within.is_zero()),
            ("behind_for", self.behind_for.is_zero()),
            ("stale_after", self.stale_after.is_zero()),
            ("silence", self.silence.is_some_and(|silence| silence.is_zero())),
            ("lasts", self.lasts.is_some_and(|lasts| lasts.is_zero())),
        ] {
            if nothing {
                return wrong(setting, &format!("{setting} must be above 0"));
            }
        }
        self.net.check()?;
        self.capture.as_ref().map_or(Ok(()), capture::check)
    }

    /// What the decoders of a venue know; `names` are the exchanges that it is, the usual one first.
    pub(crate) fn context(&self, names: &[&str], source: &str) -> Result<VenueContext> {
        let exchange = self.exchange.as_deref().unwrap_or(names[0]);
        if !names.contains(&exchange) {
            let names = names.join(" or ");
            let message = format!("exchange is {exchange:?}: of this venue it is {names}");
            return Err(unusable("exchange", message));
        }
        VenueContext::new(exchange, source).map_err(|error| unusable("exchange", error.to_string()))
    }

    /// What may be asked of a host, whose usual limit is this.
    pub(crate) fn windows(&self, usual: Window) -> Vec<Window> {
        self.limits.clone().unwrap_or_else(|| vec![usual])
    }

    /// All channels of all symbols, each once.
    pub(super) fn streams(&self) -> Vec<Stream> {
        let of = |symbol: &Symbol| {
            let symbol = *symbol;
            self.channels.iter().map(move |channel| Stream::new(symbol, *channel))
        };
        let mut streams: Vec<_> = self.symbols.iter().flat_map(of).collect();
        streams.sort_unstable();
        streams.dedup();
        streams
    }
}
