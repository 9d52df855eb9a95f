//! What applications ask of stored data.

use std::collections::BTreeMap;

use qicore_data::{Error, Event, EventType, Exchange, Result, Symbol, Timeframe, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::error::mapped;
use super::select::interval_text;
use super::tables::Table;
use super::{Store, decode};
use crate::Missing;
use crate::missing::missing;
use crate::newest::{PRICES, keep_newest};

/// Closed bars with no bar of the same length right behind them, each with the next that is there or the end; and
/// the first bar of all, whatever follows. Intervals are added in UTC, the session's zone, so that days and months are
/// those of the calendar.
const HOLES: &str = "WITH bars AS (
    SELECT timestamp AS bar, lead(timestamp, 1, CAST($5 AS timestamptz)) OVER (ORDER BY timestamp) AS next,
           row_number() OVER (ORDER BY timestamp) AS number
    FROM {table}
    WHERE symbol = $1 AND exchange = $2 AND timeframe = CAST($3 AS interval) AND closed
      AND timestamp >= CAST($4 AS timestamptz) AND timestamp < CAST($5 AS timestamptz)
)
SELECT (extract(epoch FROM bar) * 1000000)::bigint, (extract(epoch FROM next) * 1000000)::bigint
FROM bars WHERE next > bar + CAST($3 AS interval) OR number = 1 ORDER BY bar";

/// The newest row of each symbol and venue: a walk from key to key, which reads one row of each and not all. All
/// symbols are walked through, also those without a row that `and` asks for: with that condition the walk would read
/// the rows in between.
const LATEST: &str = "WITH RECURSIVE keys AS (
    (SELECT symbol, exchange FROM {table} ORDER BY symbol, exchange LIMIT 1)
    UNION ALL
    SELECT next.symbol, next.exchange FROM keys, LATERAL (
        SELECT symbol, exchange FROM {table}
        WHERE (symbol, exchange) > (keys.symbol, keys.exchange) ORDER BY symbol, exchange LIMIT 1
    ) AS next
)
SELECT latest.* FROM keys, LATERAL (
    SELECT {columns} FROM {table}
    WHERE symbol = keys.symbol AND exchange = keys.exchange {and}
    ORDER BY {order} LIMIT 1
) AS latest";

impl Store {
    /// The newest candle of a symbol at a venue, also one that is not closed.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_candle(
        &self,
        exchange: Exchange,
        symbol: Symbol,
        timeframe: Timeframe,
    ) -> Result<Option<Event>> {
        let found = self.newest(EventType::Candle, exchange, symbol, Some(timeframe)).await;
        found.map(|mut events| events.pop())
    }

    /// The newest candle of each symbol at each venue.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_candles(&self, timeframe: Timeframe) -> Result<Vec<Event>> {
        self.latest(EventType::Candle, Some(timeframe)).await
    }

    /// The newest price of each symbol at each venue, as the event that says it: a trade, a ticker, a quote or an
    /// aggregator's price, whichever is newest.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_prices(&self) -> Result<Vec<Event>> {
        let mut newest = BTreeMap::new();
        for event_type in PRICES {
            for event in self.latest(event_type, None).await? {
                keep_newest(&mut newest, event);
            }
        }
        Ok(newest.into_values().collect())
    }

    /// The newest price of one symbol at a venue: see [`latest_prices`](Self::latest_prices).
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_price(&self, exchange: Exchange, symbol: Symbol) -> Result<Option<Event>> {
        let mut newest = BTreeMap::new();
        for event_type in PRICES {
            for event in self.newest(event_type, exchange, symbol, None).await? {
                keep_newest(&mut newest, event);
            }
        }
        Ok(newest.into_values().next())
    }

    /// The closed bars that are missing between two times: what a backfill has to fetch. `to` is exclusive.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn missing_candles(
        &self,
        exchange: Exchange,
        symbol: Symbol,
        timeframe: Timeframe,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Missing>> {
        let fail = |error| mapped("timescale.missing", error);
        let mut lease = self.lease("timescale.missing").await?;
        let sql = HOLES.replace("{table}", &self.qualified("ohlcv"));
        let query = sqlx::query(&sql)
            .bind(symbol.as_str())
            .bind(exchange.as_str())
            .bind(interval_text(timeframe))
            .bind(from.to_string())
            .bind(to.to_string());
        let rows = query.fetch_all(&mut *lease).await.map_err(fail)?;
        lease.give_back();
        let time = |row: &PgRow, at| Timestamp::from_nanos(row.get::<i64, _>(at).saturating_mul(1000));
        let first = rows.first().map_or(to, |row| time(row, 0));
        let holes = rows.iter().map(|row| (time(row, 0), time(row, 1)));
        Ok(missing(timeframe, from, first, holes))
    }

    async fn newest(
        &self,
        event_type: EventType,
        exchange: Exchange,
        symbol: Symbol,
        timeframe: Option<Timeframe>,
    ) -> Result<Vec<Event>> {
        let (table, order) = ordered(event_type)?;
        let columns = table.column_names().join(", ");
        let of = timeframe.map_or(String::new(), |frame| {
            format!(" AND timeframe = INTERVAL '{}'", interval_text(frame))
        });
        let target = self.qualified(table.name);
        let sql =
            format!("SELECT {columns} FROM {target} WHERE symbol = $1 AND exchange = $2{of} ORDER BY {order} LIMIT 1");
        self.events(table, sql, Some([symbol.as_str(), exchange.as_str()]))
            .await
    }

    async fn latest(&self, event_type: EventType, timeframe: Option<Timeframe>) -> Result<Vec<Event>> {
        let (table, order) = ordered(event_type)?;
        let of = timeframe.map(|frame| format!("AND timeframe = INTERVAL '{}'", interval_text(frame)));
        let sql = LATEST
            .replace("{table}", &self.qualified(table.name))
            .replace("{columns}", &table.column_names().join(", "))
            .replace("{order}", &order)
            .replace("{and}", &of.unwrap_or_default());
        self.events(table, sql, None).await
    }

    async fn events(&self, table: &'static Table, sql: String, values: Option<[&str; 2]>) -> Result<Vec<Event>> {
        let fail = |error| mapped("timescale.latest", error);
        let mut lease = self.lease("timescale.latest").await?;
        let mut query = sqlx::query(&sql);
        for value in values.into_iter().flatten() {
            query = query.bind(value);
        }
        let rows = query.fetch_all(&mut *lease).await.map_err(fail)?;
        lease.give_back();
        rows.iter().map(|row| decode::event(table, row)).collect()
    }
}

/// A kind's table, and the order that has its newest row first.
fn ordered(event_type: EventType) -> Result<(&'static Table, String)> {
    let table = Table::of(event_type).ok_or_else(|| {
        let message = format!("there is no table of {event_type}s");
        Error::new(qicore_data::ErrorKind::Unsupported, "timescale.latest", message)
    })?;
    let times = table
        .ordered_by()
        .filter(|name| ["timestamp", "timestamp_ns", "seq"].contains(name));
    let order: Vec<_> = times.map(|name| format!("{name} DESC")).collect();
    Ok((table, order.join(", ")))
}
