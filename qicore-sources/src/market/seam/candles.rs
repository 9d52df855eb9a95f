//! Candles: each closed bar once, and again only where the venue revises it.

use std::collections::BTreeMap;
use std::time::Duration;

use qicore_data::{Event, Timeframe, Timestamp};

use super::grid::Grid;
use super::recent::{Recent, candle, is_newer, over};
use super::{Joint, Out, Place, Rules};
use crate::venue::{Mark, Range, Stream};

/// How a venue sends candles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CandleRules {
    /// It says when a bar is over. Else a bar is over when the next one begins, or some time after its end.
    pub(crate) closes: bool,
    /// It sends bars without a trade. Else a bar that does not come while the connection holds is none, and those that the
    /// history has are left out, so that the stream is the same wherever a connection was lost.
    pub(crate) sends_empty: bool,
    /// How long after Monday, 00:00 UTC, its weeks begin.
    pub(crate) week: Duration,
    /// How long after its end a bar's last message is awaited.
    pub(crate) grace: Duration,
    /// Whether the states of bars that are still open are put out too.
    pub(crate) open: bool,
}

/// A history tells a bar within this after its end, by a clock that may differ from the venue's: what it does not tell by
/// then is not there. Sooner only if it tells a later bar.
const TOLD_WITHIN: Duration = Duration::from_secs(300);
/// The same of a stretch that is read alone, and has an end.
const TOLD_ALONE_WITHIN: Duration = Duration::from_secs(60);
/// The longest pause before a bar that was not told is asked for again.
const PAUSE_AT_MOST: Duration = Duration::from_secs(60);
/// The most that messages are taken to be late, or the clock to be ahead.
const LATE_AT_MOST: Duration = Duration::from_secs(600);
/// The seam of one symbol's candles of one timeframe.
///
/// Invariants:
/// - Every closed bar that opens before `next` has been put out, and none from `next` on.
/// - What waits or is held opens at `next` or later; where bars without a trade are not sent, it has come since the last
///   disruption.
/// - A bar's message holds the whole bar, so that one message of a bar is as good as all.
/// - One range is asked for at a time. It reaches over the bar behind what is missing, which is not taken from it: when the
///   history tells that one, it is not going to tell what it has left out before.
#[derive(Debug)]
pub(super) struct CandleSeam {
    stream: Stream,
    grid: Grid,
    rules: Rules,
    /// Open time of the next bar to put out; `None` before the first message.
    next: Option<Timestamp>,
    /// The last state of a bar that is not over, of a venue that does not say when it is.
    held: Option<Event>,
    /// Messages may have been lost between `next` and what is known behind it.
    disrupted: bool,
    /// The first bar of the present that has come since the last disruption: what is missing lies before it. A late change
    /// of an older bar does not say so; if this host's clock is behind, it cannot be told apart.
    current: Option<Timestamp>,
    /// When the history has told all before this, nothing is in doubt, even if nothing comes live.
    doubt_until: Option<Timestamp>,
    /// Closed bars behind what is missing, by open time.
    pub(super) waiting: BTreeMap<Timestamp, Event>,
    asked: Option<Asked>,
    /// Nothing is to be asked for before this.
    again: Option<Timestamp>,
    /// The last pause before that; longer each time it does not help.
    pause: Duration,
    /// The venue does not send this timeframe: each bar is asked for when it is over.
    polled: bool,
    /// How late messages come by this host's clock, as far as they have shown.
    late: Duration,
    now: Timestamp,
    recent: Recent,
}

/// What has been asked for and is not told yet.
#[derive(Debug)]
struct Asked {
    range: Range,
    /// The end of what is wanted: bars from here on only say that the history is as far.
    end: Timestamp,
    /// The last bar that was told.
    reached: Option<Timestamp>,
    /// The first bar that was told as one that is not over. By the next page it may be: what lies from it on is asked again.
    open: Option<Timestamp>,
    /// What opens before this and is not told is not there.
    sure: Timestamp,
}

impl CandleSeam {
    pub(super) fn new(
        stream: Stream,
        timeframe: Timeframe,
        polled: bool,
        rules: Rules,
        since: Option<Timestamp>,
    ) -> Self {
        let grid = Grid::new(timeframe, rules.candles.week);
        Self {
            stream,
            grid,
            rules,
            next: since.map(|since| grid.ceil(since)),
            held: None,
            disrupted: since.is_some(),
            current: None,
            doubt_until: None,
            waiting: BTreeMap::new(),
            asked: None,
            again: None,
            pause: Duration::ZERO,
            polled,
            late: Duration::ZERO,
            now: Timestamp::UNKNOWN,
            recent: Recent::default(),
        }
    }

