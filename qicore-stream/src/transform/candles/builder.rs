//! The lane's candles: which bar a trade goes to, and which bars its time closes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use qicore_data::{Data, Event, Exchange, Gap, GapReason, Label, Result, Symbol, Timeframe, Timestamp, Trade};

use super::bar::{Bar, Print};
use super::config::{CandlesConfig, Empty};
use super::frame::Frame;
use super::problem::{Problem, Problems};
use super::reasons::Reasons;

/// The end of an interval: by time, then by symbol in the order of first appearance, then by timeframe. Candles close in
/// this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    ends: Timestamp,
    slot: usize,
    opens: Timestamp,
}

/// The names of a series are hashes already; they only have to be mixed.
#[derive(Debug, Clone, Copy, Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Index = HashMap<(Exchange, Symbol), usize, BuildHasherDefault<NameHasher>>;

#[derive(Debug, Clone)]
pub(super) struct Builder {
    pub(super) config: CandlesConfig,
    source: Label,
    reasons: Reasons,
    problems: Problems,
    /// The latest event time of a trade.
    pub(super) newest: Timestamp,
    /// `newest` less the allowed lateness: bars that end by then are closed. It is the whole lane's, so that a symbol
    /// that falls silent gets its last candle when the others move on.
    watermark: Timestamp,
    /// In the order of first appearance.
    pub(super) series: Vec<(Exchange, Symbol)>,
    index: Index,
    /// Slot `series × timeframes + timeframe`.
    pub(super) frames: Vec<Frame>,
    due: BinaryHeap<Reverse<Due>>,
    /// The first end in `due`.
    next_due: Timestamp,
}

impl Builder {
    pub(super) fn new(config: CandlesConfig) -> Result<Self> {
        Ok(Self {
            config: config.checked()?,
            source: super::name("candles")?,
            reasons: Reasons::new()?,
            problems: Problems::new()?,
            newest: Timestamp::from_nanos(i64::MIN),
            watermark: Timestamp::from_nanos(i64::MIN),
            series: Vec::new(),
            index: Index::default(),
            frames: Vec::new(),
            due: BinaryHeap::new(),
            next_due: Timestamp::MAX,
        })
    }

    /// Takes an event and appends the candles and alerts that it leads to.
    #[inline]
    pub(super) fn take(&mut self, event: &Event, out: &mut Vec<Event>) {
        match &event.data {
            Data::Trade(trade) => self.trade(event, trade, out),
            Data::Gap(gap) => self.gap(event, gap),
            _ => {}
        }
    }

    #[inline]
    fn trade(&mut self, event: &Event, trade: &Trade, out: &mut Vec<Event>) {
        let print = Print::new(event, trade);
        if let Err(problem) = self.timely(event) {
            return out.push(
                self.problems
                    .alert(event, self.source, problem, &self.config.timeframes),
            );
        }
        let base = self.series_of(event) * self.config.timeframes.len();
        let mut late = Vec::new();
        for which in 0..self.config.timeframes.len() {
            let newest = self.frames[base + which].bars.back_mut();
            let added = match newest.filter(|bar| !bar.closed && bar.holds(print.at)) {
                Some(bar) if self.config.emit_open.is_none() => bar.add(&print).map_err(Problem::from),
                _ => self.place(base + which, &print, out),
            };
            match added {
                Ok(()) => {}
                Err(Problem::Late) => late.push(self.config.timeframes[which]),
                Err(problem) => {
                    let frame = &self.config.timeframes[which..=which];
                    out.push(self.problems.alert(event, self.source, problem, frame));
                }
            }
        }
        if !late.is_empty() {
            out.push(self.problems.alert(event, self.source, Problem::Late, &late));
        }
        if print.at > self.newest {
            self.advance(print.at);
        }
        self.close_due(out);
    }

    /// Whether a trade's time can be its time.
    #[inline]
    fn timely(&self, event: &Event) -> Result<(), Problem> {
        if event.timestamp == Timestamp::UNKNOWN {
            return Err(Problem::Untimed);
        }
        let tolerance = self.config.future_tolerance;
        match event.received {
            Some(received) if event.timestamp > received.saturating_add(tolerance) => Err(Problem::Future),
            _ => Ok(()),
        }
    }

