//! What the schema is called, made for and set to.

use qicore_data::{Error, Result};
use serde::Deserialize;

use crate::Period;

/// What the database is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// Whatever it is: TimescaleDB where the extension is there or can be created, else plain PostgreSQL, with a line in
    /// the log that says so.
    #[default]
    Auto,
    /// TimescaleDB, or an error.
    Timescale,
    /// Plain tables and views, also where the extension is there.
    Plain,
}

/// The tables: where they are, and how TimescaleDB is to keep them. Periods are PostgreSQL intervals (`7 days`,
/// `1 month`), or `off`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tables {
    /// The schema; made if it is not there.
    pub schema: String,
    /// TimescaleDB or plain PostgreSQL.
    pub mode: Mode,
    /// Whether missing migrations are applied when a sink opens. Without, a schema that is behind is an error.
    pub migrate: bool,
    /// An index of candles by venue and time, for questions that name no symbol. With it candles take
    /// half as long again to write; the key serves all others. Made and dropped while the table is empty; later a warning
    /// tells, once, the statement to run.
    pub exchange_index: bool,
    /// The time span of a chunk of trades, quotes, tickers and books.
    pub tick_chunk: Period,
    /// The time span of a chunk of the other tables.
    pub candle_chunk: Period,
    /// From which age chunks are compressed (TimescaleDB's columnstore).
    pub compress_after: Period,
    /// From which age trades, quotes, tickers and books are dropped.
    pub tick_retention: Period,
    /// From which age candles, prices, series and alerts are dropped.
    pub candle_retention: Period,
    /// How often the hours and days are refreshed; `off` leaves that to you.
    pub refresh_every: Period,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            schema: "public".into(),
            mode: Mode::Auto,
            migrate: true,
            exchange_index: true,
            tick_chunk: Period::of("1 day"),
            candle_chunk: Period::of("7 days"),
            compress_after: Period::of("14 days"),
            tick_retention: Period::OFF,
            candle_retention: Period::OFF,
            refresh_every: Period::of("15 minutes"),
        }
    }
}

impl Tables {
    /// The defaults in this schema.
    pub fn in_schema(schema: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            ..Self::default()
        }
    }

    /// Sets TimescaleDB or plain PostgreSQL.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        let message = match self {
            Self { schema, .. } if !is_plain(schema) => {
                "schema must be 1 to 40 letters, digits and underscores, and not begin with a digit"
            }
            Self {
                tick_chunk: Period::OFF,
                ..
            }
            | Self {
                candle_chunk: Period::OFF,
                ..
            } => "a chunk has a time span: tick_chunk and candle_chunk cannot be off",
            Self {
                candle_retention: kept,
                refresh_every,
                ..
            } if *refresh_every != Period::OFF && !kept.is_at_least_days(5) => {
                "candle_retention must be at least 5 days where refresh_every is not off: days are built of the bars"
            }
            _ => return Ok(()),
        };
        Err(Error::config("timescale.config", message))
    }
}

/// Whether a name can stand in scripts as it is: a DBA is to read them.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=40).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// An identifier, quoted.
pub(in crate::timescale) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
