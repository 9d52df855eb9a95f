use std::time::Duration;

use qicore_data::{BatchPolicy, EventType, Result, RetryPolicy};
use qicore_stores::clickhouse::{Connection, Decimals, Tables};
use serde::Deserialize;

use super::Clickhouse;

/// The configuration of [`Clickhouse`].
///
/// ```toml
/// [[sink]]
/// type = "clickhouse"
/// connection.url = { env = "QICORE_CLICKHOUSE_URL" }
/// connection.password = { file = "/run/secrets/clickhouse" }
/// tables.database = "market"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClickhouseConfig {
    /// How to reach the server. As many lanes are written at a time as there are connections.
    pub connection: Connection,
    /// The tables.
    pub tables: Tables,
    /// The event types to write; empty for all. Events of other types are passed over: neither written nor rejected.
    pub only: Vec<EventType>,
    /// Whether the server gathers the inserts of many small writers (`async_insert`); each is answered once its rows are
    /// in their table all the same. For many programs that write a little each. One that writes much is faster without.
    pub async_insert: bool,
}

impl ClickhouseConfig {
    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        self.connection.check()?;
        self.tables.check()?;
        if !self.connection.replicas.is_empty() && !self.tables.replicated && !self.tables.sharded {
            let message = "connection.replicas are servers with the same data: set tables.replicated or tables.sharded";
            return Err(qicore_data::Error::config("clickhouse.config", message));
        }
        Ok(())
    }

    /// More than a write takes that goes on: at each server to connect, to send a batch by the megabyte, to be answered,
    /// and what is noted behind it. Each of these steps has a time of its own, by which one that stalls is found.
    pub(super) fn longest_write(&self) -> Duration {
        let Connection {
            connect_timeout,
            timeout,
            ..
        } = &self.connection;
        let steps = 4 + (BATCH.bytes >> 20) as u32;
        let each = connect_timeout.saturating_add(timeout.saturating_mul(steps));
        let all = each.saturating_mul(1 + self.connection.replicas.len() as u32);
        all.max(RetryPolicy::default().timeout)
    }

    /// Whether events of this type have a table and are to be written.
    pub(super) fn wants(&self, event_type: EventType) -> bool {
        let kept = self.tables.books || event_type != EventType::Book;
        kept && (self.only.is_empty() || self.only.contains(&event_type))
    }
}

impl Clickhouse {
    /// Sets the database that the tables are in. Default `default`.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.config.tables.database = database.into();
        self
    }

    /// Sets how prices and sizes are kept. Default [`Decimals::Decimal128`].
    #[must_use]
    pub fn decimals(mut self, decimals: Decimals) -> Self {
        self.config.tables.decimals = decimals;
        self
    }

    /// Sets the tables' retention, replication and the like.
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

    /// Has the server gather the inserts of many small writers.
    #[must_use]
    pub fn async_insert(mut self, gathered: bool) -> Self {
        self.config.async_insert = gathered;
        self
    }
}

/// An insert's worth. ClickHouse makes a part of each, which it has to merge: few large ones suit it, a few a second at
/// most.
pub(super) const BATCH: BatchPolicy = BatchPolicy::new(100_000, 32 << 20, Duration::from_millis(500));
