use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Decoder, Delivery, Error, ErrorKind, Lane, Progress, Receipt, Result, Resume,
    RetryAdvice, Sink, SinkCapabilities, Source, SourceCapabilities, WriterId,
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

/// What a plugin is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// `open` of a source or a sink.
    Open,
    /// A sink's `checkpoint`.
    Checkpoint,
    /// A sink's `write`.
    Write,
    /// A sink's `flush`.
    Flush,
    /// A source's `next_batch`.
    NextBatch,
    /// A source's `commit`.
    Commit,
    /// `close` of a source or a sink.
    Close,
}

/// Decides on the fault of the n-th call of a kind, from 0.
type Plan = Box<dyn Fn(u64) -> Option<Fault> + Send + Sync>;

/// What goes wrong when.
#[derive(Default)]
struct Plans(Vec<(Call, Plan, AtomicU64)>);

impl Plans {
    fn add(mut self, call: Call, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        self.0.push((call, Box::new(plan), AtomicU64::new(0)));
        self
    }

    /// The fault of the next call, which is not counted yet.
    fn peek(&self, call: Call) -> Option<Fault> {
        let mut plans = self.0.iter().filter(|(of, ..)| *of == call);
        plans.find_map(|(_, plan, calls)| plan(calls.load(Relaxed)))
    }

    fn count(&self, call: Call) {
        for (_, _, calls) in self.0.iter().filter(|(of, ..)| *of == call) {
            calls.fetch_add(1, Relaxed);
        }
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let fault = self.peek(call);
        self.count(call);
        fault
    }

    /// Makes a call, with what goes wrong in it.
    async fn around<T>(&self, call: Call, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        faulty(self.next(call), work).await
    }
}

async fn faulty<T>(fault: Option<Fault>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let failure = |advice| Error::new(ErrorKind::Unavailable, "faulty", "injected fault").with_retry(advice);
    match fault {
        None | Some(Fault::RejectRow(_)) => work.await,
        Some(Fault::Fail(advice)) => Err(failure(advice)),
        Some(Fault::LoseAnswer) => {
            let _lost = work.await?;
            Err(failure(RetryAdvice::Backoff))
        }
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            work.await
        }
        Some(Fault::Panic) => std::panic::panic_any("injected fault"),
        Some(Fault::StopAfter) => {
            let _lost = work.await?;
            std::future::pending().await
        }
    }
}

/// A sink whose calls go wrong by plan.
pub struct FaultySink {
    inner: Arc<dyn Sink>,
    plans: Plans,
}

impl FaultySink {
    /// `plan` is asked for each write, by its number from 0.
    pub fn new(inner: Arc<dyn Sink>, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let plans = Plans::default().add(Call::Write, plan);
        Self { inner, plans }
    }

    /// `plan` is asked for each call of another kind. Rows can be refused in writes only.
    #[must_use]
    pub fn on(mut self, call: Call, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        self.plans = self.plans.add(call, plan);
        self
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

    async fn open(&self, writer: &WriterId) -> Result<()> {
        self.plans.around(Call::Open, self.inner.open(writer)).await
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        self.plans.around(Call::Checkpoint, self.inner.checkpoint(lane)).await
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        match self.plans.next(Call::Write) {
            Some(Fault::RejectRow(index)) => self.write_without(delivery, index).await,
            fault => faulty(fault, self.inner.write(delivery)).await,
        }
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        self.plans.around(Call::Flush, self.inner.flush(lane)).await
    }

    async fn close(&self) -> Result<()> {
        self.plans.around(Call::Close, self.inner.close()).await
    }
}

/// A source whose calls go wrong by plan. In reads `Fail`, `Delay` and `Panic` do; the others would lose a batch.
pub struct FaultySource {
    inner: Box<dyn Source>,
    plans: Plans,
}

impl FaultySource {
    /// `plan` is asked for each read, by its number from 0. A delayed read that is cancelled has not happened.
    pub fn new(inner: Box<dyn Source>, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let plans = Plans::default().add(Call::NextBatch, plan);
        Self { inner, plans }
    }

    /// `plan` is asked for each call of another kind.
    #[must_use]
    pub fn on(mut self, call: Call, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        self.plans = self.plans.add(call, plan);
        self
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
        self.plans.around(Call::Open, self.inner.open(resume)).await
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        let fault = self.plans.peek(Call::NextBatch);
        let fault = fault.filter(|fault| matches!(fault, Fault::Fail(_) | Fault::Delay(_) | Fault::Panic));
        let batch = faulty(fault, self.inner.next_batch(limit)).await;
        self.plans.count(Call::NextBatch);
        batch
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        self.inner.decoder(lane)
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.plans.around(Call::Commit, self.inner.commit(checkpoint)).await
    }

    fn progress(&self) -> Option<Progress> {
        self.inner.progress()
    }

    fn lag(&self) -> Vec<(Lane, u64)> {
        self.inner.lag()
    }

    async fn close(&mut self) -> Result<()> {
        self.plans.around(Call::Close, self.inner.close()).await
    }
}
