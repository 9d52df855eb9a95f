use std::time::Duration;

use qicore_data::{BatchPolicy, EventType, Result};
use qicore_stores::timescale::{Connection, Mode, Tables};
use serde::Deserialize;

use super::Timescale;

/// The configuration of [`Timescale`].
///
/// ```toml
/// [[sink]]
/// type = "timescale"
/// connection.url = { env = "QICORE_TIMESCALE_URL" }
/// connection.tls = "verify-full"
/// tables.compress_after = "30 days"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimescaleConfig {
    /// How to reach the database. As many lanes are written at a time as there are connections.
    pub connection: Connection,
    /// The tables.
    pub tables: Tables,
    /// The event types to write; empty for all. Events of other types are passed over: neither written nor rejected.
    pub only: Vec<EventType>,
}

impl TimescaleConfig {
    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        self.connection.check()?;
        self.tables.check()
    }
}

impl Timescale {
    /// Sets the schema that the tables are in. Default `public`.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.config.tables.schema = schema.into();
        self
    }

    /// Sets TimescaleDB or plain PostgreSQL. Default [`Mode::Auto`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.tables.mode = mode;
        self
    }

    /// Sets the tables' chunks, compression, retention and refresh.
    #[must_use]
    pub fn tables(mut self, tables: Tables) -> Self {
        self.config.tables = tables;
        self
    }

    /// Only events of these types are written; others are passed over.
    #[must_use]
    pub fn only(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.config.only = types.into_iter().collect();
        self
    }
}

/// A transaction's worth: as much as one copy is at its best with, and what a crash makes the source read again.
pub(super) const BATCH: BatchPolicy = BatchPolicy::new(20_000, 16 << 20, Duration::from_millis(100));
