//! Whether the tables are still what they were made as.

use std::collections::HashMap;

use qicore_data::{Error, ErrorKind, Result};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::Tables;
use crate::timescale::Table;
use crate::timescale::error::mapped;

/// Every column is to be what it was made as: one that was made shorter would round values and say nothing.
pub(super) async fn columns(connection: &mut PgConnection, tables: &Tables) -> Result<()> {
    let sql = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a \
               JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = sqlx::query(sql).bind(&tables.schema).fetch_all(connection).await;
    let rows = rows.map_err(|error| mapped("timescale.schema", error))?;
    let held: HashMap<(String, String), String> =
        rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    let positions = [
        ("qicore_lanes", "generation bigint"),
        ("qicore_writers", "generation bigint"),
    ];
    let positions = positions.map(|(table, definition)| (table, vec![definition.to_owned()]));
    let tables_made = Table::all().iter().map(|table| (table.name, table.definitions()));
    for (table, definitions) in tables_made.chain(positions) {
        for definition in definitions {
            let (column, made) = definition.split_once(' ').unwrap_or_default();
            let made = made.replace("timestamptz", "timestamp with time zone");
            let message = match held.get(&(table.to_owned(), column.to_owned())) {
                Some(found) if *found == made => continue,
                Some(found) => format!("the column is {found}, and was made as {made}: values may not fit it exactly"),
                None => format!("the column is gone, which was made as {made}"),
            };
            return Err(changed(message).with("table", table).with("column", column));
        }
    }
    Ok(())
}

fn changed(message: String) -> Error {
    let advice = "put it back as `qicore schema timescale` prints it, or set another schema";
    Error::new(ErrorKind::Schema, "timescale.schema", message).with("advice", advice)
}

/// Every unique key is to be there: without it a row that comes again is one more row.
pub(super) async fn keys(connection: &mut PgConnection, tables: &Tables) -> Result<()> {
    let sql = "SELECT k.conname::text FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace \
               WHERE n.nspname = $1 AND k.contype = 'u' AND k.convalidated";
    let rows = sqlx::query(sql).bind(&tables.schema).fetch_all(connection).await;
    let rows = rows.map_err(|error| mapped("timescale.schema", error))?;
    let held: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let wanted = Table::all().iter().filter(|table| table.is_keyed());
    match wanted
        .map(|table| format!("{}_key", table.name))
        .find(|key| !held.contains(key))
    {
        None => Ok(()),
        Some(key) => {
            Err(changed("a unique key is gone: rows that come again would be doubled".into()).with("key", key))
        }
    }
}