    #[inline]
    fn series_of(&mut self, event: &Event) -> usize {
        let names = (event.exchange, event.symbol);
        match self.index.get(&names) {
            Some(series) => *series,
            None => self.add_series(names, &vec![Frame::new(event.timestamp); self.config.timeframes.len()]),
        }
    }

    /// Adds a series with a frame for each timeframe.
    pub(super) fn add_series(&mut self, names: (Exchange, Symbol), frames: &[Frame]) -> usize {
        let series = self.series.len();
        self.series.push(names);
        self.frames.extend_from_slice(frames);
        self.index.insert(names, series);
        series
    }

    fn timeframe(&self, slot: usize) -> Timeframe {
        self.config.timeframes[slot % self.config.timeframes.len()]
    }

    /// Whether a bar that ends at `ends` is closed for so long that it can no longer be corrected.
    pub(super) fn expired(&self, ends: Timestamp) -> bool {
        ends.saturating_add(self.config.correct_for) <= self.watermark
    }

    /// Adds a trade to the bar of its time, whichever that is.
    fn place(&mut self, slot: usize, print: &Print, out: &mut Vec<Event>) -> Result<(), Problem> {
        let timeframe = self.timeframe(slot);
        let opens = timeframe.floor(print.at);
        let ends = timeframe.next(opens);
        if self.expired(ends) {
            return Err(Problem::Late);
        }
        let frame = &mut self.frames[slot];
        match frame.find(opens) {
            Ok(place) if frame.bars[place].closed => self.correct(slot, place, print, out),
            Ok(place) => {
                frame.bars[place].add(print)?;
                self.show(slot, place, print, out);
                Ok(())
            }
            Err(place) => {
                let mut bar = Bar::new(opens, ends, print, frame.quality_at(opens));
                bar.closed = ends <= self.watermark;
                frame.bars.insert(place, bar);
                self.begun(slot, place, print, out);
                Ok(())
            }
        }
    }

    /// A bar has got its first trade.
    fn begun(&mut self, slot: usize, place: usize, print: &Print, out: &mut Vec<Event>) {
        let bar = &self.frames[slot].bars[place];
        let (opens, ends) = (bar.opens, bar.ends);
        if bar.closed {
            self.closed(slot, place, out);
        } else {
            self.push_due(Due { ends, slot, opens });
            self.show(slot, place, print, out);
        }
    }

    /// A late trade corrects a closed bar, and the price that later empty intervals carry on from it.
    fn correct(&mut self, slot: usize, place: usize, print: &Print, out: &mut Vec<Event>) -> Result<(), Problem> {
        let frame = &mut self.frames[slot];
        let quality = frame.quality_at(frame.bars[place].opens);
        let bar = &mut frame.bars[place];
        if bar.carried == 0 {
            bar.add(print)?;
        } else {
            let (closed, revision) = (bar.closed, bar.revision);
            *bar = Bar::new(bar.opens, bar.ends, print, quality);
            (bar.closed, bar.revision) = (closed, revision);
        }
        bar.revision = bar.revision.saturating_add(1);
        out.push(self.event(slot, place));
        for next in place + 1..self.frames[slot].bars.len() {
            let bars = &mut self.frames[slot].bars;
            if bars[next].carried == 0 || bars[next].opens != bars[next - 1].ends {
                break;
            }
            let again = Bar::carry(&bars[next - 1], bars[next].ends);
            let revision = bars[next].revision;
            let changed = bars[next].close != again.close;
            bars[next] = again;
            bars[next].revision = revision.saturating_add(u32::from(changed));
            if changed {
                out.push(self.event(slot, next));
            }
        }
        Ok(())
    }

    /// Puts out a bar that is still open, if that is wanted and due.
    fn show(&mut self, slot: usize, place: usize, print: &Print, out: &mut Vec<Event>) {
        let Some(every) = self.config.emit_open else {
            return;
        };
        let bar = &mut self.frames[slot].bars[place];
        let waited = |shown: Timestamp| print.at >= shown.saturating_add(every);
        if every.is_zero() || bar.shown.is_none_or(waited) {
            bar.shown = Some(print.at);
            out.push(self.event(slot, place));
        }
    }

    /// Sets how far the lane has come.
    pub(super) fn advance(&mut self, newest: Timestamp) {
        self.newest = newest;
        self.watermark = newest.saturating_sub(self.config.allowed_lateness);
    }

