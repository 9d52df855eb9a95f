-- The tables, one for each kind of event.
--
-- Every table: `symbol` is BASE/QUOTE, `exchange` the venue, `timestamp` the venue's event time (for a candle its open
-- time) in UTC, `received` when it was received, `source` the plugin that made it, `quality` high, medium or low. Times
-- keep nanoseconds. Texts that an event does not have are empty.
--
-- A row that is written again has the key that it had, and takes the place of the one before, at the latest when parts
-- are merged. SELECT … FINAL, or the setting final = 1, sees each row once at any time.

CREATE TABLE IF NOT EXISTS {local:ohlcv}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timeframe Enum8('' = 0,
        '1s' = 1, '1m' = 2, '3m' = 3, '5m' = 4, '15m' = 5, '30m' = 6, '1h' = 7, '2h' = 8, '4h' = 9, '6h' = 10,
        '8h' = 11, '12h' = 12, '1d' = 13, '3d' = 14, '1w' = 15, '1M' = 16),
    timestamp DateTime64(9, 'UTC') {codec:time},
    open {decimal} {codec:decimal},
    high {decimal} {codec:decimal},
    low {decimal} {codec:decimal},
    close {decimal} {codec:decimal},
    volume {decimal} {codec:decimal},                -- in base currency
    quote_volume Nullable({decimal}) {codec:decimal},
    trades Nullable(UInt64) {codec:number},
    closed Bool,                                     -- false: the interval was not over, the values may still change
    origin Enum8('' = 0, 'rest' = 1, 'websocket' = 2, 'built' = 3),
    revision UInt64 {codec:number},                  -- how often late trades have corrected a built candle
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    version UInt64 {codec:number}                    -- the highest stays: closed before open, then the newest received
)
ENGINE = {replacing:version}
PARTITION BY toYYYYMM(timestamp)
ORDER BY (symbol, exchange, timeframe, timestamp){storage};

-- A trade without the venue's id cannot be told from another one like it but by its place in its lane: `twin`.
CREATE TABLE IF NOT EXISTS {local:trades}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    id String,                                       -- empty where the venue gives none
    side Enum8('' = 0, 'buy' = 1, 'sell' = 2),  -- of the taker
    price {decimal} {codec:decimal},
    size {decimal} {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    seq UInt64 {codec:number},                       -- the order of arrival within the lane
    twin UInt64 {codec:number},                      -- 0 for a trade with an id
    version UInt64 {codec:number}
)
ENGINE = {replacing:version}
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, exchange, timestamp)
ORDER BY (symbol, exchange, timestamp, id, twin){storage};

CREATE TABLE IF NOT EXISTS {local:quotes}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    bid {decimal} {codec:decimal},
    bid_size {decimal} {codec:decimal},
    ask {decimal} {codec:decimal},
    ask_size {decimal} {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    seq UInt64 {codec:number},                       -- the row's number in its lane: the same when it is written again
    lane UInt64 {codec:number}                       -- which lane of which pipeline: see qicore_lanes
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, exchange, timestamp)
ORDER BY (symbol, exchange, timestamp, seq, lane){storage};

-- Rolling statistics of the venue, over 24 h where it sends that window.
CREATE TABLE IF NOT EXISTS {local:tickers}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    last {decimal} {codec:decimal},
    bid Nullable({decimal}) {codec:decimal},
    ask Nullable({decimal}) {codec:decimal},
    open Nullable({decimal}) {codec:decimal},
    high Nullable({decimal}) {codec:decimal},
    low Nullable({decimal}) {codec:decimal},
    volume Nullable({decimal}) {codec:decimal},
    quote_volume Nullable({decimal}) {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    seq UInt64 {codec:number},
    lane UInt64 {codec:number}
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, exchange, timestamp)
ORDER BY (symbol, exchange, timestamp, seq, lane){storage};

-- Order books: snapshots and changes, with the levels in the venue's order; size 0 deletes a level.
CREATE TABLE IF NOT EXISTS {local:books}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    kind Enum8('' = 0, 'snapshot' = 1, 'delta' = 2),
    sequence Nullable(UInt64) {codec:number},
    bids Array(Tuple(price {decimal}, size {decimal})),
    asks Array(Tuple(price {decimal}, size {decimal})),
    checksum Enum8('' = 0, 'ok' = 1, 'mismatch' = 2),
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    seq UInt64 {codec:number},
    lane UInt64 {codec:number}
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, exchange, timestamp)
ORDER BY (symbol, exchange, timestamp, seq, lane){storage};

