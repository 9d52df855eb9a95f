//! Rows stored in ClickHouse, in the order of their times. Each comes once, however often it was written, in its newest
//! version. A statement reads what is stored when it begins. For all else see [`stored`](crate::stored).

use qicore_stores::clickhouse::{Connection, Store, Tables};

use crate::stored::{StoredRows, rows_config};

/// Reads stored rows.
///
/// ```
/// use qicore_data::{EventType, Timeframe};
/// use qicore_sources::ClickhouseRows;
/// use qicore_stores::clickhouse::Connection;
/// let bars = ClickhouseRows::new(Connection::url("https://ch.example.com:8443"))
///     .types([EventType::Candle])
///     .timeframe(Timeframe::M1);
/// ```
pub type ClickhouseRows = StoredRows<ClickhouseRowsConfig>;

rows_config! {
    /// The configuration of [`ClickhouseRows`].
    ///
    /// ```toml
    /// [source]
    /// type = "clickhouse"
    /// connection.url = { env = "QICORE_CLICKHOUSE_URL" }
    /// types = ["candle"]
    /// symbols = ["BTC/USDT"]
    /// timeframe = "1m"
    /// from = "2026-01-01T00:00:00Z"
    /// to = "2026-02-01T00:00:00Z"
    /// ```
    ClickhouseRowsConfig for ClickhouseRows, "clickhouse", Store, Connection, Tables,
    database: in_database, "The database that the tables are in. Default `default`."
}
