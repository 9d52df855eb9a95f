//! An index, compression, retention and refresh: not versions of the schema but settings, compared and set at every
//! opening.

use qicore_data::Result;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Flavour, Tables, filled};
use crate::Period;
use crate::timescale::error::mapped;

/// What of a table is compressed together, and in which order.
struct Compressed {
    table: &'static str,
    order: &'static str,
    /// Whether it takes every message of a venue.
    ticks: bool,
}

const TABLES: &[Compressed] = &[
    compressed("ohlcv", "timeframe, timestamp DESC", false),
    compressed("trades", "timestamp DESC, id", true),
    compressed("quotes", "timestamp DESC, timestamp_ns DESC", true),
    compressed("tickers", "timestamp DESC, timestamp_ns DESC", true),
    compressed("books", "timestamp DESC, timestamp_ns DESC", true),
    compressed("prices", "timestamp DESC, timestamp_ns DESC", false),
    compressed("series", "name, params, timestamp DESC, timestamp_ns DESC", false),
    compressed("alerts", "timestamp DESC, timestamp_ns DESC", false),
];

const fn compressed(table: &'static str, order: &'static str, ticks: bool) -> Compressed {
    Compressed { table, order, ticks }
}

/// The statements that set everything, whatever it was.
pub(super) fn sql(tables: &Tables, flavour: Flavour) -> String {
    let mut sql = String::from("-- Settings, by configuration: they may change at any time.\n");
    let mut add = |line: String| {
        sql.push_str(&line);
        sql.push_str(";\n");
    };
    add(exchange_index(tables.exchange_index, flavour));
    if flavour == (Flavour::Timescale { community: true }) {
        policies(tables, &mut add);
    }
    add(format!(
        "COMMENT ON TABLE {{schema}}.qicore_schema IS '{}'",
        comment(tables)
    ));
    sql
}

/// The index is made, or dropped, while the table is empty. Afterwards it is for a person to do, at a time of their own:
/// building it keeps all writers out for as long as it takes.
fn exchange_index(wanted: bool, flavour: Flavour) -> String {
    let create = |how: &str| format!("CREATE INDEX {how} ON {{schema}}.ohlcv (exchange, timestamp DESC)");
    let drop = || "DROP INDEX {schema}.ohlcv_exchange_time".to_owned();
    let (now, later) = match (wanted, flavour) {
        (true, Flavour::Plain) => (
            create("ohlcv_exchange_time"),
            create("CONCURRENTLY ohlcv_exchange_time"),
        ),
        (true, Flavour::Timescale { .. }) => {
            let now = create("ohlcv_exchange_time");
            let later = format!("{now} WITH (timescaledb.transaction_per_chunk)");
            (now, later)
        }
        (false, _) => (drop(), drop()),
    };
    let done = if wanted { "IS NOT NULL" } else { "IS NULL" };
    format!(
        "DO $$ BEGIN IF to_regclass('{{schema}}.ohlcv_exchange_time') {done} THEN RETURN; END IF;\n\
         IF EXISTS (SELECT FROM {{schema}}.ohlcv) THEN\n\
         RAISE WARNING 'exchange_index = {wanted} changes no table that has rows: {later}';\n\
         ELSE {now}; END IF; END $$"
    )
}

/// Compression and retention, which work on whole chunks, and the refresh of the aggregates.
fn policies(tables: &Tables, add: &mut dyn FnMut(String)) {
    for Compressed { table, order, ticks } in TABLES {
        let name = format!("'{{schema}}.{table}'");
        let retention = if *ticks {
            &tables.tick_retention
        } else {
            &tables.candle_retention
        };
        if tables.compress_after != Period::OFF {
            // Once there are compressed chunks their order is not to be set again.
            add(format!(
                "DO $$ BEGIN IF NOT (SELECT compression_enabled FROM timescaledb_information.hypertables \
                 WHERE hypertable_schema = '{{schema_text}}' AND hypertable_name = '{table}') THEN\n\
                 ALTER TABLE {{schema}}.{table} SET (timescaledb.compress, \
                 timescaledb.compress_segmentby = 'symbol, exchange', timescaledb.compress_orderby = '{order}');\n\
                 END IF; END $$"
            ));
        }
        add(format!("SELECT remove_compression_policy({name}, if_exists => true)"));
        if let Some(after) = tables.compress_after.as_interval() {
            add(format!(
                "SELECT add_compression_policy({name}, compress_after => INTERVAL '{after}')"
            ));
        }
        add(format!("SELECT remove_retention_policy({name}, if_exists => true)"));
        if let Some(after) = retention.as_interval() {
            add(format!(
                "SELECT add_retention_policy({name}, drop_after => INTERVAL '{after}')"
            ));
        }
        let chunk = if *ticks {
            &tables.tick_chunk
        } else {
            &tables.candle_chunk
        };
        let chunk = chunk.as_interval().unwrap_or_default();
        add(format!("SELECT set_chunk_time_interval({name}, INTERVAL '{chunk}')"));
    }
    for (view, margin) in [("ohlcv_1h", "1 hour"), ("ohlcv_1d", "1 day")] {
        let name = format!("'{{schema}}.{view}'");
        add(format!(
            "SELECT remove_continuous_aggregate_policy({name}, if_exists => true)"
        ));
        if let Some(every) = tables.refresh_every.as_interval() {
            // Only what has changed is refreshed, so that the whole history can be in the window; but where old bars
            // are dropped their hours are to stay, and the window must not reach back to them.
            let start = match tables.candle_retention.as_interval() {
                Some(kept) => format!("INTERVAL '{kept}' - INTERVAL '1 day'"),
                None => "NULL".into(),
            };
            add(format!(
                "SELECT add_continuous_aggregate_policy({name}, start_offset => {start}, \
                 end_offset => INTERVAL '{margin}', schedule_interval => INTERVAL '{every}')"
            ));
        }
    }
}

/// The configuration that all was set by, kept as the comment of the version table.
fn comment(tables: &Tables) -> String {
    let told = |period: &Period| period.as_interval().unwrap_or("off").to_owned();
    let all = [
        ("tick_chunk", &tables.tick_chunk),
        ("candle_chunk", &tables.candle_chunk),
        ("compress_after", &tables.compress_after),
        ("tick_retention", &tables.tick_retention),
        ("candle_retention", &tables.candle_retention),
        ("refresh_every", &tables.refresh_every),
    ];
    let all: Vec<_> = all
        .iter()
        .map(|(name, period)| format!("{name} = {}", told(period)))
        .collect();
    format!("{}, exchange_index = {}", all.join(", "), tables.exchange_index)
}

/// Whether everything is as this configuration has it: then there is nothing to do, and nothing to have a privilege
/// for. Says what is going to change: two writers of one schema with different settings would set theirs in turn.
pub(super) async fn are_set(connection: &mut PgConnection, tables: &Tables) -> Result<bool> {
    let sql = filled(
        "SELECT obj_description('{schema}.qicore_schema'::regclass, 'pg_class')",
        tables,
    );
    let row = sqlx::query(&sql).fetch_one(connection).await;
    let row = row.map_err(|error| mapped("timescale.schema", error))?;
    let (set, wanted) = (row.get::<Option<String>, _>(0), comment(tables));
    if let Some(set) = set.as_ref().filter(|set| **set != wanted) {
        tracing::warn!(
            schema = tables.schema,
            from = set,
            to = wanted,
            "the settings of the schema's tables change"
        );
    }
    Ok(set.as_ref() == Some(&wanted))
}
