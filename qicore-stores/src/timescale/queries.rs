//! What applications ask of stored data.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use qicore_data::{Error, Event, EventType, Exchange, Result, Symbol, Timeframe, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::error::mapped;
use super::select::interval_text;
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

/// The kinds that tell a price.
const PRICES: [EventType; 4] = [EventType::Trade, EventType::Ticker, EventType::Quote, EventType::Price];

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

/// Of two prices of one symbol at one venue the newer one stays.
fn keep_newest(newest: &mut BTreeMap<(Symbol, Exchange), Event>, event: Event) {
    match newest.entry((event.symbol, event.exchange)) {
        Entry::Vacant(entry) => {
            entry.insert(event);
        }
        Entry::Occupied(mut entry) if event.timestamp > entry.get().timestamp => {
            entry.insert(event);
        }
        Entry::Occupied(_) => {}
    }
}

/// The bars that are missing before the `first` one that is there, and in the holes behind bars that are there.
fn missing(
    timeframe: Timeframe,
    from: Timestamp,
    first: Timestamp,
    holes: impl Iterator<Item = (Timestamp, Timestamp)>,
) -> Vec<Missing> {
    let floor = timeframe.floor(from);
    let start = if floor < from { timeframe.next(floor) } else { floor };
    let before = run(timeframe, start, first);
    let behind = holes.filter_map(|(bar, next)| run(timeframe, timeframe.next(bar), next));
    before.into_iter().chain(behind).collect()
}

/// The bars from one opening time up to another, without that.
fn run(timeframe: Timeframe, from: Timestamp, end: Timestamp) -> Option<Missing> {
    if from >= end {
        return None;
    }
    let (bars, to) = match timeframe.length() {
        Some(length) => {
            let before_last = end.nanos().abs_diff(from.nanos()).saturating_sub(1) / length.as_nanos() as u64;
            let last = from
                .nanos()
                .saturating_add_unsigned(before_last * length.as_nanos() as u64);
            (before_last + 1, Timestamp::from_nanos(last))
        }
        // Months differ in length; all that there are can be counted.
        None => std::iter::successors(Some(from), |at| Some(timeframe.next(*at)))
            .take_while(|at| *at < end)
            .fold((0, from), |(bars, _), at| (bars + 1, at)),
    };
    Some(Missing { from, to, bars })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_that_are_missing() {
        let [february, may, july] = ["2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"].map(at);
        let holes = [(february, may), (may, july)];
        let found = missing(Timeframe::Mo1, at("2025-12-15T00:00:00Z"), february, holes.into_iter());
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
    fn an_empty_series_of_any_length_is_one_run() {
        let (from, to) = (Timestamp::from_nanos(i64::MIN + 1), Timestamp::from_nanos(i64::MAX));
        for timeframe in [Timeframe::S1, Timeframe::W1, Timeframe::Mo1] {
            let found = missing(timeframe, at("1700-01-01T00:00:00Z"), to, [].into_iter());
            let [run] = found[..] else { panic!("{found:?}") };
            assert!(
                run.to < to && (timeframe.next(run.to) >= to || timeframe.next(run.to) < run.to),
                "{run:?}"
            );
            assert!(missing(timeframe, from, to, [].into_iter()).len() == 1);
        }
        let minutes = missing(
            Timeframe::M1,
            at("2026-01-01T00:00:30Z"),
            at("2026-01-01T00:03:30Z"),
            [].into_iter(),
        );
        let told = (at("2026-01-01T00:01:00Z"), at("2026-01-01T00:03:00Z"), 3);
        assert_eq!(
            minutes
                .iter()
                .map(|run| (run.from, run.to, run.bars))
                .collect::<Vec<_>>(),
            [told]
        );
    }

    #[test]
    fn nothing_missing() {
        let at = |minute: i64| Timestamp::from_nanos(minute * 60_000_000_000);
        assert_eq!(missing(Timeframe::M1, at(0), at(0), [].into_iter()), []);
        assert_eq!(missing(Timeframe::M1, at(0), at(0), [(at(3), at(4))].into_iter()), []);
    }
}
