//! Trades: each id once.

use std::collections::BTreeMap;

use qicore_data::{Data, Event, Timestamp, TradeId};

use super::{Joint, Order, Out, Place, Rules, ends, mark};
use crate::venue::{Mark, Range, Stream};

/// The seam of one symbol's trades, whose ids are consecutive numbers.
///
/// Invariants: everything before `next` has been put out, but for what lies in `holes`; with strict order there is at most
/// one hole, and while there is one, what comes live is in `waiting`.
#[derive(Debug)]
pub(super) struct TradeSeam {
    stream: Stream,
    rules: Rules,
    /// Where the stream goes on; `None` before the first trade of a stream without a history.
    next: Option<Mark>,
    holes: Vec<Hole>,
    /// Live trades beyond the hole, by id.
    waiting: BTreeMap<u64, Event>,
    /// So many live trades were given up that the hole has no known end.
    given_up: bool,
    /// Messages may have been lost since the last trade.
    disrupted: bool,
    /// When a stream that was disrupted is asked whether it has missed something.
    verify_at: Option<Timestamp>,
}

/// What is missing.
#[derive(Debug)]
struct Hole {
    from: Mark,
    to: Mark,
    /// It has been asked for and is not told yet.
    asked: bool,
    /// Not to be asked for before this.
    again: Option<Timestamp>,
}

impl Hole {
    fn new(from: Mark, to: Mark) -> Self {
        Self {
            from,
            to,
            asked: false,
            again: None,
        }
    }
}

impl TradeSeam {
    pub(super) fn new(stream: Stream, rules: Rules, since: Option<Timestamp>) -> Self {
        Self {
            stream,
            rules,
            next: since.map(Mark::at),
            holes: Vec::new(),
            waiting: BTreeMap::new(),
            given_up: false,
            disrupted: since.is_some(),
            verify_at: None,
        }
    }

    /// Whether live trades go straight out.
    #[inline]
    fn is_open(&self) -> bool {
        self.holes.is_empty() || self.rules.order == Order::LiveFirst
    }

    #[inline]
    fn put_out(&mut self, id: u64, event: Event, out: &mut Out) {
        (self.disrupted, self.verify_at) = (false, None);
        self.next = Some(Mark::id(id + 1, event.timestamp));
        out.events.push(event);
    }

    /// A trade from before the live edge: known already, unless it lies in a hole.
    fn late(&mut self, id: u64, event: Event, out: &mut Out) {
        let place = Mark::id(id, event.timestamp);
        let Some(at) = self.holes.iter().position(|hole| {
            let known = hole.from.id.is_some_and(|from| id < from);
            !known && hole.to.is_after(&place)
        }) else {
            return;
        };
        if self.rules.order == Order::Strict {
            return self.within(at, id, event, out);
        }
        // Live first: only the next of a hole is taken here, so that what is left stays one stretch; the rest is told by
        // the history anyway.
        if self.holes[at].from.id == Some(id) {
            self.within(at, id, event, out);
        }
    }

    /// A trade of a hole's beginning, or behind a stretch that the venue does not have.
    fn within(&mut self, at: usize, id: u64, event: Event, out: &mut Out) {
        let hole = &mut self.holes[at];
        if hole.from.id.is_some_and(|from| id < from) {
            return;
        }
        let from = std::mem::replace(&mut hole.from, Mark::id(id + 1, event.timestamp));
        if let Some(missed) = from.id.map(|from| id - from).filter(|missed| *missed > 0) {
            let gap = self.rules.gap(self.stream, from.time, event.timestamp, Some(missed));
            out.events.push(gap);
        }
        out.events.push(event);
    }

    /// A trade behind the next one.
    fn beyond(&mut self, next: Mark, id: u64, event: Event, out: &mut Out) {
        let here = Mark::id(id, event.timestamp);
        if self.rules.order == Order::LiveFirst {
            if next.id != Some(id) {
                self.holes.push(Hole::new(next, here));
            }
            self.put_out(id, event, out);
            return;
        }
        if next.id == Some(id) {
            // It came late, and ends the hole or a part of it.
            self.within(0, id, event, out);
            self.next = Some(self.holes[0].from);
            self.close(out);
            return;
        }
        if self.waiting.len() >= self.rules.waiting {
            self.waiting.clear();
            self.given_up = true;
        }
        if !self.given_up {
            self.waiting.entry(id).or_insert(event);
        }
        if self.holes.is_empty() {
            self.holes.push(Hole::new(next, here));
        }
    }

    /// The hole may have been filled by what came late.
    fn close(&mut self, out: &mut Out) {
        let (Some(next), Some(end)) = (self.holes[0].from.id, self.holes[0].to.id) else {
            return;
        };
        if next >= end {
            self.holes.clear();
            self.drain(out);
        }
    }

    /// Asks for what is missing. Only when time passes: what is merely out of order has come by then.
    fn ask(&mut self, out: &mut Out) {
        for hole in &mut self.holes {
            if !hole.asked && hole.again.is_none() {
                hole.asked = true;
                out.asks.push(Range {
                    stream: self.stream,
                    from: hole.from,
                    to: hole.to,
                });
            }
        }
    }

