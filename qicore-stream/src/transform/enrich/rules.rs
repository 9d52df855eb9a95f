//! Which rules an event breaks. Pure, without allocation.

use std::fmt::Write as _;

use qicore_data::{Data, Decimal, Label, NameError, Quality};

use super::config::{Action, EnrichConfig};

/// What `enrich` compares with the instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    UnknownInstrument,
    InactiveInstrument,
    OffStep,
}

impl Rule {
    pub(super) const ALL: [Self; 3] = [Self::UnknownInstrument, Self::InactiveInstrument, Self::OffStep];

    /// The name in dead letters and among an event's reasons.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownInstrument => "unknown_instrument",
            Self::InactiveInstrument => "inactive_instrument",
            Self::OffStep => "off_step",
        }
    }

    const fn asks(self) -> &'static str {
        match self {
            Self::UnknownInstrument => "the instrument is in the table",
            Self::InactiveInstrument => "the instrument is traded",
            Self::OffStep => "prices are multiples of the price step",
        }
    }
}

/// A set of rules, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rules(u8);

impl Rules {
    pub(super) fn add(&mut self, rule: Rule, broken: bool) {
        self.0 |= u8::from(broken) << rule as u8;
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[inline]
    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u8 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.has(*rule))
    }
}

/// What breaking each rule does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdicts {
    pub(super) reject: Rules,
    pub(super) mark: Rules,
    /// The rules' names, by their place.
    names: [Label; Rule::ALL.len()],
}

impl Verdicts {
    pub(super) fn new(config: &EnrichConfig) -> Result<Self, NameError> {
        let action = |rule| match rule {
            Rule::UnknownInstrument => config.unknown_instrument.unwrap_or(Action::Mark),
            Rule::InactiveInstrument => config.inactive_instrument.unwrap_or(Action::Mark),
            Rule::OffStep => config.off_step.unwrap_or(Action::Pass),
        };
        let set = |wanted| {
            let mut rules = Rules::default();
            for rule in Rule::ALL {
                rules.add(rule, action(rule) == wanted);
            }
            rules
        };
        let [unknown, inactive, off_step] = Rule::ALL.map(|rule| Label::new(rule.as_str()));
        Ok(Self {
            reject: set(Action::Reject),
            mark: set(Action::Mark),
            names: [unknown?, inactive?, off_step?],
        })
    }

    /// Whether a rule does anything.
    #[inline]
    pub(super) fn apply(&self, rule: Rule) -> bool {
        self.reject.has(rule) || self.mark.has(rule)
    }

    pub(super) fn names(&self, rules: Rules) -> impl Iterator<Item = Label> {
        rules.iter().map(|rule| self.names[rule as usize])
    }
}

/// The quality of an event that was marked: it could not be compared with its instrument, which says little about the event.
#[inline]
pub(super) fn marked(quality: Quality) -> Quality {
    quality.max(Quality::Medium)
}

/// Whether it is market data of an instrument. An aggregator's price, a series, a gap and an alert are of a symbol only.
#[inline]
pub(super) fn is_of_instrument(data: &Data) -> bool {
    matches!(
        data,
        Data::Trade(_) | Data::Quote(_) | Data::Ticker(_) | Data::Book(_) | Data::Candle(_)
    )
}

/// Whether a price is not a multiple of the step.
pub(super) fn off_step(data: &Data, step: Decimal) -> bool {
    // A remainder that cannot be computed tells nothing.
    let off = |price: Decimal| price.checked_rem(step).is_some_and(|rest| !rest.is_zero());
    match data {
        Data::Trade(trade) => off(trade.price),
        Data::Quote(quote) => off(quote.bid) || off(quote.ask),
        Data::Ticker(ticker) => {
            let others = [ticker.bid, ticker.ask, ticker.open, ticker.high, ticker.low];
            off(ticker.last) || others.into_iter().flatten().any(off)
        }
        Data::Book(book) => {
            let levels = book.levels.bids().iter().chain(book.levels.asks());
            levels.map(|level| level.price).any(off)
        }
        Data::Candle(candle) => [candle.open, candle.high, candle.low, candle.close]
            .into_iter()
            .any(off),
        _ => false,
    }
}

/// What an event does not keep to. Its values stand in the event itself, next to this in the dead letter; the step does not.
pub(super) fn explain(broken: Rules, step: Option<Decimal>) -> String {
    let mut message = String::from("the event breaks ");
    for (at, rule) in broken.iter().enumerate() {
        let separator = if at == 0 { "" } else { "; " };
        let _ = write!(message, "{separator}{}: {}", rule.as_str(), rule.asks());
        if let (Rule::OffStep, Some(step)) = (rule, step) {
            let _ = write!(message, " ({step})");
        }
    }
    message
}