    /// A newer state of the open bar; or the next bar, which says that the one before is over. Not so what came out of order.
    fn supersede(&mut self, event: &Event, late: Duration, out: &mut Out) -> bool {
        match self.held.take() {
            Some(held) if held.timestamp > event.timestamp => {
                self.held = Some(held);
                self.closed(over(event.clone()), out);
                return false;
            }
            Some(held) if held.timestamp == event.timestamp && !is_newer(&held, event) => {
                self.held = Some(held);
                return false;
            }
            Some(held) if held.timestamp < event.timestamp => {
                self.late /= 2;
                self.closed(over(held), out);
            }
            _ => {}
        }
        self.late = self.late.max(late);
        self.held = Some(event.clone());
        true
    }

    /// A bar that is over. When too many wait, all are given up: the history has them.
    fn closed(&mut self, event: Event, out: &mut Out) {
        let open = event.timestamp;
        if self.next.is_some_and(|next| open < next) {
            return self.revised(event, out);
        }
        let known = self.waiting.get(&open);
        if known.is_none() && self.waiting.len() >= self.rules.waiting {
            self.waiting.clear();
            (self.disrupted, self.current, self.doubt_until) = (true, None, None);
        } else if known.is_none_or(|known| is_newer(known, &event)) {
            self.waiting.insert(open, event);
        }
        self.drain(out);
    }

    fn put_out(&mut self, event: Event, out: &mut Out) {
        self.recent.remember(&event);
        self.next = Some(self.grid.next(event.timestamp));
        out.events.push(event);
    }

    /// A bar that has been put out comes again.
    fn revised(&mut self, event: Event, out: &mut Out) {
        let closes = self.rules.candles.closes;
        out.events.extend(self.recent.revised(event, closes));
    }

    /// What waited goes out as far as it follows on.
    fn drain(&mut self, out: &mut Out) {
        while let Some(next) = self.next {
            let sure = [self.current, self.doubt_until]
                .into_iter()
                .flatten()
                .any(|until| until <= next);
            self.disrupted &= !sure;
            let Some(first) = self.waiting.first_entry() else { break };
            let open = *first.key();
            if open > next && (self.rules.candles.sends_empty || self.disrupted) {
                break;
            }
            let event = first.remove();
            match open < next {
                true => self.revised(event, out),
                false => self.put_out(event, out),
            }
        }
        if let Some(held) = self
            .held
            .take_if(|held| self.next.is_some_and(|next| held.timestamp < next))
        {
            self.revised(over(held), out);
        }
    }

    /// Open time of the next bar to put out.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// The first bar that is known to be there and not put out.
    fn known(&self) -> Option<Timestamp> {
        let held = self.held.as_ref().map(|held| held.timestamp);
        let waits = self.waiting.keys().next().copied();
        waits.into_iter().chain(held).min()
    }

    /// A bar of the history. It is told in order: what it has left out before this one is not there.
    fn row(&mut self, mut event: Event, out: &mut Out) {
        let open = event.timestamp;
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= open
        {
            let waited = first.remove();
            if waited.timestamp < open {
                self.behind(waited, out);
            } else if is_newer(&event, &waited) {
                event = waited;
            }
        }
        self.behind(event, out);
    }

    /// The next bar that there is.
    fn behind(&mut self, event: Event, out: &mut Out) {
        let open = event.timestamp;
        if self.next.is_some_and(|next| open < next) {
            return self.revised(event, out);
        }
        self.absent(open, out);
        let empty = candle(&event).is_some_and(|bar| bar.trades == Some(0));
        match empty && !self.rules.candles.sends_empty {
            true => self.next = Some(self.grid.next(open)),
            false => self.put_out(event, out),
        }
    }

    /// The venue has no bar before this.
    fn absent(&mut self, until: Timestamp, out: &mut Out) {
        let Some(next) = self.next.filter(|next| *next < until) else {
            return;
        };
        if self.rules.candles.sends_empty {
            let missed = self.grid.bars(next, until);
            out.events.push(self.rules.gap(self.stream, next, until, Some(missed)));
        }
        self.next = Some(until);
    }

    fn ask(&mut self, next: Timestamp, end: Timestamp, out: &mut Out) {
        let range = Range {
            stream: self.stream,
            from: Mark::at(next),
            to: Mark::at(self.grid.next(end)),
        };
        self.asked = Some(Asked {
            range,
            end,
            reached: None,
            open: None,
            sure: self.grid.floor(self.now.saturating_sub(TOLD_WITHIN)),
        });
        out.asks.push(range);
    }
}

