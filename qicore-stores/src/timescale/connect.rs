//! The pool of connections, and what every session begins with.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Executor, PgPool, Postgres};
use tokio::time::timeout;

use super::config::Connection;
use super::error::mapped;

/// How long a try takes that is only to tell why there is no connection.
const PROBE: Duration = Duration::from_secs(2);

/// Connections to one database.
#[derive(Debug, Clone)]
pub(super) struct Connections(PgPool);

impl Connections {
    /// Connects to nothing yet.
    pub(super) fn new(config: &Connection) -> Result<Self> {
        let options = config.options()?.disable_statement_logging();
        let session = session(config);
        let pool = PoolOptions::<Postgres>::new()
            .max_connections(config.connections)
            .acquire_timeout(config.connect_timeout)
            // A connection that died is found by the statement that it is for, which is tried again.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move { connection.execute(session.as_str()).await.map(drop) })
            });
        Ok(Self(pool.connect_lazy_with(options)))
    }

    /// A connection of one's own for a while.
    pub(super) async fn lease(&self, operation: &'static str) -> Result<Lease> {
        match self.0.acquire().await {
            Ok(connection) => Ok(Lease {
                connection,
                clean: false,
            }),
            Err(error) => Err(self.failed(operation, error).await),
        }
    }

    /// Why no connection was had. The pool tries until its time is up and keeps the reason to itself: one more try
    /// tells it.
    async fn failed(&self, operation: &'static str, error: sqlx::Error) -> Error {
        let options = self.0.connect_options();
        let told = match error {
            sqlx::Error::PoolTimedOut => match timeout(PROBE, options.connect()).await {
                Ok(Err(error)) => mapped(operation, error),
                probed => {
                    let message = match probed {
                        Ok(_) => {
                            "no connection was ready within connect_timeout: all are in use, or the server is slow"
                        }
                        Err(_) => "the server does not answer within connect_timeout",
                    };
                    Error::new(ErrorKind::Timeout, operation, message).with_retry(RetryAdvice::Backoff)
                }
            },
            error => mapped(operation, error),
        };
        told.with("server", format!("{}:{}", options.get_host(), options.get_port()))
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

/// What every session sets. A client whose host vanished in a transaction would hold its locks for hours: the server
/// is to give it up. Rows are durable when a commit is answered, whatever the server's default. A backfill that comes
/// again into compressed chunks may meet all of their rows: TimescaleDB's limit would fail it each time.
fn session(config: &Connection) -> String {
    format!(
        "SET client_min_messages = warning; SET TimeZone = 'UTC'; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = 60000; \
         SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
         SELECT set_config(name, '0', false) FROM pg_settings \
         WHERE name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'",
        config.statement_timeout.as_millis(),
        config.lock_timeout.as_millis(),
    )
}

/// A connection out of the pool. It goes back only if it was [given back](Lease::give_back): one that is dropped in the
/// middle of a statement, or after an error, is out of step with the server and is closed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    clean: bool,
}

impl Lease {
    /// Puts it back for others to use.
    pub(super) fn give_back(mut self) {
        self.clean = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.clean {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
