//! Which stored rows are meant.

use qicore_data::{EventType, Exchange, Symbol, Timeframe, Timestamp};

/// Which rows are meant.
///
/// ```
/// use qicore_data::{EventType, Timeframe};
/// use qicore_stores::Selection;
/// let bars = Selection::of(EventType::Candle)
///     .symbols(["BTC/USDT".parse()?])
///     .timeframe(Timeframe::M1)
///     .from("2026-01-01T00:00:00Z".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The kind of event.
    pub event_type: EventType,
    /// Only these symbols; all if there is none.
    pub symbols: Vec<Symbol>,
    /// Only these venues; all if there is none.
    pub exchanges: Vec<Exchange>,
    /// Only candles of this timeframe.
    pub timeframe: Option<Timeframe>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Up to this time, without it.
    pub to: Option<Timestamp>,
}

impl Selection {
    /// All rows of a kind.
    pub fn of(event_type: EventType) -> Self {
        Self {
            event_type,
            symbols: Vec::new(),
            exchanges: Vec::new(),
            timeframe: None,
            from: None,
            to: None,
        }
    }

    /// Only these symbols.
    #[must_use]
    pub fn symbols(mut self, symbols: impl IntoIterator<Item = Symbol>) -> Self {
        self.symbols = symbols.into_iter().collect();
        self
    }

    /// Only these venues.
    #[must_use]
    pub fn exchanges(mut self, exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        self.exchanges = exchanges.into_iter().collect();
        self
    }

    /// Only candles of this timeframe.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Timeframe) -> Self {
        self.timeframe = Some(timeframe);
        self
    }

    /// From this time on.
    #[must_use]
    pub fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Up to this time, without it.
    #[must_use]
    pub fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }
}
