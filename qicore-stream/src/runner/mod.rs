//! Runs a pipeline: one task reads the source and commits, one task a lane works, one task a lane and sink writes; one more
//! for each table that is followed.
//!
//! ```text
//! source ─▶ queue ─▶ lane: decode, transform ─┬▶ queue ─▶ outlet: gather, write, retry ─▶ sink
//!    ▲                     │ rejects          └▶ queue ─▶ outlet ─▶ sink
//!    │                     ▼
//!    └── commit ◀── acks ◀── verdicts      dead letters
//! ```

mod acks;
mod commit;
mod lane;
mod outlet;
mod rejects;
mod resume;
mod shared;
mod tables;
mod tally;

pub(crate) use shared::{Chain, Shared, SinkStage};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Batch, BatchLimit, Content, Error, ErrorKind, Lane, Result, Resume, Source};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use self::commit::{commit, pause_after};
use self::lane::{Intake, LaneTask};
use self::outlet::Outlet;
use self::resume::ResumeTable;
use self::tables::Feeds;
use crate::checkpoints::CheckpointStore;
use crate::pipeline::{Stop, TableSource};
use crate::queue::{self, Bounds, Cost, Sender};
use crate::retry::{in_time, retrying};

/// A pipeline while it runs.
pub(crate) struct Runner {
    shared: Arc<Shared>,
    source: Box<dyn Source>,
    tables: Feeds,
    store: Option<Arc<dyn CheckpointStore>>,
    resume: Arc<ResumeTable>,
    stop: watch::Receiver<Stop>,
    lanes: HashMap<Lane, LaneInput>,
    /// The tasks of lanes that have ended and may still be at work.
    ending: HashMap<Lane, Vec<AbortHandle>>,
    tasks: JoinSet<Result<()>>,
    failure: Option<Error>,
}

/// What the source's task turns to next.
enum Turn {
    Stop,
    Commit,
    Done(Result<()>),
    Batch(Result<Option<Batch>>),
}

struct LaneInput {
    intake: Sender<Intake>,
    has_decoder: bool,
    tasks: Vec<AbortHandle>,
}