impl Joint for CandleSeam {
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn has_asked(&self, range: &Range) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.range == *range)
    }
    fn live(&mut self, event: Event, out: &mut Out) {
        let (open, Some(candle)) = (event.timestamp, candle(&event)) else {
            return;
        };
        let next = *self.next.get_or_insert(open);
        let late = self.now.since(self.grid.next(open)).min(LATE_AT_MOST);
        if late == Duration::ZERO {
            self.current.get_or_insert(open);
        }
        if open < next {
            if !self.rules.candles.closes {
                self.late = self.late.max(late);
            }
            return self.revised(event, out);
        }
        if candle.closed {
            self.late = late;
            if let Some(held) = self.held.take_if(|held| held.timestamp <= open) {
                self.closed(over(held), out);
            }
            return self.closed(event, out);
        }
        let newest = self.rules.candles.closes || self.supersede(&event, late, out);
        if newest && self.rules.candles.open && !self.waiting.contains_key(&open) {
            out.events.push(event);
        }
    }

    /// The history up to a mark is being read, and nothing comes live.
    fn begin(&mut self, range: &Range, now: Timestamp) {
        self.now = now;
        self.next.get_or_insert(range.from.time);
        self.asked = Some(Asked {
            range: *range,
            end: range.to.time,
            reached: None,
            open: None,
            sure: self.grid.floor(now.saturating_sub(TOLD_ALONE_WITHIN)),
        });
    }

    /// What was held may have changed unseen: it is asked of the history, unless it comes again. What waits may have something
    /// missing behind it that would not show.
    fn disrupted(&mut self) {
        (self.disrupted, self.current, self.doubt_until) = (true, None, None);
        self.held = None;
        if !self.rules.candles.sends_empty {
            self.waiting.clear();
        }
    }

    fn page(&mut self, events: Vec<Event>, out: &mut Out) {
        for event in events {
            let Some(bar) = candle(&event) else {
                // What the venue does not reach back to.
                out.events.push(event);
                continue;
            };
            let Some(asked) = &mut self.asked else { return };
            asked.reached = asked.reached.max(Some(event.timestamp));
            if !bar.closed {
                asked.open.get_or_insert(event.timestamp);
            }
            if asked.open.is_none() && event.timestamp < asked.end {
                self.row(event, out);
            }
        }
        self.drain(out);
    }

    /// All that the history has of a range has come.
    fn told(&mut self, range: &Range, out: &mut Out) {
        let Some(asked) = self.asked.take_if(|asked| asked.range == *range) else {
            return;
        };
        let sure = asked.reached.map_or(asked.sure, |reached| reached.max(asked.sure));
        let there = self.known().into_iter().chain(asked.open);
        self.absent(there.fold(sure.min(asked.end), Timestamp::min), out);
        self.drain(out);
        self.pause = match self.next < Some(asked.end) {
            true => (self.pause * 2).clamp(self.rules.candles.grace, PAUSE_AT_MOST.max(self.rules.candles.grace)),
            false => Duration::ZERO,
        };
        self.again = Some(self.now.saturating_add(self.pause));
    }

    fn give_up(&mut self, range: &Range, out: &mut Out) {
        if let Some(asked) = self.asked.take_if(|asked| asked.range == *range) {
            let end = self.known().map_or(asked.end, |known| known.min(asked.end));
            if !self.rules.candles.sends_empty
                && let Some(next) = self.next.filter(|next| *next < end)
            {
                out.events.push(self.rules.gap(self.stream, next, end, None));
            }
            self.absent(end, out);
            self.drain(out);
        }
    }

    fn failed(&mut self, range: &Range, again: Timestamp) {
        if self.asked.take_if(|asked| asked.range == *range).is_some() {
            self.again = Some(again);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.now = now;
        self.again = self.again.filter(|again| *again > now);
        if self.polled {
            self.next.get_or_insert(self.grid.floor(now));
        }
        if self.disrupted && self.doubt_until.is_none() {
            // The bar of this time, wherever the venue's clock is, may have been sent before the disruption in part.
            let latest = self.grid.floor(now.saturating_add(TOLD_WITHIN));
            self.doubt_until = Some(self.grid.next(latest));
        }
        let settled = now.saturating_sub(self.rules.candles.grace + self.late);
        let ended = |held: &mut Event| self.grid.next(held.timestamp) <= settled;
        if let Some(held) = self.held.take_if(ended) {
            self.closed(over(held), out);
        }
        let (Some(next), None, None) = (self.next, &self.asked, self.again) else {
            return;
        };
        // What is missing before a bar that is known, or everything that is over.
        let end = self.known().unwrap_or(self.grid.floor(settled));
        let overdue = self.disrupted || self.polled || self.rules.candles.sends_empty || !self.waiting.is_empty();
        if overdue && next < end {
            self.ask(next, end, out);
        } else {
            self.drain(out);
        }
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            id: None,
            time: self.next?.nanos(),
            holes: Vec::new(),
        })
    }

    fn resume(&mut self, place: &Place) {
        self.next = Some(Timestamp::from_nanos(place.time));
        (self.disrupted, self.doubt_until) = (true, None);
    }
}