    /// What waited goes out, up to the next hole.
    fn drain(&mut self, out: &mut Out) {
        while let Some((id, event)) = self.waiting.pop_first() {
            match self.next {
                Some(Mark { id: Some(next), .. }) if id < next => {}
                Some(next @ Mark { id: Some(ahead), .. }) if id > ahead => {
                    self.beyond(next, id, event, out);
                    return;
                }
                _ => self.put_out(id, event, out),
            }
        }
    }
}

impl Joint for TradeSeam {
    fn has_asked(&self, range: &Range) -> bool {
        self.holes.iter().any(|hole| hole.asked && hole.to == range.to)
    }
    #[inline]
    fn live(&mut self, event: Event, out: &mut Out) {
        let Some(id) = number(&event) else {
            // No venue here sends such; there is nothing to compare.
            out.events.push(event);
            return;
        };
        match self.next {
            Some(Mark { id: Some(next), .. }) if id == next && self.is_open() => self.put_out(id, event, out),
            Some(Mark { id: Some(next), .. }) if id < next => self.late(id, event, out),
            None => self.put_out(id, event, out),
            Some(next) => self.beyond(next, id, event, out),
        }
    }

    /// The history up to a mark is being read, and nothing comes live.
    fn begin(&mut self, range: &Range) {
        let mut hole = Hole::new(self.next.unwrap_or(range.from), range.to);
        hole.asked = true;
        self.holes = vec![hole];
    }

    fn disrupted(&mut self) {
        self.disrupted = true;
        self.verify_at = None;
    }

    fn page(&mut self, events: Vec<Event>, out: &mut Out) {
        for event in events {
            let Some(id) = number(&event) else { continue };
            let place = Mark::id(id, event.timestamp);
            let at = self
                .holes
                .iter()
                .position(|hole| hole.asked && !hole.from.is_after(&place) && hole.to.is_after(&place));
            if let Some(at) = at {
                self.within(at, id, event, out);
                if self.rules.order == Order::Strict {
                    self.next = Some(self.holes[at].from);
                }
            }
        }
    }

    /// The hole that was asked for is as full as it gets.
    fn told(&mut self, range: &Range, out: &mut Out) {
        let Some(at) = self.holes.iter().position(|hole| hole.asked && hole.to == range.to) else {
            return;
        };
        let hole = self.holes.remove(at);
        let (first, last) = (hole.from, hole.to);
        if self.rules.order == Order::LiveFirst {
            if let (Some(from), Some(to)) = (first.id, last.id)
                && from < to
            {
                out.events
                    .push(self.rules.gap(self.stream, first.time, last.time, Some(to - from)));
            }
            return;
        }
        self.next = Some(first);
        if let Some(to) = last.id {
            let missed = first.id.map(|from| to.saturating_sub(from));
            if missed.is_some_and(|missed| missed > 0) {
                out.events
                    .push(self.rules.gap(self.stream, first.time, last.time, missed));
            }
            if missed != Some(0) {
                self.next = Some(last);
            }
        }
        if std::mem::take(&mut self.given_up) {
            // What was given up lies behind, up to now.
            self.disrupted = true;
            self.verify_at = Some(Timestamp::UNKNOWN);
        }
        self.drain(out);
    }

    fn failed(&mut self, again: Timestamp) {
        for hole in &mut self.holes {
            if std::mem::take(&mut hole.asked) {
                hole.again = Some(again);
            }
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        for hole in &mut self.holes {
            hole.again = hole.again.filter(|again| *again > now);
        }
        self.ask(out);
        let Some(next) = self.next.filter(|_| self.disrupted && self.holes.is_empty()) else {
            return;
        };
        match self.verify_at {
            None => self.verify_at = Some(now.saturating_add(self.rules.verify_after)),
            Some(at) if at <= now => {
                (self.verify_at, self.disrupted) = (None, false);
                self.holes.push(Hole::new(next, Mark::at(now)));
                self.ask(out);
            }
            Some(_) => {}
        }
    }

    fn place(&self) -> Option<Place> {
        let next = self.next?;
        let holes = match self.rules.order {
            // The hole begins where the stream goes on: it is found again.
            Order::Strict => Vec::new(),
            Order::LiveFirst => self.holes.iter().map(|hole| [ends(hole.from), ends(hole.to)]).collect(),
        };
        Some(Place {
            id: next.id,
            time: next.time.nanos(),
            holes,
        })
    }

    fn resume(&mut self, place: &Place) {
        self.next = Some(mark((place.id, place.time)));
        self.holes = place
            .holes
            .iter()
            .map(|[from, to]| Hole::new(mark(*from), mark(*to)))
            .collect();
        self.disrupted = true;
    }
}

#[inline]
fn number(event: &Event) -> Option<u64> {
    match &event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => Some(id),
            _ => None,
        },
        _ => None,
    }
}
