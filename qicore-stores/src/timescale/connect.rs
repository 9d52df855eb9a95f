//! Connections that are used again, and what every session begins with.
//!
//! Not the driver's pool: it asks the server at every return whether the connection is still there, which is a round trip
//! for each delivery, and while there is no connection it keeps the reason to itself.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection as _, Executor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::Connection;
use super::error::mapped;

/// Firewalls forget connections on which nothing was said for some minutes.
const IDLE: Duration = Duration::from_secs(240);

/// Connections to one database.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    session: String,
    connect_timeout: Duration,
    /// One for each connection that there may be.
    permits: Arc<Semaphore>,
    /// Those that nobody uses, the one that was used last at the end.
    idle: Mutex<Vec<(Instant, PgConnection)>>,
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, PgConnection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last, if that is not too long ago. Older ones are closed.
    fn reused(&self) -> Option<PgConnection> {
        let mut idle = self.idle();
        match idle.pop() {
            Some((since, connection)) if since.elapsed() < IDLE => Some(connection),
            _ => {
                idle.clear();
                None
            }
        }
    }
}

impl Connections {
    /// Connects to nothing yet.
    pub(super) fn new(config: &Connection) -> Result<Self> {
        Ok(Self(Arc::new(Shared {
            options: config.options()?.disable_statement_logging(),
            session: session(config),
            connect_timeout: config.connect_timeout,
            permits: Arc::new(Semaphore::new(config.connections as usize)),
            idle: Mutex::default(),
        })))
    }

    /// A connection of one's own for a while. One that has died since it was used last is found by the statement that it
    /// is for, which is tried again.
    pub(super) async fn lease(&self, operation: &'static str) -> Result<Lease> {
        let permit = self.in_time(operation, "all connections are in use", async {
            let permit = Arc::clone(&self.0.permits).acquire_owned().await;
            permit.map_err(|_| Error::new(ErrorKind::Internal, operation, "the store is closed"))
        });
        let permit = permit.await?;
        let connection = match self.0.reused() {
            Some(connection) => connection,
            None => {
                let connect = async { self.connect().await.map_err(|error| mapped(operation, error)) };
                self.in_time(operation, "the server does not answer", connect).await?
            }
        };
        Ok(Lease {
            connection,
            shared: Arc::clone(&self.0),
            _permit: permit,
        })
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.0.options.connect().await?;
        connection.execute(self.0.session.as_str()).await?;
        Ok(connection)
    }

    async fn in_time<T>(
        &self,
        operation: &'static str,
        late: &str,
        attempt: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let server = || format!("{}:{}", self.0.options.get_host(), self.0.options.get_port());
        let late = |_| {
            let message = format!("{late} within connect_timeout");
            Err(Error::new(ErrorKind::Timeout, operation, message).with_retry(RetryAdvice::Backoff))
        };
        let done = timeout(self.0.connect_timeout, attempt).await.unwrap_or_else(late);
        done.map_err(|error| error.with("server", server()))
    }

    /// Closes what nobody uses, and lets nobody have a connection any more.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for (_, connection) in idle {
            // The server notices by itself, too.
            let _ = connection.close().await;
        }
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

/// A connection that is in use. It is used again only if it was [given back](Lease::give_back): one that is dropped in
/// the middle of a statement, or after an error, is out of step with the server and is closed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: PgConnection,
    shared: Arc<Shared>,
    /// Released last.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Leaves it for others to use.
    pub(super) fn give_back(self) {
        let Self {
            connection,
            shared,
            _permit,
        } = self;
        if !shared.permits.is_closed() {
            shared.idle().push((Instant::now(), connection));
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
