//! What is asked of Kraken, over HTTP and over WebSocket v2.
//!
//! Limits after docs.kraken.com and support.kraken.com 206548367: about a public request a second for each address; 720
//! candles, whatever is asked for; 1,000 trades a page; 150 connections in ten minutes.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Event, Result, Symbol, Timeframe};
use serde::Deserialize;

use super::error::answer_error;
use super::{Decoder, names, parse};
use crate::market::MarketConfig;
use crate::market::protocol::{
    Address, Ask, BookRepair, Closing, Covers, Feed, Host, Offer, Pending, Protocol, by_channel, unusable,
};
use crate::net::{Request, Window};
use crate::venue::{Channel, Mark, Range, Stream, VenueContext};

const SECOND: Duration = Duration::from_secs(1);
/// The candles that there are.
const BARS: usize = 720;
/// Trades of a page.
const TRADES: usize = 1000;
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1000];

/// The protocol of Kraken's spot markets.
#[derive(Debug)]
pub(super) struct Kraken {
    context: VenueContext,
    rest: Address,
    feed: Address,
    windows: Vec<Window>,
    depth: usize,
    /// Best bids and asks are wanted: tickers are then sent whenever those change.
    quotes: bool,
}

impl Kraken {
    pub(super) fn protocol(config: &MarketConfig) -> Result<Arc<dyn Protocol>> {
        let depth = config.book_depth.unwrap_or(DEPTHS[0]);
        if !DEPTHS.contains(&depth) {
            return Err(unusable(
                "book_depth",
                format!("book_depth is {depth}: of this venue it is 10, 25, 100, 500 or 1000"),
            ));
        }
        Ok(Arc::new(Self {
            context: config.context(&["kraken"], "kraken")?,
            rest: Address::or(config.rest_url.as_ref(), "https://api.kraken.com"),
            feed: Address::or(config.ws_url.as_ref(), "wss://ws.kraken.com"),
            windows: config.windows(Window::new(1, SECOND)),
            depth,
            quotes: config.channels.contains(&Channel::Quotes),
        }))
    }

    /// What tells a subscription from others of its channel; when it begins, also with what.
    fn params(&self, channel: Channel, begin: bool) -> serde_json::Map<String, serde_json::Value> {
        let value = match channel {
            Channel::Trades => serde_json::json!({}),
            Channel::Quotes | Channel::Tickers => {
                let trigger = if self.quotes { "bbo" } else { "trades" };
                serde_json::json!({"event_trigger": trigger})
            }
            Channel::Book => serde_json::json!({"depth": self.depth}),
            Channel::Candles(timeframe) => serde_json::json!({"interval": parse::minutes(timeframe)}),
        };
        let mut params = value.as_object().cloned().unwrap_or_default();
        if begin {
            // That of candles would be 720 bars of each symbol, which nobody has asked for.
            params.insert("snapshot".to_owned(), (!matches!(channel, Channel::Candles(_))).into());
        }
        params
    }
}

/// The pair's name over HTTP: `BTC/USD` is `XBTUSD`.
fn pair(symbol: Symbol) -> String {
    format!("{}{}", names::native(symbol.base()), names::native(symbol.quote()))
}

/// The channel over the WebSocket. `ticker` tells the best bid and ask too.
fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Trades => "trade",
        Channel::Quotes | Channel::Tickers => "ticker",
        Channel::Book => "book",
        Channel::Candles(_) => "ohlc",
    }
}

/// The answer to a subscription to one symbol.
#[derive(Deserialize)]
struct Control {
    method: Option<String>,
    success: Option<bool>,
    error: Option<String>,
    /// Where it is refused.
    symbol: Option<String>,
    req_id: Option<u64>,
    result: Option<Subscribed>,
}

#[derive(Deserialize)]
struct Subscribed {
    channel: String,
    symbol: Option<String>,
    interval: Option<u64>,
}

impl Protocol for Kraken {
    fn context(&self) -> &VenueContext {
        &self.context
    }

    fn decoder(&self) -> Box<dyn qicore_data::Decoder> {
        Box::new(Decoder::new(&self.context))
    }

    fn hosts(&self) -> Vec<Host> {
        vec![Host {
            base: self.rest.clone(),
            windows: self.windows.clone(),
            of_body: answer_error,
            told: None,
        }]
    }

