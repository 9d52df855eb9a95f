//! The three traits that every plugin implements, and the decoder that a source may bring along.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::batch::{Batch, BatchLimit, Frame};
use crate::delivery::{Delivery, Receipt};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::lane::{Checkpoint, Lane};
use crate::retry::RetryPolicy;
use crate::tables::Tables;
use crate::time::Timestamp;

/// Where lanes go on after a restart. A source asks for each lane that it takes up, at the start or later.
#[async_trait]
pub trait Resume: Send + Sync {
    /// The checkpoint from which `lane` is to go on: the lowest of what the sinks hold. `None` starts it anew.
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Arc<Checkpoint>>>;

    /// All checkpoints of `lane` that some sink goes on from, each once, the lowest first. A source that
    /// [catches up](SourceCapabilities::catches_up) tells the sinks that are behind what lies between.
    async fn held(&self, lane: &Lane) -> Result<Vec<Arc<Checkpoint>>> {
        Ok(self.checkpoint(lane).await?.into_iter().collect())
    }
}

/// A [`Resume`] that starts every lane anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct FromStart;

#[async_trait]
impl Resume for FromStart {
    async fn checkpoint(&self, _lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        Ok(None)
    }
}

/// What a source can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SourceCapabilities {
    /// It can go back to a checkpoint and read the same again (a file, a broker, a history); a live stream cannot.
    pub replayable: bool,
    /// It is live, and asks elsewhere for what was missed: it goes on at the lowest of what the sinks hold, from the start if one
    /// holds nothing, and gives what lies between two of them the offset of the higher one.
    pub catches_up: bool,
    /// It ends by itself.
    pub finite: bool,
    /// Several processes read it together, and its lanes go from one to another (a consumer group).
    pub shared: bool,
}

impl SourceCapabilities {
    /// A source that can be read again from a checkpoint.
    #[must_use]
    pub fn replayable(mut self) -> Self {
        self.replayable = true;
        self
    }

    /// A live source that asks elsewhere for what was missed.
    #[must_use]
    pub fn catches_up(mut self) -> Self {
        self.catches_up = true;
        self
    }

    /// A source that ends by itself.
    #[must_use]
    pub fn finite(mut self) -> Self {
        self.finite = true;
        self
    }

    /// A source that several processes read together.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }
}

/// How far a source has come, for progress displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// The whole, if known.
    pub total: Option<u64>,
    /// What is counted (`bytes`, `events`, `pages`).
    pub unit: &'static str,
}

/// Reads market data: a venue's stream, a provider's history, a broker, files.
///
/// A source does I/O and cuts what it reads into [batches](Batch) of one lane each. Work on the CPU (decoding) it
/// leaves to its [decoder](Source::decoder), which runs on the lane's own task, so that lanes use all cores.
#[async_trait]
pub trait Source: Send {
    /// The plugin's name.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> SourceCapabilities;

    /// Connects, and keeps `resume` to ask it for each lane that is taken up. Called again after an error that advises it.
    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()>;

    /// The next batch of any lane; `None` when the source is exhausted, with every lane ended.
    ///
    /// Must be cancel-safe: the future may be dropped at any await, and the next call goes on without loss. It is
    /// dropped whenever something is to be committed, so what is under way (a request) is kept in `self`, or it never
    /// ends.
    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>>;

    /// The decoder of a lane whose batches hold frames; asked once, before its first batch is decoded.
    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        let message = "the source gives frames but no decoder";
        Err(Error::new(crate::ErrorKind::Internal, "source.decoder", message).with("lane", lane))
    }

    /// Every sink has accepted everything up to `checkpoint`.
    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// The sinks refuse what this process has for a lane, since another process has taken it over. A
    /// [shared](SourceCapabilities::shared) source gives no more batches of it; if the lane is still this process's, it asks
    /// where to go on and begins there anew.
    fn lost(&mut self, lane: &Lane) {
        let _ = lane;
    }

    /// How far it has come: what [`next_batch`](Source::next_batch) has given. A source without an end that is read as a
    /// table must know its total, to the end that it saw when it was opened: the pipeline waits until that is done.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// How many messages each lane is behind, where that is known.
    fn lag(&self) -> Vec<(Lane, u64)> {
        Vec::new()
    }

    /// Lets go of connections and files. Called once, after the last commit.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What decoding a frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// It was data; the events are in the output (there may be none: an empty update).
    Data,
    /// It was an acknowledgement, a heartbeat, a status.
    Control,
}

