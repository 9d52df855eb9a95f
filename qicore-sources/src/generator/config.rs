//! What is generated.

use std::time::Duration;

use qicore_data::{Error, Result, Timestamp, settings};
use serde::Deserialize;

/// The configuration of [`Generator`](super::Generator).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GeneratorConfig {
    /// The same seed gives the same market.
    pub seed: u64,
    /// Symbols in all (`S0000/USD`, …); each is in one lane.
    pub symbols: u32,
    /// Events in all.
    pub events: u64,
    /// Lanes, which share the symbols and the events evenly.
    pub lanes: u32,
    /// Whether each symbol's `instrument` comes before everything else of its lane. They count as events.
    pub instruments: bool,
    /// The share of quotes among the other events, from 0 to 0.9; the rest are trades.
    pub quotes: f64,
    /// The share of events that come a second time, from 0 to 0.9.
    pub duplicates: f64,
    /// The share of trades that are [`late_by`](Self::late_by) too late, from 0 to 0.9.
    pub late: f64,
    /// How much earlier than its neighbours a late trade's time is.
    #[serde(with = "settings::duration")]
    pub late_by: Duration,
    /// The time of the first event.
    pub start: Timestamp,
    /// Market time from event to event within a lane.
    #[serde(with = "settings::duration")]
    pub interval: Duration,
    /// Events per second of all lanes together; as fast as possible if absent.
    pub rate: Option<f64>,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            symbols: 10,
            events: 1_000_000,
            lanes: 1,
            instruments: false,
            quotes: 0.0,
            duplicates: 0.0,
            late: 0.0,
            late_by: Duration::from_secs(5),
            // 2026-01-01T00:00:00Z
            start: Timestamp::from_nanos(1_767_225_600_000_000_000),
            interval: Duration::from_millis(1),
            rate: None,
        }
    }
}

impl GeneratorConfig {
    /// Whether such a market can be generated.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::config("generator", message));
        if self.lanes == 0 || self.symbols < self.lanes {
            return wrong("lanes must be at least 1, and symbols at least as many as lanes: a symbol is in one lane");
        }
        if self.symbols > 100_000 {
            return wrong("symbols must be at most 100000");
        }
        if ![self.quotes, self.duplicates, self.late]
            .iter()
            .all(|share| (0.0..=0.9).contains(share))
        {
            return wrong("quotes, duplicates and late are shares from 0 to 0.9");
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return wrong("rate must be above 0");
        }
        if self.interval > Duration::from_secs(86_400) || self.late_by > Duration::from_secs(86_400) {
            return wrong("interval and late_by must be at most a day");
        }
        Ok(())
    }
}
