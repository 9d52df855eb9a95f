//! The seam against a simulated venue.

mod behaviour;
mod candles;
mod trades;

use std::time::Duration;

use qicore_data::{
    Candle, Data, Decimal, Event, Exchange, Gap, Label, Origin, Symbol, Timeframe, Timestamp, Trade, TradeId,
};

use super::{CandleRules, Order, Out, Plan, Rules, Seam};
use crate::venue::{Channel, Mark, Range, Stream};

pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn rules(order: Order, waiting: usize, (closes, sends_empty): (bool, bool)) -> Rules {
    Rules {
        exchange: Exchange::new("test").unwrap(),
        source: Label::new("test").unwrap(),
        order,
        waiting,
        verify_after: Duration::from_secs(5),
        candles: CandleRules {
            closes,
            sends_empty,
            week: Duration::from_secs(3 * 86_400),
            grace: Duration::from_secs(5),
            open: false,
        },
    }
}

pub(super) fn stream(channel: Channel) -> Stream {
    Stream::new(Symbol::new("BTC/USD").unwrap(), channel)
}

pub(super) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn event(time: i64, data: impl Into<Data>) -> Event {
    let (exchange, source) = (Exchange::new("test").unwrap(), Label::new("test").unwrap());
    Event::new(exchange, Symbol::new("BTC/USD").unwrap(), at(time), source, data)
}

pub(super) fn trade(id: u64, time: i64) -> Event {
    let trade = Trade {
        id: Some(TradeId::Number(id)),
        side: None,
        price: Decimal::ONE,
        size: Decimal::ONE,
    };
    event(time, trade)
}

/// A bar of so many trades of size 1.
pub(super) fn bar(timeframe: Timeframe, open: i64, trades: u64, closed: bool) -> Event {
    let close = Decimal::from(trades);
    let candle = Candle {
        timeframe,
        open: Decimal::ONE,
        high: close,
        low: Decimal::ONE,
        close,
        volume: close,
        quote_volume: None,
        trades: Some(trades),
        closed,
        origin: Origin::Websocket,
        revision: 0,
    };
    event(open, candle)
}

pub(super) fn id(event: &Event) -> Option<u64> {
    match &event.data {
        Data::Trade(Trade {
            id: Some(TradeId::Number(id)),
            ..
        }) => Some(*id),
        _ => None,
    }
}

pub(super) fn gap(event: &Event) -> Option<&Gap> {
    match &event.data {
        Data::Gap(gap) => Some(gap),
        _ => None,
    }
}

/// A seam of one stream, with what it has put out, and the checks that hold at every moment.
pub(super) struct Bench {
    pub(super) seam: Seam,
    make: Box<dyn Fn() -> Seam>,
    limit: usize,
    pub(super) events: Vec<Event>,
    /// The range that is asked for.
    pub(super) asked: Option<Range>,
    pub(super) asks: usize,
    /// The last position that the sink has, with the number of events before it.
    stored: (String, usize),
}

impl Bench {
    pub(super) fn new(channel: Channel, polled: bool, rules: Rules, since: Option<i64>) -> Self {
        let stream = stream(channel);
        let plan = Plan {
            stream,
            of: stream,
            sent: !polled,
        };
        let make = move || Seam::new(&[plan], rules, since.map(at));
        let mut seam = make();
        Self {
            stored: (seam.detail().to_string(), 0),
            seam,
            make: Box::new(make),
            limit: rules.waiting,
            events: Vec::new(),
            asked: None,
            asks: 0,
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut Seam, &mut Out)) {
        let mut out = Out::default();
        act(&mut self.seam, &mut out);
        self.events.append(&mut out.events);
        for range in out.asks {
            assert!(
                self.asked.is_none(),
                "asks for {range:?} while asking for {:?}",
                self.asked
            );
            let by_time = range.from.id.is_none() && range.to.id.is_some();
            assert!(by_time || range.to.is_after(&range.from), "asks for nothing: {range:?}");
            self.asked = Some(range);
            self.asks += 1;
        }
        let waiting = self.seam.streams[0].1.waiting();
        assert!(waiting <= self.limit, "{waiting} wait");
    }

    pub(super) fn live(&mut self, event: Event) {
        self.with(|seam, out| seam.live(0, event, out));
    }

    pub(super) fn disrupted(&mut self) {
        self.seam.disrupted(0);
    }

    pub(super) fn tick(&mut self, now: i64) {
        self.with(|seam, out| seam.tick(at(now), out));
    }

    pub(super) fn page(&mut self, events: Vec<Event>) {
        if let Some(range) = self.asked {
            self.with(|seam, out| seam.page(&range, events, out));
        }
    }

    pub(super) fn told(&mut self) {
        if let Some(range) = self.asked.take() {
            self.with(|seam, out| seam.told(&range, out));
        }
    }

    /// All that is wanted, in one page.
    pub(super) fn answer(&mut self, history: &[Event]) {
        let range = self.asked.expect("nothing is asked for");
        let wanted = |event: &&Event| range.contains(&crate::market::place(event));
        self.page(history.iter().filter(wanted).cloned().collect());
        self.told();
    }

    pub(super) fn failed(&mut self, again: i64) {
        if let Some(range) = self.asked.take() {
            self.seam.failed(&range, at(again));
        }
    }

    pub(super) fn give_up(&mut self) {
        if let Some(range) = self.asked.take() {
            self.with(|seam, out| seam.give_up(&range, out));
        }
    }

    pub(super) fn store(&mut self) {
        self.stored = (self.seam.detail().to_string(), self.events.len());
    }

    /// All is lost but what the sink has.
    pub(super) fn crash(&mut self) {
        self.events.truncate(self.stored.1);
        self.asked = None;
        self.seam = (self.make)();
        self.seam.resume(&self.stored.0).unwrap();
    }
}
