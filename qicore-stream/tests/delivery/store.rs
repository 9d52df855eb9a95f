//! A store for tests: keeps rows and checkpoints across "processes", staged or at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    BatchPolicy, Checkpoint, Data, Delivery, Event, Lane, Receipt, Result, Sink, SinkCapabilities, TradeId, WriterId,
};

/// What outlives a process.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) rows: Vec<(Lane, Event)>,
    pub(crate) checkpoints: HashMap<Lane, Checkpoint>,
}

/// Rows in flight, and the checkpoint of the last delivery.
type Staged = (Vec<Event>, Option<Checkpoint>);

/// One process's connection to the store.
pub(crate) struct Store {
    kept: Arc<Mutex<Kept>>,
    /// Written, not yet durable: lost with this process.
    staged: Mutex<HashMap<Lane, Staged>>,
    mode: Mode,
    batch: usize,
    /// The most rows of a delivery so far.
    pub(crate) longest: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Durable at once, no checkpoints.
    Plain,
    /// Durable with the next delivery that carries a checkpoint, in one transaction.
    Transactional,
    /// As before, and every delivery is to end with a checkpoint.
    Each,
    /// Durable with a flush, together with the last checkpoint.
    Staged,
}

impl Store {
    pub(crate) fn new(mode: Mode) -> Self {
        Self::on(Arc::default(), mode)
    }

    /// Another process's connection to the same store.
    pub(crate) fn on(kept: Arc<Mutex<Kept>>, mode: Mode) -> Self {
        Self {
            kept,
            staged: Mutex::default(),
            mode,
            batch: 1000,
            longest: Arc::default(),
        }
    }

    pub(crate) fn batch(mut self, events: usize) -> Self {
        self.batch = events;
        self
    }

    pub(crate) fn kept(&self) -> Arc<Mutex<Kept>> {
        Arc::clone(&self.kept)
    }
}

/// The trade ids of a lane in the order in which they were written.
pub(crate) fn ids(kept: &Mutex<Kept>, lane: &str) -> Vec<u64> {
    let kept = kept.lock().unwrap();
    let of_lane = kept.rows.iter().filter(|(name, _)| name.as_str() == lane);
    of_lane.filter_map(|(_, event)| id(event)).collect()
}

pub(crate) fn id(event: &Event) -> Option<u64> {
    match &event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

#[async_trait]
impl Sink for Store {
    fn name(&self) -> &str {
        "store"
    }

    fn capabilities(&self) -> SinkCapabilities {
        let batch = BatchPolicy::new(self.batch, 1 << 20, Duration::from_millis(5));
        let capabilities = SinkCapabilities::default()
            .batch(batch)
            .flush_after(Duration::from_millis(20));
        match self.mode {
            Mode::Plain => capabilities,
            Mode::Each => capabilities.checkpoint_each(),
            Mode::Transactional | Mode::Staged => capabilities.stores_checkpoints(),
        }
    }

    async fn open(&self, _writer: &WriterId) -> Result<()> {
        Ok(())
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        Ok(self.kept.lock().unwrap().checkpoints.get(lane).cloned())
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        let lane = &delivery.lane;
        if self.mode == Mode::Plain {
            let rows = delivery.iter().map(|event| (lane.clone(), event.clone()));
            self.kept.lock().unwrap().rows.extend(rows);
            return Ok(Receipt::durable());
        }
        if self.mode == Mode::Each {
            assert!(delivery.checkpoint.is_some(), "{delivery:?} ends without a checkpoint");
            let longest = self.longest.load(Relaxed).max(delivery.len());
            self.longest.store(longest, Relaxed);
        }
        {
            let mut staged = self.staged.lock().unwrap();
            let (rows, checkpoint) = staged.entry(lane.clone()).or_default();
            rows.extend(delivery.iter().cloned());
            *checkpoint = delivery.checkpoint.as_deref().cloned();
        }
        if self.mode == Mode::Staged || delivery.checkpoint.is_none() {
            return Ok(Receipt::staged());
        }
        self.flush(lane).await?;
        Ok(Receipt::durable())
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        let Some((rows, checkpoint)) = self.staged.lock().unwrap().remove(lane) else {
            return Ok(());
        };
        let checkpoint = checkpoint.expect("a flush comes right after a delivery with a checkpoint");
        let mut kept = self.kept.lock().unwrap();
        kept.rows.extend(rows.into_iter().map(|event| (lane.clone(), event)));
        kept.checkpoints.insert(lane.clone(), checkpoint);
        Ok(())
    }
}
