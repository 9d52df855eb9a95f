use qicore_data::{EventType, Exchange, Result, Symbol, Timeframe, Timestamp};
use qicore_stores::timescale::{Connection, Selection, Tables};
use serde::Deserialize;

use super::TimescaleRows;

/// The configuration of [`TimescaleRows`].
///
/// ```toml
/// [source]
/// type = "timescale"
/// connection.url = { env = "QICORE_TIMESCALE_URL" }
/// types = ["candle"]
/// symbols = ["BTC/USDT"]
/// timeframe = "1m"
/// from = "2026-01-01T00:00:00Z"
/// to = "2026-02-01T00:00:00Z"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimescaleRowsConfig {
    /// How to reach the database.
    pub connection: Connection,
    /// The schema that the tables are in.
    pub schema: String,
    /// The kinds of rows; one lane each, one after the other.
    pub types: Vec<EventType>,
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

impl Default for TimescaleRowsConfig {
    fn default() -> Self {
        Self {
            connection: Connection::default(),
            schema: Tables::default().schema,
            types: vec![EventType::Candle],
            symbols: Vec::new(),
            exchanges: Vec::new(),
            timeframe: None,
            from: None,
            to: None,
        }
    }
}

impl TimescaleRowsConfig {
    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        let fail = |message: &str| Err(qicore_data::Error::config("timescale.config", message));
        let twice = |(at, kind): (usize, &EventType)| self.types[..at].contains(kind);
        if self.types.is_empty() {
            return fail("types is empty: name the kinds of rows to read");
        }
        if self.types.iter().enumerate().any(twice) {
            return fail("types names a kind twice");
        }
        if self.timeframe.is_some() && self.types != [EventType::Candle] {
            return fail("timeframe is for candles alone");
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return fail("from must be before to");
        }
        self.connection.check()?;
        self.tables().check()
    }

    pub(super) fn tables(&self) -> Tables {
        Tables::in_schema(&self.schema)
    }

    pub(super) fn selection(&self, event_type: EventType) -> Selection {
        let mut selection = Selection::of(event_type)
            .symbols(self.symbols.iter().copied())
            .exchanges(self.exchanges.iter().copied());
        (selection.timeframe, selection.from, selection.to) = (self.timeframe, self.from, self.to);
        selection
    }
}

impl TimescaleRows {
    /// Sets the schema that the tables are in. Default `public`.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.config.schema = schema.into();
        self
    }

    /// Sets the kinds of rows. Default candles.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.config.types = types.into_iter().collect();
        self
    }

    /// Only these symbols.
    #[must_use]
    pub fn symbols(mut self, symbols: impl IntoIterator<Item = Symbol>) -> Self {
        self.config.symbols = symbols.into_iter().collect();
        self
    }

    /// Only candles of this timeframe.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Timeframe) -> Self {
        self.config.timeframe = Some(timeframe);
        self
    }

    /// Only rows from one time up to another, without that.
    #[must_use]
    pub fn between(mut self, from: Timestamp, to: Timestamp) -> Self {
        (self.config.from, self.config.to) = (Some(from), Some(to));
        self
    }
}
