//! `dedupe`: drops events that the lane has seen before; corrections pass.
//!
//! Sources deliver twice after a reconnect (a venue replays its latest trades), brokers after a producer's retry, and
//! histories overlap at the edges of pages. What makes two events the same depends on their kind:
//!
//! | kind | a duplicate has the same |
//! |---|---|
//! | trade | exchange, symbol and id; without an id it passes, unless [configured](DedupeConfig::trades_without_id) |
//! | candle | exchange, symbol, timeframe and open time as the last one with this key, and nothing else has changed |
//! | quote, ticker, price | time and values as the symbol's last one |
//! | book | sequence number, kind, time, levels and checksum; without a sequence number it passes |
//! | instrument | description as the last one of this native name |
//! | series | value as the last one of this name, time and parameters |
//! | gap, alert | content |
//!
//! The time of receipt, the plugin and the enrichment never count. A duplicate is dropped and [counted](Dedupe::dropped); it is no reject.
//! Keys are remembered as 128-bit fingerprints in a [bounded window](DedupeConfig::window), the last content of a key as 64
//! bits: an event that comes again after its key was forgotten passes; a new one is taken for an old one with a
//! probability of 1 in 10³³ by its key, and of 1 in 10¹⁹ by its content.
//!
//! A venue's ids must be one series per symbol: Binance counts single and aggregate trades apart, so a pipeline that
//! takes both must keep them in lanes of their own.
//!
//! ```
//! use qicore_data::{Decimal, Event, Exchange, Label, Output, Symbol, Timestamp, Trade, Transform};
//! use qicore_stream::transform::{Dedupe, DedupeConfig};
//!
//! let (exchange, symbol, source) = (Exchange::new("kraken")?, Symbol::new("BTC/USD")?, Label::new("docs")?);
//! let trade = Trade { id: Some(7.into()), side: None, price: Decimal::TEN, size: Decimal::ONE };
//! let event = Event::new(exchange, symbol, Timestamp::from_nanos(1), source, trade);
//!
//! let (mut dedupe, mut out) = (Dedupe::new(DedupeConfig::default())?, Output::default());
//! dedupe.apply(vec![event.clone(), event], &mut out)?;
//! assert_eq!((out.events.len(), dedupe.dropped()), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod fingerprint;
mod identity;
mod memory;
mod state;

pub use config::DedupeConfig;

use identity::Identity;
use memory::{Memory, Weigh};
use qicore_data::{Error, Event, EventType, NewTransform, Output, Plugin, Result, Transform};

use super::per_lane;

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "dedupe",
    "drops events that the lane has seen before; corrections pass",
    |settings| match Dedupe::new(settings.read()?) {
        Ok(dedupe) => Ok(per_lane(dedupe)),
        Err(error) => Err(settings.mistake(error.message())),
    },
);

/// Entries are numbered with 32 bits, and this many take 2.4 GB.
const LARGEST_WINDOW: usize = 1 << 26;

/// What a key counts for: a trade's key holds up to 64 ids, every other one a single thing.
fn weigh(kind: EventType) -> Weigh {
    match kind {
        EventType::Trade => |bits| bits.count_ones() as usize,
        _ => |_| 1,
    }
}

/// Drops duplicates. Made from a [`DedupeConfig`].
#[derive(Debug, Clone)]
pub struct Dedupe {
    config: DedupeConfig,
    /// One for each kind of event, so that a busy kind does not push out the keys of a quiet one.
    seen: Vec<Memory>,
    dropped: u64,
}

impl Dedupe {
    /// An empty filter.
    ///
    /// # Errors
    /// If the window is 0 or above 2²⁶.
    pub fn new(config: DedupeConfig) -> Result<Self> {
        if config.window == 0 || config.window > LARGEST_WINDOW {
            let message = format!("window is {}: it must be from 1 to {LARGEST_WINDOW}", config.window);
            return Err(Error::config("dedupe.config", message));
        }
        Ok(Self::empty(config))
    }

    fn empty(config: DedupeConfig) -> Self {
        let seen = EventType::ALL.iter().map(|kind| Memory::new(weigh(*kind))).collect();
        Self {
            config,
            seen,
            dropped: 0,
        }
    }

    /// How many duplicates this copy has dropped. Not part of the state.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether an event is new, which it no longer is afterwards.
    #[inline]
    fn admit(&mut self, event: &Event) -> bool {
        let Some(identity) = Identity::of(event, self.config.trades_without_id) else {
            return true;
        };
        let (memory, window) = (&mut self.seen[event.event_type().index()], self.config.window);
        match identity {
            Identity::Once { key, bit } => memory.once(key, bit, window),
            Identity::Latest { key, content } => memory.latest(key, content, window),
        }
    }
}

impl Default for Dedupe {
    fn default() -> Self {
        Self::empty(DedupeConfig::default())
    }
}

impl Transform for Dedupe {
    fn name(&self) -> &str {
        "dedupe"
    }

    fn apply(&mut self, mut events: Vec<Event>, out: &mut Output) -> Result<()> {
        let before = events.len();
        events.retain(|event| self.admit(event));
        self.dropped += (before - events.len()) as u64;
        out.forward(events);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        let kinds = EventType::ALL
            .iter()
            .map(|kind| (*kind, self.seen[kind.index()].entries()));
        state::write(kinds).map(Some)
    }

    /// A window that is smaller than the stored one keeps the newest keys.
    fn restore(&mut self, state: &str) -> Result<()> {
        let stored = state::read(state)?;
        for memory in &mut self.seen {
            memory.restore(Vec::new(), self.config.window);
        }
        for (kind, entries) in stored {
            self.seen[kind.index()].restore(entries, self.config.window);
        }
        Ok(())
    }
}
