//! Whether the tables are what they were made as, or somebody else's.

use std::collections::HashMap;

use qicore_data::{Error, ErrorKind, Result};

use super::{Tables, types, wanted};
use crate::clickhouse::connect::Servers;

/// What is there.
struct Found {
    /// By table and column.
    columns: HashMap<(String, String), String>,
    /// The engine with its arguments, and the key, of each table and view.
    tables: HashMap<String, (String, String)>,
}

impl Found {
    async fn ask(servers: &Servers, tables: &Tables) -> Result<Self> {
        let database = [("database", tables.database.as_str())];
        // Tables first: one that another program makes meanwhile is to have its columns, too.
        let sql = "SELECT name, if(engine_full = '', engine, engine_full), sorting_key FROM system.tables WHERE database = {database:String}";
        let held: Vec<(String, String, String)> = servers.all("clickhouse.schema", sql, &database).await?;
        let sql = "SELECT table, name, type FROM system.columns WHERE database = {database:String}";
        let columns: Vec<(String, String, String)> = servers.all("clickhouse.schema", sql, &database).await?;
        Ok(Self {
            columns: columns
                .into_iter()
                .map(|(table, name, of)| ((table, name), of))
                .collect(),
            tables: held
                .into_iter()
                .map(|(name, engine, key)| (name, (definition(engine), key)))
                .collect(),
        })
    }
}

/// An engine without what follows its arguments.
fn definition(mut engine: String) -> String {
    let clauses = [" PARTITION BY ", " ORDER BY ", " PRIMARY KEY ", " SETTINGS ", " TTL "];
    let end = clauses.iter().filter_map(|clause| engine.find(clause)).min();
    engine.truncate(end.unwrap_or(engine.len()));
    engine
}

/// A table that holds rows, as it was made.
struct Made {
    /// Its name, and where there are shards that of the table above theirs.
    names: Vec<String>,
    columns: Vec<(String, String)>,
    key: String,
    /// The column by which of two rows of one key the newer one is told; none where the one written last is.
    version: &'static str,
}

fn made(tables: &Tables) -> Vec<Made> {
    let owned = |columns: &[(&str, &str)]| -> Vec<(String, String)> {
        columns
            .iter()
            .map(|(name, of)| ((*name).to_owned(), (*of).to_owned()))
            .collect()
    };
    let both = |name: &str| match tables.sharded {
        true => vec![tables.local(name), name.to_owned()],
        false => vec![name.to_owned()],
    };
    let of_rows = wanted(tables).map(|table| Made {
        names: both(table.name),
        columns: types(table, tables.decimals)
            .into_iter()
            .map(|(name, of)| (name.to_owned(), of))
            .collect(),
        key: table.key.join(", "),
        version: table.version(),
    });
    let lanes = [
        ("pipeline", "String"),
        ("sink", "String"),
        ("lane", "String"),
        ("position", "UInt64"),
        ("finished", "Bool"),
        ("rows", "UInt64"),
        ("checkpoint", "String"),
        ("step", "UInt64"),
    ];
    let versions = [
        ("version", "UInt32"),
        ("name", "String"),
        ("applied_at", "DateTime64(6, 'UTC')"),
    ];
    let own = [
        Made {
            names: both("qicore_lanes"),
            columns: owned(&lanes),
            key: "pipeline, sink, lane".into(),
            version: "step",
        },
        Made {
            names: vec!["qicore_schema".into()],
            columns: owned(&versions),
            key: "version".into(),
            version: "applied_at",
        },
    ];
    of_rows.chain(own).collect()
}

/// Every column is to have its type, and every table its key: a decimal that was made shorter would round, and a key that
/// was made shorter would take rows for one that are not.
pub(super) async fn tables(servers: &Servers, tables: &Tables) -> Result<()> {
    let found = Found::ask(servers, tables).await?;
    made(tables).iter().try_for_each(|made| check(&found, made, tables))
}

/// What is there under one of the names before anything is made is to be what would be made: somebody else's table is
/// neither written nor replaced.
pub(super) async fn nothing_foreign(servers: &Servers, tables: &Tables) -> Result<()> {
    let found = Found::ask(servers, tables).await?;
    for mut made in made(tables) {
        made.names.retain(|name| found.tables.contains_key(name));
        check(&found, &made, tables)?;
    }
    for view in ["ohlcv_hourly", "ohlcv_daily"] {
        if let Some((engine, _)) = found.tables.get(view).filter(|(engine, _)| engine != "View") {
            let message =
                format!("there is a table of engine {engine} where a view is to be made: is it somebody else's?");
            return Err(changed(message, tables).with("table", view));
        }
    }
    Ok(())
}

fn check(found: &Found, made: &Made, tables: &Tables) -> Result<()> {
    for name in &made.names {
        if !found.tables.contains_key(name) {
            let advice = "run what `qicore schema clickhouse` prints; to have rows written again that were in it, delete their lanes from qicore_lanes first";
            return Err(schema("the table is gone".into(), tables, advice).with("table", name));
        }
        for (column, of) in &made.columns {
            let message = match found.columns.get(&(name.clone(), column.clone())) {
                Some(found) if found == of => continue,
                Some(found) => format!("the column is {found}, and is to be {of}"),
                None => format!("the column is gone, which was made as {of}"),
            };
            return Err(changed(message, tables).with("table", name).with("column", column));
        }
    }
    // Above shards there is no key.
    let Some(name) = made.names.first() else { return Ok(()) };
    let Some((engine, key)) = found.tables.get(name) else {
        return Ok(());
    };
    let replicated = engine.starts_with("Replicated") || engine.starts_with("Shared");
    let (kind, arguments) = engine.split_once('(').unwrap_or((engine, ""));
    // Of a replicated table, behind its path and the replica's name.
    let last = arguments.trim_end_matches(')').rsplit(", ").next().unwrap_or_default();
    let version = if last.contains('\'') { "" } else { last };
    let message = if !kind.ends_with("ReplacingMergeTree") {
        format!("the table's engine is {engine}: rows that come again would be doubled")
    } else if tables.replicated && !replicated {
        format!("the table's engine is {engine}, and tables.replicated is set")
    } else if version != made.version {
        format!("the table's engine is {engine}: of rows that come again, the newest would not stay")
    } else if *key != made.key {
        format!("the table is ordered by ({key}), and was made with ({})", made.key)
    } else {
        return Ok(());
    };
    Err(changed(message, tables).with("table", name))
}

fn changed(message: String, tables: &Tables) -> Error {
    let advice = "put it back as `qicore schema clickhouse` prints it, or set another tables.database";
    schema(message, tables, advice)
}

fn schema(message: String, tables: &Tables, advice: &'static str) -> Error {
    Error::new(ErrorKind::Schema, "clickhouse.schema", message)
        .with("database", &tables.database)
        .with("advice", advice)
}
