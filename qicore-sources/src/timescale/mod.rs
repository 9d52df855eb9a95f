//! Rows stored in TimescaleDB or PostgreSQL, in the order of their times. One statement reads one state of the database.
//! For all else see [`stored`](crate::stored).

use qicore_stores::timescale::{Connection, Store, Tables};

use crate::stored::{StoredRows, rows_config};

/// Reads stored rows.
///
/// ```
/// use qicore_data::{EventType, Timeframe};
/// use qicore_sources::TimescaleRows;
/// use qicore_stores::timescale::Connection;
/// let bars = TimescaleRows::new(Connection::url("postgres://reader@db.example.com/market"))
///     .types([EventType::Candle])
///     .timeframe(Timeframe::M1);
/// ```
pub type TimescaleRows = StoredRows<TimescaleRowsConfig>;

rows_config! {
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
    TimescaleRowsConfig for TimescaleRows, "timescale", Store, Connection, Tables,
    schema: in_schema, "The schema that the tables are in. Default `public`."
}
