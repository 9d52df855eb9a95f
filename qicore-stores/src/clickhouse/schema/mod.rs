//! The schema: numbered migrations as SQL files, and what configuration sets beside.
//!
//! ClickHouse has no transactions for statements that define tables: each statement can run again, and a migration is
//! registered once all of its statements have.

mod config;
mod settings;
mod verify;

use qicore_data::{Error, ErrorKind, Result};

use super::connect::Servers;
use super::tables::{Stored, Table};
pub use config::{Decimals, Tables};

/// A step from one version of the schema to the next.
struct Migration {
    name: &'static str,
    /// Its text; `None` where there is nothing to do.
    sql: fn(&Tables) -> Option<&'static str>,
}

/// All steps; a version is a place in this list, from 1. Steps that have been released are never changed.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "tables",
        sql: |_| Some(include_str!("sql/0001_tables.sql")),
    },
    Migration {
        name: "distributed",
        sql: |tables| tables.sharded.then_some(include_str!("sql/0002_distributed.sql")),
    },
    Migration {
        name: "rollups",
        sql: |_| Some(include_str!("sql/0003_rollups.sql")),
    },
];

/// The version that this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

const DATABASE: &str = "CREATE DATABASE IF NOT EXISTS {database}{on_cluster}";

/// Versions, from 1, and under 0 the settings that were made last.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS {database}.qicore_schema{on_cluster} (
    version UInt32,
    name String,
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {replacing:applied_at}
ORDER BY version";

/// Fills in the names of a configuration. They have been checked to be no SQL of their own.
fn filled(sql: &str, tables: &Tables) -> String {
    let mut text = sql.replace("{each_table}", &distributed(tables));
    let names = Table::all().iter().map(|table| table.name);
    for table in names.chain(["qicore_lanes", "ohlcv_hourly", "ohlcv_daily"]) {
        let local = tables.local(table);
        text = text
            .replace(&format!("{{local:{table}}}"), &format!("{{database}}.{local}"))
            .replace(&format!("{{table:{table}}}"), &format!("{{database}}.{table}"));
    }
    let storage = tables.storage_policy.as_ref();
    let storage = storage.map_or(String::new(), |policy| {
        format!("\nSETTINGS storage_policy = '{policy}'")
    });
    let cluster = tables.cluster.as_deref().unwrap_or_default();
    let on_cluster = if cluster.is_empty() {
        String::new()
    } else {
        format!(" ON CLUSTER {cluster}")
    };
    text = CODECS
        .iter()
        .fold(text, |text, (place, codec)| text.replace(place, codec));
    for column in ["volume", "quote_volume"] {
        text = text.replace(&format!("{{sum:{column}}}"), &sum(tables.decimals, column));
    }
    let text = text
        .replace("{storage}", &storage)
        .replace("{decimal}", tables.decimals.as_type())
        .replace("{rollup_from}", tables.rollup_from.as_str())
        .replace("{cluster}", cluster)
        .replace("{on_cluster}", &on_cluster)
        .replace("{database}", &quoted(&tables.database))
        .replace("{database_text}", &tables.database);
    // Last: a path has the server's own places to be filled in.
    ["version", "step", "applied_at"]
        .iter()
        .fold(text, |text, version| {
            text.replace(&format!("{{replacing:{version}}}"), &engine(tables, version))
        })
        .replace("{replacing}", &engine(tables, ""))
}

/// How columns are compressed, by measurement: a million candles of 500 symbols take 4.0 bytes a row so, 11.5 with the
/// default of LZ4, and as long to write within what the measurement varies (0.5 CPU seconds).
const CODECS: [(&str, &str); 3] = [
    (" {codec:decimal}", " CODEC(ZSTD(1))"),
    (" {codec:time}", " CODEC(Delta, ZSTD(1))"),
    (" {codec:number}", " CODEC(Delta, ZSTD(1))"),
];

/// Names have been checked to have nothing in them that would have to be escaped.
fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A day's sum may have more digits than each of its values.
fn sum(decimals: Decimals, column: &str) -> String {
    match decimals {
        Decimals::Decimal128 => format!("sum(toDecimal256(bar.{column}, 18))"),
        Decimals::Decimal256 | Decimals::Float64 => format!("sum(bar.{column})"),
    }
}

