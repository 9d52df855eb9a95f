//! Candles: each closed bar once, and again only where the venue revises it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use qicore_data::{Candle, Data, Event, Timeframe, Timestamp};

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
    /// How long after its end a bar's last message is awaited.
    pub(crate) grace: Duration,
    /// Whether the states of bars that are still open are put out too.
    pub(crate) open: bool,
}

/// A history may tell a bar some time after its end: a bar that is not there is taken for one without a trade only when
/// it is over for so long.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Bars that are compared with what comes again.
const REMEMBERED: usize = 64;

/// The seam of one symbol's candles of one timeframe.
///
/// Invariant: every closed bar that opens before `next` has been put out. A bar's message holds the whole bar, so that
/// one message of a bar is as good as all.
#[derive(Debug)]
pub(super) struct CandleSeam {
    stream: Stream,
    timeframe: Timeframe,
    rules: Rules,
    /// Open time of the next bar to put out; `None` before the first message.
    next: Option<Timestamp>,
    /// The last state of a bar that is not over, of a venue that does not say when it is.
    held: Option<Event>,
    /// Messages may have been lost since the last bar was put out.
    disrupted: bool,
    /// Closed bars beyond what is missing, by open time.
    waiting: BTreeMap<Timestamp, Event>,
    /// What is missing and has been asked for.
    asked: Option<Range>,
    /// Nothing is to be asked for before this.
    again: Option<Timestamp>,
    /// The venue does not send this timeframe: each bar is asked for when it is over.
    polled: bool,
    /// Open time of a bar that the history has as one that is not over.
    still_open: Option<Timestamp>,
    now: Timestamp,
    recent: VecDeque<(Timestamp, Candle)>,
}

impl CandleSeam {
    pub(super) fn new(
        stream: Stream,
        timeframe: Timeframe,
        polled: bool,
        rules: Rules,
        since: Option<Timestamp>,
    ) -> Self {
        let first = |since| match timeframe.floor(since) {
            floor if floor == since => since,
            floor => timeframe.next(floor),
        };
        Self {
            stream,
            timeframe,
            rules,
            next: since.map(first),
            held: None,
            disrupted: since.is_some(),
            waiting: BTreeMap::new(),
            asked: None,
            again: None,
            polled,
            still_open: None,
            now: Timestamp::UNKNOWN,
            recent: VecDeque::new(),
        }
    }

    /// A newer state of the open bar; or the next bar, which says that the one before is over.
    fn supersede(&mut self, event: &Event, out: &mut Out) {
        match self.held.replace(event.clone()) {
            Some(before) if before.timestamp > event.timestamp => {
                // Out of order: the later bar stays, and this one is over.
                let late = self.held.replace(before);
                if let Some(late) = late {
                    self.closed(over(late), out);
                }
            }
            Some(before) if before.timestamp < event.timestamp => self.closed(over(before), out),
            _ => {}
        }
    }

    /// A bar that is over.
    fn closed(&mut self, event: Event, out: &mut Out) {
        let Some(next) = self.next else { return };
        if event.timestamp < next {
            return self.revised(event, out);
        }
        let follows = event.timestamp == next || !self.rules.candles.sends_empty && !self.disrupted;
        if follows && self.asked.is_none() && self.waiting.is_empty() {
            return self.put_out(event, out);
        }
        self.waiting.insert(event.timestamp, event);
        self.drain(out);
    }

    fn put_out(&mut self, event: Event, out: &mut Out) {
        let Some(candle) = candle(&event) else { return };
        self.recent.push_back((event.timestamp, candle.clone()));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        self.next = Some(self.timeframe.next(event.timestamp));
        out.events.push(event);
    }

    /// A bar that has been put out comes again: with other values it is a revision.
    fn revised(&mut self, mut event: Event, out: &mut Out) {
        let Data::Candle(new) = &mut event.data else { return };
        let Some((_, known)) = self.recent.iter_mut().find(|(open, _)| *open == event.timestamp) else {
            return;
        };
        // A venue that does not say when a bar is over sends late changes of one that was taken for over.
        if !new.closed && self.rules.candles.closes || same(known, new) {
            return;
        }
        (new.closed, new.revision) = (true, known.revision + 1);
        *known = new.clone();
        out.events.push(event);
    }

    /// What waited goes out as far as it follows on.
    fn drain(&mut self, out: &mut Out) {
        while self.asked.is_none()
            && let Some(first) = self.waiting.first_entry()
        {
            let open = *first.key();
            match self.next {
                Some(next) if open < next => {
                    first.remove();
                }
                Some(next) if open == next || !self.rules.candles.sends_empty && !self.disrupted => {
                    let event = first.remove();
                    self.put_out(event, out);
                }
                _ => return,
            }
        }
    }

    /// The bars from one open time to another.
    fn bars(&self, from: Timestamp, to: Timestamp) -> u64 {
        match self.timeframe.length() {
            Some(length) => (to.since(from).as_nanos() / length.as_nanos().max(1)) as u64,
            None => std::iter::successors(Some(from), |at| Some(self.timeframe.next(*at)))
                .take_while(|at| *at < to)
                .count() as u64,
        }
    }

