//! Trades: each once, by its time and, among those of one millisecond, by its id.

use std::sync::Arc;
use std::time::Duration;

use ccxt::Value;
use qicore_data::{Data, Event, Gap, GapReason, Position, Result, Timestamp, Trade};
use serde::{Deserialize, Serialize};

use super::{Again, Range};
use crate::page::{Page, Row};
use crate::value::{self, Print};

/// A trade's offset is its time in milliseconds, and its number from 1 among those of that millisecond in the lower bits.
/// So it is the same in every run. A gap before it has the number 0.
const NUMBER_BITS: u32 = 20;
/// Where an answer has no trades, the next question is for later; further and further, up to what exchanges answer for
/// at the least (Binance: one hour).
const STEPS: [i64; 3] = [1_000, 60_000, 3_600_000];
const LONGEST_STEP: i64 = STEPS[STEPS.len() - 1];

#[derive(Debug)]
pub(super) struct Trades {
    range: Range,
    every: Duration,
    /// Trades from this time on are asked for, in milliseconds.
    ask: i64,
    /// How many answers in a row had nothing new.
    empty: usize,
    last: Option<Last>,
}

/// The last millisecond with trades.
#[derive(Debug, Clone, Default)]
struct Last {
    millis: i64,
    /// How many trades of it have been given.
    number: u64,
    /// Which ones.
    seen: Vec<Arc<str>>,
}

/// What a position says beside the offset.
#[derive(Serialize, Deserialize)]
struct Detail {
    seen: Vec<Arc<str>>,
}

impl Trades {
    pub(super) fn new(range: Range, position: Option<&Position>, every: Duration) -> Self {
        let last = position.map(|at| {
            let detail = at
                .detail
                .as_deref()
                .and_then(|text| serde_json::from_str::<Detail>(text).ok());
            Last {
                millis: (at.offset >> NUMBER_BITS) as i64,
                number: at.offset & ((1 << NUMBER_BITS) - 1),
                seen: detail.map(|detail| detail.seen).unwrap_or_default(),
            }
        });
        let ask = last.as_ref().map_or(range.from.millis(), |last| last.millis - 1);
        Self {
            range,
            every,
            ask,
            empty: 0,
            last,
        }
    }

    /// Trades of this time and later are wanted, in milliseconds. A millisecond more than needed, so that exchanges that take
    /// it as the time *behind* which trades are wanted answer with the last one again: that shows that nothing is missing.
    pub(super) fn ask(&self) -> i64 {
        self.ask
    }

    pub(super) fn take(
        &mut self,
        answer: &Value,
        now: Timestamp,
        event: impl Fn(Timestamp, Data) -> Event,
    ) -> Result<(Page, Again)> {
        let prints = value::rows(answer)?.iter().map(value::print);
        let mut prints: Vec<Print> = prints.collect::<Result<_>>()?;
        prints.sort_by_key(|print| print.millis);
        let beyond = prints.last().is_some_and(|print| self.is_beyond(print.millis));
        let cut_off = self.cut_off(&prints);
        let mut page = Page::default();
        for print in self.unseen(prints) {
            let at = Timestamp::from_millis(print.millis).unwrap_or(Timestamp::UNKNOWN);
            if !self.range.holds(at) || print.millis < 0 {
                continue;
            }
            if let (true, Some(from)) = (cut_off && page.rows.is_empty(), &self.last) {
                page.rows.push(gap(from.millis, print.millis, &event));
            }
            let (offset, detail) = self.count(print.millis, &print.trade);
            page.rows.push(Row {
                offset,
                event: event(at, print.trade.into()),
                detail: Some(detail),
            });
        }
        let again = self.go_on(&mut page, beyond, now);
        Ok((page, again))
    }

    /// Whether the answer begins behind what was seen last, though that was asked for again.
    fn cut_off(&self, prints: &[Print]) -> bool {
        match (&self.last, prints.first()) {
            (Some(last), Some(first)) => self.ask <= last.millis && last.millis < first.millis,
            _ => false,
        }
    }

