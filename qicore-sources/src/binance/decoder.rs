//! The decoder of one lane: names and depth numbers.

use qicore_data::{BookKind, Decoded, Error, ErrorKind, Event, Frame, Result, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use super::continuity::Continuity;
use super::parse::{self, Observation};
use super::route::{Kind, Message, OPERATION};
use super::{instruments, symbols, wire};
use crate::venue::{Names, NamesState, VenueContext};

/// Makes events of Binance's payloads.
#[derive(Debug)]
pub struct Decoder {
    context: VenueContext,
    names: Names,
    depth: Continuity,
}

/// What [`Decoder`] keeps from frame to frame.
#[derive(Serialize, Deserialize)]
struct State<N, D> {
    names: N,
    depth: D,
}

impl Decoder {
    /// A decoder for a lane of binance.com, or of binance.us where that is the context's exchange.
    pub fn new(context: &VenueContext) -> Self {
        let rule = match context.exchange.as_str() {
            "binance_us" => symbols::us,
            _ => symbols::com,
        };
        Self {
            names: Names::new(context.symbols.clone(), rule),
            context: context.clone(),
            depth: Continuity::default(),
        }
    }

    fn observation<T: Observation>(&mut self, payload: &T, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let symbol = self.names.symbol(payload.native())?;
        out.push(self.context.event(frame, symbol, payload.time(), payload.data()?));
        Ok(())
    }

    fn tickers(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        if !message.is_list() {
            return self.observation(&message.read::<wire::Ticker<'_>>()?, frame, out);
        }
        let tickers = message.read::<Vec<wire::Ticker<'_>>>()?;
        tickers
            .iter()
            .try_for_each(|ticker| self.observation(ticker, frame, out))
    }

    fn depth_update(&mut self, update: &wire::DepthUpdate<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let symbol = self.names.symbol(&update.symbol)?;
        let at = Some(update.time.0);
        if let Some(gap) = self.depth.follow(symbol, update) {
            out.push(self.context.event(frame, symbol, at, gap));
        }
        let book = parse::book(BookKind::Delta, update.last, &update.bids, &update.asks);
        out.push(self.context.event(frame, symbol, at, book));
        Ok(())
    }

    fn depth_snapshot(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let snapshot = message.read::<wire::DepthSnapshot<'_>>()?;
        let symbol = self.snapshot_symbol(snapshot.symbol.as_deref().or(message.native.as_deref()))?;
        let book = parse::book(BookKind::Snapshot, snapshot.last, &snapshot.bids, &snapshot.asks);
        let at = snapshot.time.map(|time| time.0);
        out.push(self.context.event(frame, symbol, at, book));
        Ok(())
    }

    /// Spot snapshots do not name their symbol: it is in the URL, in the stream's name (lower case) or in the context.
    fn snapshot_symbol(&mut self, native: Option<&str>) -> Result<Symbol> {
        match (native, self.context.symbol) {
            (Some(native), _) => self.names.symbol(&native.to_ascii_uppercase()),
            (None, Some(symbol)) => Ok(symbol),
            (None, None) => {
                let message = "a book snapshot that does not name its symbol: say which in the context";
                Err(Error::decode(OPERATION, message))
            }
        }
    }

    fn instruments(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let info = message.read::<wire::ExchangeInfo<'_>>()?;
        let at = info.time.map(|time| time.0);
        for one in &info.symbols {
            let (symbol, instrument) = instruments::instrument(one)
                .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
            self.names.learn(&one.symbol, symbol);
            out.push(self.context.event(frame, symbol, at, instrument));
        }
        Ok(())
    }
}

impl qicore_data::Decoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let text = std::str::from_utf8(&frame.payload)
            .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
        let message = Message::open(text, frame.channel.as_deref(), self.context.channel.as_deref())?;
        match message.kind {
            Kind::AggTrade => self.observation(&message.read::<wire::AggTrade<'_>>()?, frame, out),
            Kind::Trade => self.observation(&message.read::<wire::Trade<'_>>()?, frame, out),
            Kind::BookTicker => self.observation(&message.read::<wire::BookTicker<'_>>()?, frame, out),
            Kind::Kline => self.observation(&message.read::<wire::Kline<'_>>()?, frame, out),
            Kind::Ticker => self.tickers(&message, frame, out),
            Kind::DepthUpdate => self.depth_update(&message.read::<wire::DepthUpdate<'_>>()?, frame, out),
            Kind::DepthSnapshot => self.depth_snapshot(&message, frame, out),
            Kind::ExchangeInfo => self.instruments(&message, frame, out),
            Kind::Control => return Ok(Decoded::Control),
        }?;
        Ok(Decoded::Data)
    }

    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        self.depth = Continuity::default();
        self.context.disconnected(self.names.used(), (lost, back), out);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        let state = State {
            names: self.names.state(),
            depth: &self.depth,
        };
        let json = serde_json::to_string(&state);
        json.map(|json| Some(json.into()))
            .map_err(|error| Error::new(ErrorKind::Internal, "binance.snapshot", error.to_string()).with_source(error))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        let state: State<NamesState<'_>, Continuity> = serde_json::from_str(state).map_err(|error| {
            let message = "the decoder's stored state is damaged, or of another version";
            Error::new(ErrorKind::Checkpoint, "binance.restore", message).with_source(error)
        })?;
        self.names.restore(state.names);
        self.depth = state.depth;
        Ok(())
    }
}
