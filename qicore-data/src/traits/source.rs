//! Sources, and where they go on.

use std::sync::Arc;

use async_trait::async_trait;

use super::Decoder;
use crate::batch::{Batch, BatchLimit};
use crate::error::{Error, Result};
use crate::lane::{Checkpoint, Lane};

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
    /// It tells its [lag](Source::lag), and is asked for it while nothing comes too.
    pub tells_lag: bool,
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

    /// A source that tells its [lag](Source::lag).
    #[must_use]
    pub fn tells_lag(mut self) -> Self {
        self.tells_lag = true;
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
    /// dropped whenever something is to be committed, or a lag is asked for, so what is under way (a request) is kept in
    /// `self`, or it never ends.
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

    /// How many messages each lane is behind, where that is known. A source that [tells](SourceCapabilities::tells_lag) it is
    /// asked after each batch, and now and then while none comes.
    fn lag(&self) -> Vec<(Lane, u64)> {
        Vec::new()
    }

    /// Lets go of connections and files. Called once, after the last commit.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
