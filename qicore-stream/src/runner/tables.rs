//! Tables: each is read from the start of its source before the pipeline opens its own, and followed while that runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use qicore_data::{
    Batch, BatchLimit, Content, Decoder, Error, ErrorKind, Event, Frame, FromStart, Lane, Progress, Result,
    RetryAdvice, RetryPolicy, Source,
};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::commit::patience;
use super::rejects::Rejects;
use super::{Shared, flatten, open_source};
use crate::pipeline::TableSource;
use crate::retry::in_time;
use crate::stats::TableCounts;

/// How often a source that follows is asked how far it is while nothing comes: its last messages may be none for us (a
/// broker's own marks), so that it reaches its end without giving a batch.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often it is told that a table is still being read.
const TELL: Duration = Duration::from_secs(10);

/// The sources of a pipeline's tables.
pub(crate) struct Feeds {
    /// Those that are not followed yet. In the order of their names, as the counts are.
    waiting: Vec<Feed>,
    following: JoinSet<Result<()>>,
    over: watch::Sender<bool>,
}

/// The source of one table.
struct Feed {
    /// With the table itself.
    counts: Arc<TableCounts>,
    /// The stage of its dead letters.
    stage: String,
    source: Box<dyn Source>,
    decoders: HashMap<Lane, Box<dyn Decoder>>,
    exhausted: bool,
}

impl Feeds {
    pub(super) fn new(sources: Vec<TableSource>, shared: &Shared) -> Self {
        let counted = sources.into_iter().zip(&shared.counts.tables);
        let feed = |(TableSource { name, source }, (_, counts)): (TableSource, &(String, Arc<TableCounts>))| Feed {
            counts: Arc::clone(counts),
            stage: format!("table:{name}"),
            source,
            decoders: HashMap::new(),
            exhausted: false,
        };
        Self {
            waiting: counted.map(feed).collect(),
            following: JoinSet::new(),
            over: watch::Sender::new(false),
        }
    }

    /// Opens all sources and reads until every table has caught up; then follows those whose source goes on.
    pub(super) async fn open(&mut self, shared: &Arc<Shared>) -> Result<()> {
        try_join_all(self.waiting.iter_mut().map(|feed| feed.catch_up(shared))).await?;
        for feed in self.waiting.drain(..) {
            self.following
                .spawn(feed.follow(Arc::clone(shared), self.over.subscribe()));
        }
        Ok(())
    }

