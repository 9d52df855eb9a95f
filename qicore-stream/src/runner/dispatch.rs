//! Hands batches to their lanes, and follows what becomes of the lanes' tasks.

use std::sync::Arc;

use qicore_data::{Batch, Content, Error, ErrorKind, Lane, Result};
use tokio::task::AbortHandle;

use super::acks::LaneAcks;
use super::commit::commit;
use super::lane::{Intake, LaneTask};
use super::outlet::Outlet;
use super::{Done, LaneInput, Runner, any_stop, flatten, undrained, wanted};
use crate::queue::{self, Bounds, Cost, Sender};

impl Runner {
    /// Sends a batch to its lane; while the lane is full, commits go on.
    pub(super) async fn dispatch(&mut self, batch: Batch) -> Result<()> {
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
    pub(super) fn done(&mut self, done: Done) -> Result<()> {
        let Some((lane, result)) = flatten(done)? else {
            return Ok(());
        };
        match result {
            Err(error) if self.at_work.is_given_up(&lane) => tracing::debug!(%lane, %error, "the lane is given up"),
            Err(error) if error.kind() == ErrorKind::Abandoned && self.at_work.is_fenced(&lane) => {
                tracing::debug!(%lane, %error, "the lane is about to be given up");
            }
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
        let mut too_late = std::pin::pin!(self.too_late());
        while let Some(work) = self.at_work.get(lane)
            && !work.is_over()
        {
            tokio::select! {
                biased;
                () = commits.ready() => self.commit().await?,
                Some(done) = self.tasks.join_next() => self.done(done)?,
                () = &mut too_late => return Err(undrained(self.shared.options.drain_deadline)),
            }
        }
        if self.at_work.get(lane).is_none() {
            return Ok(());
        }
        self.at_work.remove(lane);
        self.commit().await
    }

    /// Over when what has been read can no longer be written after a stop.
    fn too_late(&self) -> impl Future<Output = ()> + use<> {
        let (mut stop, deadline) = (self.stop.clone(), self.shared.options.drain_deadline);
        async move {
            wanted(&mut stop, any_stop).await;
            tokio::time::sleep(deadline).await;
        }
    }

    /// False if the lane is gone. What has been read is also written after a stop, so the wait for a full lane goes on
    /// then, under the deadline.
    async fn send(&mut self, intake: &Sender<Intake>, message: Intake, cost: Cost) -> Result<bool> {
        let commits = Arc::clone(&self.shared.commits);
        let deadline = self.shared.options.drain_deadline;
        let mut too_late = std::pin::pin!(self.too_late());
        let mut sent = std::pin::pin!(intake.send(message, cost));
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
        let start = tokio::select! {
            start = self.resume.start(&lane) => start?,
            () = self.too_late() => return Err(undrained(self.shared.options.drain_deadline)),
        };
        let options = &self.shared.options;
        let bounds = Bounds {
            items: options.queue_items,
            bytes: options.queue_bytes,
        };
        let acks = LaneAcks::new(lane.clone(), Arc::clone(&self.shared.commits));
        let fences = self.source.capabilities().shared.then(|| Arc::clone(&acks));
        let mut outlets = Vec::with_capacity(self.shared.sinks.len());
        let mut tasks = Vec::with_capacity(self.shared.sinks.len() + 1);
        for sink in 0..self.shared.sinks.len() {
            let (sender, items) = queue::bounded(bounds);
            let held = start.held.get(sink).cloned().flatten();
            let shared = Arc::clone(&self.shared);
            let outlet = Outlet::new(lane.clone(), sink, held, items, shared, fences.clone());
            tasks.push(self.spawn(&lane, outlet.run()));
            outlets.push(sender);
        }
        let (intake, received) = queue::bounded(bounds);
        let replayable = self.source.capabilities().replayable;
        let tracked = Arc::clone(&acks);
        let task = LaneTask::new(Arc::clone(&self.shared), tracked, received, outlets, start, replayable)?;
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
}