    /// A bar that opens before this and is not in the history is not going to be.
    fn sure_until(&mut self) -> Timestamp {
        let old = self.timeframe.floor(self.now.saturating_sub(TOLD_WITHIN));
        // A bar that came live, or is there and not over, says that the history is as far.
        let later = self
            .waiting
            .keys()
            .next()
            .copied()
            .or(self.held.as_ref().map(|held| held.timestamp));
        let until = later.unwrap_or(old).max(old);
        self.still_open.take().map_or(until, |open| until.min(open))
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }
}

impl Joint for CandleSeam {
    fn has_asked(&self, range: &Range) -> bool {
        self.asked.as_ref() == Some(range)
    }
    fn live(&mut self, event: Event, out: &mut Out) {
        let (open, Some(candle)) = (event.timestamp, candle(&event)) else {
            return;
        };
        let next = *self.next.get_or_insert(open);
        if open < next {
            return self.revised(event, out);
        }
        if candle.closed {
            self.held = None;
            return self.closed(event, out);
        }
        if !self.rules.candles.closes {
            self.supersede(&event, out);
        }
        if self.rules.candles.open {
            out.events.push(event);
        }
    }

    /// The history up to a mark is being read, and nothing comes live.
    fn begin(&mut self, range: &Range) {
        (self.asked, self.now) = (Some(*range), Timestamp::now());
    }

    /// What was held may have changed unseen: it is asked of the history, unless it comes again.
    fn disrupted(&mut self) {
        self.disrupted = true;
        self.held = None;
    }

    fn page(&mut self, events: Vec<Event>, out: &mut Out) {
        for event in events {
            let (Some(bar), Some(next)) = (candle(&event), self.next) else {
                // What the venue does not reach back to.
                out.events.push(event);
                continue;
            };
            if event.timestamp < next {
                continue;
            }
            if !bar.closed {
                self.still_open = Some(event.timestamp);
                break;
            }
            if bar.trades == Some(0) && !self.rules.candles.sends_empty {
                self.next = Some(self.timeframe.next(event.timestamp));
                continue;
            }
            if event.timestamp > next && self.rules.candles.sends_empty {
                let missed = self.bars(next, event.timestamp);
                out.events
                    .push(self.rules.gap(self.stream, next, event.timestamp, Some(missed)));
            }
            self.put_out(event, out);
        }
    }

    fn told(&mut self, range: &Range, out: &mut Out) {
        if self.asked.as_ref() != Some(range) {
            return;
        }
        self.asked = None;
        let Some(next) = self.next else { return };
        let end = range.to.time.min(self.sure_until());
        if next < end {
            if self.rules.candles.sends_empty {
                let missed = self.bars(next, end);
                out.events.push(self.rules.gap(self.stream, next, end, Some(missed)));
            }
            self.next = Some(end);
        }
        match end < range.to.time {
            true => self.again = Some(self.now.saturating_add(self.rules.candles.grace)),
            false => self.disrupted = false,
        }
        self.drain(out);
    }

    fn failed(&mut self, again: Timestamp) {
        self.asked = None;
        self.again = Some(again);
    }

    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.now = now;
        self.again = self.again.filter(|again| *again > now);
        if self.polled {
            self.next.get_or_insert(self.timeframe.floor(now));
        }
        let (Some(next), None, None) = (self.next, &self.asked, self.again) else {
            return;
        };
        let settled = now.saturating_sub(self.rules.candles.grace);
        if !self.disrupted
            && let Some(held) = self.held.take_if(|held| self.timeframe.next(held.timestamp) <= settled)
        {
            return self.closed(over(held), out);
        }
        // Everything that is over, or what is missing before a bar that waits.
        let over_until = self.timeframe.floor(settled);
        let known = self
            .waiting
            .keys()
            .next()
            .or(self.held.as_ref().map(|held| &held.timestamp));
        let end = known.copied().unwrap_or(over_until).max(next);
        let overdue = self.disrupted || self.polled || self.rules.candles.sends_empty || !self.waiting.is_empty();
        if overdue && next < end {
            let range = Range {
                stream: self.stream,
                from: Mark::at(next),
                to: Mark::at(end),
            };
            self.asked = Some(range);
            out.asks.push(range);
        } else if self.disrupted && (self.held.is_some() || !self.waiting.is_empty()) {
            // What came since the disruption follows on what was put out.
            self.disrupted = false;
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
        self.disrupted = true;
    }
}

pub(super) fn candle(event: &Event) -> Option<&Candle> {
    match &event.data {
        Data::Candle(candle) => Some(candle),
        _ => None,
    }
}

/// The last state of a bar as that of one that is over.
fn over(mut event: Event) -> Event {
    if let Data::Candle(candle) = &mut event.data {
        candle.closed = true;
    }
    event
}

/// Whether two states of a bar say the same. Not all channels of a venue tell the number of trades and quote volume.
fn same(known: &Candle, new: &Candle) -> bool {
    let agree = |known: Option<u64>, new: Option<u64>| known.is_none() || new.is_none() || known == new;
    known.open == new.open
        && known.high == new.high
        && known.low == new.low
        && known.close == new.close
        && known.volume == new.volume
        && agree(known.trades, new.trades)
}
