//! ClickHouse: batches of columns, sorted by key, each taken once.
//!
//! # Effectively once
//! ClickHouse has no transaction over several tables. What makes up for it:
//!
//! - Every row has a key that is the same whenever it is written again: the venue's (a candle's opening time, a trade's
//!   id), or for rows without one the row's number in its lane. Tables replace rows by key.
//! - A batch is sent with a token made of its run, its lane and its range. Where the answer was lost it is sent again
//!   under the same one, and the server passes over what it has.
//! - How far a lane has come is noted after its rows are in. A restart goes on from there, with the same numbers.
//!
//! Numbers are the same where the same comes again: from a source that can go back, through the same transforms. Where a
//! crash is followed by a change of the pipeline (another filter), rows without a key of the last, unfinished deliveries
//! may be there under two numbers.
//!
//! So a row may lie in its table twice for a while after a kill, until parts are merged. `FINAL`, the views, and all
//! questions of [`qicore_stores::clickhouse`] see it once.
//!
//! # Refused rows
//! What no column can hold exactly is told before anything is sent. Where the server refuses a batch for a row (a
//! constraint, a view of one's own that throws), the batch is halved until the row is found, and the rest lands. What a
//! view throws at comes behind the table: there the row may be all the same.
//!
//! # When the server is slow or down
//! The source is held back: each lane holds what its queue holds (`queue_bytes`, 16 MiB by default), one delivery
//! (`batch.bytes`, 32 MiB) and its encoded rows, and no more. Too many parts, used-up quotas and memory, replicas that are
//! read-only: waited for. A batch that is too large for the server's memory is cut.

mod config;
mod lane;
mod load;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Checkpoint, Delivery, Lane, Mistakes, Receipt, Result, RetryPolicy, Settings, Sink, SinkCapabilities, WriterId,
};
use qicore_stores::clickhouse::{Connection, Store};

pub use config::ClickhouseConfig;

use lane::Writer;

use crate::lanes::Lanes;

/// Writes to ClickHouse. See the module for its guarantees, and [`qicore_stores::clickhouse`] for the tables.
///
/// ```
/// use qicore_data::Secret;
/// use qicore_sinks::Clickhouse;
/// use qicore_stores::clickhouse::Connection;
/// let connection = Connection::url("https://ch.example.com:8443")
///     .user("ingest", Secret::new("from the environment or a file"));
/// let sink = Clickhouse::new(connection).database("market");
/// ```
pub struct Clickhouse {
    config: ClickhouseConfig,
    lanes: Lanes<Writer>,
}

/// What all lanes share while the sink is open.
struct Shared {
    config: ClickhouseConfig,
    store: Store,
    writer: WriterId,
}

impl fmt::Debug for Clickhouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clickhouse")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Clickhouse {
    /// Writes to this server, with the default settings.
    pub fn new(connection: Connection) -> Self {
        Self::from_config(ClickhouseConfig {
            connection,
            ..ClickhouseConfig::default()
        })
    }

    /// From its configuration.
    pub fn from_config(config: ClickhouseConfig) -> Self {
        Self {
            config,
            lanes: Lanes::default(),
        }
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    let config: ClickhouseConfig = settings.read()?;
    config.check().map_err(|error| settings.mistake(error.message()))?;
    Ok(Arc::new(Clickhouse::from_config(config)))
}

#[async_trait]
impl Sink for Clickhouse {
    fn name(&self) -> &str {
        "clickhouse"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
            .checkpoint_each()
            .replaces_rows()
            .concurrency(self.config.connection.connections as usize)
            .batch(config::BATCH)
            .flush_after(Duration::ZERO)
            // A store of record that is down is waited for: sources are held back, and nothing is lost.
            .retry(
                RetryPolicy::default()
                    .retries(usize::MAX)
                    .pauses(Duration::from_millis(50), Duration::from_secs(5))
                    .timeout(self.config.longest_write()),
            )
    }

    async fn open(&self, writer: &WriterId) -> Result<()> {
        let config = self.config.clone();
        config.check()?;
        let store = Store::new(&config.connection, &config.tables)?.asynchronous(config.async_insert);
        store.migrate().await?;
        self.lanes.open(Shared {
            config,
            store,
            writer: writer.clone(),
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
    /// [`Abandoned`](qicore_data::ErrorKind::Abandoned) where rows wait for a checkpoint that has not come. They are in
    /// their tables; a restart writes them again from the stored checkpoint, each in its own place.
    async fn close(&self) -> Result<()> {
        self.lanes.close().await
    }
}
