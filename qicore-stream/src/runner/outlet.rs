//! One lane's way to one sink: gathers, writes with retries, settles.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::FutureExt;
use qicore_data::{
    BatchPolicy, Checkpoint, Delivery, Error, ErrorKind, Event, Lane, Lineage, Receipt, Result, RetryAdvice, Verdict,
};
use tokio::time::{Instant, timeout_at};

use super::acks::LaneAcks;
use super::rejects::Rejects;
use super::{Shared, SinkStage};
use crate::queue::{Cost, Receiver};
use crate::retry::{in_time, retrying};
use crate::stats::SinkCounts;

/// A batch after the transforms, on its way to one sink.
pub(super) struct Item {
    pub(super) events: Arc<Vec<Event>>,
    pub(super) cost: Cost,
    /// The number of the first event, of all that the lane has given since its first start.
    pub(super) first: u64,
    pub(super) after: u64,
    pub(super) offset: u64,
    pub(super) last: bool,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) lineage: Lineage,
}

/// The part of a pipeline between one lane and one sink. Runs as a task of its own, so that a slow sink holds up the
/// others only once its queue is full.
pub(super) struct Outlet {
    lane: Lane,
    sink: usize,
    /// What the sink had at the start: not written again.
    held: Option<Arc<Checkpoint>>,
    items: Receiver<Item>,
    shared: Arc<Shared>,
    gathered: Gathered,
    staged: Staged,
    /// Where lanes move between processes: whom to tell that another one has this lane.
    fences: Option<Arc<LaneAcks>>,
}

/// What waits to be written.
struct Gathered {
    delivery: Delivery,
    /// The number of its first event, of all that the lane has given.
    first: u64,
    bytes: usize,
    lineages: Vec<Lineage>,
    deadline: Option<Instant>,
}

impl Gathered {
    fn after(lane: &Lane, offset: u64, first: u64) -> Self {
        Self {
            delivery: Delivery::new(lane.clone(), offset),
            first,
            bytes: 0,
            lineages: Vec::new(),
            deadline: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.delivery.is_empty() && self.lineages.is_empty()
    }

    fn is_full(&self, policy: &BatchPolicy) -> bool {
        self.delivery.len() >= policy.events || self.bytes >= policy.bytes
    }

    /// How many of `events` from `from` on still fit; at least one if nothing is gathered.
    fn room(&self, policy: &BatchPolicy, events: &[Event], from: usize, cost: Cost) -> usize {
        let count = (policy.events.saturating_sub(self.delivery.len())).min(events.len() - from);
        if self.bytes + cost.bytes <= policy.bytes {
            return count;
        }
        let mut bytes = self.bytes;
        let fitting = events[from..from + count].iter().take_while(|event| {
            bytes += event.weight();
            bytes <= policy.bytes
        });
        fitting.count().max(usize::from(self.delivery.is_empty()))
    }
}

/// What is written but not yet durable.
#[derive(Default)]
struct Staged {
    lineages: Vec<Lineage>,
    rejected: bool,
    since: Option<Instant>,
    /// The sink may publish here: the last delivery carried a checkpoint, or the sink keeps none.
    publishable: bool,
}

impl Outlet {
    pub(super) fn new(
        lane: Lane,
        sink: usize,
        held: Option<Arc<Checkpoint>>,
        items: Receiver<Item>,
        shared: Arc<Shared>,
        fences: Option<Arc<LaneAcks>>,
    ) -> Self {
        let gathered = Gathered::after(&lane, 0, 0);
        Self {
            lane,
            sink,
            held,
            items,
            shared,
            gathered,
            staged: Staged::default(),
            fences,
        }
    }

    fn stage(&self) -> &SinkStage {
        &self.shared.sinks[self.sink]
    }

    fn counts(&self) -> &SinkCounts {
        &self.shared.counts.sinks[self.sink].1
    }

