//! The decoder of one lane: names, the connection's sequence, and the ids of its trades.

use std::borrow::Cow;

use qicore_data::{Decoded, Error, ErrorKind, Event, Frame, Result, Timestamp};
use serde::de::{DeserializeSeed, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::instruments::spot_symbol;
use super::parse::{self, Channel, Scope};
use super::request::{Endpoint, Request};
use super::sequence::Sequence;
use super::trade_ids::TradeIds;
use super::{answer_error, exchange, rest, wire};
use crate::venue::{Names, NamesState, VenueContext};

pub(super) const OPERATION: &str = "coinbase.decode";

const UNKNOWN_ANSWER: &str = "neither a channel nor a type, and no product list: an answer does not say of which endpoint \
                              it is, so name that in the context's channel (exchange_rest_candles, advanced_rest_ticker, …)";

/// Makes events of Coinbase's payloads: Advanced Trade's and Exchange's, messages and answers.
#[derive(Debug)]
pub struct Decoder {
    context: VenueContext,
    names: Names,
    /// Of Advanced Trade's messages.
    sequence: Sequence,
    /// Of Exchange's messages.
    trade_ids: TradeIds,
    /// Empty between messages, and kept for its memory.
    trades: Vec<wire::Trade<'static>>,
}

/// What [`Decoder`] keeps from frame to frame.
#[derive(Serialize, Deserialize)]
struct State<N, T> {
    names: N,
    sequence: Sequence,
    #[serde(default)]
    trade_ids: T,
}

impl Decoder {
    /// A decoder for a lane.
    pub fn new(context: &VenueContext) -> Self {
        Self {
            names: Names::new(context.symbols.clone(), spot_symbol),
            context: context.clone(),
            sequence: Sequence::default(),
            trade_ids: TradeIds::default(),
            trades: Vec::new(),
        }
    }

    /// A message whose channel has events of type `E`.
    fn message<'a, E: Channel<'a>>(&mut self, text: &'a str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let message: wire::Message<E> = read(text)?;
        self.numbered((message.timestamp, message.sequence_num), frame, out, |scope| {
            message.events.into_iter().try_for_each(|event| event.emit(scope))
        })
    }

    /// A message of `market_trades`.
    fn trades(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let mut trades: Vec<wire::Trade<'_>> = std::mem::take(&mut self.trades);
        let mut json = serde_json::Deserializer::from_str(text);
        let header = wire::TradesInto(&mut trades).deserialize(&mut json);
        let header = header
            .and_then(|header| json.end().map(|()| header))
            .map_err(malformed)?;
        let decoded = self.numbered(header, frame, out, |scope| parse::trades(&mut trades, scope));
        self.trades = emptied(trades);
        decoded
    }

    /// Emits the events of a message in its place in the connection's sequence.
    fn numbered(
        &mut self,
        (time, number): (wire::Time, u64),
        frame: &Frame,
        out: &mut Vec<Event>,
        emit: impl FnOnce(&mut Scope<'_>) -> Result<()>,
    ) -> Result<Decoded> {
        let before = out.len();
        let sent = time.0.or(frame.received).unwrap_or(Timestamp::UNKNOWN);
        if let Some(gap) = self.sequence.gap(number, sent) {
            let symbols = self.names.used().into_iter();
            out.extend(symbols.map(|symbol| self.context.event(frame, symbol, Some(sent), gap.clone())));
        }
        emit(&mut Scope {
            context: &self.context,
            names: &mut self.names,
            frame,
            sent: time.0,
            sequence: Some(number),
            out,
        })?;
        self.sequence.advance(number, sent);
        Ok(if out.len() > before {
            Decoded::Data
        } else {
            Decoded::Control
        })
    }

    /// Counts a message that has arrived and says nothing that is decoded: it is no loss. Behind a hole it is left
    /// uncounted, so that the next message tells of the hole.
    fn pass_over(&mut self, text: &str, frame: &Frame) {
        let Ok(message) = read::<wire::Message<IgnoredAny>>(text) else {
            return;
        };
        let sent = message.timestamp.0.or(frame.received).unwrap_or(Timestamp::UNKNOWN);
        if self.sequence.gap(message.sequence_num, sent).is_none() {
            self.sequence.advance(message.sequence_num, sent);
        }
    }

    /// A message of the Exchange feed, or of a client to either feed.
    fn exchange(&mut self, message_type: &str, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let Some(kind) = exchange::Kind::of(message_type) else {
            let message = "messages of this type are not decoded";
            return Err(unsupported(message).with("type", clip(message_type)));
        };
        let mut scope = Scope::unnumbered((&self.context, &mut self.names), frame, out);
        exchange::message(kind, text, &mut self.trade_ids, &mut scope)
    }

    /// An answer to a request.
    fn answer(&mut self, request: &Request, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let mut scope = Scope::unnumbered((&self.context, &mut self.names), frame, out);
        rest::answer(request, text, &mut scope)?;
        Ok(match request.endpoint {
            Endpoint::NoMarketData => Decoded::Control,
            _ => Decoded::Data,
        })
    }

    /// The request that a frame answers: by its URL, or else by the context's channel. `None` for messages of the feeds.
    fn request(&self, frame: &Frame) -> Result<Option<Request>> {
        if let Some(url) = frame.channel.as_deref()
            && let Some(request) = Request::of_url(url)?
        {
            return Ok(Some(request));
        }
        match self.context.channel.as_deref() {
            Some(channel) => Ok(Endpoint::of_channel(channel)?.map(Request::from)),
            None => Ok(None),
        }
    }

    fn channel(&mut self, name: &str, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        match name {
            "l2_data" => self.message::<wire::L2Event<'_>>(text, frame, out),
            "market_trades" => self.trades(text, frame, out),
            "ticker" | "ticker_batch" => self.message::<wire::TickersEvent<'_>>(text, frame, out),
            "candles" => self.message::<wire::CandlesEvent<'_>>(text, frame, out),
            "status" => self.message::<wire::Products<'_>>(text, frame, out),
            "heartbeats" | "subscriptions" => self.message::<IgnoredAny>(text, frame, out),
            _ => {
                self.pass_over(text, frame);
                Err(unsupported("messages of this channel are not decoded").with("channel", clip(name)))
            }
        }
    }

    /// Any other order of keys, and what is not a message of a channel.
    #[cold]
    fn probe(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        if text.trim_start().starts_with('[') {
            let row: Option<Vec<Cow<'_, str>>> = serde_json::from_str(text).ok();
            let row = row.filter(|row| !row.is_empty());
            let row = row.ok_or_else(|| unsupported(UNKNOWN_ANSWER))?;
            let mut scope = Scope::unnumbered((&self.context, &mut self.names), frame, out);
            return exchange::level3(&row, &mut scope);
        }
        let probe: wire::Probe<'_> = read(text)?;
        match (probe.message_type.as_deref(), &probe.channel) {
            (Some(message_type), _) => self.exchange(message_type, text, frame, out),
            (None, Some(channel)) => self.channel(channel, text, frame, out),
            (None, None) if probe.products.is_some() => self.answer(&Endpoint::Products.into(), text, frame, out),
            (None, None) => Err(answer_error(text).unwrap_or_else(|| unsupported(UNKNOWN_ANSWER))),
        }
    }
}

impl qicore_data::Decoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let text = std::str::from_utf8(&frame.payload)
            .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
        if (frame.channel.is_some() || self.context.channel.is_some())
            && let Some(request) = self.request(frame)?
        {
            return self.answer(&request, text, frame, out);
        }
        // The forms in which the venue writes: they tell the type to read without reading twice.
        if let Some((channel, _)) = after(text, "{\"channel\":\"") {
            self.channel(channel, text, frame, out)
        } else if let Some((message_type, _)) = after(text, "{\"type\":\"") {
            self.exchange(message_type, text, frame, out)
        } else if text.starts_with("{\"products\":") {
            self.answer(&Endpoint::Products.into(), text, frame, out)
        } else {
            self.probe(text, frame, out)
        }
    }

    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        self.sequence = Sequence::default();
        self.trade_ids = TradeIds::default();
        self.context.disconnected(self.names.used(), (lost, back), out);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        let state = State {
            names: self.names.state(),
            sequence: self.sequence,
            trade_ids: &self.trade_ids,
        };
        let json = serde_json::to_string(&state);
        json.map(|json| Some(json.into()))
            .map_err(|error| Error::new(ErrorKind::Internal, "coinbase.snapshot", error.to_string()).with_source(error))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        let state: State<NamesState<'_>, TradeIds> = serde_json::from_str(state).map_err(|error| {
            let message = "the decoder's stored state is damaged, or of another version";
            Error::new(ErrorKind::Checkpoint, "coinbase.restore", message).with_source(error)
        })?;
        self.names.restore(state.names);
        self.sequence = state.sequence;
        self.trade_ids = state.trade_ids;
        Ok(())
    }
}

/// What a text that begins so has in its first quotes, and the rest.
#[inline]
fn after<'a>(text: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(start)?.split_once('"')
}

pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(malformed)
}

#[cold]
fn malformed(error: serde_json::Error) -> Error {
    Error::decode(OPERATION, error.to_string()).with_source(error)
}

/// The same memory for trades of another frame: an iterator over a vector collects into the vector's own.
fn emptied(mut trades: Vec<wire::Trade<'_>>) -> Vec<wire::Trade<'static>> {
    trades.clear();
    trades.into_iter().map_while(|_| None).collect()
}

#[cold]
fn unsupported(message: &str) -> Error {
    Error::decode(OPERATION, message)
}

/// The start of a name that is shown in an error.
fn clip(name: &str) -> String {
    name.chars().take(60).collect()
}
