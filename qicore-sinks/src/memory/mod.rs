//! Memory: keeps the events, for tests and for programs that want them in a `Vec`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use qicore_data::{Checkpoint, Delivery, Event, Lane, Receipt, Result, Sink, SinkCapabilities, WriterId};

/// Keeps all events in memory. Clones share what is kept, so that a second pipeline run finds what the first has left.
///
/// ```
/// # use qicore_data::{Delivery, Lane, Sink};
/// use qicore_sinks::Memory;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sink = Memory::new();
/// sink.write(&Delivery::of(Lane::new("lane"), 0, 0, vec![])).await.unwrap();
/// assert!(sink.events().is_empty());
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    stores_checkpoints: bool,
}

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    checkpoints: HashMap<Lane, Checkpoint>,
}

impl Memory {
    /// An empty one that stores no checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one that stores the checkpoints of deliveries with their events.
    pub fn with_checkpoints() -> Self {
        Self {
            stores_checkpoints: true,
            ..Self::default()
        }
    }

    /// All events so far; those of one lane in its order.
    pub fn events(&self) -> Vec<Event> {
        self.kept().events.clone()
    }

    /// Takes the events out.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.kept().events)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.kept().events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets events and checkpoints.
    pub fn clear(&self) {
        *self.kept() = Kept::default();
    }

    /// The checkpoints stored, by lane.
    pub fn checkpoints(&self) -> HashMap<Lane, Checkpoint> {
        self.kept().checkpoints.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> SinkCapabilities {
        let capabilities = SinkCapabilities::default();
        if self.stores_checkpoints {
            capabilities.stores_checkpoints()
        } else {
            capabilities
        }
    }

    async fn open(&self, _writer: &WriterId) -> Result<()> {
        Ok(())
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        Ok(self.kept().checkpoints.get(lane).cloned())
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        let mut kept = self.kept();
        for events in delivery.slices() {
            kept.events.extend_from_slice(events);
        }
        if let Some(checkpoint) = delivery.checkpoint.as_deref().filter(|_| self.stores_checkpoints) {
            kept.checkpoints.insert(delivery.lane.clone(), checkpoint.clone());
        }
        Ok(Receipt::durable())
    }
}
