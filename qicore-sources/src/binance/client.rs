//! What is asked of Binance, over HTTP and over the WebSocket.
//!
//! Limits after `rest-api.md` ("Limits", the weights of the endpoints) and `web-socket-streams.md` ("General WSS
//! information"). `X-MBX-USED-WEIGHT-1M` tells what the venue counts for this address.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Result, Symbol};

use super::control::{Control, control};
use super::{Decoder, error};
use crate::market::MarketConfig;
use crate::market::protocol::{
    Address, Ask, BookRepair, Closing, Covers, Feed, Host, Offer, Pending, Protocol, unusable,
};
use crate::net::{Request, Window};
use crate::venue::{Channel, Mark, Range, Stream, VenueContext};

const MINUTE: Duration = Duration::from_secs(60);
/// Rows of a page, the most that the venue gives.
const ROWS: u64 = 1000;

/// The protocol of binance.com or binance.us.
#[derive(Debug)]
pub(super) struct Binance {
    context: VenueContext,
    rest: Address,
    feed: Address,
    windows: Vec<Window>,
    depth: usize,
}

impl Binance {
    pub(super) fn protocol(config: &MarketConfig) -> Result<Arc<dyn Protocol>> {
        let context = config.context(&["binance", "binance_us"], "binance")?;
        let (rest, feed, weight) = match context.exchange.as_str() {
            "binance_us" => ("https://api.binance.us", "wss://stream.binance.us:9443", 1200),
            _ => ("https://api.binance.com", "wss://stream.binance.com:9443", 6000),
        };
        let depth = config.book_depth.unwrap_or(1000);
        if !(1..=5000).contains(&depth) {
            return Err(unusable(
                "book_depth",
                "book_depth is that of the snapshots: from 1 to 5000",
            ));
        }
        Ok(Arc::new(Self {
            context,
            rest: Address::or(config.rest_url.as_ref(), rest),
            feed: Address::or(config.ws_url.as_ref(), feed),
            windows: config.windows(Window::new(weight, MINUTE)),
            depth,
        }))
    }
}

/// `BTC/USDT` is `BTCUSDT`.
fn native(symbol: Symbol) -> String {
    format!("{}{}", symbol.base(), symbol.quote())
}

/// The name of a stream; lower case but for the kind.
fn name(stream: &Stream) -> String {
    let symbol = native(stream.symbol).to_ascii_lowercase();
    match stream.channel {
        Channel::Trades => format!("{symbol}@aggTrade"),
        Channel::Quotes => format!("{symbol}@bookTicker"),
        Channel::Tickers => format!("{symbol}@ticker"),
        Channel::Book => format!("{symbol}@depth@100ms"),
        Channel::Candles(timeframe) => format!("{symbol}@kline_{timeframe}"),
    }
}

fn ask(path: String, weight: u32, covers: Covers) -> Ask {
    Ask {
        host: 0,
        request: Request::new(path, weight),
        covers,
    }
}

impl Protocol for Binance {
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
            of_body: error::answer_error,
            told: Some(|headers| {
                let used = headers.get("x-mbx-used-weight-1m")?.to_str().ok()?.parse().ok()?;
                Some((MINUTE, used))
            }),
        }]
    }

    fn feed(&self) -> Feed {
        Feed {
            // Combined streams name themselves, which a book ticker does in no other way.
            url: self.feed.clone(),
            path: "/stream",
            hello: Vec::new(),
            names_refused: false,
            per_connection: 1024,
            per_message: 200,
            // Five a second, and the pongs count. One after the other: what goes out in two bursts may arrive as one.
            messages: Window::new(1, Duration::from_millis(250)),
            connects: Window::new(300, 5 * MINUTE),
            // The venue pings every 20 seconds.
            silence: MINUTE,
            ping: None,
            lasts: Some(Duration::from_secs(24 * 3600)),
        }
    }

    fn candles(&self) -> Closing {
        Closing {
            closes: true,
            sends_empty: true,
        }
    }

    fn book_repair(&self) -> BookRepair {
        BookRepair::Request
    }

    /// Its timeframes are all that there are here.
    fn offers(&self, _stream: Stream) -> Offer {
        Offer::Sent
    }

    fn subscription(&self, id: u64, streams: &[Stream], begin: bool) -> String {
        let method = if begin { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        let names: Vec<_> = streams.iter().map(name).collect();
        serde_json::json!({"method": method, "params": names, "id": id}).to_string()
    }

    fn control(&self, text: &str, pending: &mut Pending) {
        match control(text) {
            Some(Control::Ack { id }) => pending.accept_request(id),
            Some(Control::Refused { id, message }) => pending.refuse_request(id, &message),
            Some(Control::Shutdown) => pending.leave(),
            None => {}
        }
    }

    fn history(&self, range: &Range) -> Ask {
        let symbol = native(range.stream.symbol);
        let (from, to) = (range.from.time.millis(), range.to.time);
        match range.stream.channel {
            Channel::Candles(timeframe) => {
                // A thousand months are more than there are.
                let page = timeframe
                    .length()
                    .map(|length| range.from.time.saturating_add(length * ROWS as u32));
                // The end is included, and bars are asked for by their open time. Without the page's own end a stretch that has
                // no bars would be answered with those behind it, page after page.
                let end = page.unwrap_or(to).min(to).millis() - 1;
                let path = format!(
                    "/api/v3/klines?symbol={symbol}&interval={timeframe}&startTime={from}&endTime={end}&limit={ROWS}"
                );
                let covers = page.map_or(Covers::All, |page| Covers::Until(Mark::at(page)));
                ask(path, 2, covers)
            }
            _ => match range.from.id {
                Some(id) => {
                    let path = format!("/api/v3/aggTrades?symbol={symbol}&fromId={id}&limit={ROWS}");
                    let covers = match range.to.id {
                        Some(_) => Covers::Until(Mark::id(id + ROWS, range.from.time)),
                        None => Covers::Told,
                    };
                    ask(path, 4, covers)
                }
                None => ask(
                    format!("/api/v3/aggTrades?symbol={symbol}&startTime={from}&limit={ROWS}"),
                    4,
                    Covers::Told,
                ),
            },
        }
    }

    /// Trades go on behind the last one. A page that is not full is the last, but for one that was asked for by time, which the
    /// venue may cut.
    fn left(&self, range: &Range, events: &[qicore_data::Event], _text: &str) -> Option<Range> {
        let place = crate::market::newest(events)?;
        match events.len() as u64 >= ROWS || range.from.id.is_none() {
            true => range.behind(Mark::id(place.id? + 1, place.time)),
            false => None,
        }
    }

    fn book(&self, symbol: Symbol) -> Option<Ask> {
        let weight = match self.depth {
            ..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        };
        let path = format!("/api/v3/depth?symbol={}&limit={}", native(symbol), self.depth);
        Some(ask(path, weight, Covers::All))
    }

    fn instruments(&self, symbols: &[Symbol]) -> Ask {
        if symbols.is_empty() {
            return ask("/api/v3/exchangeInfo".to_owned(), 20, Covers::All);
        }
        let names: Vec<_> = symbols
            .iter()
            .map(|symbol| format!("%22{}%22", native(*symbol)))
            .collect();
        ask(
            format!("/api/v3/exchangeInfo?symbols=%5B{}%5D", names.join(",")),
            20,
            Covers::All,
        )
    }
}
