//! `enrich`: adds what is known of an instrument, gives it its canonical symbol, and says when the event was validated.
//!
//! What it adds goes into the event's [enrichment](qicore_data::Enrichment): the instrument's description from a
//! [table](qicore_data::Tables) that the pipeline keeps up to date; the currency that the quote currency stands for;
//! the time. Prices and sizes are never changed, and no event is left out but for those that are to be rejected.
//!
//! **Symbol.** Other names of currencies become the canonical ones ([`aliases`](EnrichConfig::aliases)): `XBT/USD` is
//! `BTC/USD`. A symbol that the table knows only as the venue's own name becomes the one that the table has for it. The
//! quote currency is never exchanged for another: `BTC/USDT` and `BTC/USD` are two instruments of a venue, and a key each.
//!
//! **Rules.** Trades, quotes, tickers, books and candles are compared with their instrument:
//!
//! | rule | breaks it | default |
//! |---|---|---|
//! | `unknown_instrument` | an instrument that is not in the table | mark |
//! | `inactive_instrument` | an instrument that is not traded now | mark |
//! | `off_step` | a price that is not a multiple of the price step | pass |
//!
//! Marked events have a quality of `medium` at best, and the rule among their
//! [reasons](qicore_data::Enrichment::reasons), where `validate` puts its own.
//!
//! **Time.** Transforms look at no clock, for a restart must put out the same rows. `validated_at` is the exception: it
//! is one reading of the wall clock for each batch, and neither which rows come out, nor their order, keys or dead letters'
//! ids depend on it. A row that is written again after a kill has the later time.
//!
//! Its place is behind `validate`, `dedupe` and `candles`: candles are made without an enrichment. Where a venue uses
//! several names for one instrument, an `enrich` before `dedupe` makes them one.
//!
//! ```
//! use qicore_data::{Event, Label, Output, Tables, Timestamp, Transform};
//! use qicore_stream::transform::{Enrich, enrich::EnrichConfig};
//!
//! let read = |line: &str| serde_json::from_str::<Event>(line);
//! let tables = Tables::new(["instruments"]);
//! tables.instruments("instruments")?.update(&[read(r#"{"type":"instrument","exchange":"kraken","symbol":"BTC/USDT",
//!     "timestamp":"2026-01-01T00:00:00Z","source":"docs","native":"XBT/USDT","base":"BTC","quote":"USDT","kind":"spot",
//!     "active":true,"price_step":"0.1"}"#)?]);
//!
//! let mut enrich = Enrich::new(EnrichConfig::default().instruments("instruments"))?;
//! enrich.tables(&tables)?;
//! let mut out = Output::default();
//! enrich.apply(vec![read(r#"{"type":"trade","exchange":"kraken","symbol":"XBT/USDT",
//!     "timestamp":"2026-01-02T00:00:00Z","source":"docs","price":"67000.1","size":"1"}"#)?], &mut out)?;
//!
//! assert_eq!(out.events[0].symbol.as_str(), "BTC/USDT");
//! let added = out.events[0].enrichment.as_deref().unwrap();
//! assert_eq!(added.quote_currency, Some(Label::new("USD")?));
//! assert!(added.native.is_some() && added.validated_at > Some(Timestamp::UNKNOWN) && added.reasons.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod known;
mod rules;

pub use config::{Action, EnrichConfig};

use std::fmt;
use std::sync::Arc;

use known::Names;
use qicore_data::{
    Error, ErrorKind, Event, Instruments, NameError, NewTransform, Output, Plugin, Result, Tables, Timestamp, Transform,
};
use rules::{Rule, Rules, Verdicts, explain, is_of_instrument, marked, off_step};

use super::per_lane;

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "enrich",
    "adds instrument data, canonical symbols and the time of validation; marks or rejects unknown instruments",
    |settings| {
        let enrich = Enrich::new(settings.read()?).map_err(|error| settings.mistake_of(&error))?;
        Ok(per_lane(enrich))
    },
);

/// Tells the time.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Adds what is known of instruments. Made from an [`EnrichConfig`]; keeps no state that a checkpoint would need.
#[derive(Clone)]
pub struct Enrich {
    verdicts: Verdicts,
    names: Names,
    table: Option<Instruments>,
    /// Where the time is to be added.
    clock: Option<Clock>,
}

