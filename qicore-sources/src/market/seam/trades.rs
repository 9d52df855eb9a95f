//! Trades: each id once.

use std::collections::BTreeMap;
use std::time::Duration;

use qicore_data::{Data, Event, Timestamp, TradeId};

use super::{Joint, Order, Out, Place, Rules, ends, mark};
use crate::venue::{Mark, Range, Stream};

/// A history may lag behind what is live. What it does not tell is asked for again, until it tells something behind it, or
/// for so long.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// The pause before that.
const AGAIN: Duration = Duration::from_secs(2);
/// How far beyond this host's clock a range without a known end reaches: clocks differ.
const AHEAD: Duration = Duration::from_secs(600);

/// The seam of one symbol's trades, whose ids are consecutive numbers.
///
/// Invariants:
/// - Everything before `next` has been put out, but for what lies in `holes`, and nothing from `next` on.
/// - With strict order what comes live behind `next` is in `waiting`, and there are holes only where an earlier run was
///   live first. Live first, nothing waits.
/// - One range is asked for at a time. It reaches over the trade behind what is missing: when the history tells that one,
///   it is not going to tell what it has left out before. Only then, or after a long time, there is a `gap`.
#[derive(Debug)]
pub(super) struct TradeSeam {
    stream: Stream,
    rules: Rules,
    /// Where the stream goes on; `None` before the first trade of a stream without a history. Without an id, every trade
    /// from its time on is wanted.
    next: Option<Mark>,
    /// What is missing before `next`, in the order in which it is asked for. Each has an end with an id.
    holes: Vec<Hole>,
    /// Live trades behind `next`, by id.
    pub(super) waiting: BTreeMap<u64, Event>,
    /// So many waited that they were given up: the end of what was seen.
    given_up: Option<Mark>,
    /// What has been asked for and is not told yet, and when.
    asked: Option<(Range, Timestamp)>,
    /// Nothing is to be asked for before this.
    again: Option<Timestamp>,
    /// The history lacks what lies before this id, and was first asked then.
    lacks: Option<(u64, Timestamp)>,
    /// Messages may have been lost, and no new trade has come live since then.
    disrupted: bool,
    /// When a stream that was disrupted is asked whether it has missed something.
    verify_at: Option<Timestamp>,
    now: Timestamp,
}

/// What is missing: from a mark on, up to another.
#[derive(Debug, Clone, Copy)]
struct Hole {
    from: Mark,
    to: Mark,
}

impl Hole {
    fn is_empty(&self) -> bool {
        matches!((self.from.id, self.to.id), (Some(from), Some(to)) if from >= to)
    }

