use std::collections::HashMap;

use qicore_data::{Checksum, Data, Decoded, Error, ErrorKind, Event, Frame, Result, Symbol, Timestamp};
use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};

use super::checksum::VerifiedBook;
use super::parse::{self, Channel};
use super::{excerpt, instruments, malformed, names, wire};
use crate::VenueContext;

/// Events of WebSocket v1 that carry no market data: the server's, then the client's own, which recordings of both
/// directions hold.
const CONTROL: [&str; 8] = [
    "systemStatus",
    "subscriptionStatus",
    "heartbeat",
    "pong",
    "error",
    "subscribe",
    "unsubscribe",
    "ping",
];

/// Decodes one lane of Kraken: WebSocket v1 messages, and the list of pairs over HTTP.
///
/// Where checksums are verified it maintains the books that are subscribed to. They are its state, and go into the
/// lane's checkpoint.
#[derive(Debug)]
pub struct Decoder {
    context: VenueContext,
    pairs: Pairs,
    /// The book message at hand, kept for its memory.
    message: wire::Book,
    /// The trades at hand, likewise.
    trades: Vec<wire::Trade>,
}

impl Decoder {
    /// A decoder for one lane.
    pub fn new(context: &VenueContext) -> Self {
        Self {
            context: context.clone(),
            pairs: Pairs::default(),
            message: wire::Book::default(),
            trades: Vec::new(),
        }
    }

    /// The REST endpoint that a frame is the answer of.
    fn endpoint<'a>(&'a self, frame: &'a Frame) -> Option<&'a str> {
        match frame.channel.as_deref() {
            Some(url) if url.starts_with("http") => url.split(['?', '#']).next()?.rsplit('/').next(),
            _ => self.context.channel.as_deref()?.strip_prefix("rest_"),
        }
    }

    fn data(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let name = wire::channel(text).map_err(|error| malformed("kraken.channel", error))?;
        match Channel::read(&name)? {
            Channel::Book(depth) => return self.book(text, depth, frame, out),
            Channel::Trade => {
                let Self {
                    context, pairs, trades, ..
                } = self;
                trades.clear();
                let mut json = serde_json::Deserializer::from_str(text);
                let native = wire::TradesInto(trades).deserialize(&mut json);
                let native = native.and_then(|native| json.end().map(|()| native));
                let symbol = pairs
                    .find(&native.map_err(|error| malformed("kraken.trade", error))?, context)?
                    .symbol;
                out.extend(trades.iter().map(|trade| {
                    let (at, data) = parse::trade(trade);
                    context.event(frame, symbol, at, data)
                }));
            }
            Channel::Ticker => {
                let (symbol, ticker) = self.message("kraken.ticker", text)?;
                out.push(self.event(frame, symbol, parse::ticker(&ticker)));
            }
            Channel::Spread => {
                let (symbol, spread) = self.message("kraken.spread", text)?;
                out.push(self.event(frame, symbol, parse::quote(&spread)));
            }
            Channel::Ohlc(interval) => {
                let (symbol, ohlc) = self.message("kraken.ohlc", text)?;
                out.push(self.event(frame, symbol, parse::candle(interval, &ohlc)));
            }
        }
        Ok(())
    }

    /// Symbol and payload of a message of any channel but `book`.
    fn message<'a, P: Deserialize<'a>>(&mut self, operation: &'static str, text: &'a str) -> Result<(Symbol, P)> {
        let message: wire::Message<'a, P> = serde_json::from_str(text).map_err(|error| malformed(operation, error))?;
        let pair = self.pairs.find(&message.pair, &self.context)?;
        Ok((pair.symbol, message.payload))
    }

    #[inline]
    fn event(&self, frame: &Frame, symbol: Symbol, (at, data): (Option<Timestamp>, Data)) -> Event {
        self.context.event(frame, symbol, at, data)
    }

    fn book(&mut self, text: &str, depth: usize, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let Self {
            context,
            pairs,
            message,
            ..
        } = self;
        message.clear();
        let mut json = serde_json::Deserializer::from_str(text);
        let native = wire::BookInto(message).deserialize(&mut json);
        let native = native.and_then(|native| json.end().map(|()| native));
        let pair = pairs.find(&native.map_err(|error| malformed("kraken.book", error))?, context)?;
        let symbol = pair.symbol;
        if !context.verify_checksums {
            out.push(context.event(frame, symbol, message.time, parse::book(message, None)));
            return Ok(());
        }
        let book = pair.book(depth);
        let checksum = book.take_up(message);
        let event = context.event(frame, symbol, message.time, parse::book(message, checksum));
        let at = event.timestamp;
        out.push(event);
        if checksum == Some(Checksum::Mismatch) {
            out.push(context.event(frame, symbol, Some(at), parse::checksum_gap(book.last, at)));
        }
        book.last = at;
        Ok(())
    }
}

