//! The Timescale sink on PostgreSQL against `psql \copy` of the same rows.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qicore::prelude::*;
use qicore::sinks::Timescale;
use qicore::stores::timescale::write::Rows;
use qicore::stores::timescale::{Connection, Flavour, Mode, Table, Tables, script};

use crate::Result;

/// The schema that is measured in.
const SCHEMA: &str = "qicore_bench";

/// A database to measure with.
#[derive(Debug)]
pub struct Bench {
    url: String,
    folder: PathBuf,
}

impl Bench {
    /// Makes the schema anew.
    pub fn new(url: String, folder: &Path) -> Result<Self> {
        let bench = Self {
            url,
            folder: folder.to_owned(),
        };
        let tables = Tables::in_schema(SCHEMA);
        bench.psql(&[format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")])?;
        bench.psql(&[script(&tables, Flavour::Plain, 0)])?;
        Ok(bench)
    }

    fn tables() -> Tables {
        Tables::in_schema(SCHEMA).mode(Mode::Plain)
    }

    /// Runs statements and `\copy` commands in one session.
    fn psql(&self, commands: &[String]) -> Result<()> {
        let mut psql = Command::new("psql");
        psql.args(["-qX", "-v", "ON_ERROR_STOP=1", &self.url])
            .stdout(Stdio::null());
        for command in commands {
            psql.arg("-c").arg(command);
        }
        match psql.status()?.success() {
            true => Ok(()),
            false => Err("psql has failed".into()),
        }
    }

    /// Empties the table of a kind and forgets all positions; settles the server.
    pub fn empty(&self, table: &Table) -> Result<()> {
        self.psql(&[
            format!("TRUNCATE {SCHEMA}.{}, {SCHEMA}.qicore_lanes", table.name),
            "CHECKPOINT".into(),
        ])
    }

    /// Forgets all positions, so that the same deliveries can come again.
    pub fn rewind(&self) -> Result<()> {
        self.psql(&[format!("TRUNCATE {SCHEMA}.qicore_lanes"), "CHECKPOINT".into()])
    }

    /// The rows as a file for `\copy`, in the order of their arrival.
    pub fn file(&self, table: &'static Table, events: &[Event]) -> Result<PathBuf> {
        let mut rows = Rows::new(table, events.len());
        for event in events {
            rows.push(event)?;
        }
        let path = self.folder.join(table.name);
        let mut file = File::create(&path)?;
        for part in rows.copy(0..rows.len()) {
            file.write_all(part)?;
        }
        Ok(path)
    }

    /// `psql \copy` of a file straight into the table. The time of the whole program, which starts in some 20 ms.
    pub fn copy(&self, table: &Table, file: &Path) -> Result<Duration> {
        let columns = table.column_names().join(", ");
        let copy = format!(
            "\\copy {SCHEMA}.{}({columns}) from '{}' (format binary)",
            table.name,
            file.display()
        );
        let start = Instant::now();
        self.psql(&[copy])?;
        Ok(start.elapsed())
    }

    /// What one would write by hand where rows may be there already: a staging table, and one `ON CONFLICT` that leaves
    /// rows alone that are the same.
    pub fn staged_copy(&self, table: &Table, file: &Path) -> Result<Duration> {
        let columns = table.column_names();
        let (key, values): (Vec<_>, Vec<_>) = columns.iter().partition(|name| table.has_key(name));
        let list = |prefix: &str| {
            values
                .iter()
                .map(|name| format!("{prefix}.{name}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let set: Vec<_> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let (name, all) = (table.name, columns.join(", "));
        let key: Vec<&str> = key.into_iter().map(String::as_str).collect();
        let merge = format!(
            "INSERT INTO {SCHEMA}.{name} AS t ({all}) SELECT {all} FROM staging ON CONFLICT ({}) DO UPDATE SET {}, \
             updated_at = now() WHERE ({}) IS DISTINCT FROM ({})",
            key.join(", "),
            set.join(", "),
            list("t"),
            list("excluded"),
        );
        let start = Instant::now();
        self.psql(&[
            "BEGIN".into(),
            format!("CREATE TEMPORARY TABLE staging ON COMMIT DROP AS SELECT {all} FROM {SCHEMA}.{name} WITH NO DATA"),
            format!("\\copy staging({all}) from '{}' (format binary)", file.display()),
            merge,
            "COMMIT".into(),
        ])?;
        Ok(start.elapsed())
    }

    /// A sink with so many connections.
    pub fn sink(&self, connections: u32) -> Timescale {
        let connection = Connection::url(self.url.as_str()).connections(connections);
        Timescale::new(connection).tables(Self::tables())
    }

    /// How many rows a table has.
    pub fn count(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {SCHEMA}.{}", table.name);
        let out = Command::new("psql").args(["-qXAt", &self.url, "-c", &sql]).output()?;
        Ok(String::from_utf8(out.stdout)?.trim().parse()?)
    }
}
