//! Whether the tables are still what they were made as.

use std::collections::HashMap;

use qicore_data::{Error, ErrorKind, Result};

use super::{Tables, types, wanted};
use crate::clickhouse::connect::Servers;

/// Every column is to have its type, and every table its key: a decimal that was made shorter would round, and a key that
/// was made shorter would take rows for one that are not.
pub(super) async fn tables(servers: &Servers, tables: &Tables) -> Result<()> {
    columns(servers, tables).await?;
    keys(servers, tables).await
}

async fn columns(servers: &Servers, tables: &Tables) -> Result<()> {
    let sql = "SELECT table, name, type FROM system.columns WHERE database = {database:String}";
    let rows: Vec<(String, String, String)> = servers
        .all("clickhouse.schema", sql, &[("database", &tables.database)])
        .await?;
    let held: HashMap<(&str, &str), &str> = rows
        .iter()
        .map(|(table, name, of)| ((table.as_str(), name.as_str()), of.as_str()))
        .collect();
    for table in wanted(tables) {
        for (column, made) in types(table, tables.decimals) {
            let message = match held.get(&(table.name, column)) {
                Some(found) if *found == made => continue,
                Some(found) => format!("the column is {found}, and is to be {made}"),
                None => format!("the column is gone, which was made as {made}"),
            };
            return Err(changed(message, tables)
                .with("table", table.name)
                .with("column", column));
        }
    }
    Ok(())
}

async fn keys(servers: &Servers, tables: &Tables) -> Result<()> {
    let sql = "SELECT name, engine, sorting_key FROM system.tables WHERE database = {database:String}";
    let rows: Vec<(String, String, String)> = servers
        .all("clickhouse.schema", sql, &[("database", &tables.database)])
        .await?;
    for table in wanted(tables) {
        let name = if tables.sharded {
            format!("{}_local", table.name)
        } else {
            table.name.to_owned()
        };
        let Some((_, engine, key)) = rows.iter().find(|row| row.0 == name) else {
            return Err(changed("the table is gone".into(), tables).with("table", name));
        };
        let made = table.key.join(", ");
        let message = match engine.ends_with("ReplacingMergeTree") {
            false => format!("the table's engine is {engine}: rows that come again would be doubled"),
            true if *key != made => format!("the table is ordered by ({key}), and was made with ({made})"),
            true => continue,
        };
        return Err(changed(message, tables).with("table", name));
    }
    Ok(())
}

fn changed(message: String, tables: &Tables) -> Error {
    let advice = "put it back as `qicore schema clickhouse` prints it, or set another tables.database";
    Error::new(ErrorKind::Schema, "clickhouse.schema", message)
        .with("database", &tables.database)
        .with("advice", advice)
}
