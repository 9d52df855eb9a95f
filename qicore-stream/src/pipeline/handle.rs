use std::sync::Arc;

use qicore_data::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Stop;
use crate::stats::{Counts, Stats};

/// A running pipeline. Dropping the handle lets the pipeline run on.
#[derive(Debug)]
pub struct Handle {
    task: JoinHandle<Result<()>>,
    stop: watch::Sender<Stop>,
    counts: Arc<Counts>,
}

/// What a run came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Summary {
    /// The final counts.
    pub stats: Stats,
}

impl Handle {
    pub(super) fn new(task: JoinHandle<Result<()>>, stop: watch::Sender<Stop>, counts: Arc<Counts>) -> Self {
        Self { task, stop, counts }
    }

    /// Stops reading; what has been read is written and committed, under the drain deadline.
    pub fn stop(&self) {
        self.stop.send_if_modified(|stop| match stop {
            Stop::No => {
                *stop = Stop::Drain;
                true
            }
            _ => false,
        });
    }

    /// Stops at once. What was not committed is read again at the next start.
    pub fn abort(&self) {
        self.stop.send_replace(Stop::Abort);
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        self.counts.snapshot()
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the end of the run. May be called by reference, next to a signal handler; the result is given once.
    pub async fn finished(&mut self) -> Result<Summary> {
        let result = (&mut self.task).await;
        result.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, "pipeline", error.to_string())))?;
        Ok(Summary {
            stats: self.counts.snapshot(),
        })
    }

    /// Waits for the end of the run.
    pub async fn wait(mut self) -> Result<Summary> {
        self.finished().await
    }
}