    fn feed(&self) -> Feed {
        Feed {
            url: self.feed.clone(),
            path: "/v2",
            hello: Vec::new(),
            names_refused: true,
            per_connection: 500,
            per_message: 100,
            messages: Window::new(10, SECOND),
            connects: Window::new(150, 600 * SECOND),
            // A heartbeat a second when there is nothing else.
            silence: 10 * SECOND,
            ping: Some((30 * SECOND, r#"{"method":"ping"}"#)),
            lasts: None,
        }
    }

    fn candles(&self) -> Closing {
        Closing {
            closes: false,
            sends_empty: false,
        }
    }

    /// They begin on Thursday, as the epoch did.
    fn week(&self) -> Duration {
        Duration::from_secs(3 * 86_400)
    }

    fn book_repair(&self) -> BookRepair {
        BookRepair::Resubscribe
    }

    fn offers(&self, stream: Stream) -> Offer {
        let Channel::Candles(timeframe) = stream.channel else {
            return Offer::Sent;
        };
        match timeframe {
            Timeframe::S1 => Offer::None(
                "its shortest candles are of one minute; the transform `candles` builds shorter ones of trades",
            ),
            Timeframe::M3 => Offer::Built(Timeframe::M1),
            Timeframe::H2 | Timeframe::H6 => Offer::Built(Timeframe::H1),
            Timeframe::H8 | Timeframe::H12 => Offer::Built(Timeframe::H4),
            Timeframe::D3 | Timeframe::Mo1 => Offer::Built(Timeframe::D1),
            _ => Offer::Sent,
        }
    }

    /// One channel, with one interval, a message.
    fn together(&self, streams: &[Stream]) -> Vec<Vec<Stream>> {
        let same = |one: &Stream, other: &Stream| match (one.channel, other.channel) {
            (Channel::Candles(one), Channel::Candles(other)) => one == other,
            (one, other) => name(one) == name(other),
        };
        by_channel(streams, same)
    }

    fn subscription(&self, id: u64, streams: &[Stream], begin: bool) -> String {
        let method = if begin { "subscribe" } else { "unsubscribe" };
        let channel = streams.first().map_or(Channel::Trades, |stream| stream.channel);
        let mut symbols: Vec<_> = streams.iter().map(|stream| stream.symbol.as_str()).collect();
        symbols.dedup();
        let mut params = self.params(channel, begin);
        params.insert("channel".to_owned(), name(channel).into());
        params.insert("symbol".to_owned(), symbols.into());
        serde_json::json!({"method": method, "params": params, "req_id": id}).to_string()
    }

    /// There is an answer for each symbol.
    fn control(&self, text: &str, pending: &mut Pending) {
        let Ok(control) = serde_json::from_str::<Control>(text) else {
            return;
        };
        if control.method.as_deref() != Some("subscribe") {
            return;
        }
        if control.success == Some(true) {
            let Some(Subscribed {
                channel,
                symbol,
                interval,
            }) = control.result
            else {
                return;
            };
            let accepted: Vec<_> = pending
                .streams()
                .filter(|stream| {
                    let interval = match stream.channel {
                        Channel::Candles(timeframe) => interval == Some(parse::minutes(timeframe)),
                        _ => true,
                    };
                    interval && name(stream.channel) == channel && Some(stream.symbol.as_str()) == symbol.as_deref()
                })
                .collect();
            accepted.into_iter().for_each(|stream| pending.accept(stream));
            return;
        }
        let why = control.error.as_deref().unwrap_or("the venue does not say why");
        match control.symbol {
            Some(symbol) => {
                let refused: Vec<_> = pending
                    .streams()
                    .filter(|stream| stream.symbol.as_str() == symbol)
                    .collect();
                refused.into_iter().for_each(|stream| pending.refuse(stream, why));
            }
            None => pending.refuse_request(control.req_id, why),
        }
    }

    fn history(&self, range: &Range) -> Ask {
        let pair = pair(range.stream.symbol);
        match range.stream.channel {
            Channel::Candles(timeframe) => {
                let since = range.from.time.nanos() / 1_000_000_000 - 1;
                let interval = parse::minutes(timeframe);
                ask(
                    format!("/0/public/OHLC?pair={pair}&interval={interval}&since={since}"),
                    Covers::Newest(BARS),
                )
            }
            _ => {
                let since = range.from.time.nanos() - 1;
                ask(
                    format!("/0/public/Trades?pair={pair}&since={since}&count={TRADES}"),
                    Covers::Told,
                )
            }
        }
    }

    /// Trades go on at the time of the last: others of that time may be on the next page. A page that is not full is the last.
    fn left(&self, range: &Range, events: &[Event], _text: &str) -> Option<Range> {
        let place = crate::market::newest(events)?;
        match events.len() >= TRADES {
            true => range.behind(Mark::id(place.id? + 1, place.time)),
            false => None,
        }
    }

    fn instruments(&self, symbols: &[Symbol]) -> Ask {
        let pairs: Vec<_> = symbols.iter().map(|symbol| pair(*symbol)).collect();
        let of = if pairs.is_empty() {
            String::new()
        } else {
            format!("?pair={}", pairs.join(","))
        };
        ask(format!("/0/public/AssetPairs{of}"), Covers::All)
    }
}

fn ask(path: String, covers: Covers) -> Ask {
    Ask {
        host: 0,
        request: Request::new(path, 1),
        covers,
    }
}