    /// Waits for a table that can no longer be followed: for good, if all can. Cancel-safe.
    pub(super) async fn failed(&mut self) -> Error {
        loop {
            match self.following.join_next().await.map(ended) {
                Some(Ok(())) => {}
                Some(Err(error)) => return error,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends following and closes all sources.
    pub(super) async fn close(&mut self, retry: &RetryPolicy) -> Result<()> {
        let mut result = Ok(());
        for feed in &mut self.waiting {
            result = result.and(feed.close(retry).await);
        }
        self.over.send_replace(true);
        let all = async {
            while let Some(done) = self.following.join_next().await {
                result = std::mem::replace(&mut result, Ok(())).and(ended(done));
            }
        };
        if timeout(retry.timeout, all).await.is_err() {
            // One that hangs keeps nothing back: a table has no position to commit.
            self.following.shutdown().await;
        }
        result
    }
}

impl Feed {
    fn named(&self, error: Error) -> Error {
        error.with("table", self.stage.trim_start_matches("table:"))
    }

    async fn close(&mut self, retry: &RetryPolicy) -> Result<()> {
        let closed = in_time(retry, "source.close", self.source.close()).await;
        closed.map_err(|error| self.named(error))
    }

    /// Reads to the source's end, or to what was the end when it was opened.
    async fn catch_up(&mut self, shared: &Shared) -> Result<()> {
        let retry = &shared.options.retry;
        let (mut failures, stage) = (0, &self.stage);
        let opened = open_source(retry, self.source.as_mut(), Arc::new(FromStart), |error| {
            failures += 1;
            let (error, pause) = patience(retry, error, failures)?;
            tracing::warn!(stage, %error, ?pause, "table: opening again");
            Ok(pause)
        });
        opened.await.map_err(|error| self.named(error))?;
        let caught_up = self.read_to_end(shared).await;
        caught_up.map_err(|error| self.named(error))?;
        self.counts.caught_up();
        Ok(())
    }

    async fn read_to_end(&mut self, shared: &Shared) -> Result<()> {
        // A source that ends may count what it has read ahead: only its end says that all of it has been given.
        let finite = self.source.capabilities().finite;
        let patient = if finite { TELL } else { LOOK_AGAIN };
        let (mut failures, mut silent) = (0, Duration::ZERO);
        while finite || !self.source.progress().is_some_and(is_done) {
            match timeout(patient, self.source.next_batch(limit(shared))).await {
                Err(_) => {
                    silent += patient;
                    if silent >= TELL {
                        silent = Duration::ZERO;
                        let (instruments, progress) = (self.counts.table.len(), self.source.progress());
                        tracing::warn!(stage = self.stage, instruments, ?progress, "waiting for the table");
                    }
                }
                Ok(Ok(Some(batch))) => {
                    (failures, silent) = (0, Duration::ZERO);
                    self.take(shared, batch).await?;
                    // A source that always has more would keep a stop from being seen.
                    tokio::task::yield_now().await;
                }
                Ok(Ok(None)) => {
                    self.exhausted = true;
                    break;
                }
                Ok(Err(error)) => {
                    failures += 1;
                    let (error, pause) = patience(&shared.options.retry, error, failures)?;
                    self.failed(&error, pause);
                    sleep(pause).await;
                }
            }
        }
        Ok(())
    }

    fn failed(&self, error: &Error, pause: Duration) {
        self.counts.failures.add(1);
        tracing::warn!(stage = self.stage, %error, ?pause, "trying again");
    }

    /// Keeps the table up to date until the pipeline is over or the source ends.
    async fn follow(mut self, shared: Arc<Shared>, mut over: watch::Receiver<bool>) -> Result<()> {
        let retry = shared.options.retry;
        let result = tokio::select! {
            biased;
            // The pipeline, and the sender with it, is gone: over as well.
            _ = over.wait_for(|over| *over) => Ok(()),
            result = self.go_on(&shared) => result,
        };
        let closed = self.close(&retry).await;
        result.map_err(|error| self.named(error)).and(closed)
    }

    /// Dropped between two awaits when the pipeline is over: of what was under way nothing is to be kept.
    async fn go_on(&mut self, shared: &Shared) -> Result<()> {
        let retry = &shared.options.retry;
        let mut failures = 0;
        while !self.exhausted {
            match self.source.next_batch(limit(shared)).await {
                Ok(Some(batch)) => {
                    failures = 0;
                    self.take(shared, batch).await?;
                    tokio::task::yield_now().await;
                }
                Ok(None) => self.exhausted = true,
                Err(error) if error.retry() == RetryAdvice::Never => return Err(error),
                Err(error) => {
                    // What the table knows stays good for a while: a pipeline that stops helps nobody.
                    failures += 1;
                    let longest = |error| (error, retry.longest_pause);
                    let (error, pause) = patience(retry, error, failures).unwrap_or_else(longest);
                    self.failed(&error, pause);
                    sleep(pause).await;
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, shared: &Shared, batch: Batch) -> Result<()> {
        let Batch { lane, content, end, .. } = batch;
        let events = match content {
            Content::Events(events, _) => events,
            Content::Frames(frames) => self.decode(shared, &lane, frames).await?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "table.read",
                    "unknown kind of batch",
                ));
            }
        };
        if end.is_some() {
            self.decoders.remove(&lane);
        }
        let update = self.counts.table.update(&events);
        self.counts.updates.add(update.instruments);
        self.counts.ignored.add(update.ignored);
        Ok(())
    }

    async fn decode(&mut self, shared: &Shared, lane: &Lane, frames: Vec<Frame>) -> Result<Vec<Event>> {
        let (mut events, mut refused) = (Vec::with_capacity(frames.len()), Vec::new());
        if frames.is_empty() {
            return Ok(events);
        }
        let decoder = match self.decoders.entry(lane.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(self.source.decoder(lane)?),
        };
        let most = shared.options.max_frame_bytes;
        for frame in frames {
            let before = events.len();
            let decoded = match frame.payload.len() > most {
                true => Err(too_large(frame.payload.len(), most)),
                false => decoder.decode(&frame, &mut events).map(drop),
            };
            match decoded {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
                Err(error) => {
                    events.truncate(before);
                    refused.push((frame, error));
                }
            }
        }
        if !refused.is_empty() {
            self.counts.rejected.add(refused.len());
            let letters = Rejects::of_table(shared, (self.source.name(), &self.stage), lane, &refused);
            shared.dead_letters(letters).await?;
        }
        Ok(events)
    }
}

/// The error of a frame that is not even looked at.
pub(super) fn too_large(bytes: usize, most: usize) -> Error {
    let message = format!("{bytes} bytes are more than max_frame_bytes = {most}");
    Error::decode("lane.decode", message)
}

fn limit(shared: &Shared) -> BatchLimit {
    BatchLimit::new(shared.options.read_items, shared.options.read_bytes)
}

fn is_done(progress: Progress) -> bool {
    progress.total.is_some_and(|total| progress.done >= total)
}

fn ended(done: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    flatten(done)?.unwrap_or(Ok(()))
}