impl qicore_data::Decoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let text = std::str::from_utf8(&frame.payload)
            .map_err(|error| Error::decode("kraken.decode", "the payload is not UTF-8").with_source(error))?;
        match self.endpoint(frame) {
            Some("AssetPairs") => {
                instruments::asset_pairs(text, frame, &self.context, out)?;
                return Ok(Decoded::Data);
            }
            Some(endpoint) => {
                let message = "no decoder for this REST endpoint; known: AssetPairs";
                return Err(Error::new(ErrorKind::Unsupported, "kraken.decode", message).with("endpoint", endpoint));
            }
            None => {}
        }
        if text.trim_ascii_start().starts_with('[') {
            self.data(text, frame, out)?;
            return Ok(Decoded::Data);
        }
        control(text).map(|()| Decoded::Control)
    }

    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        for book in self.pairs.all.iter_mut().flat_map(|pair| &mut pair.books) {
            book.book = None;
        }
        let symbols = self.pairs.all.iter().map(|pair| pair.symbol);
        self.context.disconnected(symbols, (lost, back), out);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        if self.pairs.all.is_empty() {
            return Ok(None);
        }
        let state = serde_json::to_string(&self.pairs.all).map_err(|error| {
            Error::new(ErrorKind::Internal, "kraken.snapshot", "the books cannot be written").with_source(error)
        })?;
        Ok(Some(state.into()))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        let all: Vec<Pair> = serde_json::from_str(state).map_err(|error| {
            let message = "the stored state is damaged: delete the lane's checkpoint to start it anew";
            Error::new(ErrorKind::Checkpoint, "kraken.restore", message).with_source(error)
        })?;
        let index = all
            .iter()
            .enumerate()
            .map(|(at, pair)| (pair.native.clone(), at))
            .collect();
        self.pairs = Pairs { index, all };
        Ok(())
    }
}

/// Accepts the objects that carry no market data.
fn control(text: &str) -> Result<()> {
    let read = serde_json::from_str(text);
    let wire::Event { event } = read.map_err(|error| refused(text, malformed("kraken.event", error)))?;
    if CONTROL.contains(&&*event) {
        return Ok(());
    }
    let message = format!("unknown event {:?}; known: {}", excerpt(&event, 40), CONTROL.join(", "));
    Err(Error::decode("kraken.event", message))
}

/// The error of an object without `event`: `error`, unless the object is one of WebSocket v2.
#[cold]
fn refused(text: &str, error: Error) -> Error {
    match serde_json::from_str::<wire::Version2<'_>>(text) {
        Ok(message) if message.channel.is_some() || message.method.is_some() => {
            let text = "a message of WebSocket v2, and this decodes v1 (wss://ws.kraken.com)";
            let name = message.channel.or(message.method).unwrap_or_default();
            Error::decode("kraken.event", text).with("message", excerpt(&name, 40))
        }
        _ => error,
    }
}

/// The pairs seen in the lane, by native name.
#[derive(Debug, Default)]
struct Pairs {
    index: HashMap<Box<str>, usize, rustc_hash::FxBuildHasher>,
    all: Vec<Pair>,
}

/// A pair, and the books subscribed to. The form in a checkpoint too.
#[derive(Debug, Serialize, Deserialize)]
struct Pair {
    native: Box<str>,
    symbol: Symbol,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    books: Vec<BookState>,
}

/// A book, as far as it is known.
#[derive(Debug, Serialize, Deserialize)]
struct BookState {
    depth: usize,
    /// The time of the last book event.
    last: Timestamp,
    /// `None` before the first snapshot, and from a mismatch to the next.
    book: Option<VerifiedBook>,
}

impl Pairs {
    #[inline]
    fn find(&mut self, native: &str, context: &VenueContext) -> Result<&mut Pair> {
        let at = match self.index.get(native) {
            Some(at) => *at,
            None => self.learn(native, context)?,
        };
        Ok(&mut self.all[at])
    }

    #[cold]
    fn learn(&mut self, native: &str, context: &VenueContext) -> Result<usize> {
        let symbol = match context.symbols.get(native) {
            Some(symbol) => symbol,
            None => names::symbol(native).map_err(|error| {
                Error::decode("kraken.pair", "the pair's name tells no symbol")
                    .with_source(error)
                    .with("pair", excerpt(native, 40))
            })?,
        };
        let at = self.all.len();
        self.index.insert(native.into(), at);
        self.all.push(Pair {
            native: native.into(),
            symbol,
            books: Vec::new(),
        });
        Ok(at)
    }
}

impl Pair {
    /// The book of a depth: almost always the only one.
    fn book(&mut self, depth: usize) -> &mut BookState {
        let at = self
            .books
            .iter()
            .position(|book| book.depth == depth)
            .unwrap_or_else(|| {
                self.books.push(BookState {
                    depth,
                    last: Timestamp::UNKNOWN,
                    book: None,
                });
                self.books.len() - 1
            });
        &mut self.books[at]
    }
}

impl BookState {
    /// Takes up a message and compares checksums. A book that is found to differ is dropped: until the next snapshot
    /// there is nothing to compare with.
    fn take_up(&mut self, message: &wire::Book) -> Option<Checksum> {
        if message.snapshot && self.book.is_none() {
            self.book = Some(VerifiedBook::new(self.depth));
        }
        let book = self.book.as_mut()?;
        book.apply(message);
        let sent = message.checksum?;
        if book.checksum() == sent {
            return Some(Checksum::Ok);
        }
        self.book = None;
        Some(Checksum::Mismatch)
    }
}
