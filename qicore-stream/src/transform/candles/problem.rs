use qicore_data::{Alert, Data, Event, Label, Result, Severity, Timeframe};

use super::bar::Overflow;

/// Why a trade is in no candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// Its candle can no longer be corrected.
    Late,
    /// It is later than its receipt.
    Future,
    /// Nobody knows its time.
    Untimed,
    /// Its candle's volume would not be exact.
    Overflow,
}

impl From<Overflow> for Problem {
    fn from(_: Overflow) -> Self {
        Self::Overflow
    }
}

impl Problem {
    fn message(self) -> &'static str {
        match self {
            Self::Late => "came after its candle could be corrected",
            Self::Future => "is later than its receipt",
            Self::Untimed => "has no time",
            Self::Overflow => "would make the candle's volume inexact",
        }
    }
}

/// The names of the alerts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Problems {
    late: Label,
    future: Label,
    untimed: Label,
    overflow: Label,
}

impl Problems {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            late: super::name("late_trade")?,
            future: super::name("future_trade")?,
            untimed: super::name("untimed_trade")?,
            overflow: super::name("volume_overflow")?,
        })
    }

    /// Says that a trade is missing from the candles of these timeframes.
    #[cold]
    pub(super) fn alert(&self, trade: &Event, source: Label, problem: Problem, frames: &[Timeframe]) -> Event {
        let rule = match problem {
            Problem::Late => self.late,
            Problem::Future => self.future,
            Problem::Untimed => self.untimed,
            Problem::Overflow => self.overflow,
        };
        let (which, price) = match &trade.data {
            Data::Trade(trade) => (trade.id.as_ref(), Some(trade.price)),
            _ => (None, None),
        };
        let which = which.map(|id| format!(" {id}")).unwrap_or_default();
        let frames: Vec<_> = frames.iter().map(|frame| frame.as_str()).collect();
        let (problem, frames) = (problem.message(), frames.join(" "));
        let alert = Alert {
            rule,
            severity: Severity::Warning,
            message: format!("trade{which} {problem}: it is in no candle of {frames}").into(),
            value: price,
            threshold: None,
        };
        let mut event = Event::new(trade.exchange, trade.symbol, trade.timestamp, source, alert);
        event.received = trade.received;
        event
    }
}
