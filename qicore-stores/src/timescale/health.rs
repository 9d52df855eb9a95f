//! Whether the store is well.

use qicore_data::Result;
use sqlx::Row;

use super::error::mapped;
use super::{Flavour, Store, VERSION, schema};

/// What a probe of the store found. That it answers at all says that the server is reachable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// The server's version.
    pub server: String,
    /// TimescaleDB's version, where the extension is there.
    pub extension: Option<String>,
    /// The schema's version and what it was made for; `None` where it is not there.
    pub schema: Option<(i32, Flavour)>,
    /// Whether the server takes writes: a replica does not.
    pub writable: bool,
    /// TimescaleDB's jobs on this schema's tables: compression, retention, refresh.
    pub jobs: Vec<Job>,
}

/// A job of TimescaleDB.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// What it runs (`policy_compression`, …).
    pub procedure: String,
    /// The table or view.
    pub table: String,
    /// Seconds since it last succeeded; `None` if it never has.
    pub since_success: Option<f64>,
    /// Seconds that its next run is overdue.
    pub overdue: f64,
    /// Runs that have failed.
    pub failures: i64,
}

impl Health {
    /// Whether rows can be written: the schema is there in this program's version, and the server takes writes.
    pub fn is_ready(&self) -> bool {
        self.writable && self.schema.is_some_and(|(version, _)| version == VERSION)
    }
}

const SERVER: &str = "SELECT current_setting('server_version'), NOT pg_is_in_recovery() AND \
     current_setting('transaction_read_only') = 'off', \
     (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')";

const JOBS: &str = "SELECT j.proc_name::text, j.hypertable_name::text, \
     extract(epoch FROM now() - nullif(s.last_successful_finish, '-infinity'))::float8, \
     coalesce(extract(epoch FROM greatest(now() - s.next_start, interval '0')), 0)::float8, \
     coalesce(s.total_failures, 0)::bigint \
     FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id) \
     WHERE j.hypertable_schema = $1 OR EXISTS (SELECT FROM timescaledb_information.continuous_aggregates c \
         WHERE c.view_schema = $1 AND c.materialization_hypertable_name = j.hypertable_name) \
     ORDER BY 2, 1";

impl Store {
    /// Probes the store.
    ///
    /// # Errors
    /// Where it cannot be reached, or is newer than this program.
    pub async fn health(&self) -> Result<Health> {
        let fail = |error| mapped("timescale.health", error);
        let mut lease = self.lease("timescale.health").await?;
        let row = sqlx::query(SERVER).fetch_one(&mut *lease).await.map_err(fail)?;
        let (server, writable, extension): (String, bool, Option<String>) = (row.get(0), row.get(1), row.get(2));
        let schema = schema::found(&mut lease, &self.tables).await?;
        let jobs = match schema {
            Some((_, Flavour::Timescale { community: true })) => {
                let query = sqlx::query(JOBS).bind(&self.tables.schema);
                query.fetch_all(&mut *lease).await.map_err(fail)?
            }
            _ => Vec::new(),
        };
        lease.give_back();
        let job = |row: sqlx::postgres::PgRow| Job {
            procedure: row.get(0),
            table: row.get(1),
            since_success: row.get(2),
            overdue: row.get(3),
            failures: row.get(4),
        };
        Ok(Health {
            server,
            extension,
            schema,
            writable,
            jobs: jobs.into_iter().map(job).collect(),
        })
    }
}
