//! What applications ask of stored data. Every row counts once, however often it was written.

use std::collections::BTreeMap;

use qicore_data::{Error, ErrorKind, Event, EventType, Exchange, Result, Symbol, Timeframe, Timestamp};

use super::Store;
use super::read::Query;
use super::tables::Table;
use crate::Missing;
use crate::missing::missing;
use crate::newest::{PRICES, keep_newest};

/// Closed bars with no bar of the same length right behind them, each with the next that is there or the end; and the
/// first bar of all, whatever follows.
const HOLES: &str = "SELECT toUnixTimestamp64Nano(bar), toUnixTimestamp64Nano(next) FROM (
    SELECT timestamp AS bar, row_number() OVER bars AS number,
           leadInFrame(timestamp, 1, fromUnixTimestamp64Nano({to:Int64}, 'UTC'))
               OVER (ORDER BY timestamp ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS next
    FROM {table} FINAL
    WHERE symbol = {symbol:String} AND exchange = {exchange:String} AND timeframe = {timeframe:String} AND closed
      AND timestamp >= fromUnixTimestamp64Nano({from:Int64}, 'UTC')
      AND timestamp < fromUnixTimestamp64Nano({to:Int64}, 'UTC')
    WINDOW bars AS (ORDER BY timestamp)
) WHERE next > bar + {step} OR number = 1 ORDER BY bar";

impl Store {
    /// The newest candle of a symbol at a venue, also one that is not closed.
    ///
    /// # Errors
    /// What the server fails with.
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
    /// What the server fails with.
    pub async fn latest_candles(&self, timeframe: Timeframe) -> Result<Vec<Event>> {
        self.newest(EventType::Candle, None, Some(timeframe)).await
    }

    /// The newest price of each symbol at each venue, as the event that says it: a trade, a ticker, a quote or an
    /// aggregator's price, whichever is newest.
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn latest_prices(&self) -> Result<Vec<Event>> {
        self.prices(None).await
    }

    /// The newest price of one symbol at a venue: see [`latest_prices`](Self::latest_prices).
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn latest_price(&self, exchange: Exchange, symbol: Symbol) -> Result<Option<Event>> {
        let found = self.prices(Some((exchange, symbol))).await;
        found.map(|mut events| events.pop())
    }

    /// The closed bars that are missing between two times: what a backfill has to fetch. `to` is exclusive.
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn missing_candles(
        &self,
        exchange: Exchange,
        symbol: Symbol,
        timeframe: Timeframe,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Missing>> {
        self.servers.whole_answers().await?;
        let step = match timeframe.length() {
            Some(length) => format!("INTERVAL {} SECOND", length.as_secs()),
            None => "INTERVAL 1 MONTH".to_owned(),
        };
        let sql = HOLES
            .replace("{table}", &self.qualified("ohlcv"))
            .replace("{step}", &step);
        let parameters = [
            ("symbol", symbol.as_str()),
            ("exchange", exchange.as_str()),
            ("timeframe", timeframe.as_str()),
            ("from", &from.nanos().to_string()),
            ("to", &to.nanos().to_string()),
        ];
        let rows: Vec<(i64, i64)> = self.servers.all("clickhouse.missing", &sql, &parameters).await?;
        let holes = rows
            .iter()
            .map(|(bar, next)| (Timestamp::from_nanos(*bar), Timestamp::from_nanos(*next)));
        let first = holes.clone().next().map_or(to, |(bar, _)| bar);
        Ok(missing(timeframe, from, first, holes))
    }

    async fn prices(&self, of: Option<(Exchange, Symbol)>) -> Result<Vec<Event>> {
        let mut newest = BTreeMap::new();
        for event_type in PRICES {
            for event in self.newest(event_type, of, None).await? {
                keep_newest(&mut newest, event);
            }
        }
        Ok(newest.into_values().collect())
    }

    /// The newest row of each symbol and venue, or of one. When that was is found in the times alone, without looking for
    /// rows that were replaced: a row and what replaces it have one time.
    async fn newest(
        &self,
        event_type: EventType,
        of: Option<(Exchange, Symbol)>,
        timeframe: Option<Timeframe>,
    ) -> Result<Vec<Event>> {
        let unsupported = || {
            let message = format!("there is no table of {event_type}s");
            Error::new(ErrorKind::Unsupported, "clickhouse.latest", message)
        };
        let table = Table::of(event_type).ok_or_else(unsupported)?;
        let target = self.qualified(table.name);
        let mut query = Query::of(self, table, Vec::new());
        let mut bounds: Vec<(&str, &str)> = Vec::new();
        if let Some((exchange, symbol)) = &of {
            bounds.extend([("symbol", symbol.as_str()), ("exchange", exchange.as_str())]);
        }
        bounds.extend(timeframe.map(|frame| ("timeframe", frame.as_str())));
        let conditions: Vec<String> = bounds.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let among = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let values = || bounds.iter().map(|(_, value)| (*value).to_owned());
        for (condition, value) in conditions.iter().zip(values()) {
            query.condition(condition, [value]);
        }
        // Of a sharded table the newest of all is looked for once, and not by each shard.
        let among_all = if self.tables.sharded { "GLOBAL IN" } else { "IN" };
        let newest = format!(
            "(symbol, exchange, timestamp) {among_all} (SELECT symbol, exchange, max(timestamp) FROM {target}{among} GROUP BY symbol, exchange)"
        );
        query.condition(&newest, values());
        let last = if table.order.contains(&"seq") {
            "seq DESC"
        } else {
            "symbol"
        };
        query
            .sql
            .push_str(&format!(" ORDER BY {last} LIMIT 1 BY symbol, exchange"));
        self.events(table, &query).await
    }
}
