//! What applications ask of stored data.

use qicore_data::{Error, Event, EventType, Exchange, Result, Symbol, Timeframe, Timestamp};
use sqlx::Row;

use super::error::mapped;
use super::read::interval_text;
use super::tables::Table;
use super::{Store, decode};

/// Bars that are not there: all opening times from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The opening time of the first missing bar.
    pub from: Timestamp,
    /// The opening time of the last one.
    pub to: Timestamp,
    /// How many they are.
    pub bars: u64,
}

/// The newest row of each symbol and venue: a walk from key to key, which reads one row of each and not all.
const LATEST: &str = "WITH RECURSIVE keys AS (
    (SELECT symbol, exchange FROM {table} {where} ORDER BY symbol, exchange LIMIT 1)
    UNION ALL
    SELECT next.symbol, next.exchange FROM keys, LATERAL (
        SELECT symbol, exchange FROM {table}
        WHERE (symbol, exchange) > (keys.symbol, keys.exchange) {and} ORDER BY symbol, exchange LIMIT 1
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
        let found = self
            .newest(EventType::Candle, Some((exchange, symbol)), Some(timeframe))
            .await;
        found.map(|mut events| events.pop())
    }

    /// The newest candle of each symbol at each venue.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_candles(&self, timeframe: Timeframe) -> Result<Vec<Event>> {
        self.latest(EventType::Candle, Some(timeframe)).await
    }

    /// The newest trade of each symbol at each venue: its latest price.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_trades(&self) -> Result<Vec<Event>> {
        self.latest(EventType::Trade, None).await
    }

    /// The newest price that is known of a symbol at a venue, as the event that says it: a trade, a ticker, a quote or
    /// an aggregator's price, whichever is newest.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn latest_price(&self, exchange: Exchange, symbol: Symbol) -> Result<Option<Event>> {
        let mut newest: Option<Event> = None;
        for event_type in [EventType::Trade, EventType::Ticker, EventType::Quote, EventType::Price] {
            let found = self.newest(event_type, Some((exchange, symbol)), None).await?;
            let newer = |event: &Event| newest.as_ref().is_none_or(|newest| event.timestamp > newest.timestamp);
            newest = found.into_iter().find(newer).or(newest);
        }
        Ok(newest)
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
        let sql = format!(
            "SELECT (extract(epoch FROM timestamp) * 1000000)::bigint FROM {} \
             WHERE symbol = $1 AND exchange = $2 AND timeframe = CAST($3 AS interval) AND closed \
             AND timestamp >= CAST($4 AS timestamptz) AND timestamp < CAST($5 AS timestamptz) ORDER BY timestamp",
            self.qualified("ohlcv")
        );
        let query = sqlx::query(&sql)
            .bind(symbol.as_str())
            .bind(exchange.as_str())
            .bind(interval_text(timeframe))
            .bind(from.to_string())
            .bind(to.to_string());
        let there = query.fetch_all(&mut *lease).await.map_err(fail)?;
        lease.give_back();
        let there = there
            .iter()
            .map(|row| Timestamp::from_nanos(row.get::<i64, _>(0).saturating_mul(1000)));
        Ok(missing(timeframe, from, to, there))
    }

    async fn newest(
        &self,
        event_type: EventType,
        of: Option<(Exchange, Symbol)>,
        timeframe: Option<Timeframe>,
    ) -> Result<Vec<Event>> {
        let (table, order) = ordered(event_type)?;
        let mut sql = format!(
            "SELECT {} FROM {} WHERE true",
            table.column_names().join(", "),
            self.qualified(table.name)
        );
        if of.is_some() {
            sql.push_str(" AND symbol = $1 AND exchange = $2");
        }
        if let Some(timeframe) = timeframe {
            sql.push_str(&format!(" AND timeframe = INTERVAL '{}'", interval_text(timeframe)));
        }
        sql.push_str(&format!(" ORDER BY {order} LIMIT 1"));
        let (exchange, symbol) = of.map_or(("", ""), |(exchange, symbol)| (exchange.as_str(), symbol.as_str()));
        self.events(table, sql, of.is_some().then_some([symbol, exchange]))
            .await
    }

    async fn latest(&self, event_type: EventType, timeframe: Option<Timeframe>) -> Result<Vec<Event>> {
        let (table, order) = ordered(event_type)?;
        let condition = timeframe.map(|frame| format!("timeframe = INTERVAL '{}'", interval_text(frame)));
        let with = |word: &str| {
            condition
                .as_ref()
                .map_or(String::new(), |condition| format!("{word} {condition}"))
        };
        let sql = LATEST
            .replace("{table}", &self.qualified(table.name))
            .replace("{columns}", &table.column_names().join(", "))
            .replace("{order}", &order)
            .replace("{where}", &with("WHERE"))
            .replace("{and}", &with("AND"));
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

/// The bars between two times that are not among those that are there.
fn missing(
    timeframe: Timeframe,
    from: Timestamp,
    to: Timestamp,
    there: impl Iterator<Item = Timestamp>,
) -> Vec<Missing> {
    let mut runs = Vec::new();
    let floor = timeframe.floor(from);
    let mut next = if floor < from { timeframe.next(floor) } else { floor };
    for at in there.chain([to]) {
        let mut run: Option<Missing> = None;
        while next < at {
            let run = run.get_or_insert(Missing {
                from: next,
                to: next,
                bars: 0,
            });
            (run.to, run.bars) = (next, run.bars + 1);
            next = timeframe.next(next);
        }
        runs.extend(run);
        if at < to {
            next = timeframe.next(at);
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_that_are_missing() {
        let there = ["2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"].map(at);
        let found = missing(
            Timeframe::Mo1,
            at("2025-12-15T00:00:00Z"),
            at("2026-07-01T00:00:00Z"),
            there.into_iter(),
        );
        let told: Vec<_> = found
            .iter()
            .map(|run| (run.from.date(), run.to.date(), run.bars))
            .collect();
        let expected = [
            ("2026-01-01", "2026-01-01", 1),
            ("2026-03-01", "2026-04-01", 2),
            ("2026-06-01", "2026-06-01", 1),
        ];
        assert_eq!(
            told,
            expected.map(|(from, to, bars)| (from.to_owned(), to.to_owned(), bars))
        );
    }

    #[test]
    fn nothing_missing() {
        let there = (0..5).map(|minute| Timestamp::from_nanos(minute * 60_000_000_000));
        let end = Timestamp::from_nanos(5 * 60_000_000_000);
        assert_eq!(missing(Timeframe::M1, Timestamp::from_nanos(0), end, there), []);
    }
}