    fn contains(&self, place: &Mark) -> bool {
        !self.from.is_after(place) && self.to.is_after(place)
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
            given_up: None,
            asked: None,
            again: None,
            lacks: None,
            disrupted: since.is_some(),
            // A history that is wanted is asked for at once.
            verify_at: since.map(|_| Timestamp::UNKNOWN),
            now: Timestamp::UNKNOWN,
        }
    }

    #[inline]
    fn put_out(&mut self, id: u64, event: Event, out: &mut Out) {
        self.next = Some(Mark::id(id + 1, event.timestamp));
        out.events.push(event);
    }

    /// A trade from before the live edge: known already, unless a hole begins with it. From the midst of a hole it is left to
    /// the history, so that what is missing stays one stretch and is told in order.
    fn late(&mut self, id: u64, event: Event, out: &mut Out) {
        if let Some(at) = self.holes.iter().position(|hole| hole.from.id == Some(id)) {
            self.fill(at, id, event, out);
        }
    }

    /// The next trade that there is of a hole.
    fn fill(&mut self, at: usize, id: u64, event: Event, out: &mut Out) {
        let hole = &mut self.holes[at];
        let from = std::mem::replace(&mut hole.from, Mark::id(id + 1, event.timestamp));
        if hole.is_empty() {
            self.holes.remove(at);
        }
        self.missed(from, Mark::id(id, event.timestamp), out);
        out.events.push(event);
    }

    /// The venue has nothing between two marks.
    fn missed(&self, from: Mark, to: Mark, out: &mut Out) {
        if let (Some(first), Some(end)) = (from.id, to.id)
            && first < end
        {
            let gap = self.rules.gap(self.stream, from.time, to.time, Some(end - first));
            out.events.push(gap);
        }
    }

    /// A trade behind what is missing. When too many wait, all are given up: they are missing too.
    fn wait(&mut self, id: u64, event: Event) {
        if self.waiting.len() < self.rules.waiting || self.waiting.contains_key(&id) {
            self.waiting.entry(id).or_insert(event);
            return;
        }
        let last = self.waiting.last_key_value().map(|(id, event)| (*id, event.timestamp));
        let seen = last.max(Some((id, event.timestamp)));
        let end = seen.map(|(id, time)| Mark::id(id + 1, time));
        if self.given_up.and_then(|end| end.id) < end.and_then(|end| end.id) {
            self.given_up = end;
        }
        self.waiting.clear();
    }

    /// What waited goes out as far as it follows on.
    #[inline]
    fn drain(&mut self, out: &mut Out) {
        while let Some(Mark { id: Some(next), .. }) = self.next
            && let Some(first) = self.waiting.first_entry()
            && *first.key() <= next
        {
            let (id, event) = first.remove_entry();
            if id == next {
                self.put_out(id, event, out);
            }
        }
        if let (Some(end), Some(next)) = (self.given_up, self.next)
            && !end.is_after(&next)
        {
            self.given_up = None;
        }
    }

    /// What is missing and to be asked for first.
    fn missing(&self) -> Option<Hole> {
        if let Some(hole) = self.holes.first() {
            return Some(*hole);
        }
        let waits = self.waiting.first_key_value();
        let to = waits.map(|(id, event)| Mark::id(*id, event.timestamp));
        Some(Hole {
            from: self.next?,
            to: to.or(self.given_up)?,
        })
    }

    /// A trade of the history. It is told in order, from `asked` on: what it has left out before this one is not there.
    fn row(&mut self, asked: Mark, id: u64, event: Event, out: &mut Out) {
        let here = Mark::id(id, event.timestamp);
        while let Some(at) = self.holes.iter().position(|hole| {
            let passed = hole.to.id.is_some_and(|end| end <= id);
            passed && !asked.is_after(&hole.from)
        }) {
            let hole = self.holes.remove(at);
            self.missed(hole.from, hole.to, out);
        }
        if let Some(at) = self.holes.iter().position(|hole| hole.contains(&here)) {
            return self.fill(at, id, event, out);
        }
        while let Some(first) = self.waiting.first_entry()
            && *first.key() < id
        {
            let (id, event) = first.remove_entry();
            self.behind(id, event, out);
        }
        self.behind(id, event, out);
        self.drain(out);
    }

    /// The next trade that there is from the edge on.
    fn behind(&mut self, id: u64, event: Event, out: &mut Out) {
        let (here, Some(next)) = (Mark::id(id, event.timestamp), self.next) else {
            return;
        };
        if !next.is_after(&here) {
            self.missed(next, here, out);
            self.put_out(id, event, out);
        }
    }

    /// The venue no longer has what is missing first.
    fn lost(&mut self, hole: Hole, out: &mut Out) {
        self.lacks = None;
        self.missed(hole.from, hole.to, out);
        if self.holes.is_empty() {
            self.next = Some(hole.to);
            self.drain(out);
        } else {
            self.holes.remove(0);
        }
    }

    /// What may be missing of a range in which nothing is known to be. Up to now, if it has no other end: and nothing behind an id,
    /// where the id of the next trade tells.
    fn unknown(&self, range: &Range) -> Option<Hole> {
        let (from, to) = (self.next?, range.to);
        match (from.id, to.id) {
            (_, Some(_)) => Some(Hole { from, to }),
            (Some(_), None) => None,
            (None, None) => Some(Hole {
                from,
                to: Mark::at(to.time.min(self.now).max(from.time)),
            }),
        }
    }

    fn ask(&mut self, from: Mark, to: Mark, out: &mut Out) {
        let stream = self.stream;
        let range = Range { stream, from, to };
        self.asked = Some((range, self.now));
        out.asks.push(range);
    }
}

