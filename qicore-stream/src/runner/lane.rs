//! One lane: decodes, transforms, takes checkpoints, hands out to the sinks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use qicore_data::{
    Batch, Checkpoint, Content, Decoded, Decoder, Error, ErrorKind, Event, Frame, Lane, LaneEnd, Output, Position,
    Result, Snapshot, Transform, Verdict,
};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::acks::LaneAcks;
use super::outlet::Item;
use super::rejects::Rejects;
use super::resume::LaneStart;
use super::tables::too_large;
use super::tally::{TALLY, Tally};
use crate::queue::{Cost, Receiver, Sender};
use crate::stats::LaneCounts;

/// What the source's task sends a lane.
pub(super) struct Intake {
    pub(super) batch: Batch,
    /// Comes with the first batch that holds frames.
    pub(super) decoder: Option<Box<dyn Decoder>>,
}

/// A lane's state, on a task of its own.
pub(super) struct LaneTask {
    lane: Lane,
    shared: Arc<Shared>,
    intake: Receiver<Intake>,
    outlets: Vec<Sender<Item>>,
    start: LaneStart,
    /// Whether the source can read the same again: then what it repeats from before the start is dropped.
    replayable: bool,
    decoder: Option<Box<dyn Decoder>>,
    transforms: Vec<Box<dyn Transform>>,
    acks: Arc<LaneAcks>,
    counts: Arc<LaneCounts>,
    /// Where the lane stands.
    position: Position,
    tally: Tally,
    /// Batches have gone out since the last checkpoint.
    dirty: bool,
    /// What has gone out since then.
    uncovered: Cost,
    checkpoint_at: Instant,
}

/// Events on their way to the sinks.
struct Given {
    events: Vec<Event>,
    /// The number of the first, of all that the lane has given.
    first: u64,
    cost: Cost,
}

const DECODER: &str = "decode";

impl LaneTask {
    pub(super) fn new(
        shared: Arc<Shared>,
        acks: Arc<LaneAcks>,
        intake: Receiver<Intake>,
        outlets: Vec<Sender<Item>>,
        start: LaneStart,
        replayable: bool,
    ) -> Result<Self> {
        let lane = acks.lane().clone();
        let mut transforms: Vec<_> = shared.transforms.iter().map(|new| new()).collect();
        for transform in &mut transforms {
            transform.tables(&shared.tables)?;
        }
        if let Some(from) = &start.from {
            restore(from, &mut transforms)?;
        }
        let position = start
            .from
            .as_ref()
            .map_or(Position::at(0), |from| from.position.clone());
        Ok(Self {
            acks,
            counts: shared.counts.lane(&lane),
            checkpoint_at: Instant::now() + shared.checkpoints.every,
            lane,
            shared,
            intake,
            outlets,
            replayable,
            decoder: None,
            tally: Tally::restored(start.from.as_deref(), transforms.len())?,
            transforms,
            position,
            start,
            dirty: false,
            uncovered: Cost::default(),
        })
    }

