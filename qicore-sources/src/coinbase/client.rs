//! What is asked of Coinbase: of Advanced Trade, over HTTP and over its WebSocket, and of Exchange the history of trades.
//!
//! Advanced Trade tells trades of a second at best, and no more than a thousand of a stretch; Exchange, whose trades they are,
//! tells them by their ids. Limits after docs.cdp.coinbase.com: ten public requests a second of each host, eight messages
//! a second over the WebSocket, 350 candles and 1,000 trades a page.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Event, Result, Symbol, Timeframe};
use serde::Deserialize;

use super::{Decoder, answer_error};
use crate::market::MarketConfig;
use crate::market::protocol::{
    Address, Ask, BookRepair, Closing, Covers, Feed, Host, Offer, Pending, Protocol, by_channel,
};
use crate::net::{Request, Window};
use crate::venue::{Channel, Mark, Range, Stream, VenueContext};

const SECOND: Duration = Duration::from_secs(1);
/// Candles of a page.
const BARS: u32 = 350;
/// Trades of a page.
const TRADES: u64 = 1000;
/// The numbers of the hosts.
const ADVANCED: usize = 0;
const EXCHANGE: usize = 1;

/// The candles of Advanced Trade.
const GRANULARITIES: [(Timeframe, &str); 8] = [
    (Timeframe::M1, "ONE_MINUTE"),
    (Timeframe::M5, "FIVE_MINUTE"),
    (Timeframe::M15, "FIFTEEN_MINUTE"),
    (Timeframe::M30, "THIRTY_MINUTE"),
    (Timeframe::H1, "ONE_HOUR"),
    (Timeframe::H2, "TWO_HOUR"),
    (Timeframe::H6, "SIX_HOUR"),
    (Timeframe::D1, "ONE_DAY"),
];

/// The protocol of Coinbase Advanced Trade.
#[derive(Debug)]
pub(super) struct Coinbase {
    context: VenueContext,
    advanced: Address,
    exchange: Address,
    feed: Address,
    windows: Vec<Window>,
}

impl Coinbase {
    pub(super) fn protocol(config: &MarketConfig) -> Result<Arc<dyn Protocol>> {
        Ok(Arc::new(Self {
            context: config.context(&["coinbase"], "coinbase")?,
            advanced: Address::or(config.rest_url.as_ref(), "https://api.coinbase.com"),
            // Who points the one elsewhere does not mean the venue itself by the other.
            exchange: Address::or(
                config.exchange_url.as_ref().or(config.rest_url.as_ref()),
                "https://api.exchange.coinbase.com",
            ),
            feed: Address::or(config.ws_url.as_ref(), "wss://advanced-trade-ws.coinbase.com"),
            windows: config.windows(Window::new(10, SECOND)),
        }))
    }
}

/// `BTC/USD` is `BTC-USD`.
fn native(symbol: Symbol) -> String {
    format!("{}-{}", symbol.base(), symbol.quote())
}

/// What messages may call a product: `BTC-USDC` is `BTC-USD` there.
fn names(symbol: Symbol) -> [String; 2] {
    let quote = if symbol.quote() == "USDC" {
        "USD"
    } else {
        symbol.quote()
    };
    [native(symbol), format!("{}-{quote}", symbol.base())]
}

/// The channel over the WebSocket. `ticker` tells the best bid and ask too.
fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Trades => "market_trades",
        Channel::Quotes | Channel::Tickers => "ticker",
        Channel::Book => "level2",
        Channel::Candles(_) => "candles",
    }
}

/// What a `subscriptions` message says, and an error.
#[derive(Deserialize)]
struct Control {
    #[serde(default)]
    events: Vec<Subscriptions>,
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Subscriptions {
    subscriptions: Option<std::collections::BTreeMap<String, Vec<String>>>,
}

impl Protocol for Coinbase {
    fn context(&self) -> &VenueContext {
        &self.context
    }

    fn decoder(&self) -> Box<dyn qicore_data::Decoder> {
        Box::new(Decoder::new(&self.context))
    }

    fn hosts(&self) -> Vec<Host> {
        let host = |base: &Address| Host {
            base: base.clone(),
            windows: self.windows.clone(),
            of_body: answer_error,
            told: None,
        };
        vec![host(&self.advanced), host(&self.exchange)]
    }

