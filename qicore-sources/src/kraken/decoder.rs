use qicore_data::{Checksum, Data, Decoded, Error, ErrorKind, Event, Frame, Result, Symbol, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::pairs::Pairs;
use super::parse::{self, Channel};
use super::{error, excerpt, instruments, malformed, rest, v2, wire};
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

/// Decodes one lane of Kraken: messages of WebSocket v1 or v2, and answers over HTTP.
///
/// Where checksums are verified it maintains the books that are subscribed to. They are its state, and go into the
/// lane's checkpoint.
#[derive(Debug)]
pub struct Decoder {
    pub(super) context: VenueContext,
    pub(super) pairs: Pairs,
    /// The book message at hand, kept for its memory.
    message: wire::Book,
    /// The books of a message of v2, likewise.
    pub(super) books: v2::Books,
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
            books: v2::Books::default(),
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

    /// What is told by neither a URL nor the context is told by its form.
    fn form(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        if text.trim_ascii_start().starts_with('[') {
            self.data(text, frame, out)?;
            return Ok(Decoded::Data);
        }
        // As Kraken writes data of v2: the channel is told without reading twice.
        let channel = text.strip_prefix("{\"channel\":\"");
        if let Some((channel, _)) = channel.and_then(|rest| rest.split_once('"'))
            && !channel.contains('\\')
        {
            return self.version_2(channel, text, frame, out);
        }
        let control = control(text);
        let Err(error) = control else {
            return Ok(Decoded::Control);
        };
        match serde_json::from_str(text) {
            Ok(wire::v2::Probe {
                channel: Some(channel), ..
            }) => self.version_2(&channel, text, frame, out),
            Ok(wire::v2::Probe {
                method: Some(method), ..
            }) => self.method(&method, text).map(|()| Decoded::Control),
            Ok(wire::v2::Probe { success: Some(_), .. }) => Ok(Decoded::Control),
            _ => Err(error::unasked(text).unwrap_or(error)),
        }
    }

    fn answer(&mut self, endpoint: &str, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        if rest::NO_MARKET_DATA.contains(&endpoint) {
            return rest::pass_over(text).map(|()| Decoded::Control);
        }
        if endpoint == "AssetPairs" {
            let precisions = instruments::asset_pairs(text, frame, &self.context, out)?;
            self.learn_precisions(precisions);
        } else {
            rest::answer(endpoint, text, frame, &self.context, out)?;
        }
        Ok(Decoded::Data)
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
        let (events, pairs) = (out.len(), self.pairs.len());
        let endpoint = self.endpoint(frame).map(str::to_owned);
        let decoded = match endpoint {
            Some(endpoint) => self.answer(&endpoint, text, frame, out),
            None => self.form(text, frame, out),
        };
        // What is refused leaves nothing behind.
        if decoded.is_err() {
            out.truncate(events);
            self.pairs.truncate(pairs);
        }
        decoded
    }

    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        self.pairs.drop_books();
        self.context.disconnected(self.pairs.symbols(), (lost, back), out);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        let state = self.pairs.snapshot().transpose().map_err(|error| {
            Error::new(ErrorKind::Internal, "kraken.snapshot", "the books cannot be written").with_source(error)
        })?;
        Ok(state.map(Into::into))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        self.pairs = Pairs::restore(state).map_err(|error| {
            let message = "the stored state is damaged: delete the lane's checkpoint to start it anew";
            Error::new(ErrorKind::Checkpoint, "kraken.restore", message).with_source(error)
        })?;
        Ok(())
    }
}

/// Accepts the objects of v1, which carry no market data.
fn control(text: &str) -> Result<()> {
    let read = serde_json::from_str(text);
    let wire::Event { event } = read.map_err(|error| malformed("kraken.event", error))?;
    if CONTROL.contains(&&*event) {
        return Ok(());
    }
    let message = format!("unknown event {:?}; known: {}", excerpt(&event, 40), CONTROL.join(", "));
    Err(Error::decode("kraken.event", message))
}