impl Runner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Box<dyn Source>,
        tables: Vec<TableSource>,
        store: Option<Arc<dyn CheckpointStore>>,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let resume = Arc::new(ResumeTable::new(
            Arc::clone(&shared.sinks),
            store.clone(),
            source.capabilities().replayable,
            shared.options.retry,
            Arc::clone(&shared.counts),
        ));
        Self {
            tables: Feeds::new(tables, &shared),
            shared,
            source,
            store,
            resume,
            stop,
            lanes: HashMap::new(),
            ending: HashMap::new(),
            tasks: JoinSet::new(),
            failure: None,
        }
    }

    /// Runs to the end of the source, to a stop, or to the first error; then drains, commits and closes.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut stop = self.stop.clone();
        self.shared.counts.started();
        let result = tokio::select! {
            result = self.run_to_end() => result,
            () = wanted(&mut stop, |stop| stop == Stop::Abort) => {
                let message = "aborted: what was not yet committed is read again at the next start";
                Err(Error::new(ErrorKind::Abandoned, "pipeline", message))
            }
        };
        // Ends every task that is still there: after an abort, or past the deadline.
        self.tasks.shutdown().await;
        self.shared.counts.ended();
        result
    }

    async fn run_to_end(&mut self) -> Result<()> {
        let mut stop = self.stop.clone();
        let opened = tokio::select! {
            opened = self.open() => opened.map(|()| true)?,
            () = wanted(&mut stop, any_stop) => false,
        };
        if !opened {
            // Nothing has been read yet: there is nothing to write.
            return self.close().await;
        }
        if let Err(error) = self.read().await {
            self.fail(error);
        }
        self.lanes.clear();
        self.drain().await;
        let closed = self.close().await;
        match self.failure.take() {
            Some(error) => Err(error),
            None => closed,
        }
    }

    async fn open(&mut self) -> Result<()> {
        for (stage, (_, counts)) in self.shared.sinks.iter().zip(&self.shared.counts.sinks) {
            let failed = |error: &Error, pause| {
                counts.failures.add(1);
                tracing::warn!(sink = stage.name, %error, ?pause, "opening again");
            };
            retrying(&stage.retry, failed, || {
                in_time(&stage.retry, "sink.open", stage.sink.open(&stage.writer))
            })
            .await
            .map_err(|error| error.with("sink", &stage.name))?;
        }
        let retry = &self.shared.options.retry;
        if let Some(letters) = &self.shared.dead_letters {
            in_time(retry, "dead_letters.open", letters.open()).await?;
        }
        self.tables.open(&self.shared).await?;
        let resume: Arc<dyn Resume> = self.resume.clone();
        // The source's future borrows it mutably, which a closure called several times cannot lend: one try here,
        // and sources retry their own connections.
        in_time(retry, "source.open", self.source.open(resume)).await
    }

    /// Reads until the source is exhausted, the pipeline stops or fails.
    async fn read(&mut self) -> Result<()> {
        let options = &self.shared.options;
        let limit = BatchLimit::new(options.read_items, options.read_bytes);
        let commits = Arc::clone(&self.shared.commits);
        let mut failures = 0;
        loop {
            let turn = tokio::select! {
                biased;
                () = wanted(&mut self.stop, any_stop) => Turn::Stop,
                () = commits.ready() => Turn::Commit,
                Some(done) = self.tasks.join_next() => Turn::Done(flatten(done)),
                error = self.tables.failed() => Turn::Done(Err(error)),
                batch = self.source.next_batch(limit) => Turn::Batch(batch),
            };
            match turn {
                Turn::Stop => return Ok(()),
                Turn::Commit => self.commit().await?,
                Turn::Done(result) => result?,
                Turn::Batch(Ok(Some(batch))) => {
                    failures = 0;
                    self.dispatch(batch).await?;
                    self.shared.counts.progressed(self.source.progress());
                }
                Turn::Batch(Ok(None)) => return Ok(()),
                Turn::Batch(Err(error)) => {
                    failures += 1;
                    let pause = pause_after(&self.shared, error, failures)?;
                    let mut stop = self.stop.clone();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = wanted(&mut stop, any_stop) => {}
                    }
                }
            }
        }
    }

    /// Sends a batch to its lane; while the lane is full, commits go on.
    async fn dispatch(&mut self, batch: Batch) -> Result<()> {
        let lane = batch.lane.clone();
        let ends = batch.end.is_some();
        let mut input = match self.lanes.remove(&lane) {
            Some(input) => input,
            None => {
                self.ended(&lane).await?;
                self.start_lane(lane.clone()).await?
            }
        };
        let frames = matches!(&batch.content, Content::Frames(frames) if !frames.is_empty());
        let decoder = if frames && !input.has_decoder {
            input.has_decoder = true;
            Some(self.source.decoder(&lane)?)
        } else {
            None
        };
        let cost = Cost {
            items: batch.content.len(),
            bytes: batch.weight(),
        };
        if !self.send(&input.intake, Intake { batch, decoder }, cost).await? {
            return Err(self.cause(&lane, &input.tasks).await);
        }
        if ends {
            self.resume.forget(&lane);
            self.ending
                .retain(|_, tasks| !tasks.iter().all(AbortHandle::is_finished));
            self.ending.insert(lane, input.tasks);
        } else {
            self.lanes.insert(lane, input);
        }
        Ok(())
    }

    /// Why a lane takes no more: its task, or that of one of its sinks, says so. Never goes on without an error: the batch
    /// that it did not take would be missing.
    async fn cause(&mut self, lane: &Lane, tasks: &[AbortHandle]) -> Error {
        loop {
            let over = tasks.iter().all(AbortHandle::is_finished);
            let done = match over {
                true => self.tasks.try_join_next(),
                false => self.tasks.join_next().await,
            };
            match done.map(flatten) {
                Some(Ok(())) => {}
                Some(Err(error)) => return error,
                None => break,
            }
        }
        Error::new(ErrorKind::Abandoned, "pipeline", "a lane has stopped before its end").with("lane", lane)
    }

    /// A lane that comes back waits until all that it had before is written and committed: two writers of one lane would
    /// get in each other's way, and where it goes on is known only then.
    async fn ended(&mut self, lane: &Lane) -> Result<()> {
        let Some(tasks) = self.ending.remove(lane) else {
            return Ok(());
        };
        let commits = Arc::clone(&self.shared.commits);
        while !tasks.iter().all(AbortHandle::is_finished) {
            tokio::select! {
                biased;
                () = commits.ready() => self.commit().await?,
                Some(done) = self.tasks.join_next() => flatten(done)?,
            }
        }
        self.commit().await?;
        self.resume.forget(lane);
        Ok(())
    }

    /// False if the lane is gone. What has been read is also written after a stop, so the wait for a full lane goes on
    /// then, under the deadline.
    async fn send(&mut self, intake: &Sender<Intake>, message: Intake, cost: Cost) -> Result<bool> {
        let commits = Arc::clone(&self.shared.commits);
        let mut stop = self.stop.clone();
        let deadline = self.shared.options.drain_deadline;
        let too_late = async {
            wanted(&mut stop, any_stop).await;
            tokio::time::sleep(deadline).await;
        };
        let (mut sent, mut too_late) = (std::pin::pin!(intake.send(message, cost)), std::pin::pin!(too_late));
        loop {
            tokio::select! {
                biased;
                sent = &mut sent => return Ok(sent.is_ok()),
                () = commits.ready() => commit(&self.shared, &self.store, self.source.as_mut()).await?,
                Some(done) = self.tasks.join_next() => flatten(done)?,
                () = &mut too_late => return Err(undrained(deadline)),
            }
        }
    }

    async fn start_lane(&mut self, lane: Lane) -> Result<LaneInput> {
        let start = self.resume.start(&lane).await?;
        let options = &self.shared.options;
        let bounds = Bounds {
            items: options.queue_items,
            bytes: options.queue_bytes,
        };
        let mut outlets = Vec::with_capacity(self.shared.sinks.len());
        let mut tasks = Vec::with_capacity(self.shared.sinks.len() + 1);
        for sink in 0..self.shared.sinks.len() {
            let (sender, items) = queue::bounded(bounds);
            let held = start.held.get(sink).cloned().flatten();
            let outlet = Outlet::new(lane.clone(), sink, held, items, Arc::clone(&self.shared));
            tasks.push(self.tasks.spawn(outlet.run()));
            outlets.push(sender);
        }
        let (intake, received) = queue::bounded(bounds);
        let replayable = self.source.capabilities().replayable;
        let task = LaneTask::new(lane, Arc::clone(&self.shared), received, outlets, start, replayable)?;
        tasks.push(self.tasks.spawn(task.run()));
        Ok(LaneInput {
            intake,
            has_decoder: false,
            tasks,
        })
    }

    async fn commit(&mut self) -> Result<()> {
        commit(&self.shared, &self.store, self.source.as_mut()).await
    }

    /// Lets the lanes finish what they have, and commits it: under the deadline after a stop or a failure, without one
    /// at the end of the source, where a slow store may take its time.
    async fn drain(&mut self) {
        let deadline = self.shared.options.drain_deadline;
        let commits = Arc::clone(&self.shared.commits);
        let mut stop = self.stop.clone();
        let (failed, mut overdue) = (self.failure.is_some(), false);
        let too_late = async {
            if !failed {
                wanted(&mut stop, any_stop).await;
            }
            tokio::time::sleep(deadline).await;
        };
        let mut too_late = std::pin::pin!(too_late);
        loop {
            tokio::select! {
                biased;
                () = commits.ready() => if let Err(error) = self.commit().await { self.fail(error) },
                done = self.tasks.join_next() => match done {
                    Some(done) => if let Err(error) = flatten(done) { self.fail(error) },
                    None => break,
                },
                () = &mut too_late, if !overdue => {
                    overdue = true;
                    self.fail(undrained(deadline));
                    self.tasks.abort_all();
                }
            }
        }
        if let Err(error) = self.commit().await {
            self.fail(error);
        }
    }

    async fn close(&mut self) -> Result<()> {
        let retry = self.shared.options.retry;
        let mut result = in_time(&retry, "source.close", self.source.close()).await;
        result = result.and(self.tables.close(&retry).await);
        for stage in self.shared.sinks.iter() {
            let closed = in_time(&stage.retry, "sink.close", stage.sink.close()).await;
            result = result.and(closed.map_err(|error| error.with("sink", &stage.name)));
        }
        result
    }

    /// Keeps the first error, unless a later one tells the cause of it.
    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "pipeline failed");
        match &self.failure {
            Some(first) if first.kind() != ErrorKind::Abandoned || error.kind() == ErrorKind::Abandoned => {}
            _ => self.failure = Some(error),
        }
    }
}

fn any_stop(stop: Stop) -> bool {
    stop != Stop::No
}

/// Waits until a stop is wanted: for good, if nobody is left to want one.
async fn wanted(stop: &mut watch::Receiver<Stop>, which: fn(Stop) -> bool) {
    if stop.wait_for(|stop| which(*stop)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn undrained(deadline: Duration) -> Error {
    let message = format!("not everything could be written within drain_deadline = {deadline:?}");
    let error = Error::new(ErrorKind::Timeout, "pipeline.drain", message);
    error.with("advice", "what is missing is read again at the next start")
}

/// A task's result; a panic is an error like any other, and its lineages have counted as abandoned.
fn flatten(done: Result<Result<()>, JoinError>) -> Result<()> {
    match done {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => {
            let panic = error.into_panic();
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Error::new(
                ErrorKind::Internal,
                "pipeline",
                format!("a stage panicked: {text}"),
            ))
        }
    }
}
