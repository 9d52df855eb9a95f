//! Reading a source to its end, and resuming it.

#![allow(dead_code, reason = "each test binary uses a part")]

#[cfg(feature = "replay")]
pub(crate) mod recordings;
#[cfg(feature = "replay")]
pub(crate) mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Content, Decoded, Event, Frame, FromStart, Lane, LaneEnd, Position, Result, Resume,
    Source,
};

/// A recording that comes with the project.
pub(crate) fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/data")
        .join(format!("{name}.jsonl.zst"))
}

pub(crate) const RECORDINGS: [&str; 3] = ["KRAKEN", "COINBASE", "BINANCE"];

/// Checkpoints of an earlier run.
#[derive(Default, Clone)]
pub(crate) struct Stored(pub(crate) BTreeMap<Lane, Checkpoint>);

impl Stored {
    pub(crate) fn at(lane: &Lane, position: Position) -> Self {
        Self(BTreeMap::from([(
            lane.clone(),
            Checkpoint::new(lane.clone(), position),
        )]))
    }

    pub(crate) fn finished(mut self) -> Self {
        self.0.values_mut().for_each(|checkpoint| checkpoint.finished = true);
        self
    }
}

#[async_trait]
impl Resume for Stored {
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        // As a store would, it answers later.
        tokio::task::yield_now().await;
        Ok(self.0.get(lane).cloned().map(Arc::new))
    }
}

pub(crate) const LIMIT: BatchLimit = BatchLimit::new(100, 1 << 20);

/// All batches from the start.
pub(crate) async fn drain(source: &mut impl Source) -> Vec<Batch> {
    drain_from(source, Arc::new(FromStart)).await.unwrap()
}

/// All batches after what the checkpoints cover.
pub(crate) async fn drain_from(source: &mut impl Source, resume: Arc<dyn Resume>) -> Result<Vec<Batch>> {
    source.open(resume).await?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(LIMIT).await? {
        assert!(batch.content.len() <= LIMIT.items);
        batches.push(batch);
    }
    assert!(source.next_batch(LIMIT).await?.is_none(), "the end is the end");
    source.close().await?;
    Ok(batches)
}

/// The frames of each lane; checks that lanes end once, and that offsets and positions fit together.
pub(crate) fn frames(batches: &[Batch]) -> BTreeMap<Lane, Vec<Frame>> {
    let mut lanes: BTreeMap<Lane, (Vec<Frame>, bool)> = BTreeMap::new();
    for batch in batches {
        let (frames, ended) = lanes.entry(batch.lane.clone()).or_default();
        assert!(!*ended, "{} goes on after its end", batch.lane);
        if let Content::Frames(more) = &batch.content {
            frames.extend(more.iter().cloned());
        }
        if let Some(last) = frames.last() {
            assert_eq!(last.offset, batch.position.offset);
        }
        *ended = batch.end == Some(LaneEnd::Exhausted);
    }
    lanes
        .into_iter()
        .map(|(lane, (frames, ended))| {
            assert!(ended, "{lane} has no end");
            assert!(frames.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{lane}");
            (lane, frames)
        })
        .collect()
}

/// The events of each lane of events, with the offset of each.
pub(crate) fn events(batches: &[Batch]) -> BTreeMap<Lane, Vec<(u64, Event)>> {
    let mut lanes: BTreeMap<Lane, Vec<(u64, Event)>> = BTreeMap::new();
    for batch in batches {
        if let Content::Events(events, offsets) = &batch.content {
            let offset = |at: usize| match offsets {
                qicore_data::Offsets::Each(each) => each[at],
                _ => batch.position.offset - (events.len() - 1 - at) as u64,
            };
            let numbered = events.iter().enumerate().map(|(at, event)| (offset(at), event.clone()));
            lanes.entry(batch.lane.clone()).or_default().extend(numbered);
        }
    }
    for (lane, events) in &lanes {
        assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0), "{lane}");
    }
    lanes
}

/// What the source's decoder makes of a lane's frames, and what it says about those that it rejects.
pub(crate) fn decode(source: &impl Source, lane: &Lane, frames: &[Frame]) -> (Vec<Event>, Vec<String>) {
    let mut decoder = source.decoder(lane).unwrap();
    let (mut events, mut rejected) = (Vec::new(), Vec::new());
    for frame in frames {
        let before = events.len();
        match decoder.decode(frame, &mut events) {
            Ok(Decoded::Data | Decoded::Control) => {}
            Err(error) => {
                events.truncate(before);
                rejected.push(error.to_string());
            }
        }
    }
    (events, rejected)
}
