//! Candles of a timeframe that the venue does not have, of those of a shorter one.

use std::collections::BTreeMap;

use qicore_data::{Candle, Data, Event, Origin, Timeframe, Timestamp};

use super::candles::CandleSeam;
use super::recent::candle;
use super::{Joint, Out, Place, Plan, Rules};
use crate::venue::Range;

/// Bars that late revisions may still change: the one at hand and the one before.
const KEPT: usize = 2;

/// The seam of candles that are built.
///
/// Goes on after a restart at the beginning of the bar at hand: the shorter bars of it are asked of the history again, so that
/// no half bar is part of a position.
#[derive(Debug)]
pub(super) struct BuiltSeam {
    timeframe: Timeframe,
    rules: Rules,
    /// The shorter bars.
    parts: CandleSeam,
    bars: BTreeMap<Timestamp, Bar>,
    /// Of bars that open before this some parts are missing.
    half_before: Option<Timestamp>,
}

/// A bar, as far as its parts have come.
#[derive(Debug, Default)]
struct Bar {
    parts: BTreeMap<Timestamp, Event>,
    /// The revision that was put out last.
    told: Option<u32>,
}

impl BuiltSeam {
    /// Bars of the second timeframe, of those of the first. Without a time to begin at, with the bar at hand.
    pub(super) fn new(
        plan: &Plan,
        (of, timeframe): (Timeframe, Timeframe),
        rules: Rules,
        since: Option<Timestamp>,
    ) -> Self {
        let since = since.unwrap_or_else(|| timeframe.floor(Timestamp::now()));
        let floor = timeframe.floor(since);
        let first = if floor == since { since } else { timeframe.next(floor) };
        Self {
            timeframe,
            rules,
            parts: CandleSeam::new(plan.of, of, !plan.sent, rules, Some(first)),
            bars: BTreeMap::new(),
            half_before: None,
        }
    }

    /// Does something with the seam of the shorter bars, and builds of what comes out.
    fn with(&mut self, out: &mut Out, work: impl FnOnce(&mut CandleSeam, &mut Out)) {
        let mut shorter = Out::default();
        work(&mut self.parts, &mut shorter);
        out.asks.append(&mut shorter.asks);
        for event in shorter.events {
            match candle(&event).map(|bar| bar.closed) {
                Some(true) => self.part(event, out),
                Some(false) => self.open(&event, out),
                None => self.beside(event, out),
            }
        }
        self.close(out);
    }

    /// A gap: bars that lack some of their parts are not told, since they would be wrong.
    fn beside(&mut self, event: Event, out: &mut Out) {
        if let Data::Gap(gap) = &event.data {
            let whole = self.timeframe.floor(gap.to) == gap.to;
            let until = if whole {
                gap.to
            } else {
                self.timeframe.next(self.timeframe.floor(gap.to))
            };
            self.half_before = self.half_before.max(Some(until));
            self.bars
                .retain(|open, bar| bar.told.is_some() || self.timeframe.next(*open) <= gap.from);
        }
        out.events.push(event);
    }

    fn part(&mut self, event: Event, out: &mut Out) {
        let open = self.timeframe.floor(event.timestamp);
        if self.half_before.is_some_and(|until| open < until) {
            return;
        }
        let newest = self.bars.keys().next_back().copied();
        if newest.is_some_and(|newest| open < newest) && !self.bars.contains_key(&open) {
            // A revision of what is no longer remembered.
            return;
        }
        // What is over is told before what comes after it.
        if newest.is_none_or(|newest| open > newest) {
            self.close_before(open, out);
        }
        let bar = self.bars.entry(open).or_default();
        bar.parts.insert(event.timestamp, event);
        if let Some(told) = bar.told {
            bar.told = Some(told + 1);
            out.events.extend(built(bar, open, self.timeframe, true));
        }
        while self.bars.len() > KEPT {
            self.bars.pop_first();
        }
    }

    /// The state of a shorter bar that is not over: the longer one is told as far as it is.
    fn open(&mut self, event: &Event, out: &mut Out) {
        if !self.rules.candles.open {
            return;
        }
        let open = self.timeframe.floor(event.timestamp);
        let mut bar = Bar::default();
        if let Some(known) = self.bars.get(&open) {
            bar.parts.clone_from(&known.parts);
        }
        bar.parts.insert(event.timestamp, event.clone());
        out.events.extend(built(&bar, open, self.timeframe, false));
    }

    /// Tells the bars whose parts have all come.
    fn close(&mut self, out: &mut Out) {
        if let Some(next) = self.parts.next() {
            self.close_before(self.timeframe.floor(next), out);
        }
    }

    fn close_before(&mut self, open: Timestamp, out: &mut Out) {
        let timeframe = self.timeframe;
        for (at, bar) in self.bars.range_mut(..open) {
            if bar.told.is_none() {
                bar.told = Some(0);
                out.events.extend(built(bar, *at, timeframe, true));
            }
        }
    }
}

impl Joint for BuiltSeam {
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.parts.waiting()
    }

    fn live(&mut self, event: Event, out: &mut Out) {
        self.with(out, |parts, out| parts.live(event, out));
    }

    fn disrupted(&mut self) {
        self.parts.disrupted();
    }

    fn has_asked(&self, range: &Range) -> bool {
        self.parts.has_asked(range)
    }

    fn begin(&mut self, range: &Range, now: Timestamp) {
        self.parts.begin(range, now);
    }

    fn page(&mut self, events: Vec<Event>, out: &mut Out) {
        self.with(out, |parts, out| parts.page(events, out));
    }

    fn told(&mut self, range: &Range, out: &mut Out) {
        self.with(out, |parts, out| parts.told(range, out));
    }

    fn give_up(&mut self, range: &Range, out: &mut Out) {
        self.with(out, |parts, out| parts.give_up(range, out));
    }

    fn failed(&mut self, range: &Range, again: Timestamp) {
        self.parts.failed(range, again);
    }

    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.with(out, |parts, out| parts.tick(now, out));
    }

    /// The beginning of the bar at hand.
    fn place(&self) -> Option<Place> {
        let mut place = self.parts.place()?;
        place.time = self.timeframe.floor(Timestamp::from_nanos(place.time)).nanos();
        Some(place)
    }

    fn resume(&mut self, place: &Place) {
        self.parts.resume(place);
    }
}

/// A bar of its parts.
fn built(bar: &Bar, open: Timestamp, timeframe: Timeframe, closed: bool) -> Option<Event> {
    let mut parts = bar.parts.values().filter_map(|event| Some((event, candle(event)?)));
    let (event, first) = parts.next()?;
    let mut all = Candle {
        timeframe,
        closed,
        origin: Origin::Built,
        revision: bar.told.unwrap_or_default(),
        ..first.clone()
    };
    let mut received = event.received;
    for (event, part) in parts {
        all.high = all.high.max(part.high);
        all.low = all.low.min(part.low);
        all.close = part.close;
        all.volume += part.volume;
        all.quote_volume = all.quote_volume.zip(part.quote_volume).map(|(sum, part)| sum + part);
        all.trades = all.trades.zip(part.trades).map(|(sum, part)| sum + part);
        received = received.max(event.received);
    }
    let mut whole = event.clone();
    (whole.timestamp, whole.received, whole.data) = (open, received, Data::Candle(all));
    Some(whole)
}
