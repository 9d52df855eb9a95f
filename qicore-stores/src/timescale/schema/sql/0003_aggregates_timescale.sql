-- TimescaleDB: hours built from the closed 1 m bars, and days built from the hours. Only one timeframe is summed up, so
-- nothing counts twice; open and close are those of the first and last bar. What is not yet refreshed is computed when
-- it is asked for (materialized_only = false). A volume in quote currency, or a count of trades, that one of the bars
-- lacks is not given.

CREATE MATERIALIZED VIEW {schema}.ohlcv_1h
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT symbol,
       exchange,
       time_bucket(INTERVAL '1 hour', timestamp) AS timestamp,
       first(open, timestamp) AS open,
       max(high) AS high,
       min(low) AS low,
       last(close, timestamp) AS close,
       sum(volume) AS volume,
       CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume) END AS quote_volume,
       CASE WHEN count(trades) = count(*) THEN sum(trades) END AS trades,
       count(*) AS bars
FROM {schema}.ohlcv
WHERE timeframe = INTERVAL '1 minute' AND closed
GROUP BY symbol, exchange, time_bucket(INTERVAL '1 hour', timestamp)
WITH NO DATA;

CREATE MATERIALIZED VIEW {schema}.ohlcv_1d
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT symbol,
       exchange,
       time_bucket(INTERVAL '1 day', ohlcv_1h.timestamp) AS timestamp,
       first(open, ohlcv_1h.timestamp) AS open,
       max(high) AS high,
       min(low) AS low,
       last(close, ohlcv_1h.timestamp) AS close,
       sum(volume) AS volume,
       CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume) END AS quote_volume,
       CASE WHEN count(trades) = count(*) THEN sum(trades) END AS trades,
       sum(bars) AS bars
FROM {schema}.ohlcv_1h
GROUP BY symbol, exchange, time_bucket(INTERVAL '1 day', ohlcv_1h.timestamp)
WITH NO DATA;