impl Joint for TradeSeam {
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn has_asked(&self, range: &Range) -> bool {
        self.asked.is_some_and(|(asked, _)| asked == *range)
    }
    #[inline]
    fn live(&mut self, event: Event, out: &mut Out) {
        let Some(id) = number(&event) else {
            // No venue here sends such; there is nothing to compare.
            out.events.push(event);
            return;
        };
        let here = Mark::id(id, event.timestamp);
        let next = *self.next.get_or_insert(here);
        if next.is_after(&here) {
            return self.late(id, event, out);
        }
        // Whatever was lost lies before this trade, and shows by its id.
        (self.disrupted, self.verify_at) = (false, None);
        if next.id == Some(id) {
            self.put_out(id, event, out);
            self.drain(out);
        } else if self.rules.order == Order::LiveFirst {
            self.holes.push(Hole { from: next, to: here });
            self.put_out(id, event, out);
        } else {
            self.wait(id, event);
        }
    }

    /// The history up to a mark is being read, and nothing comes live.
    fn begin(&mut self, range: &Range, _now: Timestamp) {
        self.next.get_or_insert(range.from);
        self.asked = Some((*range, Timestamp::UNKNOWN));
    }

    fn disrupted(&mut self) {
        self.disrupted = true;
        self.verify_at = None;
    }

    fn page(&mut self, events: Vec<Event>, out: &mut Out) {
        for event in events {
            if let (Some(id), Some((asked, _))) = (number(&event), self.asked) {
                self.row(asked.from, id, event, out);
            }
        }
    }

    /// All that the history has of a range has come.
    fn told(&mut self, range: &Range, out: &mut Out) {
        let Some((_, at)) = self.asked.take_if(|(asked, _)| asked == range) else {
            return;
        };
        let (Some(hole), Some(end)) = (self.missing(), range.to.id) else {
            return;
        };
        let Some(last) = hole
            .to
            .id
            .filter(|last| *last < end && !range.from.is_after(&hole.from))
        else {
            return;
        };
        // Nothing behind the hole was told: the history may not be as far yet.
        match self.lacks {
            Some((id, first)) if id == last && first.saturating_add(TOLD_WITHIN) <= at => self.lost(hole, out),
            known => {
                self.lacks = known.filter(|(id, _)| *id == last).or(Some((last, at)));
                self.again = Some(self.now.saturating_add(AGAIN));
            }
        }
    }

    fn give_up(&mut self, range: &Range, out: &mut Out) {
        if self.asked.take_if(|(asked, _)| asked == range).is_none() {
            return;
        }
        if let Some(hole) = self.missing().or_else(|| self.unknown(range)) {
            if hole.from.id.is_none() {
                let gap = self.rules.gap(self.stream, hole.from.time, hole.to.time, None);
                out.events.push(gap);
            }
            self.lost(hole, out);
        }
    }

    fn failed(&mut self, range: &Range, again: Timestamp) {
        if self.asked.take_if(|(asked, _)| asked == range).is_none() {
            return;
        }
        self.again = Some(again);
        if range.to.id.is_none() {
            (self.disrupted, self.verify_at) = (true, Some(again));
        }
        if self.holes.len() > 1 {
            // It must not keep the others from being asked for.
            self.holes.rotate_left(1);
        }
    }

    /// Asks for what is missing. Only when time passes: what is merely out of order has come by then.
    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.now = now;
        self.again = self.again.filter(|again| *again > now);
        let (None, None, Some(next)) = (&self.asked, self.again, self.next) else {
            return;
        };
        if let Some(Hole { from, to }) = self.missing() {
            let behind = to.id.map(|id| id + 1);
            return self.ask(from, Mark { id: behind, ..to }, out);
        }
        match self.verify_at {
            _ if !self.disrupted => {}
            None => self.verify_at = Some(now.saturating_add(self.rules.verify_after)),
            Some(at) if at <= now => {
                (self.verify_at, self.disrupted) = (None, false);
                self.ask(next, Mark::at(now.max(next.time).saturating_add(AHEAD)), out);
            }
            Some(_) => {}
        }
    }

    fn place(&self) -> Option<Place> {
        let next = self.next?;
        Some(Place {
            id: next.id,
            time: next.time.nanos(),
            holes: self.holes.iter().map(|hole| [ends(hole.from), ends(hole.to)]).collect(),
        })
    }

    fn resume(&mut self, place: &Place) {
        self.next = Some(mark((place.id, place.time)));
        let hole = |[from, to]: &[_; 2]| Hole {
            from: mark(*from),
            to: mark(*to),
        };
        self.holes = place.holes.iter().map(hole).filter(|hole| !hole.is_empty()).collect();
        (self.disrupted, self.verify_at) = (true, None);
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