fn engine(tables: &Tables, version: &str) -> String {
    let version = Some(version).filter(|version| !version.is_empty());
    let (name, path) = match (tables.replicated, &tables.replica_path) {
        (false, _) => ("ReplacingMergeTree", None),
        (true, None) => ("ReplicatedReplacingMergeTree", None),
        (true, Some(path)) => ("ReplicatedReplacingMergeTree", Some(format!("'{path}', '{{replica}}'"))),
    };
    let arguments: Vec<String> = path.into_iter().chain(version.map(str::to_owned)).collect();
    match arguments.is_empty() {
        true => name.to_owned(),
        false => format!("{name}({})", arguments.join(", ")),
    }
}

/// The tables for kinds of events that are wanted.
pub(super) fn wanted(tables: &Tables) -> impl Iterator<Item = &'static Table> {
    let books = tables.books;
    Table::all().iter().filter(move |table| books || table.name != "books")
}

/// The tables above the shards'.
fn distributed(tables: &Tables) -> String {
    let of = |table: &Table| {
        format!(
            "CREATE TABLE IF NOT EXISTS {{table:{name}}}{{on_cluster}} AS {{local:{name}}}\n\
             ENGINE = Distributed('{{cluster}}', '{{database_text}}', '{name}_local', cityHash64({key}));\n",
            name = table.name,
            key = table.key[0],
        )
    };
    wanted(tables).map(of).collect()
}

/// The columns of a table with their types, in the order in which they are written.
pub(super) fn types(table: &Table, decimals: Decimals) -> Vec<(&'static str, String)> {
    let decimal = decimals.as_type();
    let nullable = |of: &str| format!("Nullable({of})");
    const TIME: &str = "DateTime64(9, 'UTC')";
    let own = table.columns.iter().map(|column| {
        let of = match column.stored {
            Stored::Name => "LowCardinality(String)".to_owned(),
            Stored::Word(words) => enumeration(words),
            Stored::Text | Stored::Object => "String".to_owned(),
            Stored::Decimal => decimal.to_owned(),
            Stored::MaybeDecimal => nullable(decimal),
            Stored::Time => TIME.to_owned(),
            Stored::MaybeTime => nullable(TIME),
            Stored::Count => "UInt64".to_owned(),
            Stored::MaybeCount => nullable("UInt64"),
            Stored::Flag => "Bool".to_owned(),
            Stored::Levels => format!("Array(Tuple(price {decimal}, size {decimal}))"),
        };
        (column.name, of)
    });
    let marks = table.marks.iter().map(|mark| (mark.name(), "UInt64".to_owned()));
    own.chain(marks).collect()
}

/// A type of some words, as the server writes it.
fn enumeration(words: &[&str]) -> String {
    let numbered = (1..).zip(words).map(|(number, word)| format!("'{word}' = {number}"));
    let all: Vec<String> = std::iter::once("'' = 0".to_owned()).chain(numbered).collect();
    format!("Enum8({})", all.join(", "))
}

/// The statements of a file. None of them has a semicolon at the end of a line within it.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let bare = |statement: &&str| {
        statement
            .lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    };
    sql.split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';'))
        .filter(bare)
}

/// What a migration comes to, statement by statement.
fn steps(migration: &Migration, tables: &Tables) -> Vec<String> {
    let sql = filled((migration.sql)(tables).unwrap_or_default(), tables);
    let books = format!("{}.books", quoted(&tables.database));
    let left_out = |statement: &&str| !tables.books && statement.contains(&books);
    statements(&sql)
        .filter(|statement| !left_out(statement))
        .map(str::to_owned)
        .collect()
}

fn register(version: usize, name: &str, tables: &Tables) -> String {
    let name = name.replace('\\', "\\\\").replace('\'', "\\'");
    filled(
        &format!("INSERT INTO {{database}}.qicore_schema (version, name) VALUES ({version}, '{name}')"),
        tables,
    )
}

/// The whole schema as one script for `clickhouse-client`: what a sink does by itself, for those who want to read it or to
/// run it under another user. With the version that a schema has already, only what is missing.
pub fn script(tables: &Tables, held: u32) -> String {
    let mut script = String::new();
    let mut add = |sql: &str| {
        script.push_str(sql.trim());
        script.push_str(";\n\n");
    };
    add(&filled(DATABASE, tables));
    add(&filled(VERSIONS, tables));
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(held as usize) {
        steps(migration, tables).iter().for_each(|statement| add(statement));
        add(&register(version, migration.name, tables));
    }
    settings::statements(tables).iter().for_each(|statement| add(statement));
    add(&register(0, &settings::summary(tables), tables));
    script
}

/// The script that makes the roles of a writer, a reader and a migrator with the privileges that each needs.
pub fn roles(tables: &Tables) -> String {
    filled(include_str!("sql/roles.sql"), tables)
}

