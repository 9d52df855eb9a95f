//! The schema: numbered migrations as SQL files, applied once each under a lock, and what configuration sets beside.

mod config;
mod settings;
mod verify;

use qicore_data::{Error, ErrorKind, Result};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

use super::error::mapped;
use crate::Period;
pub(super) use config::quoted;
pub use config::{Mode, Tables};

/// What the database turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// TimescaleDB: hypertables, and where its licence allows continuous aggregates, compression and policies.
    Timescale {
        /// Whether it has the features of the Timescale licence. The Apache build of some managed services has not.
        community: bool,
    },
    /// Plain tables and views.
    Plain,
}

impl Flavour {
    fn as_str(self) -> &'static str {
        match self {
            Self::Timescale { community: true } => "timescale",
            Self::Timescale { community: false } => "timescale-apache",
            Self::Plain => "plain",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Timescale { community: true },
            Self::Timescale { community: false },
            Self::Plain,
        ];
        all.into_iter().find(|flavour| flavour.as_str() == text)
    }
}

/// A step from one version of the schema to the next.
struct Migration {
    name: &'static str,
    /// Its text; `None` where there is nothing to do.
    sql: fn(Flavour) -> Option<&'static str>,
}

/// All steps; a version is a place in this list, from 1. Steps that have been released are never changed.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "tables",
        sql: |_| Some(include_str!("sql/0001_tables.sql")),
    },
    Migration {
        name: "hypertables",
        sql: |flavour| match flavour {
            Flavour::Timescale { .. } => Some(include_str!("sql/0002_hypertables.sql")),
            Flavour::Plain => None,
        },
    },
    Migration {
        name: "aggregates",
        sql: |flavour| {
            Some(match flavour {
                Flavour::Timescale { community: true } => include_str!("sql/0003_aggregates_timescale.sql"),
                _ => include_str!("sql/0003_aggregates_plain.sql"),
            })
        },
    },
];

/// The version that this program writes.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// Who migrates waits for who is migrating.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('qicore.schema.{schema_text}', 0))";

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS {schema}.qicore_schema (
    version integer PRIMARY KEY,
    name text NOT NULL,
    flavour text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)";

/// Fills in the names and periods of a configuration. They have been checked to be no SQL of their own.
fn filled(sql: &str, tables: &Tables) -> String {
    sql.replace("{schema}", &quoted(&tables.schema))
        .replace("{schema_text}", &tables.schema.replace('\'', "''"))
        .replace("{tick_chunk}", tables.tick_chunk.as_interval().unwrap_or_default())
        .replace("{candle_chunk}", tables.candle_chunk.as_interval().unwrap_or_default())
}

fn register(version: usize, migration: &Migration, flavour: Flavour) -> String {
    let (name, flavour) = (migration.name, flavour.as_str());
    format!("INSERT INTO {{schema}}.qicore_schema (version, name, flavour) VALUES ({version}, '{name}', '{flavour}')")
}

/// The whole schema as one script for `psql`: what a sink does by itself, for those who want to read it or to run it
/// under another role. With the version that a schema has already, only what is missing.
pub fn script(tables: &Tables, flavour: Flavour, held: i32) -> String {
    let mut script = String::from("BEGIN;\nSET LOCAL statement_timeout = 0;\n");
    let mut add = |sql: &str| {
        script.push_str(sql.trim_end().trim_end_matches(';'));
        script.push_str(";\n\n");
    };
    add("CREATE SCHEMA IF NOT EXISTS {schema}");
    if flavour != Flavour::Plain {
        add("CREATE EXTENSION IF NOT EXISTS timescaledb");
    }
    add(LOCK);
    add(VERSIONS);
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(held.max(0) as usize) {
        add(&format!("-- Version {version}: {}", migration.name).replace(';', ","));
        if let Some(sql) = (migration.sql)(flavour) {
            add(sql);
        }
        add(&register(version, migration, flavour));
    }
    add(&settings::sql(tables, flavour));
    script.push_str("COMMIT;\n");
    filled(&script, tables).replace(";\n;\n", ";\n")
}