    fn feed(&self) -> Feed {
        Feed {
            url: self.feed.clone(),
            path: "",
            // Heartbeats keep the connection, and tell that it lives.
            hello: vec![r#"{"type":"subscribe","channel":"heartbeats"}"#.to_owned()],
            names_refused: false,
            per_connection: 300,
            per_message: 100,
            // Eight a second. One after the other: what goes out in two bursts may arrive as one.
            messages: Window::new(1, Duration::from_millis(150)),
            connects: Window::new(8, SECOND),
            silence: 10 * SECOND,
            ping: None,
            lasts: None,
        }
    }

    fn candles(&self) -> Closing {
        Closing {
            closes: false,
            sends_empty: false,
        }
    }

    /// Products in USDC are sent as those in dollars, whose book they share (docs.cdp.coinbase.com, websocket-channels).
    fn asked_as(&self, sent: Symbol) -> Option<Symbol> {
        match sent.quote() {
            "USD" => Symbol::pair(sent.base(), "USDC").ok(),
            _ => None,
        }
    }

    fn book_repair(&self) -> BookRepair {
        BookRepair::Resubscribe
    }

    /// Over the WebSocket there are bars of five minutes only.
    fn offers(&self, stream: Stream) -> Offer {
        let Channel::Candles(timeframe) = stream.channel else {
            return Offer::Sent;
        };
        match timeframe {
            Timeframe::M5 => Offer::Sent,
            Timeframe::S1 => Offer::None(
                "its shortest candles are of one minute; the transform `candles` builds shorter ones of trades",
            ),
            Timeframe::M3 => Offer::Built(Timeframe::M1),
            Timeframe::H4 | Timeframe::H8 => Offer::Built(Timeframe::H2),
            Timeframe::H12 => Offer::Built(Timeframe::H6),
            Timeframe::D3 | Timeframe::W1 | Timeframe::Mo1 => Offer::Built(Timeframe::D1),
            _ => Offer::Polled,
        }
    }

    /// One channel a message.
    fn together(&self, streams: &[Stream]) -> Vec<Vec<Stream>> {
        by_channel(streams, |one, other| name(one.channel) == name(other.channel))
    }

    fn subscription(&self, _id: u64, streams: &[Stream], begin: bool) -> String {
        let kind = if begin { "subscribe" } else { "unsubscribe" };
        let mut products: Vec<_> = streams.iter().map(|stream| native(stream.symbol)).collect();
        products.dedup();
        let channel = streams.first().map_or("heartbeats", |stream| name(stream.channel));
        serde_json::json!({"type": kind, "product_ids": products, "channel": channel}).to_string()
    }

    /// An acknowledgement lists all that the connection is subscribed to.
    fn control(&self, text: &str, pending: &mut Pending) {
        let Ok(control) = serde_json::from_str::<Control>(text) else {
            return;
        };
        if control.kind.as_deref() == Some("error") {
            pending.refuse_request(None, control.message.as_deref().unwrap_or("the venue does not say why"));
            return;
        }
        let subscribed = control.events.into_iter().filter_map(|event| event.subscriptions);
        for (channel, products) in subscribed.flatten() {
            let accepted: Vec<_> = pending
                .streams()
                .filter(|stream| {
                    name(stream.channel) == channel && names(stream.symbol).iter().any(|name| products.contains(name))
                })
                .collect();
            accepted.into_iter().for_each(|stream| pending.accept(stream));
        }
    }

    fn history(&self, range: &Range) -> Ask {
        let product = native(range.stream.symbol);
        match range.stream.channel {
            Channel::Candles(timeframe) => self.bars(&product, timeframe, range),
            _ => trades(&product, range),
        }
    }

    /// Behind a time, the trades behind the last one before it; behind a page, those behind its newest, until one has nothing
    /// new. That a page is not full does not say so: an id may be missing.
    fn left(&self, range: &Range, events: &[Event], _text: &str) -> Option<Range> {
        let places = || events.iter().map(crate::market::place);
        let Some(first) = range.from.id else {
            let before = places().filter_map(|place| place.id).max();
            return range.behind(Mark::id(before.map_or(1, |id| id + 1), range.from.time));
        };
        let newest = places()
            .filter(|place| place.id >= Some(first))
            .max_by_key(|place| place.id)?;
        range.behind(Mark::id(newest.id? + 1, newest.time))
    }

    fn instruments(&self, symbols: &[Symbol]) -> Ask {
        let products: Vec<_> = symbols
            .iter()
            .map(|symbol| format!("product_ids={}", native(*symbol)))
            .collect();
        let of = if products.is_empty() {
            String::new()
        } else {
            format!("?{}", products.join("&"))
        };
        ask(ADVANCED, format!("/api/v3/brokerage/market/products{of}"), Covers::All)
    }
}

fn ask(host: usize, path: String, covers: Covers) -> Ask {
    Ask {
        host,
        request: Request::new(path, 1),
        covers,
    }
}

impl Coinbase {
    fn bars(&self, product: &str, timeframe: Timeframe, range: &Range) -> Ask {
        let found = GRANULARITIES.iter().find(|(known, _)| *known == timeframe);
        let (granularity, length) = found.map_or(("ONE_DAY", 86_400 * SECOND), |(timeframe, name)| {
            (*name, timeframe.length().unwrap_or(86_400 * SECOND))
        });
        let start = range.from.time;
        let page = start.saturating_add(length * BARS);
        let seconds = |time: qicore_data::Timestamp| time.nanos() / 1_000_000_000;
        // Whether the end is included or not, it is not another bar's time.
        let end = seconds(page.min(range.to.time)) - 1;
        let path = format!(
            "/api/v3/brokerage/market/products/{product}/candles?granularity={granularity}&start={}&end={end}&limit={BARS}",
            seconds(start)
        );
        ask(ADVANCED, path, Covers::Until(Mark::at(page)))
    }
}

fn trades(product: &str, range: &Range) -> Ask {
    match range.from.id {
        Some(id) => {
            let covers = match range.to.id {
                Some(_) => Covers::Until(Mark::id(id + TRADES, range.from.time)),
                None => Covers::Told,
            };
            // `after` is older than: the page ends before it.
            let path = format!("/products/{product}/trades?limit={TRADES}&after={}", id + TRADES);
            ask(EXCHANGE, path, covers)
        }
        None => {
            // Whether the second of the end is included or not, this is before the time; what is too early is left out later.
            let end = range.from.time.nanos() / 1_000_000_000 - 1;
            let path = format!("/api/v3/brokerage/market/products/{product}/ticker?limit=1&end={end}");
            ask(ADVANCED, path, Covers::Told)
        }
    }
}
