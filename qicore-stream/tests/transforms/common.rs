//! Events to feed, and ways to feed them.

use proptest::prelude::*;
use qicore_data::{
    Book, BookKind, Candle, Data, Decimal, Event, Exchange, Gap, GapReason, Label, Level, Levels, Origin, Output,
    Quote, Symbol, Timeframe, Timestamp, Trade, TradeId, Transform, decimal,
};

/// A symbol by number.
pub(crate) fn symbol(number: u8) -> Symbol {
    Symbol::new(&format!("C{number}/USD")).unwrap()
}

pub(crate) fn number(text: &str) -> Decimal {
    decimal::parse(text).unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

pub(crate) fn event(symbol: Symbol, millis: i64, data: impl Into<Data>) -> Event {
    let (exchange, source) = (Exchange::new("venue").unwrap(), Label::new("test").unwrap());
    Event::new(exchange, symbol, at(millis), source, data)
}

/// A trade of symbol 0 with an id.
pub(crate) fn trade(id: Option<u64>, price: &str, size: &str) -> Trade {
    Trade {
        id: id.map(TradeId::Number),
        side: None,
        price: number(price),
        size: number(size),
    }
}

pub(crate) fn print(millis: i64, price: &str, size: &str) -> Event {
    event(symbol(0), millis, trade(None, price, size))
}

pub(crate) fn quote(bid: &str, bid_size: &str, ask: &str, ask_size: &str) -> Quote {
    Quote {
        bid: number(bid),
        bid_size: number(bid_size),
        ask: number(ask),
        ask_size: number(ask_size),
    }
}

pub(crate) fn candle(prices: [&str; 4], closed: bool) -> Candle {
    let [open, high, low, close] = prices.map(number);
    Candle {
        timeframe: Timeframe::M1,
        open,
        high,
        low,
        close,
        volume: Decimal::ONE,
        quote_volume: None,
        trades: None,
        closed,
        origin: Origin::Websocket,
        revision: 0,
    }
}

pub(crate) fn book(kind: BookKind, sequence: Option<u64>, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Book {
    let levels = |side: &[(&str, &str)]| {
        let level = |(price, size): &(&str, &str)| Level::new(number(price), number(size));
        side.iter().map(level).collect::<Vec<_>>()
    };
    Book {
        kind,
        sequence,
        levels: Levels::new(&levels(bids), &levels(asks)),
        checksum: None,
    }
}

pub(crate) fn gap(from: i64, to: i64, reason: GapReason) -> Gap {
    Gap {
        from: at(from),
        to: at(to),
        reason,
        missed: None,
    }
}

pub(crate) fn as_candle(event: &Event) -> Option<&Candle> {
    match &event.data {
        Data::Candle(candle) => Some(candle),
        _ => None,
    }
}

/// Feeds one batch.
pub(crate) fn apply(transform: &mut dyn Transform, events: Vec<Event>) -> Output {
    let mut out = Output::default();
    transform.apply(events, &mut out).unwrap();
    out
}

/// Feeds one batch and the end of the source.
pub(crate) fn run(mut transform: impl Transform, events: Vec<Event>) -> Vec<Event> {
    let mut out = Output::default();
    transform.apply(events, &mut out).unwrap();
    transform.flush(&mut out).unwrap();
    out.events
}

/// What has come out of a chain.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Passed {
    pub(crate) events: Vec<Event>,
    pub(crate) rejected: Vec<Event>,
}

impl Passed {
    /// Sends events through the chain.
    pub(crate) fn through(&mut self, chain: &mut [Box<dyn Transform>], mut events: Vec<Event>) {
        for stage in chain {
            let out = apply(&mut **stage, events);
            events = out.events;
            let rejected = out.rejected.into_iter().map(|rejected| rejected.event);
            self.rejected.extend(rejected);
        }
        self.events.append(&mut events);
    }
}

/// Trades of three symbols, mostly in order, some late, some doubled, a few from far ahead; and a little of all else.
pub(crate) fn session() -> impl Strategy<Value = Vec<Event>> {
    let step = (0u8..3, -20_000i64..25_000, 0u8..40, 1u32..2_000, any::<bool>());
    prop::collection::vec(step, 1..250).prop_map(|steps| {
        let mut now = 1_600_000_000_000;
        let mut events = Vec::new();
        for (id, (which, forward, kind, value, known)) in steps.into_iter().enumerate() {
            now += forward / if forward < 0 { 1 } else { 2 };
            let price = Decimal::new(i64::from(value), 2);
            let data: Data = match kind {
                0 => quote("1", "1", &price.to_string(), "1").into(),
                1 => gap(now - 30_000, now, GapReason::Disconnect).into(),
                2 => candle(["3", "4", "1", "2"], known).into(),
                3 => book(BookKind::Delta, Some(u64::from(value % 4)), &[("1", "2")], &[]).into(),
                4 => trade(Some(value.into()), "0", "1").into(),
                5 => trade(Some(u64::from(value % 8)), "5.50", "2").into(),
                _ => trade(Some(id as u64), &price.to_string(), "0.125").into(),
            };
            let jump = if kind == 6 { 400_000 } else { 0 };
            let mut event = event(symbol(which), now + jump, data);
            event.received = known.then(|| at(now + 100_000));
            events.push(event);
        }
        events
    })
}
