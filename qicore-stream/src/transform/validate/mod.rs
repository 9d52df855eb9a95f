//! `validate`: checks every event against named [rules](Rule).
//!
//! Each rule rejects what breaks it (to the dead letters, with the rule's name as the reason), marks it (quality `low`, with
//! the rule's name among the [reasons](qicore_data::Enrichment::reasons) of its enrichment) or is off. An event that breaks
//! several is rejected if one of them says so. Time is compared with the event's own time of receipt, so that a replay is judged
//! as the live stream was; only an event that has none is compared with the clock.
//!
//! ```
//! use qicore_data::{Decimal, Event, Exchange, Label, Output, Symbol, Timestamp, Trade, Transform};
//! use qicore_stream::transform::Validate;
//!
//! let (exchange, symbol, source) = (Exchange::new("kraken")?, Symbol::new("BTC/USD")?, Label::new("docs")?);
//! let trade = Trade { id: None, side: None, price: Decimal::ZERO, size: Decimal::ONE };
//! let event = Event::new(exchange, symbol, Timestamp::from_nanos(1), source, trade);
//!
//! let mut out = Output::default();
//! Validate::default().apply(vec![event], &mut out)?;
//! assert!(out.events.is_empty());
//! assert_eq!(out.rejected[0].rule, "price_positive");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod config;

pub use config::{Action, Rule, ValidateConfig};

use std::fmt::Write as _;
use std::sync::Arc;

use check::{Rules, Times};
use qicore_data::{
    Data, Enrichment, Event, Label, NewTransform, Output, Plugin, Quality, Result, Timestamp, Transform,
};

use super::per_lane;

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "validate",
    "checks events against named rules; rejects or marks what breaks them",
    |settings| Ok(per_lane(Validate::new(settings.read()?))),
);

/// The rules that reject and those that mark.
#[derive(Debug, Clone, Copy)]
struct Verdicts {
    reject: Rules,
    mark: Rules,
}

/// Checks events against rules. Made from a [`ValidateConfig`]; keeps no state that a checkpoint would need.
#[derive(Debug, Clone)]
pub struct Validate {
    times: Times,
    verdicts: Verdicts,
    /// For candles that are still open.
    open_candle: Verdicts,
    reasons: Reasons,
}

/// The enrichments of marked events, one for each set of rules that has come up: a venue's idle pairs send tickers that break
/// the same rule all day, and an allocation for each would cost more than all checks.
#[derive(Debug, Clone, Default)]
struct Reasons(Vec<(Rules, Arc<Enrichment>)>);

impl Reasons {
    fn add(&mut self, event: &mut Event, broken: Rules) {
        // A name that is not interned any more is left out: there are a million others then.
        let names = || broken.iter().filter_map(|rule| Label::new(rule.as_str()).ok());
        if let Some(enrichment) = &mut event.enrichment {
            let enrichment = Arc::make_mut(enrichment);
            names().for_each(|name| enrichment.add_reason(name));
            return;
        }
        let known = self.0.iter().find(|(rules, _)| *rules == broken);
        let enrichment = known.map(|(_, enrichment)| Arc::clone(enrichment)).unwrap_or_else(|| {
            let mut enrichment = Enrichment::default();
            names().for_each(|name| enrichment.add_reason(name));
            let enrichment = Arc::new(enrichment);
            self.0.push((broken, Arc::clone(&enrichment)));
            enrichment
        });
        event.enrichment = Some(enrichment);
    }
}

impl Default for Validate {
    fn default() -> Self {
        Self::new(ValidateConfig::default())
    }
}

impl Validate {
    /// A validator with these rules.
    pub fn new(config: ValidateConfig) -> Self {
        let set = |action, most| {
            let mut rules = Rules::default();
            for rule in Rule::ALL {
                rules.add(*rule, config.action(*rule).min(most) == action);
            }
            rules
        };
        let with_most = |most| Verdicts {
            reject: set(Action::Reject, most),
            mark: set(Action::Mark, most),
        };
        let (verdicts, values) = (with_most(Action::Reject), with_most(config.open_candles));
        let merge = |all: Rules, values: Rules| all.without(Rules::VALUES).or(values.and(Rules::VALUES));
        Self {
            times: Times {
                tolerance: config.future_tolerance,
                max_age: config.max_age,
                now: Timestamp::UNKNOWN,
            },
            verdicts,
            open_candle: Verdicts {
                reject: merge(verdicts.reject, values.reject),
                mark: merge(verdicts.mark, values.mark),
            },
            reasons: Reasons::default(),
        }
    }

    /// Marks an event that breaks a marking rule, and tells the rules for which it is to be rejected.
    #[inline]
    fn judge(&mut self, event: &mut Event) -> Rules {
        let broken = self.times.broken(event);
        if broken.is_empty() {
            return broken;
        }
        let verdicts = match &event.data {
            Data::Candle(candle) if !candle.closed => &self.open_candle,
            _ => &self.verdicts,
        };
        let rejecting = broken.and(verdicts.reject);
        let marking = broken.and(verdicts.mark);
        // A dead letter holds the event as it came.
        if rejecting.is_empty() && !marking.is_empty() {
            event.quality = Quality::Low;
            self.reasons.add(event, marking);
        }
        rejecting
    }

    /// Sorts the events of a batch in which some are to be rejected.
    #[cold]
    fn sort(&mut self, events: Vec<Event>, out: &mut Output) {
        for mut event in events {
            let broken = self.judge(&mut event);
            match broken.iter().next() {
                None => out.events.push(event),
                Some(rule) => out.reject(event, rule.as_str(), self.explain(broken)),
            }
        }
    }

    /// What an event does not keep to. The values stand in the event itself, next to this in the dead letter.
    fn explain(&self, broken: Rules) -> String {
        let mut message = String::from("the event breaks ");
        for (at, rule) in broken.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            let _ = write!(message, "{separator}{rule}: {}", rule.asks());
            let limit = match rule {
                Rule::TimestampFuture => Some(self.times.tolerance),
                Rule::TimestampPast => self.times.max_age,
                _ => None,
            };
            if let Some(limit) = limit {
                let _ = write!(message, " ({limit:?})");
            }
        }
        message
    }
}

impl Transform for Validate {
    fn name(&self) -> &str {
        "validate"
    }

    fn apply(&mut self, mut events: Vec<Event>, out: &mut Output) -> Result<()> {
        let mut sound = true;
        self.times.now = Timestamp::now();
        for event in &mut events {
            sound &= self.judge(event).is_empty();
        }
        if sound {
            out.forward(events);
        } else {
            self.sort(events, out);
        }
        Ok(())
    }
}
