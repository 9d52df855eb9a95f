//! What a sink of a store keeps while it is open: a writer for each lane, until the lane is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, Result, RetryAdvice};
use tokio::sync::Mutex as AsyncMutex;

/// Writes one lane. A lane's deliveries come one after another, those of several lanes at the same time.
#[async_trait]
pub(crate) trait LaneWriter: Send {
    /// What errors of writing say was done, and those of closing.
    const WRITE: &str;
    const CLOSE: &str;

    /// What all lanes share.
    type Shared: Send + Sync;

    /// Is taken up before anything is written.
    fn new(shared: Arc<Self::Shared>, lane: Lane) -> Self;

    /// Asks how far the lane has been written, and goes on from there.
    async fn take_up(&mut self) -> Result<Option<Checkpoint>>;

    async fn write(&mut self, delivery: &Delivery) -> Result<Receipt>;

    /// Covers what waits with the checkpoint of the last delivery.
    async fn flush(&mut self) -> Result<()>;

    /// Nothing waits, and nothing will come.
    fn is_done(&self) -> bool;

    /// Rows that no stored checkpoint covers.
    fn staged(&self) -> u64;
}

/// The lanes of a sink, while it is open.
pub(crate) struct Lanes<W: LaneWriter> {
    shared: Mutex<Option<Arc<W::Shared>>>,
    slots: Mutex<HashMap<Lane, Arc<AsyncMutex<Slot<W>>>>>,
}

struct Slot<W> {
    writer: W,
    /// Whether the store was asked for the lane.
    taken: bool,
}

impl<W: LaneWriter> Slot<W> {
    async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        let held = self.writer.take_up().await?;
        self.taken = true;
        Ok(held)
    }

    /// For callers that have not asked for the checkpoint: there is to be none.
    async fn begin(&mut self, lane: &Lane) -> Result<&mut W> {
        if !self.taken && self.take_up().await?.is_some() {
            self.taken = false;
            let message = "the lane has a stored checkpoint, which was not asked for: its rows would be written again";
            return Err(Error::new(ErrorKind::Checkpoint, W::WRITE, message)
                .with_retry(RetryAdvice::Never)
                .with("lane", lane));
        }
        Ok(&mut self.writer)
    }
}

impl<W: LaneWriter> Default for Lanes<W> {
    fn default() -> Self {
        Self {
            shared: Mutex::default(),
            slots: Mutex::default(),
        }
    }
}

impl<W: LaneWriter> Lanes<W> {
    pub(crate) fn open(&self, shared: W::Shared) {
        *locked(&self.shared) = Some(Arc::new(shared));
    }

    pub(crate) async fn take_up(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        let slot = self.slot(lane)?;
        let mut slot = slot.lock().await;
        let held = slot.take_up().await?;
        self.forget_done(lane, &slot.writer);
        Ok(held)
    }

    pub(crate) async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        let slot = self.slot(&delivery.lane)?;
        let mut slot = slot.lock().await;
        let writer = slot.begin(&delivery.lane).await?;
        let receipt = writer.write(delivery).await?;
        self.forget_done(&delivery.lane, writer);
        Ok(receipt)
    }

    pub(crate) async fn flush(&self, lane: &Lane) -> Result<()> {
        let slot = self.slot(lane)?;
        let mut slot = slot.lock().await;
        slot.writer.flush().await?;
        self.forget_done(lane, &slot.writer);
        Ok(())
    }

    /// What the lanes share, while the sink is open.
    pub(crate) fn shared(&self) -> Option<Arc<W::Shared>> {
        locked(&self.shared).clone()
    }

    /// # Errors
    /// [`Abandoned`](ErrorKind::Abandoned) where rows wait for a checkpoint that has not come.
    pub(crate) async fn close(&self) -> Result<()> {
        locked(&self.shared).take();
        let slots = std::mem::take(&mut *locked(&self.slots));
        let mut left = Vec::new();
        for (lane, slot) in slots {
            let rows = slot.lock().await.writer.staged();
            if rows > 0 {
                left.push(format!("{rows} of lane {lane}"));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        left.sort_unstable();
        let message = format!("closed with rows that no checkpoint covers: {}", left.join(", "));
        Err(Error::new(ErrorKind::Abandoned, W::CLOSE, message)
            .with("advice", "restart: the lanes resume from their stored checkpoints"))
    }

    fn slot(&self, lane: &Lane) -> Result<Arc<AsyncMutex<Slot<W>>>> {
        let shared = self.shared();
        let shared = shared.ok_or_else(|| Error::new(ErrorKind::Internal, W::WRITE, "the sink is not open"))?;
        let mut slots = locked(&self.slots);
        let new = || {
            let writer = W::new(shared, lane.clone());
            Arc::new(AsyncMutex::new(Slot { writer, taken: false }))
        };
        Ok(Arc::clone(slots.entry(lane.clone()).or_insert_with(new)))
    }

    /// A backfill has thousands of lanes, each with its last checkpoint in memory.
    fn forget_done(&self, lane: &Lane, writer: &W) {
        if writer.is_done() {
            locked(&self.slots).remove(lane);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