/// An event that is to be rejected: its place in the batch, and why.
struct Refused {
    at: usize,
    rule: &'static str,
    message: String,
}

fn unnamed(error: NameError) -> Error {
    Error::new(ErrorKind::Internal, "enrich", "a name cannot be kept").with_source(error)
}

impl Enrich {
    /// An enrichment that is configured so.
    ///
    /// # Errors
    /// If a currency is no name, or a rule is set without a table.
    pub fn new(config: EnrichConfig) -> Result<Self> {
        config.check()?;
        let clock = config.validated_at.then(|| Arc::new(Timestamp::now) as Clock);
        Ok(Self {
            verdicts: Verdicts::new(&config).map_err(unnamed)?,
            names: Names::new(config),
            table: None,
            clock,
        })
    }

    /// Tells the time by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = self.clock.map(|_| Arc::new(now) as Clock);
        self
    }

    /// The table with its generation. Read once for a batch: what is looked up then is at least as new.
    fn table(&self) -> Result<Option<(Instruments, u64)>> {
        match (&self.table, self.names.table()) {
            (Some(table), _) => Ok(Some((table.clone(), table.generation()))),
            (None, None) => Ok(None),
            (None, Some(name)) => {
                let message = "the table was not handed over: a pipeline does it, and so must who calls a transform";
                Err(Error::config("enrich.apply", message).with("table", name))
            }
        }
    }

    /// Enriches an event, or leaves it as it came and tells the rule for which it is to be rejected.
    #[inline]
    fn one(
        &mut self,
        event: &mut Event,
        table: Option<(&Instruments, u64)>,
        now: Option<Timestamp>,
    ) -> Result<Option<(Rule, String)>> {
        let known = self.names.of(event, table).map_err(unnamed)?;
        let mut broken = Rules::default();
        if is_of_instrument(&event.data) {
            broken = known.broken;
            if let (Some(step), true) = (known.price_step, self.verdicts.apply(Rule::OffStep)) {
                broken.add(Rule::OffStep, off_step(&event.data, step));
            }
        }
        let rejecting = broken.and(self.verdicts.reject);
        if let Some(rule) = rejecting.iter().next() {
            return Ok(Some((rule, explain(rejecting, known.price_step))));
        }
        let marking = broken.and(self.verdicts.mark);
        if !marking.is_empty() {
            event.quality = marked(event.quality);
        }
        known.enrich(event, now, marking, &self.verdicts);
        Ok(None)
    }
}

/// Sorts the events of a batch in which some are to be rejected.
#[cold]
fn sort(events: Vec<Event>, refused: Vec<Refused>, out: &mut Output) {
    let mut refused = refused.into_iter().peekable();
    for (at, event) in events.into_iter().enumerate() {
        match refused.next_if(|refused| refused.at == at) {
            Some(Refused { rule, message, .. }) => out.reject(event, rule, message),
            None => out.events.push(event),
        }
    }
}

impl fmt::Debug for Enrich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrich")
            .field("table", &self.names.table())
            .finish_non_exhaustive()
    }
}

impl Transform for Enrich {
    fn name(&self) -> &str {
        "enrich"
    }

    fn tables(&mut self, tables: &Tables) -> Result<()> {
        self.table = match self.names.table() {
            Some(name) => {
                let found = tables.instruments(name);
                Some(found.map_err(|error| error.with("setting", "instruments"))?)
            }
            None => None,
        };
        Ok(())
    }

    fn apply(&mut self, mut events: Vec<Event>, out: &mut Output) -> Result<()> {
        let table = self.table()?;
        let table = table.as_ref().map(|(table, generation)| (table, *generation));
        let now = self.clock.as_ref().map(|now| now());
        let mut refused = Vec::new();
        for (at, event) in events.iter_mut().enumerate() {
            if let Some((rule, message)) = self.one(event, table, now)? {
                let rule = rule.as_str();
                refused.push(Refused { at, rule, message });
            }
        }
        match refused.is_empty() {
            true => out.forward(events),
            false => sort(events, refused, out),
        }
        Ok(())
    }
}
