//! TimescaleDB, and PostgreSQL without it: each delivery one transaction with its checkpoint.
//!
//! # Effectively once
//! A transaction moves the lane from the checkpoint that is stored to the delivery's, and writes the rows. It is done as
//! a whole or not at all, whoever is killed when. Where the answer to a commit is lost, the next try finds the lane
//! moved by this very delivery, and is done. A pipeline runs once: the run that was started last takes the lanes over, and
//! one that goes on, taken for dead or forgotten, writes nothing more and fails.
//!
//! # New rows, known rows
//! Rows go straight into their table by `COPY`, sorted by its key. Where one of them is there already the transaction
//! begins anew by way of a staging table, from which only new rows, and corrections that are not older, are merged; and
//! so do the next deliveries, before the direct way is tried again.
//!
//! # Refused rows
//! The database takes the rows in ever shorter runs where it refuses any, and each that it refuses is told with its own
//! reason.
//! The transaction is rolled back, and done again without them once they are in the dead letters.
//!
//! # Memory
//! While the database is slow or down each lane holds what its queue holds (`queue_bytes`, 16 MiB by default), one
//! delivery (`batch.bytes`, 16 MiB) and its encoded rows, and no more: the source is held back.

mod attempt;
mod config;
mod habit;
mod lane;
mod load;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Checkpoint, Delivery, EventType, Lane, Mistakes, Receipt, Result, RetryPolicy, Settings, Sink, SinkCapabilities,
    WriterId,
};
use qicore_stores::timescale::write::Claim;
use qicore_stores::timescale::{Connection, Store};

pub use config::TimescaleConfig;

use habit::Habits;
use lane::Writer;

use crate::lanes::Lanes;

/// Writes to TimescaleDB, or to PostgreSQL without the extension. See the module for its guarantees, and
/// [`qicore_stores::timescale`] for the tables.
///
/// ```
/// use qicore_sinks::Timescale;
/// use qicore_data::Secret;
/// use qicore_stores::timescale::{Connection, TlsMode};
/// let connection = Connection::url("postgres://ingest@db.example.com/market")
///     .password(Secret::new("from the environment or a file"))
///     .tls(TlsMode::VerifyFull)
///     .connections(4);
/// let sink = Timescale::new(connection).schema("market");
/// ```
pub struct Timescale {
    config: TimescaleConfig,
    lanes: Lanes<Writer>,
}

/// What all lanes share while the sink is open.
struct Shared {
    store: Store,
    claim: Claim,
    only: Vec<EventType>,
    habits: Habits,
    /// Tells this process's deliveries from those of another one.
    process: String,
}

impl Shared {
    fn wants(&self, event_type: EventType) -> bool {
        self.only.is_empty() || self.only.contains(&event_type)
    }

    /// What tells a delivery of this process from all others.
    fn token(&self, delivery: &Delivery) -> String {
        format!("{}/{}", self.process, delivery.token())
    }
}

impl fmt::Debug for Timescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timescale")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Timescale {
    /// Writes to this database, with the default settings.
    pub fn new(connection: Connection) -> Self {
        Self::from_config(TimescaleConfig {
            connection,
            ..TimescaleConfig::default()
        })
    }

    /// From its configuration.
    pub fn from_config(config: TimescaleConfig) -> Self {
        Self {
            config,
            lanes: Lanes::default(),
        }
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    let config: TimescaleConfig = settings.read()?;
    config.check().map_err(|error| settings.mistake(error.message()))?;
    Ok(Arc::new(Timescale::from_config(config)))
}

/// A number that no other process has.
fn process() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[async_trait]
impl Sink for Timescale {
    fn name(&self) -> &str {
        "timescale"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
            .checkpoint_each()
            .concurrency(self.config.connection.connections as usize)
            .batch(config::BATCH)
            .flush_after(Duration::ZERO)
            // A store of record that is down is waited for: sources are held back, and nothing is lost.
            .retry(
                RetryPolicy::default()
                    .retries(usize::MAX)
                    .pauses(Duration::from_millis(50), Duration::from_secs(5)),
            )
    }

    async fn open(&self, writer: &WriterId) -> Result<()> {
        let store = Store::new(&self.config.connection, &self.config.tables)?;
        store.migrate().await?;
        let claim = store.claim(writer).await?;
        self.lanes.open(Shared {
            store,
            claim,
            only: self.config.only.clone(),
            habits: Habits::default(),
            process: process(),
        });
        Ok(())
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        self.lanes.take_up(lane).await
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        self.lanes.write(delivery).await
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        self.lanes.flush(lane).await
    }

    /// # Errors
    /// [`Abandoned`](qicore_data::ErrorKind::Abandoned) where rows wait for a checkpoint that has not come. They are
    /// not in the database; a restart reads them again from the stored checkpoint.
    async fn close(&self) -> Result<()> {
        let shared = self.lanes.shared();
        let closed = self.lanes.close().await;
        if let Some(shared) = shared {
            shared.store.close().await;
        }
        closed
    }
}
