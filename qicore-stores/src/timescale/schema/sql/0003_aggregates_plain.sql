-- PostgreSQL without TimescaleDB's aggregates: the same hours and days as views, computed when they are asked for.

CREATE VIEW {schema}.ohlcv_1h AS
SELECT symbol,
       exchange,
       date_trunc('hour', timestamp, 'UTC') AS timestamp,
       (array_agg(open ORDER BY timestamp))[1] AS open,
       max(high) AS high,
       min(low) AS low,
       (array_agg(close ORDER BY timestamp DESC))[1] AS close,
       sum(volume) AS volume,
       CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume) END AS quote_volume,
       CASE WHEN count(trades) = count(*) THEN sum(trades) END AS trades,
       count(*) AS bars
FROM {schema}.ohlcv
WHERE timeframe = INTERVAL '1 minute' AND closed
GROUP BY symbol, exchange, date_trunc('hour', timestamp, 'UTC');

CREATE VIEW {schema}.ohlcv_1d AS
SELECT symbol,
       exchange,
       date_trunc('day', hours.timestamp, 'UTC') AS timestamp,
       (array_agg(open ORDER BY hours.timestamp))[1] AS open,
       max(high) AS high,
       min(low) AS low,
       (array_agg(close ORDER BY hours.timestamp DESC))[1] AS close,
       sum(volume) AS volume,
       CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume) END AS quote_volume,
       CASE WHEN count(trades) = count(*) THEN sum(trades) END AS trades,
       sum(bars) AS bars
FROM {schema}.ohlcv_1h AS hours
GROUP BY symbol, exchange, date_trunc('day', hours.timestamp, 'UTC');
