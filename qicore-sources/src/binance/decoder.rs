//! The decoder of one lane: names and depth numbers.

use qicore_data::{BookKind, Decoded, Error, ErrorKind, Event, Frame, Result, Symbol, Timeframe, Timestamp};
use serde::{Deserialize, Serialize};

use super::continuity::Continuity;
use super::error::answer_error;
use super::parse::{self, Observation};
use super::request::Request;
use super::rest::{self, Row};
use super::route::{Kind, Message, OPERATION, Rest};
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

    /// Decodes what has been opened.
    #[inline]
    fn message(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        match message.kind {
            Kind::AggTrade => self.observations::<wire::AggTrade<'_>>(message, frame, out),
            Kind::Trade => self.observations::<wire::Trade<'_>>(message, frame, out),
            Kind::BookTicker => self.observations::<wire::BookTicker<'_>>(message, frame, out),
            Kind::Kline => self.observations::<wire::Kline<'_>>(message, frame, out),
            Kind::Ticker => self.observations::<wire::Ticker<'_>>(message, frame, out),
            Kind::RollingTicker => self.observations::<wire::RollingTicker<'_>>(message, frame, out),
            Kind::AveragePrice => self.observations::<wire::AveragePrice<'_>>(message, frame, out),
            Kind::ReferencePrice => self.reference_price(message, frame, out),
            Kind::DepthUpdate => message.each(|update| self.depth_update(update, frame, out)),
            Kind::DepthSnapshot => self.depth_snapshot(message, frame, out),
            Kind::ExchangeInfo => self.instruments(message, frame, out),
            Kind::Rest(rest) => self.rest(rest, message, frame, out),
            Kind::NoMarketData => return message.pass_over().map(|()| Decoded::Control),
            Kind::Control => return Ok(Decoded::Control),
        }?;
        Ok(Decoded::Data)
    }

    /// One payload, or a list of them.
    #[inline]
    fn observations<'a, T>(&mut self, message: &Message<'a>, frame: &Frame, out: &mut Vec<Event>) -> Result<()>
    where
        T: Observation + Deserialize<'a>,
    {
        message.each(|payload: &T| {
            let symbol = self.symbol(payload.native(), message.answers_for_one())?;
            out.push(self.context.event(frame, symbol, payload.time(), payload.data()?));
            Ok(())
        })
    }

    /// The symbol of a name. Where nothing tells it, and the message is an answer about one instrument, it is the
    /// context's.
    #[inline]
    fn symbol(&mut self, native: &str, answers_for_one: bool) -> Result<Symbol> {
        let known = self.names.symbol(native);
        known.or_else(|error| self.context.symbol.filter(|_| answers_for_one).ok_or(error))
    }

    fn rest(&mut self, rest: Rest, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        match rest {
            Rest::Klines => self.klines(message, frame, out),
            Rest::Trades => self.rows::<wire::rest::TradeRow>(message, frame, out),
            Rest::AggTrades => {
                in_base_currency(message)?;
                self.rows::<wire::rest::AggTradeRow>(message, frame, out)
            }
            Rest::WindowTicker => self.observations::<wire::rest::WindowTicker<'_>>(message, frame, out),
            Rest::TradingDay => {
                let before = out.len();
                self.observations::<wire::rest::WindowTicker<'_>>(message, frame, out)?;
                // A day that is not over ends after it was told of.
                for event in &mut out[before..] {
                    event.timestamp = event.timestamp.min(frame.received.unwrap_or(event.timestamp));
                }
                Ok(())
            }
            Rest::LastPrice => self.observations::<wire::rest::LastPrice<'_>>(message, frame, out),
            Rest::BestPrices => {
                in_base_currency(message)?;
                self.observations::<wire::rest::BestPrices<'_>>(message, frame, out)
            }
            Rest::AveragePrice => {
                let average = message.read::<wire::rest::AveragePrice>()?;
                let symbol = self.unnamed(None, message)?;
                let at = average.close_time.map(|time| time.0);
                out.push(self.context.event(frame, symbol, at, parse::average(average.price)));
                Ok(())
            }
        }
    }

    /// No event where the venue has set no price.
    fn reference_price(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let reference = message.read::<wire::ReferencePrice<'_>>()?;
        let symbol = self.symbol(&reference.symbol, message.answers_for_one())?;
        if let Some(price) = reference.price {
            let at = Some(reference.time.0);
            out.push(self.context.event(frame, symbol, at, parse::reference(price)?));
        }
        Ok(())
    }

    /// Rows of one instrument, whose name is not in them.
    fn rows<'a, T>(&mut self, message: &Message<'a>, frame: &Frame, out: &mut Vec<Event>) -> Result<()>
    where
        T: Row + Deserialize<'a>,
    {
        let rows = message.read::<Vec<T>>()?;
        let symbol = self.unnamed(None, message)?;
        let event = |row: &T| self.context.event(frame, symbol, Some(row.time()), row.data());
        out.extend(rows.iter().map(event));
        Ok(())
    }

    /// A page of candles. The one whose interval is not over is open; where it is not known when the page was received, that
    /// may be the last one.
    fn klines(&mut self, message: &Message<'_>, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let rows = message.read::<Vec<wire::rest::KlineRow>>()?;
        let symbol = self.unnamed(None, message)?;
        if rows.is_empty() {
            return Ok(());
        }
        let request = message.request.unwrap_or_default();
        let timeframe = self.timeframe(&request, &rows)?;
        let coin_margined = request.is_coin_margined();
        out.extend(rows.iter().enumerate().map(|(at, row)| {
            let closed = match frame.received {
                Some(received) => row.close_time.0 < received,
                None => at + 1 < rows.len(),
            };
            let candle = rest::candle(row, timeframe, closed, coin_margined);
            self.context.event(frame, symbol, Some(row.open_time.0), candle)
        }));
        Ok(())
    }

    /// From the URL, else the context, else the times of a row.
    fn timeframe(&self, request: &Request<'_>, rows: &[wire::rest::KlineRow]) -> Result<Timeframe> {
        if let Some(interval) = request.interval() {
            return parse::timeframe(interval);
        }
        let found = self.context.timeframe.or_else(|| rows.iter().find_map(rest::timeframe));
        found.ok_or_else(|| {
            let message = "candles of no known timeframe: say which in the context";
            Error::decode(OPERATION, message)
        })
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
        in_base_currency(message)?;
        let snapshot = message.read::<wire::DepthSnapshot<'_>>()?;
        let symbol = self.unnamed(snapshot.symbol.as_deref(), message)?;
        let book = parse::book(BookKind::Snapshot, snapshot.last, &snapshot.bids, &snapshot.asks);
        let at = snapshot.time.map(|time| time.0);
        out.push(self.context.event(frame, symbol, at, book));
        Ok(())
    }

    /// The symbol of a payload that does not name it: it is in the URL, in the stream's name (lower case) or in the
    /// context. Futures name it.
    fn unnamed(&mut self, named: Option<&str>, message: &Message<'_>) -> Result<Symbol> {
        match (named.or(message.native.as_deref()), self.context.symbol) {
            (Some(native), _) => self.symbol(&native.to_ascii_uppercase(), message.request.is_some()),
            (None, Some(symbol)) => Ok(symbol),
            (None, None) => {
                let message = "a payload that does not name its symbol: say which in the context";
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
        match self.message(&message, frame, out) {
            // Looked for only now, so that the good answers pay nothing for it.
            Err(error) if message.request.is_some() => Err(answer_error(text).unwrap_or(error)),
            done => done,
        }
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

/// COIN-M futures tell these sizes in contracts, of which only the instrument list says what they are worth; an event's
/// are in base currency.
fn in_base_currency(message: &Message<'_>) -> Result<()> {
    match &message.request {
        Some(request) if request.is_coin_margined() => {
            let message = "sizes of this endpoint are numbers of contracts, not of base currency";
            Err(Error::new(ErrorKind::Unsupported, OPERATION, message).with("endpoint", request.endpoint()))
        }
        _ => Ok(()),
    }
}
