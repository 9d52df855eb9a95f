//! Sinks, and how they are fed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::{Delivery, Receipt};
use crate::error::Result;
use crate::lane::{Checkpoint, Lane};
use crate::retry::RetryPolicy;

/// When the pipeline hands a sink what has gathered for it: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchPolicy {
    /// Most events of a delivery.
    pub events: usize,
    /// Most bytes of a delivery, by [`Event::weight`](crate::Event::weight); a single event may exceed it.
    pub bytes: usize,
    /// The longest that an event waits for others.
    #[serde(with = "crate::settings::duration")]
    pub linger: Duration,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self {
            events: 10_000,
            bytes: 8 << 20,
            linger: Duration::from_millis(100),
        }
    }
}

impl BatchPolicy {
    /// At most so many events and bytes, after so long.
    pub const fn new(events: usize, bytes: usize, linger: Duration) -> Self {
        Self { events, bytes, linger }
    }
}

/// Who writes: a pipeline, and one of its sinks, by the names that they have in every run. A store that several
/// pipelines share keeps their checkpoints apart by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WriterId {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// The sink.
    pub sink: Arc<str>,
    /// Several processes write as this one at the same time, each some of the lanes: who takes a lane up has it. Else the
    /// process that was started last has all of them.
    pub shared: bool,
}

impl WriterId {
    /// A pipeline's sink.
    pub fn new(pipeline: impl Into<Arc<str>>, sink: impl Into<Arc<str>>) -> Self {
        Self {
            pipeline: pipeline.into(),
            sink: sink.into(),
            shared: false,
        }
    }

    /// Several processes write as this one.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }
}

/// What a sink can do, and how it likes to be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkCapabilities {
    /// It stores a delivery's checkpoint together with the rows, and tells it after a restart. Then rows become durable
    /// only together with a checkpoint that covers them: a delivery without one is staged, or a kill behind it would
    /// leave rows that come again.
    pub stores_checkpoints: bool,
    /// It writes each delivery as one transaction with its checkpoint: every delivery is to end with one. Then lanes
    /// take a checkpoint whenever `batch` is reached, and the linger is the longest that a row waits.
    pub checkpoint_each: bool,
    /// A row that is written again takes the place that it had, for it has the same key: the venue's, or its number in its
    /// lane. Then rows may be seen before a checkpoint covers them: after a kill they come again, and are there once.
    pub replaces_rows: bool,
    /// How many lanes it takes deliveries of at the same time.
    pub concurrency: usize,
    /// The deliveries that suit it, unless the pipeline is told otherwise.
    pub batch: BatchPolicy,
    /// A sink that stages rows is flushed this long after it staged the first.
    pub flush_after: Duration,
    /// How failed calls are tried again, unless the pipeline is told otherwise.
    pub retry: RetryPolicy,
}

impl Default for SinkCapabilities {
    fn default() -> Self {
        Self {
            stores_checkpoints: false,
            checkpoint_each: false,
            replaces_rows: false,
            concurrency: 16,
            batch: BatchPolicy::default(),
            flush_after: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}

impl SinkCapabilities {
    /// The sink stores checkpoints with its rows.
    #[must_use]
    pub fn stores_checkpoints(mut self) -> Self {
        self.stores_checkpoints = true;
        self
    }

    /// Each delivery is a transaction with the checkpoint that ends it.
    #[must_use]
    pub fn checkpoint_each(mut self) -> Self {
        (self.stores_checkpoints, self.checkpoint_each) = (true, true);
        self
    }

    /// A row that is written again takes the place that it had.
    #[must_use]
    pub fn replaces_rows(mut self) -> Self {
        self.replaces_rows = true;
        self
    }

    /// Sets how many lanes are written at the same time.
    #[must_use]
    pub fn concurrency(mut self, lanes: usize) -> Self {
        self.concurrency = lanes;
        self
    }

    /// Sets the deliveries that suit the sink.
    #[must_use]
    pub fn batch(mut self, batch: BatchPolicy) -> Self {
        self.batch = batch;
        self
    }

    /// Sets when staged rows are flushed.
    #[must_use]
    pub fn flush_after(mut self, after: Duration) -> Self {
        self.flush_after = after;
        self
    }

    /// Sets how failed calls are tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}

/// Writes events to a store.
///
/// Shared by all lanes; the pipeline calls it for several lanes at a time, but for one lane only one call at a time,
/// in order.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The plugin's name.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> SinkCapabilities;

    /// Connects and prepares the store. A store that several pipelines may share keeps checkpoints under `writer`.
    async fn open(&self, writer: &WriterId) -> Result<()>;

    /// The checkpoint that the store holds for a lane, if it [stores
    /// them](SinkCapabilities::stores_checkpoints). What an interrupted run left behind for the lane is cleared up
    /// here.
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        let _ = lane;
        Ok(None)
    }

    /// Writes a delivery. `Ok` says that the rows are durable in the store, except for those that the receipt lists
    /// as rejected; or that they are [staged](Receipt::staged), where a store can make them durable only in larger
    /// units. A sink that stores checkpoints stages a delivery with refused rows: they must be in the dead letters
    /// before a durable checkpoint covers them, and the flush comes after that. After an error the pipeline may call
    /// again with the same delivery.
    async fn write(&self, delivery: &Delivery) -> Result<Receipt>;

    /// Makes everything staged for a lane durable. Called only right after a delivery that carried a checkpoint.
    async fn flush(&self, lane: &Lane) -> Result<()> {
        let _ = lane;
        Ok(())
    }

    /// Lets go of connections and files. Called once, after the last flush.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
