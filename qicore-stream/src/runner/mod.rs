//! Runs a pipeline: one task reads the source and commits, one task a lane works, one task a lane and sink writes.
//!
//! ```text
//! source ─▶ queue ─▶ lane: decode, transform ─┬▶ queue ─▶ outlet: gather, write, retry ─▶ sink
//!    ▲                     │ rejects          └▶ queue ─▶ outlet ─▶ sink
//!    │                     ▼
//!    └── commit ◀── acks ◀── verdicts      dead letters
//! ```

mod acks;
mod at_work;
mod commit;
mod lane;
mod outlet;
mod rejects;
mod resume;
mod shared;
mod tally;

pub(crate) use shared::{Shared, SinkStage};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Batch, BatchLimit, Content, Error, ErrorKind, Lane, Result, Resume, Source};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use self::acks::LaneAcks;
use self::at_work::AtWork;
use self::commit::{commit, pause_after};
use self::lane::{Intake, LaneTask};
use self::outlet::Outlet;
use self::resume::ResumeTable;
use crate::checkpoints::CheckpointStore;
use crate::pipeline::Stop;
use crate::queue::{self, Bounds, Cost, Sender};
use crate::retry::{in_time, retrying};

/// A pipeline while it runs.
pub(crate) struct Runner {
    shared: Arc<Shared>,
    source: Box<dyn Source>,
    store: Option<Arc<dyn CheckpointStore>>,
    resume: Arc<ResumeTable>,
    stop: watch::Receiver<Stop>,
    lanes: HashMap<Lane, LaneInput>,
    at_work: AtWork,
    tasks: JoinSet<(Lane, Result<()>)>,
    failure: Option<Error>,
}

/// What the source's task turns to next.
enum Turn {
    Stop,
    Commit,
    Done(Done),
    Batch(Result<Option<Batch>>),
}

/// How a task of a lane has ended.
type Done = Result<(Lane, Result<()>), JoinError>;

struct LaneInput {
    intake: Sender<Intake>,
    has_decoder: bool,
}

impl Runner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Box<dyn Source>,
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
            shared,
            source,
            store,
            resume,
            stop,
            lanes: HashMap::new(),
            at_work: AtWork::default(),
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
                Some(done) = self.tasks.join_next() => Turn::Done(done),
                batch = self.source.next_batch(limit) => Turn::Batch(batch),
            };
            match turn {
                Turn::Stop => return Ok(()),
                Turn::Commit => self.commit().await?,
                Turn::Done(done) => self.done(done)?,
                Turn::Batch(Ok(Some(batch))) => {
                    failures = 0;
                    self.dispatch(batch).await?;
                    self.shared.counts.progressed(self.source.progress(), self.source.lag());
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
            return self.cause(&lane).await;
        }
        if ends {
            self.resume.forget(&lane);
            self.at_work.tidy(|lane| self.lanes.contains_key(lane));
        } else if !self.at_work.is_given_up(&lane) {
            self.lanes.insert(lane, input);
        }
        Ok(())
    }

    /// Takes note of a task's end. A lane that another process has taken over is given up without harm, where that is in the
    /// nature of the source; any other failure is the run's.
    fn done(&mut self, done: Done) -> Result<()> {
        let (lane, result) = flatten(done)?;
        let Some(lane) = lane else { return Ok(()) };
        match result {
            Err(error) if self.at_work.is_given_up(&lane) => tracing::debug!(%lane, %error, "the lane is given up"),
            Err(error) if error.kind() == ErrorKind::Fenced && self.source.capabilities().shared => {
                tracing::warn!(%lane, %error, "another process has taken the lane over: it is given up here");
                self.shared.counts.given_up.add(1);
                self.at_work.give_up(&lane);
                self.lanes.remove(&lane);
                self.resume.forget(&lane);
                self.source.lost(&lane);
            }
            result => return result,
        }
        Ok(())
    }

    /// Why a lane takes no more: its task, or that of one of its sinks, says so. Goes on without an error only if the lane is
    /// given up: else the batch that it did not take would be missing.
    async fn cause(&mut self, lane: &Lane) -> Result<()> {
        loop {
            if self.at_work.is_given_up(lane) {
                return Ok(());
            }
            let over = self.at_work.get(lane).is_none_or(|work| work.is_over());
            let done = match over {
                true => self.tasks.try_join_next(),
                false => self.tasks.join_next().await,
            };
            match done {
                Some(done) => self.done(done)?,
                None => break,
            }
        }
        Err(Error::new(ErrorKind::Abandoned, "pipeline", "a lane has stopped before its end").with("lane", lane))
    }

    /// A lane that comes back waits until all that it had before is written and committed: two writers of one lane would
    /// get in each other's way, and where it goes on is known only then.
    async fn ended(&mut self, lane: &Lane) -> Result<()> {
        let commits = Arc::clone(&self.shared.commits);
        while let Some(work) = self.at_work.get(lane)
            && !work.is_over()
        {
            tokio::select! {
                biased;
                () = commits.ready() => self.commit().await?,
                Some(done) = self.tasks.join_next() => self.done(done)?,
            }
        }
        if self.at_work.get(lane).is_none() {
            return Ok(());
        }
        self.at_work.remove(lane);
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
                Some(done) = self.tasks.join_next() => self.done(done)?,
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
            tasks.push(self.spawn(&lane, outlet.run()));
            outlets.push(sender);
        }
        let (intake, received) = queue::bounded(bounds);
        let replayable = self.source.capabilities().replayable;
        let acks = LaneAcks::new(lane.clone(), Arc::clone(&self.shared.commits));
        let tracked = Arc::clone(&acks);
        let task = LaneTask::new(
            lane.clone(),
            Arc::clone(&self.shared),
            tracked,
            received,
            outlets,
            start,
            replayable,
        )?;
        tasks.push(self.spawn(&lane, task.run()));
        self.at_work.begin(lane, tasks, acks);
        Ok(LaneInput {
            intake,
            has_decoder: false,
        })
    }

    fn spawn(&mut self, lane: &Lane, work: impl Future<Output = Result<()>> + Send + 'static) -> AbortHandle {
        let (lane, mark) = (lane.clone(), self.resume.busy.mark(lane));
        self.tasks.spawn(async move {
            let result = work.await;
            drop(mark);
            (lane, result)
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
                    Some(done) => if let Err(error) = self.done(done) { self.fail(error) },
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
fn flatten(done: Done) -> Result<(Option<Lane>, Result<()>)> {
    match done {
        Ok((lane, result)) => Ok((Some(lane), result)),
        Err(error) if error.is_cancelled() => Ok((None, Ok(()))),
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