    /// Closes what ends by the watermark.
    #[inline]
    fn close_due(&mut self, out: &mut Vec<Event>) {
        while self.next_due <= self.watermark {
            let Some(Reverse(due)) = self.due.pop() else {
                break;
            };
            self.close(due, out);
            self.next_due = self.due.peek().map_or(Timestamp::MAX, |Reverse(next)| next.ends);
        }
    }

    fn close(&mut self, due: Due, out: &mut Vec<Event>) {
        let (carry, most) = (self.config.empty == Empty::Carry, self.config.max_carry);
        let frame = &mut self.frames[due.slot];
        let place = match frame.find(due.opens) {
            Ok(place) if frame.bars[place].closed => return,
            Ok(place) => {
                frame.bars[place].closed = true;
                place
            }
            Err(place) => {
                let previous = place.checked_sub(1).map(|previous| &frame.bars[previous]);
                let previous = previous.filter(|bar| carry && bar.ends == due.opens && bar.carried < most);
                let Some(carried) = previous.map(|bar| Bar::carry(bar, due.ends)) else {
                    return;
                };
                frame.bars.insert(place, carried);
                place
            }
        };
        self.closed(due.slot, place, out);
    }

    /// Puts out a bar that has just been closed.
    fn closed(&mut self, slot: usize, place: usize, out: &mut Vec<Event>) {
        out.push(self.event(slot, place));
        let ends = self.frames[slot].bars[place].ends;
        if self.config.empty == Empty::Carry {
            self.expect(slot, ends);
        }
        let (correct_for, watermark) = (self.config.correct_for, self.watermark);
        self.frames[slot].forget(|bar| bar.ends.saturating_add(correct_for) <= watermark);
    }

    /// Looks at the interval that starts at `opens` when it ends, whether it has trades or not.
    fn expect(&mut self, slot: usize, opens: Timestamp) {
        let ends = self.timeframe(slot).next(opens);
        // At the end of representable time an interval has no end.
        if ends > opens {
            self.push_due(Due { ends, slot, opens });
        }
    }

    fn push_due(&mut self, due: Due) {
        self.next_due = self.next_due.min(due.ends);
        self.due.push(Reverse(due));
    }

    /// Rebuilds what is due from the frames, as it was when they were saved.
    pub(super) fn rebuild_due(&mut self) {
        self.due.clear();
        self.next_due = Timestamp::MAX;
        for slot in 0..self.frames.len() {
            for place in 0..self.frames[slot].bars.len() {
                let bar = &self.frames[slot].bars[place];
                let (opens, ends) = (bar.opens, bar.ends);
                if !bar.closed {
                    self.push_due(Due { ends, slot, opens });
                } else if self.config.empty == Empty::Carry && self.timeframe(slot).next(ends) > self.watermark {
                    self.expect(slot, ends);
                }
            }
        }
    }

    /// Trades are missing: the bars of that time are no longer whole. A checksum says nothing about trades.
    fn gap(&mut self, event: &Event, gap: &Gap) {
        let Some(series) = self.index.get(&(event.exchange, event.symbol)) else {
            return;
        };
        if gap.reason == GapReason::Checksum {
            return;
        }
        let to = if gap.to == Timestamp::UNKNOWN {
            event.timestamp
        } else {
            gap.to
        };
        let count = self.config.timeframes.len();
        for frame in &mut self.frames[series * count..(series + 1) * count] {
            frame.miss(gap.from, to);
        }
    }

    /// The bars that are still open, in the order in which they would close.
    pub(super) fn open(&self) -> Vec<Event> {
        let open = self.due.iter().filter_map(|Reverse(due)| {
            let place = self.frames[due.slot].find(due.opens).ok()?;
            (!self.frames[due.slot].bars[place].closed).then_some((*due, place))
        });
        let mut open: Vec<_> = open.collect();
        open.sort_unstable();
        open.dedup();
        open.iter().map(|(due, place)| self.event(due.slot, *place)).collect()
    }

    fn event(&self, slot: usize, place: usize) -> Event {
        let (exchange, symbol) = self.series[slot / self.config.timeframes.len()];
        let frame = &self.frames[slot];
        let bar = &frame.bars[place];
        let mut event = Event::new(
            exchange,
            symbol,
            bar.opens,
            self.source,
            bar.candle(self.timeframe(slot)),
        );
        event.received = bar.received;
        event.quality = bar.quality;
        event.enrichment = self.reasons.of(frame, bar);
        event
    }
}
