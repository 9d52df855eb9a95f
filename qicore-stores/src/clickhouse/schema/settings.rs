//! What configuration sets on tables that are there: how long rows are kept, where, and how safely they are written.

use qicore_data::Result;

use super::{Tables, filled, wanted};
use crate::Period;
use crate::clickhouse::connect::Servers;
use crate::clickhouse::tables::Table;

/// Batches that are remembered, so that one that is sent again is recognised. Replicated tables have a setting of their
/// own, which is higher.
const REMEMBERED: u32 = 1000;

/// Parts of up to so many bytes have one file for all columns: an insert of 100,000 rows takes half the server's time that
/// one with two files for each column takes.
const COMPACT: u32 = 100_000_000;

/// How long rows of a kind are kept.
fn retention<'t>(table: &Table, tables: &'t Tables) -> &'t Period {
    match table.name {
        "trades" | "quotes" | "tickers" | "books" => &tables.tick_retention,
        "ohlcv" | "prices" | "series" | "alerts" => &tables.candle_retention,
        _ => &Period::OFF,
    }
}

fn interval(period: &Period) -> Option<String> {
    let (number, unit) = period.parts()?;
    Some(format!("INTERVAL {number} {}", unit.to_uppercase()))
}

/// When rows of a table go, and where.
fn ttl(table: &Table, tables: &Tables) -> Vec<String> {
    if !table.is_by_time() {
        return Vec::new();
    }
    let at = |what: String| format!("timestamp + {what}");
    let cold = interval(&tables.cold_after).zip(tables.cold_volume.as_ref());
    let moved = cold.map(|(after, volume)| format!("{} TO VOLUME '{volume}'", at(after)));
    let gone = interval(retention(table, tables)).map(|after| format!("{} DELETE", at(after)));
    moved.into_iter().chain(gone).collect()
}

/// The settings as a line, to see whether they have changed.
pub(super) fn summary(tables: &Tables) -> String {
    let period = |period: &Period| period.as_interval().unwrap_or("off").to_owned();
    format!(
        "fsync={} tick_retention={} candle_retention={} cold_after={} cold_volume={} rollup_from={} books={}",
        tables.fsync,
        period(&tables.tick_retention),
        period(&tables.candle_retention),
        period(&tables.cold_after),
        tables.cold_volume.as_deref().unwrap_or_default(),
        tables.rollup_from,
        tables.books,
    )
}

/// The statements that take away what is no longer wanted.
pub(super) async fn removals(servers: &Servers, tables: &Tables) -> Result<Vec<String>> {
    let sql = "SELECT name FROM system.tables WHERE database = {database:String} AND position(create_table_query, ' TTL ') > 0";
    let kept: Vec<String> = servers
        .all("clickhouse.schema", sql, &[("database", &tables.database)])
        .await?;
    let local = |table: &Table| tables.local(table.name);
    let forever = wanted(tables).filter(|table| ttl(table, tables).is_empty() && kept.contains(&local(table)));
    let alter = |table: &Table| format!("ALTER TABLE {{local:{}}}{{on_cluster}} REMOVE TTL", table.name);
    Ok(forever.map(|table| filled(&alter(table), tables)).collect())
}

/// The statements that make them so, whatever was before.
pub(super) fn statements(tables: &Tables) -> Vec<String> {
    let fsync = u8::from(tables.fsync);
    let mut all = Vec::new();
    for table in wanted(tables) {
        let alter = format!("ALTER TABLE {{local:{}}}{{on_cluster}}", table.name);
        all.push(format!(
            "{alter} MODIFY SETTING fsync_after_insert = {fsync}, fsync_part_directory = {fsync}, \
             non_replicated_deduplication_window = {REMEMBERED}, min_bytes_for_wide_part = {COMPACT}"
        ));
        let ttl = ttl(table, tables);
        if !ttl.is_empty() {
            all.push(format!("{alter} MODIFY TTL {}", ttl.join(", ")));
        }
    }
    all.push(format!(
        "ALTER TABLE {{local:qicore_lanes}}{{on_cluster}} MODIFY SETTING fsync_after_insert = {fsync}, \
         fsync_part_directory = {fsync}"
    ));
    all.iter().map(|sql| filled(sql, tables)).collect()
}
