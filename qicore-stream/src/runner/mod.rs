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
mod at_work;
mod commit;
mod dispatch;
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

use qicore_data::{Batch, BatchLimit, Error, ErrorKind, Lane, Result, Resume, RetryPolicy, Source};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use self::at_work::AtWork;
use self::commit::{commit, pause_after};
use self::lane::Intake;
use self::resume::ResumeTable;
use self::tables::Feeds;
use crate::checkpoints::CheckpointStore;
use crate::pipeline::{Stop, TableSource};
use crate::queue::Sender;
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
    at_work: AtWork,
    tasks: JoinSet<(Lane, Result<()>)>,
    failure: Option<Error>,
    tells_lag: bool,
}

/// What the source's task turns to next.
enum Turn {
    Stop,
    Commit,
    Done(Done),
    Failed(Error),
    Batch(Result<Option<Batch>>),
    /// Nothing has come for a while.
    Quiet,
}

/// How long nothing comes until a source that tells its lag is asked again; it doubles up to the longest. It gives no batch when
/// it learns that there is no more, so what it told with the last one may not hold any longer.
const QUIET: Duration = Duration::from_millis(250);
const LONGEST_QUIET: Duration = Duration::from_secs(4);

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
        tables: Vec<TableSource>,
        store: Option<Arc<dyn CheckpointStore>>,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let resume = Arc::new(ResumeTable::new(
            Arc::clone(&shared.sinks),
            store.clone(),
            source.capabilities(),
            shared.options.retry,
            Arc::clone(&shared.counts),
        ));
        Self {
            tells_lag: source.capabilities().tells_lag,
            tables: Feeds::new(tables, &shared),
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
            let failed = |error: &Error, pause| tracing::warn!(%error, ?pause, "dead letters: opening again");
            retrying(retry, failed, || in_time(retry, "dead_letters.open", letters.open())).await?;
        }
        self.tables.open(&self.shared).await?;
        let resume: Arc<dyn Resume> = self.resume.clone();
        let mut failures = 0;
        open_source(retry, self.source.as_mut(), resume, |error| {
            failures += 1;
            pause_after(&self.shared, error, failures)
        })
        .await
    }

    /// Reads until the source is exhausted, the pipeline stops or fails.
    async fn read(&mut self) -> Result<()> {
        let options = &self.shared.options;
        let limit = BatchLimit::new(options.read_items, options.read_bytes);
        let commits = Arc::clone(&self.shared.commits);
        let (mut failures, mut quiet) = (0, QUIET);
        loop {
            let turn = tokio::select! {
                biased;
                () = wanted(&mut self.stop, any_stop) => Turn::Stop,
                () = commits.ready() => Turn::Commit,
                Some(done) = self.tasks.join_next() => Turn::Done(done),
                error = self.tables.failed() => Turn::Failed(error),
                batch = self.source.next_batch(limit) => Turn::Batch(batch),
                () = async { tokio::time::sleep(quiet).await }, if self.tells_lag => Turn::Quiet,
            };
            match turn {
                Turn::Stop => return Ok(()),
                Turn::Commit => self.commit().await?,
                Turn::Done(done) => self.done(done)?,
                Turn::Failed(error) => return Err(error),
                Turn::Batch(Ok(Some(batch))) => {
                    (failures, quiet) = (0, QUIET);
                    self.dispatch(batch).await?;
                    self.progressed();
                }
                Turn::Quiet => {
                    quiet = (quiet * 2).min(LONGEST_QUIET);
                    self.progressed();
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

    fn progressed(&self) {
        self.shared.counts.progressed(self.source.progress());
        if self.tells_lag {
            self.shared.counts.lag(self.source.lag());
        }
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

/// Opens a source, again and again as long as `patience` gives pauses. The future borrows the source mutably, which [`retrying`]
/// cannot lend out several times.
async fn open_source(
    retry: &RetryPolicy,
    source: &mut dyn Source,
    resume: Arc<dyn Resume>,
    mut patience: impl FnMut(Error) -> Result<Duration>,
) -> Result<()> {
    loop {
        match in_time(retry, "source.open", source.open(Arc::clone(&resume))).await {
            Ok(()) => return Ok(()),
            Err(error) => tokio::time::sleep(patience(error)?).await,
        }
    }
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
/// `None` for one that was given up.
fn flatten<T>(done: Result<T, JoinError>) -> Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_cancelled() => Ok(None),
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
