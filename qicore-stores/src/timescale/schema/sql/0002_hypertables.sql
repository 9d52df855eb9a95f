-- TimescaleDB: the large tables become hypertables. They have no index on the time alone: chunks are passed over by their
-- times, the keys above serve what names a symbol, and with one more index rows take half as long again to write.

SELECT create_hypertable('{schema}.ohlcv', 'timestamp', chunk_time_interval => INTERVAL '{candle_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.trades', 'timestamp', chunk_time_interval => INTERVAL '{tick_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.quotes', 'timestamp', chunk_time_interval => INTERVAL '{tick_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.tickers', 'timestamp', chunk_time_interval => INTERVAL '{tick_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.books', 'timestamp', chunk_time_interval => INTERVAL '{tick_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.prices', 'timestamp', chunk_time_interval => INTERVAL '{candle_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.series', 'timestamp', chunk_time_interval => INTERVAL '{candle_chunk}', create_default_indexes => false);
SELECT create_hypertable('{schema}.alerts', 'timestamp', chunk_time_interval => INTERVAL '{candle_chunk}', create_default_indexes => false);