/// Makes events of one lane's frames. Pure: no clock, no I/O; time comes from the frame.
pub trait Decoder: Send {
    /// Decodes a frame and appends its events to `out`. On an error the whole frame is rejected, and what was
    /// appended for it is taken back.
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded>;

    /// The lane's connection was lost, with the last frame received at `lost`, and is made again at `back`: what came
    /// between is missing. Appends a `gap` of reason `disconnect` for each symbol seen, and forgets what held for the
    /// connection that is gone: maintained books, sequence numbers.
    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        let _ = (lost, back, out);
        Ok(())
    }

    /// The state to go on from (maintained books, sequence numbers).
    fn snapshot(&self) -> Result<Option<Box<str>>> {
        Ok(None)
    }

    /// Takes up a state that [`snapshot`](Decoder::snapshot) gave.
    fn restore(&mut self, state: &str) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// An event that a transform refuses.
#[derive(Debug, Clone)]
pub struct RejectedEvent {
    /// The event.
    pub event: Event,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// What a transform makes of a batch.
#[derive(Debug, Default)]
pub struct Output {
    /// Events for the next stage.
    pub events: Vec<Event>,
    /// Events for the dead letters.
    pub rejected: Vec<RejectedEvent>,
}

impl Output {
    /// Passes a whole batch on. Costs nothing while nothing else has been put out.
    pub fn forward(&mut self, mut events: Vec<Event>) {
        if self.events.is_empty() {
            self.events = events;
        } else {
            self.events.append(&mut events);
        }
    }

    /// Refuses an event.
    pub fn reject(&mut self, event: Event, rule: &'static str, message: impl Into<String>) {
        self.rejected.push(RejectedEvent {
            event,
            rule,
            message: message.into(),
        });
    }
}

/// Changes the events of one lane: filters, checks, aggregates, enriches. CPU only: no I/O, no clock, no awaiting.
///
/// Each lane has a copy of its own. Given the same state and the same events it must put out the same events, since
/// that is what a restart from a checkpoint relies on. What it looks up in a [table](Transform::tables) is state from
/// outside: it may be newer after a restart.
pub trait Transform: Send {
    /// The stage's name; its state is stored under it.
    fn name(&self) -> &str;

    /// Hands over the pipeline's tables, once for each copy and before anything else. Also called when a pipeline is
    /// put together, while the tables are still empty: a transform that looks things up in a table that is not there
    /// must say so now, with the name of its setting as the context `setting`.
    fn tables(&mut self, tables: &Tables) -> Result<()> {
        let _ = tables;
        Ok(())
    }

    /// Takes a batch and puts out what becomes of it.
    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()>;

    /// The source has ended: puts out what is still held.
    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// The state to go on from, at a batch boundary.
    fn snapshot(&self) -> Result<Option<Box<str>>> {
        Ok(None)
    }

    /// Takes up a state that [`snapshot`](Transform::snapshot) gave.
    fn restore(&mut self, state: &str) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Whether it makes something of many events together (candles), so that single events sent through again would
    /// make something false. A replay of dead letters leaves it out.
    fn needs_whole_stream(&self) -> bool {
        false
    }
}

/// When the pipeline hands a sink what has gathered for it: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchPolicy {
    /// Most events of a delivery.
    pub events: usize,
    /// Most bytes of a delivery, by [`Event::weight`]; a single event may exceed it.
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