    /// Runs until the lane is done and everything is durable.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            let next = match self.wake_at() {
                // What is due is done once nothing else is there. A timer would end no sooner than its next tick, a
                // millisecond later.
                Some(at) if at <= Instant::now() => self.items.recv().now_or_never(),
                Some(at) => timeout_at(at, self.items.recv()).await.ok(),
                None => Some(self.items.recv().await),
            };
            match next {
                Some(Some(item)) => self.take(item).await?,
                Some(None) => break,
                None => self.due().await?,
            }
        }
        // Without the checkpoint that was to end it, after a failure elsewhere, it can only be read again.
        if self.gathered.delivery.checkpoint.is_some() || !self.stage().checkpoint_each {
            self.write().await?;
        }
        self.flush().await
    }

    /// When something is to be done even if nothing comes.
    fn wake_at(&self) -> Option<Instant> {
        let flush = self
            .staged
            .since
            .filter(|_| self.staged.publishable && self.gathered.is_empty());
        let flush = flush.map(|since| since + self.stage().flush_after);
        [self.gathered.deadline, flush].into_iter().flatten().min()
    }

    async fn due(&mut self) -> Result<()> {
        if self.gathered.deadline.is_some_and(|at| at <= Instant::now()) {
            self.write().await?;
        }
        self.flush_if_due().await
    }

    async fn take(&mut self, item: Item) -> Result<()> {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.covers(item.offset, item.last))
        {
            self.counts().skipped.add(item.events.len());
            item.lineage.settle(Verdict::Delivered);
            return Ok(());
        }
        // Nothing to write, and no checkpoint that this sink keeps: the batch is done here. Commits are made in
        // order, so it cannot overtake what is gathered or staged before it.
        if item.events.is_empty() && (item.checkpoint.is_none() || !self.stage().stores_checkpoints) {
            item.lineage.settle(Verdict::Delivered);
            return Ok(());
        }
        let policy = self.stage().batch;
        let (mut from, mut part) = (0, 0);
        loop {
            if self.gathered.is_empty() {
                self.gathered = Gathered::after(&self.lane, item.after, item.first + from as u64);
                self.gathered.deadline = (!self.stage().checkpoint_each).then(|| Instant::now() + policy.linger);
            }
            let taken = match self.stage().checkpoint_each {
                // Such a delivery ends with a checkpoint and nowhere else; the lane sees to it that one comes in time.
                true => item.events.len() - from,
                false => self.gathered.room(&policy, &item.events, from, item.cost),
            };
            self.gathered
                .delivery
                .push(Arc::clone(&item.events), from, from + taken);
            self.gathered.bytes += if taken == item.events.len() {
                item.cost.bytes
            } else {
                item.events[from..from + taken].iter().map(Event::weight).sum()
            };
            self.gathered.delivery.offset = item.offset;
            self.gathered.delivery.part = part;
            self.gathered.delivery.checkpoint = None;
            from += taken;
            if from == item.events.len() {
                break;
            }
            part += 1;
            self.write().await?;
        }
        // A sink that keeps checkpoints can publish only where a delivery ends with one.
        let complete = item.last || item.checkpoint.is_some() && self.stage().stores_checkpoints;
        self.gathered.delivery.checkpoint = item.checkpoint;
        self.gathered.delivery.last = item.last;
        self.gathered.lineages.push(item.lineage);
        if complete || self.gathered.is_full(&policy) && !self.stage().checkpoint_each {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes what is gathered, and settles it once it is durable.
    async fn write(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let empty = Gathered::after(&self.lane, self.gathered.delivery.offset, 0);
        let gathered = std::mem::replace(&mut self.gathered, empty);
        let Gathered {
            delivery,
            first,
            lineages,
            ..
        } = gathered;
        let receipt = self.call("sink.write", |stage| stage.sink.write(&delivery)).await?;
        self.check(&delivery, &receipt)?;
        let counts = self.counts();
        counts.deliveries.add(1);
        counts.rows.add(delivery.len() - receipt.rejected.len());
        counts.rejected.add(receipt.rejected.len());
        let Receipt { staged, rejected, .. } = receipt;
        if !rejected.is_empty() {
            let rejects = Rejects::of_rows(&self.shared, &self.stage().name, &delivery, first, &rejected)?;
            self.shared.dead_letters(rejects).await?;
            self.staged.rejected = true;
        }
        self.staged.lineages.extend(lineages);
        self.staged.publishable = delivery.checkpoint.is_some() || !self.stage().stores_checkpoints;
        if staged {
            self.staged.since.get_or_insert_with(Instant::now);
            self.flush_if_due().await
        } else {
            self.settle();
            Ok(())
        }
    }

    /// A receipt that breaks the contract fails the run, before anything is counted or settled by it.
    fn check(&self, delivery: &Delivery, receipt: &Receipt) -> Result<()> {
        let mut seen = HashSet::new();
        let sound = receipt
            .rejected
            .iter()
            .all(|row| row.index < delivery.len() && seen.insert(row.index));
        let message = if !sound {
            "the receipt names a row twice, or one that was not in the delivery"
        } else if !receipt.rejected.is_empty() && !receipt.staged && self.stage().stores_checkpoints {
            "a checkpoint was made durable before the rows refused with it are in the dead letters"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Internal, "sink.write", message).with("sink", &self.stage().name))
    }

    async fn flush_if_due(&mut self) -> Result<()> {
        let after = self.stage().flush_after;
        let due = self.staged.since.is_some_and(|since| since + after <= Instant::now());
        if due && self.staged.publishable {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<()> {
        if self.staged.since.is_some() && self.staged.publishable {
            let lane = self.lane.clone();
            self.call("sink.flush", |stage| stage.sink.flush(&lane)).await?;
            self.settle();
        }
        Ok(())
    }

    fn settle(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        // A merged delivery cannot tell which of its batches a refused row came from; the verdict is that of all.
        let verdict = if staged.rejected {
            Verdict::Rejected
        } else {
            Verdict::Delivered
        };
        staged.lineages.into_iter().for_each(|lineage| lineage.settle(verdict));
    }

    /// Calls the sink, with the limits on concurrency, the circuit breaker and retries.
    async fn call<'a, T, F, Fut>(&'a self, operation: &'static str, call: F) -> Result<T>
    where
        F: Fn(&'a SinkStage) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let (stage, counts) = (self.stage(), self.counts());
        let failed = |error: &Error, pause| {
            counts.failures.add(1);
            tracing::warn!(sink = stage.name, lane = %self.lane, %error, ?pause, "trying again");
        };
        let attempt = || async {
            stage.breaker.pass().await;
            // Closed only at the very end of a run.
            let _permit = stage.permits.acquire().await;
            let result = in_time(&stage.retry, operation, call(stage)).await;
            match &result {
                Ok(_) => stage.breaker.succeeded(),
                Err(error) if error.retry() != RetryAdvice::Never => stage.breaker.failed(),
                Err(_) => {}
            }
            counts.open.store(stage.breaker.is_open(), Relaxed);
            result
        };
        let result = retrying(&stage.retry, failed, attempt).await;
        // Before the batches that wait here are dropped: they are not lost, but for the lane's new owner to write.
        if let (Err(error), Some(fences)) = (&result, &self.fences)
            && error.kind() == ErrorKind::Fenced
        {
            fences.give_up();
        }
        result.map_err(|error| error.with("sink", &stage.name).with("lane", &self.lane))
    }
}
