//! What a source must do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use qicore_data::{
    BatchLimit, Checkpoint, Content, Decoder, Event, FromStart, Lane, LaneEnd, Position, Result, Resume, Snapshot,
    Source,
};

/// Everything that a source gave, by lane.
#[derive(Debug, Default, PartialEq)]
struct Read {
    lanes: BTreeMap<Lane, LaneRead>,
}

#[derive(Debug, Default, PartialEq)]
struct LaneRead {
    /// With the position after the batch that they came in.
    events: Vec<Event>,
    rejected: Vec<(u64, Vec<u8>)>,
    /// Number of events and rejects at each batch's end, with the checkpoint there.
    marks: Vec<(usize, usize, Checkpoint)>,
    end: Option<LaneEnd>,
}

/// Resumes every lane from the checkpoints given.
struct From(BTreeMap<Lane, Arc<Checkpoint>>);

#[async_trait]
impl Resume for From {
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        Ok(self.0.get(lane).cloned())
    }
}

/// Tests a finite, replayable source: limits, order, ends, resumption from every batch boundary, cancel-safety.
///
/// `new` makes the source anew, with the same content each time.
///
/// # Panics
/// With the reason, if the source does not conform.
pub async fn source(new: impl Fn() -> Box<dyn Source>) {
    let capabilities = new().capabilities();
    assert!(
        capabilities.finite && capabilities.replayable,
        "this suite is for finite, replayable sources"
    );
    let limit = BatchLimit::new(50, 1 << 20);
    let whole = read(new(), Arc::new(FromStart), limit, false).await;
    assert!(!whole.lanes.is_empty(), "the source gives nothing; a test needs data");

    let cut = BatchLimit::new(7, 4096);
    let other_limit = read(new(), Arc::new(FromStart), cut, false).await;
    assert_same(&whole, &other_limit, "with smaller batches");
    let cancelled = read(new(), Arc::new(FromStart), limit, true).await;
    assert_same(
        &whole,
        &cancelled,
        "with futures dropped between polls: next_batch is not cancel-safe",
    );

    let most = whole.lanes.values().map(|lane| lane.marks.len()).max().unwrap_or(0);
    let step = (most / 8).max(1);
    for at in (0..most).step_by(step) {
        resumed(&new, &whole, at, limit).await;
    }
}

/// Resumes every lane behind its batch number `at` and expects exactly the rest.
async fn resumed(new: &impl Fn() -> Box<dyn Source>, whole: &Read, at: usize, limit: BatchLimit) {
    let mark = |lane: &LaneRead| lane.marks[at.min(lane.marks.len() - 1)].clone();
    let from = whole
        .lanes
        .iter()
        .map(|(name, lane)| (name.clone(), Arc::new(mark(lane).2)))
        .collect();
    let rest = read(new(), Arc::new(From(from)), limit, false).await;
    for (name, lane) in &whole.lanes {
        let (events, rejected, checkpoint) = mark(lane);
        let nothing = LaneRead::default();
        let rest = rest.lanes.get(name).unwrap_or(&nothing);
        let offset = checkpoint.position.offset;
        assert!(
            rest.events == lane.events[events..],
            "lane {name} resumed at {offset} does not give the rest"
        );
        assert!(
            rest.rejected == lane.rejected[rejected..],
            "lane {name} resumed at {offset} refuses other frames"
        );
    }
}

fn assert_same(one: &Read, other: &Read, how: &str) {
    assert!(one.lanes.keys().eq(other.lanes.keys()), "other lanes {how}");
    for (name, lane) in &one.lanes {
        let other = &other.lanes[name];
        assert_eq!(
            lane.events.len(),
            other.events.len(),
            "lane {name}: another number of events {how}"
        );
        assert!(
            lane.events == other.events && lane.rejected == other.rejected,
            "lane {name}: other content {how}"
        );
    }
}