-- Aggregators' prices, in the quote currency; the change over 24 h in percent.
CREATE TABLE IF NOT EXISTS {local:prices}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    price {decimal} {codec:decimal},
    market_cap Nullable({decimal}) {codec:decimal},
    volume_24h Nullable({decimal}) {codec:decimal},
    change_24h Nullable({decimal}) {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    version UInt64 {codec:number}
)
ENGINE = {replacing:version}
PARTITION BY toYYYYMM(timestamp)
ORDER BY (symbol, exchange, timestamp){storage};

-- Named values over time. The parameters that a value was computed with are part of its key.
CREATE TABLE IF NOT EXISTS {local:series}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    name LowCardinality(String),
    params String,                                   -- a JSON object, {} where there are none
    timestamp DateTime64(9, 'UTC') {codec:time},
    value {decimal} {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    version UInt64 {codec:number}
)
ENGINE = {replacing:version}
PARTITION BY toYYYYMM(timestamp)
ORDER BY (symbol, exchange, name, params, timestamp){storage};

-- Rules that fired.
CREATE TABLE IF NOT EXISTS {local:alerts}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    rule LowCardinality(String),
    severity Enum8('' = 0, 'info' = 1, 'warning' = 2, 'critical' = 3),
    message String,
    value Nullable({decimal}) {codec:decimal},
    threshold Nullable({decimal}) {codec:decimal},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    seq UInt64 {codec:number},
    lane UInt64 {codec:number}
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (symbol, exchange, timestamp)
ORDER BY (symbol, exchange, timestamp, seq, lane){storage};

-- Stretches for which data is known to be missing.
CREATE TABLE IF NOT EXISTS {local:gaps}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    timestamp DateTime64(9, 'UTC') {codec:time},
    from_time DateTime64(9, 'UTC') {codec:time},
    to_time DateTime64(9, 'UTC') {codec:time},
    reason Enum8('' = 0, 'disconnect' = 1, 'sequence' = 2, 'checksum' = 3, 'overflow' = 4, 'provider' = 5),
    missed Nullable(UInt64) {codec:number},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    version UInt64 {codec:number}
)
ENGINE = {replacing:version}
PARTITION BY toYYYYMM(from_time)
ORDER BY (symbol, exchange, reason, from_time, to_time){storage};

-- What venues trade: the newest description of each instrument.
CREATE TABLE IF NOT EXISTS {local:instruments}{on_cluster} (
    symbol LowCardinality(String),
    exchange LowCardinality(String),
    native String,                                   -- the venue's own name
    base LowCardinality(String),
    quote LowCardinality(String),
    kind Enum8('' = 0, 'spot' = 1, 'stock' = 2, 'forex' = 3, 'index' = 4, 'future' = 5, 'perpetual' = 6, 'option' = 7),
    active Bool,
    price_step Nullable({decimal}) {codec:decimal},
    size_step Nullable({decimal}) {codec:decimal},
    timestamp DateTime64(9, 'UTC') {codec:time},
    received Nullable(DateTime64(9, 'UTC')) {codec:time},
    source LowCardinality(String),
    quality Enum8('' = 0, 'high' = 1, 'medium' = 2, 'low' = 3),
    version UInt64 {codec:number}
)
ENGINE = {replacing:version}
ORDER BY (exchange, native, kind){storage};

-- How far each lane of each pipeline has been written, and how many rows that were. The highest position counts.
CREATE TABLE IF NOT EXISTS {local:qicore_lanes}{on_cluster} (
    pipeline String,
    sink String,
    lane String,
    position UInt64,
    finished Bool,
    rows UInt64,
    checkpoint String CODEC(ZSTD(1)),
    updated_at DateTime64(3, 'UTC') DEFAULT now64(3),
    step UInt64 MATERIALIZED position * 2 + finished
)
ENGINE = {replacing:step}
ORDER BY (pipeline, sink, lane){storage};