    /// Runs until the source has ended the lane or the pipeline stops.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            let next = match self.dirty {
                true => timeout_at(self.checkpoint_at, self.intake.recv()).await,
                false => Ok(self.intake.recv().await),
            };
            match next {
                Ok(Some(Intake { batch, decoder })) => {
                    if let Some(decoder) = decoder {
                        self.adopt(decoder)?;
                    }
                    let end = batch.end;
                    self.batch(batch).await?;
                    match end {
                        Some(LaneEnd::Exhausted) => return self.finish().await,
                        Some(_) => break,
                        None => {}
                    }
                    // The work above may never have waited; other lanes want the core too.
                    tokio::task::yield_now().await;
                }
                Ok(None) => break,
                Err(_) => self.mark().await?,
            }
        }
        if self.dirty { self.mark().await } else { Ok(()) }
    }

    /// Takes up the decoder, with its state from the checkpoint.
    fn adopt(&mut self, mut decoder: Box<dyn Decoder>) -> Result<()> {
        let state = self
            .start
            .from
            .as_ref()
            .and_then(|from| from.state.iter().find(|state| state.stage == DECODER));
        if let Some(snapshot) = state {
            decoder
                .restore(&snapshot.state)
                .map_err(|error| error.with("lane", &self.lane))?;
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    /// Processes a batch, cut where a sink's position lies inside it, so that each part is new to a sink or known to
    /// it as a whole.
    async fn batch(&mut self, batch: Batch) -> Result<()> {
        let Batch {
            mut content, position, ..
        } = batch;
        let end = position.offset;
        if self.replayable
            && let Some(from) = &self.start.from
        {
            drop(content.split_to(from.position.offset, end));
            if end <= from.position.offset {
                return Ok(());
            }
        }
        let held = self.start.held.iter().flatten().map(|held| held.position.offset);
        let mut cuts: Vec<_> = held.filter(|at| *at > self.position.offset && *at < end).collect();
        cuts.sort_unstable();
        cuts.dedup();
        for cut in cuts {
            let part = content.split_to(cut, end);
            self.part(part, Position::at(cut), false).await?;
        }
        self.part(content, position, true).await
    }

    /// Decodes and transforms one part and hands it on. Only the end of a batch is a position to resume from.
    async fn part(&mut self, content: Content, position: Position, boundary: bool) -> Result<()> {
        let events = self.decode(content).await?;
        self.counts.read(&events);
        let after = self.position.offset;
        let events = self.transform(events, position.offset).await?;
        self.position = position;
        self.counts.offset.store(self.position.offset, Relaxed);
        let given = self.given(events);
        let due = self.shared.checkpoints.due(self.uncovered) || Instant::now() >= self.checkpoint_at;
        let checkpoint = match boundary && due {
            true => Some(self.checkpoint(false)?),
            false => None,
        };
        self.hand_out(given, after, checkpoint, false).await
    }

    /// Counts and numbers events that are about to be handed out.
    fn given(&mut self, events: Vec<Event>) -> Given {
        let first = self.tally.given;
        self.tally.given += events.len() as u64;
        let cost = Cost {
            items: events.len(),
            bytes: events.iter().map(Event::weight).sum(),
        };
        self.uncovered.items += cost.items;
        self.uncovered.bytes += cost.bytes;
        Given { events, first, cost }
    }

    async fn decode(&mut self, content: Content) -> Result<Vec<Event>> {
        let frames = match content {
            Content::Frames(frames) => frames,
            Content::Events(events, _) => {
                self.counts.messages.add(events.len());
                return Ok(events);
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "lane.decode",
                    "unknown kind of batch",
                ));
            }
        };
        let mut events = Vec::with_capacity(frames.len());
        let mut refused = Vec::new();
        let (messages, mut control) = (frames.len(), 0);
        for frame in frames {
            let before = events.len();
            match self.decode_frame(&frame, &mut events) {
                Ok(Decoded::Data) => {}
                Ok(Decoded::Control) => control += 1,
                Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
                Err(error) => {
                    events.truncate(before);
                    refused.push((frame, error));
                }
            }
        }
        self.counts.messages.add(messages);
        self.counts.control.add(control);
        if !refused.is_empty() {
            self.counts.rejected.add(refused.len());
            let letters = Rejects::of_frames(&self.shared, &self.lane, &refused);
            self.shared.dead_letters(letters).await?;
        }
        Ok(events)
    }

    fn decode_frame(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<Decoded> {
        let limit = self.shared.options.max_frame_bytes;
        if frame.payload.len() > limit {
            return Err(too_large(frame.payload.len(), limit));
        }
        match &mut self.decoder {
            Some(decoder) => decoder.decode(frame, events),
            None => Err(Error::new(
                ErrorKind::Internal,
                "lane.decode",
                "frames came without a decoder",
            )),
        }
    }

    async fn transform(&mut self, events: Vec<Event>, offset: u64) -> Result<Vec<Event>> {
        self.through(0, events, offset).await
    }

    /// Sends events through the stages from `first` on.
    async fn through(&mut self, first: usize, mut events: Vec<Event>, offset: u64) -> Result<Vec<Event>> {
        for at in first..self.transforms.len() {
            let taken = events.len();
            let mut out = Output::default();
            self.transforms[at].apply(events, &mut out)?;
            events = self.stage_done(at, taken, out, offset).await?;
        }
        Ok(events)
    }

    /// Counts what a stage did and puts its rejects away.
    async fn stage_done(&mut self, at: usize, taken: usize, out: Output, offset: u64) -> Result<Vec<Event>> {
        let Output { events, rejected, .. } = out;
        let (name, counts) = &self.shared.counts.stages[at];
        counts.taken.add(taken);
        counts.given.add(events.len());
        counts.rejected.add(rejected.len());
        if !rejected.is_empty() {
            self.counts.rejected.add(rejected.len());
            let before = self.tally.refused[at];
            self.tally.refused[at] += rejected.len() as u64;
            let letters = Rejects::of_events(&self.shared, name, &self.lane, offset, before, rejected);
            self.shared.dead_letters(letters).await?;
        }
        Ok(events)
    }

    /// The lane's position with the state of all its stages.
    fn checkpoint(&mut self, finished: bool) -> Result<Arc<Checkpoint>> {
        let began = Instant::now();
        let mut checkpoint = Checkpoint::new(self.lane.clone(), self.position.clone());
        checkpoint.finished = finished;
        checkpoint.state.push(self.tally.snapshot()?);
        let decoder = match &self.decoder {
            Some(decoder) => decoder.snapshot()?,
            None => None,
        };
        checkpoint.state.extend(decoder.map(|state| Snapshot {
            stage: DECODER.to_owned(),
            state,
        }));
        for (at, transform) in self.transforms.iter().enumerate() {
            let state = transform.snapshot()?;
            checkpoint.state.extend(state.map(|state| Snapshot {
                stage: stage_name(at, transform.as_ref()),
                state,
            }));
        }
        let now = Instant::now();
        let stored: usize = checkpoint.state.iter().map(|state| state.state.len()).sum();
        // A large state takes long to write down: a twentieth of the lane's time at the most. And it is written to a store, or to
        // several of them.
        let rest = (20 * (now - began)).max(Duration::from_secs_f64(stored as f64 / STATE_A_SECOND));
        self.checkpoint_at = now + self.shared.checkpoints.every.max(rest);
        self.uncovered = Cost::default();
        Ok(Arc::new(checkpoint))
    }

    /// Hands out a checkpoint with nothing else.
    async fn mark(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint(false)?;
        let nothing = self.given(Vec::new());
        self.hand_out(nothing, self.position.offset, Some(checkpoint), false)
            .await
    }

    /// The source has no more: what the transforms hold goes out, with the lane's last checkpoint.
    async fn finish(&mut self) -> Result<()> {
        let offset = self.position.offset;
        let mut rest = Vec::new();
        for at in 0..self.transforms.len() {
            let mut out = Output::default();
            self.transforms[at].flush(&mut out)?;
            let flushed = self.stage_done(at, 0, out, offset).await?;
            // What a stage held passes through the stages behind it before those are flushed themselves.
            rest.extend(self.through(at + 1, flushed, offset).await?);
        }
        let rest = self.given(rest);
        let checkpoint = self.checkpoint(true)?;
        self.hand_out(rest, offset, Some(checkpoint), true).await
    }

    async fn hand_out(
        &mut self,
        Given { events, first, cost }: Given,
        after: u64,
        checkpoint: Option<Arc<Checkpoint>>,
        last: bool,
    ) -> Result<()> {
        self.counts.written(&events);
        self.dirty = checkpoint.is_none();
        let offset = self.position.offset;
        let lineage = self.acks.track(offset, checkpoint.clone());
        let events = Arc::new(events);
        for outlet in &self.outlets {
            let (events, checkpoint, lineage) = (Arc::clone(&events), checkpoint.clone(), lineage.clone());
            let item = Item {
                events,
                cost,
                first,
                after,
                offset,
                last,
                checkpoint,
                lineage,
            };
            if outlet.send(item, cost).await.is_err() {
                // The outlet's own error says why.
                return Err(Error::new(ErrorKind::Abandoned, "lane", "a sink has stopped").with("lane", &self.lane));
            }
        }
        lineage.settle(Verdict::Delivered);
        Ok(())
    }
}

