//! Bars: each once, when it is over. A bar's offset is its open time in seconds.

use ccxt::Value;
use qicore_data::{Candle, Data, Event, Position, Result, Timeframe, Timestamp};

use super::{Again, GRACE, Range};
use crate::page::{Page, Row};
use crate::value;

/// Where an answer has no bars, the market is taken to have had none for so many bars: exchanges answer for a window of
/// at least that length.
const HOLE: u32 = 100;

#[derive(Debug)]
pub(super) struct Candles {
    timeframe: Timeframe,
    range: Range,
    /// The open time of the next bar.
    next: Timestamp,
    hole: u32,
}

impl Candles {
    /// Answers have at most `page` bars, where that is configured.
    pub(super) fn new(timeframe: Timeframe, range: Range, position: Option<&Position>, page: Option<u32>) -> Self {
        let last = position.and_then(|at| Timestamp::from_secs(i64::try_from(at.offset).ok()?));
        let next = last.map_or(range.from, |last| timeframe.next(last));
        Self {
            timeframe,
            range,
            next,
            hole: page.unwrap_or(HOLE).min(HOLE),
        }
    }

    /// The timeframe, and the first open time wanted in milliseconds.
    pub(super) fn ask(&self) -> (Timeframe, i64) {
        (self.timeframe, self.next.millis())
    }

    pub(super) fn take(
        &mut self,
        answer: &Value,
        now: Timestamp,
        event: impl Fn(Timestamp, Data) -> Event,
    ) -> Result<(Page, Again)> {
        let bars = value::rows(answer)?.iter().map(|row| value::bar(row, self.timeframe));
        let mut bars: Vec<(Timestamp, Candle)> = bars.collect::<Result<_>>()?;
        bars.sort_by_key(|(open, _)| *open);
        bars.dedup_by_key(|(open, _)| *open);
        let newest = bars.last().map(|(open, _)| *open);
        let is_over = |open| newest > Some(open) || self.ends_before(open, now);
        let new = |open| open >= self.next && self.range.holds(open);
        let mut page = Page::default();
        for (open, candle) in bars.into_iter().filter(|(open, _)| new(*open) && is_over(*open)) {
            let Ok(offset) = u64::try_from(open.nanos() / 1_000_000_000) else {
                continue;
            };
            page.rows.push(Row {
                offset,
                event: event(open, candle.into()),
                detail: None,
            });
        }
        let moved = match page.rows.last() {
            Some(row) => {
                self.next = self.timeframe.next(row.event.timestamp);
                true
            }
            None => self.step_over(now),
        };
        page.at = self.next;
        page.done = self.range.to.is_some_and(|to| self.next >= to);
        let more = moved && self.ends_before(self.next, now);
        Ok((page, if more { Again::Now } else { Again::Later }))
    }

    fn ends_before(&self, open: Timestamp, now: Timestamp) -> bool {
        self.timeframe.next(open).saturating_add(GRACE) <= now
    }

    /// Steps over a stretch without bars, if it is old enough that none can come any more.
    fn step_over(&mut self, now: Timestamp) -> bool {
        let behind = (0..self.hole).fold(self.next, |open, _| self.timeframe.next(open));
        self.next = match self.range.to {
            Some(to) if self.range.is_over(now) => behind.min(to),
            _ if self.ends_before(behind, now) => behind,
            _ => return false,
        };
        true
    }
}
