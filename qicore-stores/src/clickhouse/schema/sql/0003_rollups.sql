-- Hours and days of the closed {rollup_from} bars. They are computed when they are asked for, from each bar once: rows that
-- were written twice, corrections and bars of other lengths in the table change nothing that they should not. Ask for
-- some symbols and a stretch of time: both conditions reach the table's key.

CREATE OR REPLACE VIEW {table:ohlcv_hourly}{on_cluster} AS
SELECT
    symbol,
    exchange,
    toDateTime64(hour, 9, 'UTC') AS timestamp,
    open, high, low, close, volume, quote_volume, trades, bars
FROM
(
    SELECT
        symbol,
        exchange,
        toStartOfHour(bar.timestamp, 'UTC') AS hour,
        argMin(bar.open, bar.timestamp) AS open,
        max(bar.high) AS high,
        min(bar.low) AS low,
        argMax(bar.close, bar.timestamp) AS close,
        {sum:volume} AS volume,
        if(count(bar.quote_volume) = count(), {sum:quote_volume}, NULL) AS quote_volume,
        if(count(bar.trades) = count(), sum(bar.trades), NULL) AS trades,
        count() AS bars
    FROM {table:ohlcv} AS bar FINAL
    WHERE timeframe = '{rollup_from}' AND closed
        -- What hours can be told of.
        AND bar.timestamp >= '1970-01-01 00:00:00' AND bar.timestamp < '2106-01-01 00:00:00'
    GROUP BY symbol, exchange, hour
);

CREATE OR REPLACE VIEW {table:ohlcv_daily}{on_cluster} AS
SELECT
    symbol,
    exchange,
    toDateTime64(day, 9, 'UTC') AS timestamp,
    open, high, low, close, volume, quote_volume, trades, bars
FROM
(
    SELECT
        symbol,
        exchange,
        toDate32(bar.timestamp) AS day,
        argMin(bar.open, bar.timestamp) AS open,
        max(bar.high) AS high,
        min(bar.low) AS low,
        argMax(bar.close, bar.timestamp) AS close,
        {sum:volume} AS volume,
        if(count(bar.quote_volume) = count(), {sum:quote_volume}, NULL) AS quote_volume,
        if(count(bar.trades) = count(), sum(bar.trades), NULL) AS trades,
        count() AS bars
    FROM {table:ohlcv} AS bar FINAL
    WHERE timeframe = '{rollup_from}' AND closed
    GROUP BY symbol, exchange, day
);
