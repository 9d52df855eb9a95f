use std::time::Duration;

use qicore_data::{Error, Result, Timeframe};
use serde::Deserialize;

/// What becomes of an interval without trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Empty {
    /// It has no candle.
    #[default]
    Skip,
    /// It has a candle of volume 0 and quality `medium` at the close of the one before.
    Carry,
}

/// Which candles are built, and when they close.
///
/// ```
/// use qicore_data::{Settings, Timeframe};
/// use qicore_stream::transform::candles::{CandlesConfig, Empty};
/// let file = Settings::parse("timeframes = [\"1m\", \"1h\"]\nempty = \"carry\"")?;
/// let config = CandlesConfig::new([Timeframe::M1, Timeframe::H1]).empty(Empty::Carry);
/// assert_eq!(file.read::<CandlesConfig>()?, config);
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CandlesConfig {
    /// The candles' lengths, each built from the trades themselves. Default `1m`.
    pub timeframes: Vec<Timeframe>,
    /// How much later than a candle's end, in event time, the lane must have come before the candle closes. Default 2 s:
    /// in recorded sessions trades of one connection are less than 0.1 s out of order, and a partition that several
    /// connections feed adds their delays. Whatever comes later corrects the closed candle.
    #[serde(with = "qicore_data::settings::duration")]
    pub allowed_lateness: Duration,
    /// How long after closing, in event time, a candle can be corrected by late trades. Default 5 minutes. All candles
    /// of this time are part of every checkpoint, at some 150 bytes each.
    #[serde(with = "qicore_data::settings::duration")]
    pub correct_for: Duration,
    /// How far a trade may be later than its receipt. Default 5 s, as in `validate`.
    #[serde(with = "qicore_data::settings::duration")]
    pub future_tolerance: Duration,
    /// What becomes of intervals without trades. Default: no candle.
    pub empty: Empty,
    /// The most intervals in a row that a price is carried over. Default 1440, a day of minutes.
    pub max_carry: u32,
    /// If set, candles are also put out while they are open, at most once in so much event time each; `"0s"`: after each
    /// trade. Default: closed candles only.
    #[serde(deserialize_with = "crate::transform::optional_duration")]
    pub emit_open: Option<Duration>,
    /// Whether the trades go on as well. Events of other kinds always do. Default yes.
    pub pass_through: bool,
}

impl Default for CandlesConfig {
    fn default() -> Self {
        Self {
            timeframes: vec![Timeframe::M1],
            allowed_lateness: Duration::from_secs(2),
            correct_for: Duration::from_secs(300),
            future_tolerance: Duration::from_secs(5),
            empty: Empty::Skip,
            max_carry: 1440,
            emit_open: None,
            pass_through: true,
        }
    }
}

impl<const N: usize> From<[Timeframe; N]> for CandlesConfig {
    fn from(timeframes: [Timeframe; N]) -> Self {
        Self::new(timeframes)
    }
}

impl CandlesConfig {
    /// Candles of these lengths.
    pub fn new(timeframes: impl IntoIterator<Item = Timeframe>) -> Self {
        Self {
            timeframes: timeframes.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets how long after its end a candle closes.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.allowed_lateness = lateness;
        self
    }

    /// Sets how long a closed candle can be corrected.
    #[must_use]
    pub fn correct_for(mut self, time: Duration) -> Self {
        self.correct_for = time;
        self
    }

    /// Sets how far a trade may be later than its receipt.
    #[must_use]
    pub fn future_tolerance(mut self, tolerance: Duration) -> Self {
        self.future_tolerance = tolerance;
        self
    }

    /// Sets what becomes of intervals without trades.
    #[must_use]
    pub fn empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }

    /// Sets the most intervals in a row that a price is carried over.
    #[must_use]
    pub fn max_carry(mut self, intervals: u32) -> Self {
        self.max_carry = intervals;
        self
    }

    /// Puts open candles out as well, at most once in so much event time each.
    #[must_use]
    pub fn emit_open(mut self, every: Duration) -> Self {
        self.emit_open = Some(every);
        self
    }

    /// Sets whether the trades go on.
    #[must_use]
    pub fn pass_through(mut self, pass_through: bool) -> Self {
        self.pass_through = pass_through;
        self
    }

    /// The same with each timeframe once, shortest first.
    pub(super) fn checked(mut self) -> Result<Self> {
        self.timeframes.sort_unstable();
        self.timeframes.dedup();
        if self.timeframes.is_empty() {
            let message = "timeframes is empty: name at least one, like [\"1m\"]";
            return Err(Error::config("candles.config", message));
        }
        Ok(self)
    }
}
