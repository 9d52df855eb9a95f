//! Tickers: what each answer says, unless it is what the one before said.

use ccxt::Value;
use qicore_data::{Data, Event, Position, Result, Ticker, Timestamp};

use super::Again;
use crate::page::{Page, Row};
use crate::value;

#[derive(Debug)]
pub(super) struct Tickers {
    /// The last offset: milliseconds of the local clock, or one more than the one before.
    offset: u64,
    before: Option<(Timestamp, Ticker)>,
}

impl Tickers {
    pub(super) fn new(position: Option<&Position>) -> Self {
        Self {
            offset: position.map_or(0, |at| at.offset),
            before: None,
        }
    }

    pub(super) fn take(
        &mut self,
        answer: &Value,
        now: Timestamp,
        event: impl Fn(Timestamp, Data) -> Event,
    ) -> Result<(Page, Again)> {
        let (at, ticker) = value::ticker(answer)?;
        let mut page = Page {
            at: now,
            ..Page::default()
        };
        let told = at.map(|at| (at, ticker.clone()));
        if told.is_none() || told != self.before {
            self.before = told;
            self.offset = u64::try_from(now.millis()).unwrap_or(0).max(self.offset + 1);
            page.rows.push(Row {
                offset: self.offset,
                event: event(at.unwrap_or(now), ticker.into()),
                detail: None,
            });
        }
        Ok((page, Again::Later))
    }
}
