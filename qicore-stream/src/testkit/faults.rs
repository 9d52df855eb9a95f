use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Decoder, Delivery, Error, ErrorKind, Lane, Progress, Receipt, Result, Resume,
    RetryAdvice, Sink, SinkCapabilities, Source, SourceCapabilities,
};

/// What goes wrong in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Fails before anything is done.
    Fail(RetryAdvice),
    /// Does it, but the answer is lost: the caller sees an error that advises to try again.
    LoseAnswer,
    /// Does it, later.
    Delay(Duration),
    /// Does it, but for this row, which it refuses.
    RejectRow(usize),
    /// Panics.
    Panic,
    /// Does it and never answers: with an abort, a kill between write and commit.
    StopAfter,
}

fn failure(operation: &'static str, advice: RetryAdvice) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "injected fault").with_retry(advice)
}

/// Decides on the fault of the n-th call, from 0.
type Plan = Box<dyn Fn(u64) -> Option<Fault> + Send + Sync>;

/// A sink whose writes go wrong by plan.
pub struct FaultySink {
    inner: Arc<dyn Sink>,
    plan: Plan,
    calls: AtomicU64,
}

impl FaultySink {
    /// `plan` is asked for each write, by its number from 0.
    pub fn new(inner: Arc<dyn Sink>, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self {
            inner,
            plan: Box::new(plan),
            calls: AtomicU64::new(0),
        }
    }

    /// Writes without the row at `index`, and reports it as refused.
    async fn write_without(&self, delivery: &Delivery, index: usize) -> Result<Receipt> {
        if index >= delivery.len() {
            return self.inner.write(delivery).await;
        }
        let rest = delivery
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .map(|(_, event)| event.clone());
        let mut without = Delivery::of(delivery.lane.clone(), delivery.after, delivery.offset, rest.collect());
        (without.part, without.last) = (delivery.part, delivery.last);
        without.checkpoint.clone_from(&delivery.checkpoint);
        let mut receipt = self.inner.write(&without).await?;
        receipt
            .rejected
            .iter_mut()
            .filter(|row| row.index >= index)
            .for_each(|row| row.index += 1);
        receipt.reject(index, Error::new(ErrorKind::Rejected, "faulty.write", "injected fault"));
        Ok(receipt)
    }
}

#[async_trait]
impl Sink for FaultySink {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> SinkCapabilities {
        self.inner.capabilities()
    }

    async fn open(&self) -> Result<()> {
        self.inner.open().await
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        self.inner.checkpoint(lane).await
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        match (self.plan)(self.calls.fetch_add(1, Relaxed)) {
            None => self.inner.write(delivery).await,
            Some(Fault::Fail(advice)) => Err(failure("faulty.write", advice)),
            Some(Fault::LoseAnswer) => {
                let _lost = self.inner.write(delivery).await?;
                Err(failure("faulty.write", RetryAdvice::Backoff))
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.inner.write(delivery).await
            }
            Some(Fault::RejectRow(index)) => self.write_without(delivery, index).await,
            Some(Fault::Panic) => std::panic::panic_any("injected fault"),
            Some(Fault::StopAfter) => {
                let _lost = self.inner.write(delivery).await?;
                std::future::pending().await
            }
        }
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        self.inner.flush(lane).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// A source whose reads go wrong by plan. Of the faults it knows `Fail`, `Delay` and `Panic`; the others do nothing.
pub struct FaultySource {
    inner: Box<dyn Source>,
    plan: Plan,
    calls: u64,
}

impl FaultySource {
    /// `plan` is asked for each read, by its number from 0. A delayed read that is cancelled has not happened.
    pub fn new(inner: Box<dyn Source>, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self {
            inner,
            plan: Box::new(plan),
            calls: 0,
        }
    }
}

#[async_trait]
impl Source for FaultySource {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> SourceCapabilities {
        self.inner.capabilities()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.inner.open(resume).await
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        let call = self.calls;
        match (self.plan)(call) {
            Some(Fault::Fail(advice)) => {
                self.calls += 1;
                return Err(failure("faulty.next_batch", advice));
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            Some(Fault::Panic) => std::panic::panic_any("injected fault"),
            _ => {}
        }
        let batch = self.inner.next_batch(limit).await;
        self.calls += 1;
        batch
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        self.inner.decoder(lane)
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.inner.commit(checkpoint).await
    }

    fn progress(&self) -> Option<Progress> {
        self.inner.progress()
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}
