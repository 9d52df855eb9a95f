//! The decoder of one lane: names and the connection's sequence.

use qicore_data::{Decoded, Error, ErrorKind, Event, Frame, Result, Timestamp};
use serde::de::{DeserializeSeed, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::instruments::spot_symbol;
use super::parse::{self, Channel, Scope};
use super::sequence::Sequence;
use super::wire;
use crate::venue::{Names, NamesState, VenueContext};

pub(super) const OPERATION: &str = "coinbase.decode";

/// Makes events of Advanced Trade's payloads.
#[derive(Debug)]
pub struct Decoder {
    context: VenueContext,
    names: Names,
    sequence: Sequence,
    /// Empty between messages, and kept for its memory.
    trades: Vec<wire::Trade<'static>>,
}

/// What [`Decoder`] keeps from frame to frame.
#[derive(Serialize, Deserialize)]
struct State<N> {
    names: N,
    sequence: Sequence,
}

impl Decoder {
    /// A decoder for a lane.
    pub fn new(context: &VenueContext) -> Self {
        Self {
            names: Names::new(context.symbols.clone(), spot_symbol),
            context: context.clone(),
            sequence: Sequence::default(),
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

    /// A product list, in a response.
    fn products(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let products: wire::Products<'_> = read(text)?;
        products.emit(&mut Scope {
            context: &self.context,
            names: &mut self.names,
            frame,
            sent: None,
            sequence: None,
            out,
        })?;
        Ok(Decoded::Data)
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
            return Err(unsupported(
                "a list: Coinbase Exchange, not Advanced Trade, answers in lists",
            ));
        }
        let probe: wire::Probe<'_> = read(text)?;
        let message_type = probe.message_type.as_deref();
        match (message_type, &probe.channel) {
            (Some("error"), _) => Ok(Decoded::Control),
            (Some("subscribe" | "unsubscribe"), _) => {
                Err(unsupported("a client's request, not a message of the venue"))
            }
            (None, Some(channel)) => self.channel(channel, text, frame, out),
            (None, None) if probe.products.is_some() => self.products(text, frame, out),
            (Some(other), _) => {
                let message = "a message of the Coinbase Exchange feed, not Advanced Trade: \
                               connect to wss://advanced-trade-ws.coinbase.com";
                Err(unsupported(message).with("type", clip(other)))
            }
            (None, None) => Err(unsupported("neither a channel nor a type, and no product list")),
        }
    }
}

impl qicore_data::Decoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let text = std::str::from_utf8(&frame.payload)
            .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
        // The forms in which the venue writes: they tell the type to read without reading twice.
        let channel = text
            .strip_prefix("{\"channel\":\"")
            .and_then(|rest| rest.split_once('"'));
        match channel {
            Some((channel, _)) => self.channel(channel, text, frame, out),
            None if text.starts_with("{\"products\":") => self.products(text, frame, out),
            None => self.probe(text, frame, out),
        }
    }

    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        self.sequence = Sequence::default();
        self.context.disconnected(self.names.used(), (lost, back), out);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        let state = State {
            names: self.names.state(),
            sequence: self.sequence,
        };
        let json = serde_json::to_string(&state);
        json.map(|json| Some(json.into()))
            .map_err(|error| Error::new(ErrorKind::Internal, "coinbase.snapshot", error.to_string()).with_source(error))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        let state: State<NamesState<'_>> = serde_json::from_str(state).map_err(|error| {
            let message = "the decoder's stored state is damaged, or of another version";
            Error::new(ErrorKind::Checkpoint, "coinbase.restore", message).with_source(error)
        })?;
        self.names.restore(state.names);
        self.sequence = state.sequence;
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
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