/// The script that makes the roles of a writer, a reader and a migrator with the privileges that each needs.
pub fn roles(tables: &Tables) -> String {
    filled(include_str!("sql/roles.sql"), tables)
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    let done = connection.execute(sql.as_str()).await;
    done.map(drop).map_err(|error| mapped("timescale.migrate", error))
}

/// The version and flavour that the schema has; `None` where there is none yet.
///
/// # Errors
/// [`Schema`](ErrorKind::Schema) where it is newer than this program, or of a kind that it does not know.
pub(super) async fn found(connection: &mut PgConnection, tables: &Tables) -> Result<Option<(i32, Flavour)>> {
    let fail = |error| mapped("timescale.schema", error);
    let table = format!("{}.qicore_schema", quoted(&tables.schema));
    let there = sqlx::query("SELECT to_regclass($1) IS NOT NULL").bind(&table);
    let there: bool = there.fetch_one(&mut *connection).await.map_err(fail)?.get(0);
    if !there {
        return Ok(None);
    }
    let newest = format!("SELECT version, flavour FROM {table} ORDER BY version DESC LIMIT 1");
    let row = sqlx::query(&newest).fetch_optional(connection).await.map_err(fail)?;
    let Some(row) = row else { return Ok(None) };
    let (version, flavour): (i32, String) = (row.get(0), row.get(1));
    let known = Flavour::parse(&flavour).filter(|_| version <= VERSION);
    let refused = || {
        let message =
            format!("the schema has version {version}, newer than {VERSION}, the last one that this program knows");
        Error::new(ErrorKind::Schema, "timescale.schema", message)
            .with("schema", &tables.schema)
            .with("advice", "update QiCore")
    };
    known.map(|flavour| Some((version, flavour))).ok_or_else(refused)
}

/// Brings the schema up to date, sets the policies and looks at the columns. What is there is never dropped.
pub(super) async fn migrate(connection: &mut PgConnection, tables: &Tables) -> Result<Flavour> {
    let flavour = brought_up_to_date(connection, tables).await?;
    verify::columns(connection, tables).await?;
    verify::keys(connection, tables).await?;
    let asked = tables.tick_retention != Period::OFF || tables.candle_retention != Period::OFF;
    if asked && flavour != (Flavour::Timescale { community: true }) {
        // Whoever asks for data to be dropped is to know.
        tracing::warn!(
            flavour = flavour.as_str(),
            "tick_retention and candle_retention have no effect here: nothing is dropped"
        );
    }
    Ok(flavour)
}

async fn brought_up_to_date(connection: &mut PgConnection, tables: &Tables) -> Result<Flavour> {
    let before = found(connection, tables).await?;
    if let Some((VERSION, flavour)) = before
        && agrees(tables, flavour).is_ok()
        && (!tables.migrate || settings::are_set(connection, tables).await?)
    {
        return Ok(flavour);
    }
    if !tables.migrate {
        let held = before.map_or("none".into(), |(version, _)| version.to_string());
        let error = Error::new(
            ErrorKind::Schema,
            "timescale.schema",
            "the schema is behind, and migrate = false",
        );
        let advice =
            "run the script that `qicore schema timescale` prints, with --from and this version where there is one";
        return Err(error
            .with("version", held)
            .with("wanted", VERSION)
            .with("advice", advice));
    }
    let flavour = match before {
        Some((_, flavour)) => agrees(tables, flavour).map(|()| flavour)?,
        None => flavour(connection, tables).await?,
    };
    // However long a step takes, a try that is given up would begin it anew.
    run(connection, "BEGIN; SET LOCAL statement_timeout = 0".into()).await?;
    let flavour = apply(connection, tables, flavour).await?;
    run(connection, "COMMIT".into()).await.map(|()| flavour)
}