async fn read(mut source: Box<dyn Source>, resume: Arc<dyn Resume>, limit: BatchLimit, cancel: bool) -> Read {
    source.open(Arc::clone(&resume)).await.expect("open");
    let mut read = Read::default();
    let mut decoders: BTreeMap<Lane, Box<dyn Decoder>> = BTreeMap::new();
    let mut last: BTreeMap<Lane, u64> = BTreeMap::new();
    loop {
        let batch = if cancel {
            impatient(source.as_mut(), limit).await
        } else {
            source.next_batch(limit).await
        };
        let Some(batch) = batch.expect("next_batch") else { break };
        let lane = batch.lane.clone();
        let before = match last.get(&lane) {
            Some(before) => *before,
            None => resume
                .checkpoint(&lane)
                .await
                .expect("resume")
                .map_or(0, |from| from.position.offset),
        };
        let grows = batch.position.offset > before || batch.content.is_empty() && batch.position.offset == before;
        assert!(grows, "lane {lane}: offset {} after {before}", batch.position.offset);
        assert!(
            batch.content.len() <= limit.items,
            "lane {lane}: {} items in a batch",
            batch.content.len()
        );
        last.insert(lane.clone(), batch.position.offset);
        let into = read.lanes.entry(lane.clone()).or_default();
        assert!(into.end.is_none(), "lane {lane}: a batch after its end");
        let mut decoding = Decoding {
            source: source.as_ref(),
            resume: resume.as_ref(),
            decoders: &mut decoders,
        };
        decoding.take(into, &lane, batch.content, batch.position).await;
        into.end = batch.end;
    }
    assert!(
        source.next_batch(limit).await.expect("next_batch").is_none(),
        "more batches after the end"
    );
    for (name, lane) in &read.lanes {
        assert!(lane.end.is_some(), "lane {name} was not ended");
        if let Some((_, _, checkpoint)) = lane.marks.last() {
            source.commit(checkpoint).await.expect("commit");
        }
    }
    source.close().await.expect("close");
    read
}

/// Decodes as the pipeline would.
struct Decoding<'a> {
    source: &'a dyn Source,
    resume: &'a dyn Resume,
    decoders: &'a mut BTreeMap<Lane, Box<dyn Decoder>>,
}

impl Decoding<'_> {
    async fn take(&mut self, into: &mut LaneRead, lane: &Lane, content: Content, position: Position) {
        let mut checkpoint = Checkpoint::new(lane.clone(), position);
        match content {
            Content::Events(events, _) => into.events.extend(events),
            Content::Frames(frames) if frames.is_empty() => {}
            Content::Frames(frames) => {
                self.start(lane).await;
                let decoder = self.decoders.get_mut(lane).expect("just started");
                for frame in frames {
                    let before = into.events.len();
                    if decoder.decode(&frame, &mut into.events).is_err() {
                        into.events.truncate(before);
                        into.rejected.push((frame.offset, frame.payload.to_vec()));
                    }
                }
            }
            _ => panic!("lane {lane}: a kind of content that this suite does not know"),
        }
        if let Some(decoder) = self.decoders.get(lane) {
            let state = decoder.snapshot().expect("snapshot");
            checkpoint.state.extend(state.map(|state| Snapshot {
                stage: "decode".into(),
                state,
            }));
        }
        into.marks.push((into.events.len(), into.rejected.len(), checkpoint));
    }

    async fn start(&mut self, lane: &Lane) {
        if self.decoders.contains_key(lane) {
            return;
        }
        let mut decoder = self.source.decoder(lane).expect("decoder");
        let from = self.resume.checkpoint(lane).await.expect("resume");
        if let Some(state) = from.as_ref().and_then(|from| from.state.first()) {
            decoder.restore(&state.state).expect("restore");
        }
        self.decoders.insert(lane.clone(), decoder);
    }
}

/// Drops the future after each poll that gives nothing, and starts another.
async fn impatient(source: &mut dyn Source, limit: BatchLimit) -> Result<Option<qicore_data::Batch>> {
    loop {
        {
            let mut call = source.next_batch(limit);
            let polled = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
            if let Poll::Ready(batch) = polled {
                return batch;
            }
        }
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
}
