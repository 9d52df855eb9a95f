use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// What happens to an event that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing: the rule is not applied.
    Off,
    /// It goes on, with quality `low` and the rule's name as a reason.
    Mark,
    /// It goes to the dead letters.
    Reject,
}

/// One table for names, defaults and what the rules ask for.
macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident $name:literal $default:ident $asks:literal,)+) => {
        /// What `validate` checks. The name is the `reason` of a dead letter and the key in configuration files.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* #[doc = concat!("\n\nDefault: [`", stringify!($default), "`](Action::", stringify!($default), ").")]
            #[serde(rename = $name)]
            $variant,)+
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in configuration files and dead letters.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What the rule asks of an event.
            pub const fn asks(self) -> &'static str {
                match self { $(Self::$variant => $asks),+ }
            }

            /// What happens to an event that breaks it, unless configured otherwise.
            pub const fn default_action(self) -> Action {
                match self { $(Self::$variant => Action::$default),+ }
            }
        }
    };
}

rules! {
    /// An observation (anything but an instrument, a gap or an alert) whose time nobody knows.
    TimestampMissing "timestamp_missing" Reject "an observation has a time",
    /// An observation that is later than its receipt by more than
    /// [`future_tolerance`](ValidateConfig::future_tolerance). Where the receipt is unknown, the
    /// present stands in.
    TimestampFuture "timestamp_future" Reject "an observation is not later than its receipt, but for the tolerance",
    /// An observation that is older at its receipt than [`max_age`](ValidateConfig::max_age), where one is set. A candle's
    /// age counts from its open time.
    TimestampPast "timestamp_past" Reject "an observation is not older at its receipt than max_age",
    /// A price of zero or below. A zero in a ticker falls under `empty_ticker`, a quote's side with neither price nor
    /// size under `empty_quote`.
    PricePositive "price_positive" Reject "prices are above zero",
    /// A size, volume or market capitalisation below zero.
    SizeNonNegative "size_non_negative" Reject "sizes and volumes are not below zero",
    /// A trade of size zero.
    EmptyTrade "empty_trade" Reject "a trade has a size",
    /// A quote with nothing on a side.
    EmptyQuote "empty_quote" Mark "a quote has a size on both sides",
    /// A ticker with a price of zero, as venues send it for pairs that do not trade.
    EmptyTicker "empty_ticker" Mark "a ticker's prices are above zero",
    /// A book snapshot without any level.
    EmptyBook "empty_book" Mark "a book snapshot has levels",
    /// A high below the low, or an open or close outside of them.
    CandleBounds "candle_bounds" Reject "a candle's open and close lie within its low and high",
    /// A candle whose open time is not a start of its timeframe. Some providers' bars rightly start elsewhere (stock
    /// sessions at half past nine, Kraken's weeks on Thursdays): turn the rule off for those.
    CandleAlignment "candle_alignment" Mark "a candle opens at a start of its timeframe",
    /// A bid above the ask, in a quote or ticker. Equal prices (a locked market) are allowed.
    CrossedQuote "crossed_quote" Mark "the bid is not above the ask",
    /// A book snapshot whose best bid is above its best ask.
    CrossedBook "crossed_book" Mark "a book snapshot's best bid is not above its best ask",
    /// A book whose checksum differs from the venue's.
    ChecksumMismatch "checksum_mismatch" Mark "the maintained book has the venue's checksum",
    /// A gap that ends before it starts.
    GapOrder "gap_order" Mark "a gap does not end before it starts",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How `validate` treats what breaks its rules.
///
/// ```
/// use qicore_data::Settings;
/// use qicore_stream::transform::validate::{Action, Rule, ValidateConfig};
/// let file = Settings::parse("future_tolerance = \"1s\"\nrules.crossed_quote = \"reject\"")?;
/// let config = ValidateConfig::default()
///     .future_tolerance(std::time::Duration::from_secs(1))
///     .rule(Rule::CrossedQuote, Action::Reject);
/// assert_eq!(file.read::<ValidateConfig>()?, config);
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ValidateConfig {
    /// Rules that are not to have their [default](Rule::default_action).
    pub rules: BTreeMap<Rule, Action>,
    /// The most that a price, a size or the bounds can do to a candle that is still open; default `mark`. Providers
    /// send open bars that do not agree with themselves (CryptoCompare's close is live while its high and low lag) or
    /// are all zero before the first trade, and the closed bar puts it right.
    pub open_candles: Action,
    /// How far an event may be later than its receipt: the clocks of a venue and of a capture differ. Default 5 s.
    #[serde(with = "qicore_data::settings::duration")]
    pub future_tolerance: Duration,
    /// How old an event may be at its receipt. Default: any age, since histories are old.
    #[serde(deserialize_with = "crate::transform::optional_duration")]
    pub max_age: Option<Duration>,
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self {
            rules: BTreeMap::new(),
            open_candles: Action::Mark,
            future_tolerance: Duration::from_secs(5),
            max_age: None,
        }
    }
}

impl ValidateConfig {
    /// Sets what breaking `rule` does.
    #[must_use]
    pub fn rule(mut self, rule: Rule, action: Action) -> Self {
        self.rules.insert(rule, action);
        self
    }

    /// Sets the most that a value can do to a candle that is still open.
    #[must_use]
    pub fn open_candles(mut self, most: Action) -> Self {
        self.open_candles = most;
        self
    }

    /// Sets how far an event may be later than its receipt.
    #[must_use]
    pub fn future_tolerance(mut self, tolerance: Duration) -> Self {
        self.future_tolerance = tolerance;
        self
    }

    /// Sets how old an event may be at its receipt.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// What breaking `rule` does.
    pub fn action(&self, rule: Rule) -> Action {
        self.rules.get(&rule).copied().unwrap_or(rule.default_action())
    }
}