/// Makes what is missing. Someone else may have made all of it before the lock was had, and in another way.
async fn apply(connection: &mut PgConnection, tables: &Tables, flavour: Flavour) -> Result<Flavour> {
    let fill = |sql: &str| filled(sql, tables);
    run(connection, fill(LOCK)).await?;
    // Creating a schema takes a privilege on the database, even where it is there.
    let there = sqlx::query("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)").bind(&tables.schema);
    let there = there
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| mapped("timescale.schema", error))?;
    if !there.get::<bool, _>(0) {
        run(connection, fill("CREATE SCHEMA {schema}")).await?;
    }
    run(connection, fill(VERSIONS)).await?;
    let (held, flavour) = match found(connection, tables).await? {
        Some((version, made)) => agrees(tables, made).map(|()| (version, made))?,
        None => (0, flavour),
    };
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(held as usize) {
        tracing::info!(
            schema = tables.schema,
            version,
            name = migration.name,
            flavour = flavour.as_str(),
            "migrating"
        );
        if let Some(sql) = (migration.sql)(flavour) {
            run(connection, fill(sql)).await?;
        }
        run(connection, fill(&register(version, migration, flavour))).await?;
    }
    run(connection, fill(&settings::sql(tables, flavour))).await?;
    Ok(flavour)
}

/// A schema made in one way stays that way: nothing is rebuilt behind anyone's back.
fn agrees(tables: &Tables, flavour: Flavour) -> Result<()> {
    let wanted = match tables.mode {
        Mode::Auto => return Ok(()),
        Mode::Timescale => flavour != Flavour::Plain,
        Mode::Plain => flavour == Flavour::Plain,
    };
    if wanted {
        return Ok(());
    }
    let message = format!(
        "the schema was made for {}, and the mode asks for another",
        flavour.as_str()
    );
    Err(Error::new(ErrorKind::Schema, "timescale.schema", message)
        .with("schema", &tables.schema)
        .with("advice", "set mode = \"auto\", or another schema"))
}

/// What the database is, for a schema that is yet to be made.
async fn flavour(connection: &mut PgConnection, tables: &Tables) -> Result<Flavour> {
    if tables.mode == Mode::Plain {
        return Ok(Flavour::Plain);
    }
    let fail = |error| mapped("timescale.schema", error);
    let state = "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') IS NOT NULL, \
                 EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')";
    let row = sqlx::query(state).fetch_one(&mut *connection).await.map_err(fail)?;
    let (mut installed, available): (bool, bool) = (row.get(0), row.get(1));
    if !installed && available {
        // May need more than this role may do: then it is as if it were not there. Or another program creates it now.
        let created = run(connection, "CREATE EXTENSION IF NOT EXISTS timescaledb".into()).await;
        let row = sqlx::query(state).fetch_one(&mut *connection).await.map_err(fail)?;
        installed = row.get(0);
        if let (false, Err(error)) = (installed, created) {
            tracing::warn!(%error, "the extension timescaledb is available but cannot be created");
        }
    }
    if installed {
        let licence = sqlx::query("SELECT coalesce(current_setting('timescaledb.license', true), '') <> 'apache'");
        let row = licence.fetch_one(connection).await.map_err(fail)?;
        let community: bool = row.get(0);
        if !community {
            tracing::warn!(
                "TimescaleDB under the Apache licence: views instead of continuous aggregates, no compression, no policies"
            );
        }
        return Ok(Flavour::Timescale { community });
    }
    if tables.mode == Mode::Timescale {
        let message = "the database has no extension timescaledb, and mode = \"timescale\" asks for it";
        let advice = "install it (CREATE EXTENSION timescaledb), or set mode = \"plain\" for plain PostgreSQL";
        return Err(Error::new(ErrorKind::Schema, "timescale.schema", message).with("advice", advice));
    }
    tracing::warn!("no extension timescaledb: plain tables, and views for the hours and days");
    Ok(Flavour::Plain)
}