    fn is_beyond(&self, millis: i64) -> bool {
        self.range.to.is_some_and(|to| millis >= to.millis())
    }

    /// The trades behind those that were given. A position that a batch was cut at has no ids: then it is the first ones of
    /// their millisecond that were given.
    fn unseen(&self, prints: Vec<Print>) -> Vec<Print> {
        let Some(last) = &self.last else { return prints };
        let mut skip = if last.seen.is_empty() { last.number } else { 0 };
        let mut seen = last.seen.clone();
        let mut is_new = |print: &Print| {
            if print.millis != last.millis {
                return print.millis > last.millis;
            }
            if skip > 0 {
                skip -= 1;
                return false;
            }
            // Each is struck off once: without ids two trades may look the same.
            match seen.iter().position(|key| **key == *key_of(&print.trade)) {
                Some(at) => {
                    seen.swap_remove(at);
                    false
                }
                None => true,
            }
        };
        prints.into_iter().filter(|print| is_new(print)).collect()
    }

    /// A trade's offset, and what its position says beside it.
    fn count(&mut self, millis: i64, trade: &Trade) -> (u64, Arc<str>) {
        let last = self.last.get_or_insert_default();
        if last.millis != millis {
            *last = Last {
                millis,
                ..Last::default()
            };
        }
        last.number = (last.number + 1).min((1 << NUMBER_BITS) - 1);
        last.seen.push(key_of(trade));
        let detail = Detail {
            seen: last.seen.clone(),
        };
        let detail = serde_json::to_string(&detail).unwrap_or_default();
        ((millis as u64) << NUMBER_BITS | last.number, detail.into())
    }

    /// What is asked next, and when.
    fn go_on(&mut self, page: &mut Page, beyond: bool, now: Timestamp) -> Again {
        let is_over = self.range.is_over(now);
        let (to, now) = (self.range.to.map(Timestamp::millis), now.millis());
        if let (Some(last), false) = (&self.last, page.rows.is_empty()) {
            self.empty = 0;
            self.ask = last.millis - 1;
            page.done = beyond;
            page.at = Timestamp::from_millis(last.millis).unwrap_or_default();
            let behind = now - last.millis > self.every.as_millis() as i64;
            return if behind { Again::Now } else { Again::Later };
        }
        let step = STEPS[self.empty.min(STEPS.len() - 1)];
        // Where the range is not over, the last hour is asked for again and again: trades may still come.
        let most = match to {
            Some(to) if is_over => to,
            _ => now - LONGEST_STEP,
        };
        let next = (self.ask + step).min(most);
        let moved = next > self.ask;
        if moved {
            self.empty += 1;
            self.ask = next;
        }
        page.done = beyond || is_over && !moved || to.is_some_and(|to| self.ask >= to);
        page.at = Timestamp::from_millis(self.ask).unwrap_or_default();
        if moved { Again::Now } else { Again::Later }
    }
}

/// What tells trades of one millisecond apart: the id, or all there is.
fn key_of(trade: &Trade) -> Arc<str> {
    match &trade.id {
        Some(id) => id.to_string().into(),
        None => format!("{}x{}", trade.price, trade.size).into(),
    }
}

/// What lies between two times is missing. It is no market data, and has no quality to speak of.
fn gap(from: i64, to: i64, event: &impl Fn(Timestamp, Data) -> Event) -> Row {
    let at = |millis| Timestamp::from_millis(millis).unwrap_or(Timestamp::UNKNOWN);
    let gap = Gap {
        from: at(from),
        to: at(to),
        reason: GapReason::Provider,
        missed: None,
    };
    let mut event = event(at(from), gap.into());
    (event.quality, event.enrichment) = (qicore_data::Quality::High, None);
    Row {
        offset: (to as u64) << NUMBER_BITS,
        event,
        detail: None,
    }
}
