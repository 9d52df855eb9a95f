//! Where each lane goes on: at the lowest of what the sinks hold, if the source can go back there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qicore_data::{Checkpoint, Error, Lane, Result, Resume, RetryPolicy, SourceCapabilities};

use super::SinkStage;
use super::at_work::Busy;
use crate::checkpoints::CheckpointStore;
use crate::retry::{in_time, retrying};
use crate::stats::Counts;

/// What is known of a lane at its start.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneStart {
    /// Where it goes on, with the state of its stages.
    pub(super) from: Option<Arc<Checkpoint>>,
    /// What each sink holds already.
    pub(super) held: Vec<Option<Arc<Checkpoint>>>,
    /// What the sinks hold, each once and the lowest first; of a source that catches up.
    others: Vec<Arc<Checkpoint>>,
}

/// Asks the sinks and the checkpoint store, once for each lane.
pub(super) struct ResumeTable {
    sinks: Arc<[Arc<SinkStage>]>,
    store: Option<Arc<dyn CheckpointStore>>,
    /// Whether the source can read again what it has read before, or ask for it.
    source: SourceCapabilities,
    /// How the checkpoint store is asked again; each sink has its own.
    retry: RetryPolicy,
    counts: Arc<Counts>,
    lanes: Mutex<HashMap<Lane, LaneStart>>,
    pub(super) busy: Arc<Busy>,
}

impl ResumeTable {
    pub(super) fn new(
        sinks: Arc<[Arc<SinkStage>]>,
        store: Option<Arc<dyn CheckpointStore>>,
        source: SourceCapabilities,
        retry: RetryPolicy,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            counts,
            sinks,
            store,
            source,
            retry,
            lanes: Mutex::default(),
            busy: Arc::default(),
        }
    }

    /// The start of a lane: what the source was told, if it has asked.
    pub(super) async fn start(&self, lane: &Lane) -> Result<LaneStart> {
        let known = self
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(lane)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let start = self.look_up(lane).await?;
        if start.from.as_ref().is_some_and(|from| from.finished) {
            self.counts.found_finished(lane);
        }
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(lane.clone(), start.clone());
        Ok(start)
    }

    pub(super) fn forget(&self, lane: &Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(lane);
    }

    async fn held(&self, sink: usize, lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        let (stage, counts) = (&self.sinks[sink], &self.counts.sinks[sink].1);
        let ask = || in_time(&stage.retry, "sink.checkpoint", stage.sink.checkpoint(lane));
        let failed = |error: &Error, pause| {
            counts.failures.add(1);
            tracing::warn!(sink = stage.name, %lane, %error, ?pause, "asking again");
        };
        let held = retrying(&stage.retry, failed, ask).await;
        Ok(held.map_err(|error| error.with("sink", &stage.name))?.map(Arc::new))
    }

    async fn look_up(&self, lane: &Lane) -> Result<LaneStart> {
        let mut held = Vec::with_capacity(self.sinks.len());
        for (sink, stage) in self.sinks.iter().enumerate() {
            held.push(match stage.stores_checkpoints {
                true => self.held(sink, lane).await?,
                false => None,
            });
        }
        let stored = match &self.store {
            Some(store) => {
                let load = || in_time(&self.retry, "checkpoints.load", store.load(lane));
                retrying(&self.retry, |_, _| {}, load).await?.map(Arc::new)
            }
            None => None,
        };
        // A sink that does not store checkpoints has what the checkpoint store says, which is written only after
        // every sink has accepted; without a store it may have nothing.
        let stages = self.sinks.iter().zip(&held);
        let all = stages
            .map(|(stage, held)| if stage.stores_checkpoints { held } else { &stored })
            .cloned();
        let progress =
            |checkpoint: &Option<Arc<Checkpoint>>| checkpoint.as_ref().map(|checkpoint| checkpoint.progress());
        if self.source.replayable {
            return Ok(LaneStart {
                from: all.min_by_key(progress).flatten(),
                held,
                others: Vec::new(),
            });
        }
        if self.source.catches_up {
            let from = all.clone().min_by_key(progress).flatten();
            let mut others: Vec<_> = all.flatten().collect();
            others.sort_by_key(|checkpoint| checkpoint.progress());
            others.dedup_by_key(|checkpoint| checkpoint.progress());
            return Ok(LaneStart { from, held, others });
        }
        // A live stream cannot go back: its next offset is behind all that any sink holds, or a sink would take new
        // rows for rows that it has.
        Ok(LaneStart {
            from: all.max_by_key(progress).flatten(),
            ..LaneStart::default()
        })
    }
}

#[async_trait]
impl Resume for ResumeTable {
    /// Waits for what this process itself still writes of the lane: to look at a lane is to take it over. It is asked when a
    /// lane begins, and another process may have had it since it began here before.
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        self.busy.free(lane).await;
        self.forget(lane);
        Ok(self.start(lane).await?.from)
    }

    async fn held(&self, lane: &Lane) -> Result<Vec<Arc<Checkpoint>>> {
        self.busy.free(lane).await;
        self.forget(lane);
        Ok(self.start(lane).await?.others)
    }
}