/// The version that the schema has, and its settings; `None` where there is none yet.
///
/// # Errors
/// [`Schema`](ErrorKind::Schema) where it is newer than this program.
pub(super) async fn found(servers: &Servers, tables: &Tables) -> Result<Option<(u32, String)>> {
    // Who only reads is not told that there are shards.
    let there = "SELECT countIf(name = 'qicore_schema'),
        anyIf(extract(engine_full, '^Distributed\\\\(\\'([^\\']+)'), name = 'ohlcv')
        FROM system.tables WHERE database = {database:String}";
    let (there, mut cluster): (u64, String) = servers
        .one("clickhouse.schema", there, &[("database", &tables.database)])
        .await?;
    if there == 0 {
        return Ok(None);
    }
    if let Some(configured) = tables.cluster.as_ref().filter(|_| tables.sharded) {
        cluster.clone_from(configured);
    }
    // Each shard has been told by whoever was connected to it.
    let from = match cluster.is_empty() {
        true => "{database}.qicore_schema".to_owned(),
        false => format!("clusterAllReplicas('{cluster}', '{{database_text}}', 'qicore_schema')"),
    };
    let sql = format!("SELECT max(version), argMaxIf(name, applied_at, version = 0) FROM {from}");
    let sql = filled(&sql, tables);
    let (version, settings): (u32, String) = servers.one("clickhouse.schema", &sql, &[]).await?;
    if version <= VERSION {
        return Ok(Some((version, settings)));
    }
    let message =
        format!("the schema has version {version}, newer than {VERSION}, the last one that this program knows");
    Err(Error::new(ErrorKind::Schema, "clickhouse.schema", message)
        .with("database", &tables.database)
        .with("advice", "update QiCore"))
}

/// Checks that the schema can be read by this program.
pub(super) async fn check(servers: &Servers, tables: &Tables) -> Result<()> {
    servers.whole_answers().await?;
    let message = match found(servers, tables).await? {
        Some((VERSION, _)) => return Ok(()),
        Some((version, _)) => {
            format!("the schema has version {version}, and this program reads {VERSION}: let a sink migrate it")
        }
        None => "the database has no schema of QiCore: is it another one?".into(),
    };
    Err(Error::new(ErrorKind::Schema, "clickhouse.check", message).with("database", &tables.database))
}

/// Brings the schema up to date, makes its settings, and looks at the columns. What is there is never dropped.
pub(super) async fn migrate(servers: &Servers, tables: &Tables) -> Result<()> {
    let run = async |sql: String| servers.execute("clickhouse.migrate", &sql).await;
    servers.whole_answers().await?;
    verify::nothing_foreign(servers, tables).await?;
    let found = found(servers, tables).await?;
    let (held, made) = found.unwrap_or_default();
    let settings = settings::summary(tables);
    if held == VERSION && made == settings {
        return verify::tables(servers, tables).await;
    }
    if !tables.migrate {
        let message = match held {
            VERSION => "the tables' settings are others than the configuration's, and tables.migrate is off".to_owned(),
            _ => format!("the schema has version {held}, this program needs {VERSION}, and tables.migrate is off"),
        };
        return Err(Error::new(ErrorKind::Schema, "clickhouse.schema", message)
            .with("database", &tables.database)
            .with("advice", "run what `qicore schema clickhouse` prints"));
    }
    if held == 0 {
        run(filled(DATABASE, tables)).await?;
        run(filled(VERSIONS, tables)).await?;
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(held as usize) {
        tracing::info!(database = tables.database, version, name = migration.name, "migrating");
        for statement in steps(migration, tables) {
            run(statement).await?;
        }
        run(register(version, migration.name, tables)).await?;
    }
    let changed = made != settings;
    if changed && !made.is_empty() {
        tracing::warn!(
            database = tables.database,
            from = made,
            to = settings,
            "the settings of the tables change"
        );
    }
    // Also where it is not known what they were: who made the tables did not come to tell it.
    if changed && held > 0 {
        // A table that was not wanted before, and views of other bars.
        for statement in MIGRATIONS.iter().flat_map(|migration| steps(migration, tables)) {
            run(statement).await?;
        }
    }
    // Before anything is set on tables that are others than they should be.
    verify::tables(servers, tables).await?;
    if changed {
        for statement in settings::removals(servers, tables).await? {
            run(statement).await?;
        }
        for statement in settings::statements(tables) {
            run(statement).await?;
        }
        run(register(0, &settings, tables)).await?;
    }
    Ok(())
}