/// Bytes of state that a lane stores in a second, at the most.
const STATE_A_SECOND: f64 = 8e6;

/// Stages of the same kind are told apart by their place.
fn stage_name(at: usize, transform: &dyn Transform) -> String {
    format!("{at}:{}", transform.name())
}

fn restore(from: &Checkpoint, transforms: &mut [Box<dyn Transform>]) -> Result<()> {
    let mut found = 0;
    for (at, transform) in transforms.iter_mut().enumerate() {
        let name = stage_name(at, transform.as_ref());
        if let Some(snapshot) = from.state.iter().find(|state| state.stage == name) {
            found += 1;
            let restored = transform.restore(&snapshot.state);
            restored.map_err(|error| error.with("lane", &from.lane).with("stage", &name))?;
        }
    }
    let own = [DECODER, TALLY];
    let stored = from.state.iter().filter(|state| !own.contains(&state.stage.as_str()));
    if stored.clone().count() != found {
        let names: Vec<_> = stored.map(|state| state.stage.as_str()).collect();
        let message = "the stored state does not fit the transforms: restore the chain that wrote it, or start anew";
        let error = Error::new(ErrorKind::Checkpoint, "lane.restore", message);
        return Err(error.with("lane", &from.lane).with("stored", names.join(" ")));
    }
    Ok(())
}
