//! A reader thread as the source sees it: the next run, resumed where its lane was left, and cut into batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use qicore_data::{
    Batch, BatchLimit, Content, Data, Error, ErrorKind, Event, Lane, LaneEnd, Offsets, Position, Result, Resume,
    Timestamp,
};

use super::outlet::{Message, Messages, Run};

/// One reader and its lanes. No other reader has frames of these.
pub(crate) struct Stream {
    messages: Messages,
    /// Goes into positions, and is compared when one comes back.
    identity: Arc<str>,
    /// What has arrived and is not yet looked at.
    arrived: Option<Message>,
    /// The rest of the run that batches are cut from; never empty.
    head: Option<Run>,
    lanes: BTreeMap<Lane, State>,
}

struct State {
    /// How far the lane has been given out.
    at: u64,
    /// Everything of the lane was written in an earlier run.
    finished: bool,
    /// The latest time of what has been given out: times may step back, playing does not.
    due: Timestamp,
}

impl Stream {
    pub(crate) fn new(messages: Messages, identity: Arc<str>) -> Self {
        Self {
            messages,
            identity,
            arrived: None,
            head: None,
            lanes: BTreeMap::new(),
        }
    }

    /// Whether there is something to look at.
    pub(crate) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.head.is_none() && self.arrived.is_none() {
            let message = std::task::ready!(self.messages.poll_recv(cx)).unwrap_or_else(|| {
                let message = "the reader stopped without a word";
                Err(Error::new(ErrorKind::Internal, "replay.read", message).with("input", &self.identity))
            });
            self.arrived = Some(message?);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until there is a run to cut batches from; false at the end. Cancel-safe: what has arrived stays here
    /// while `resume` is asked.
    pub(crate) async fn fill(&mut self, resume: &dyn Resume) -> Result<bool> {
        loop {
            std::future::poll_fn(|cx| self.poll_arrival(cx)).await?;
            if self.head.is_some() {
                return Ok(true);
            }
            if self.has_ended() {
                return Ok(false);
            }
            self.take_up(resume).await?;
        }
    }

    /// Makes the run that has arrived the head, without what earlier runs have done.
    pub(crate) async fn take_up(&mut self, resume: &dyn Resume) -> Result<()> {
        let Some(Message::Run(run)) = &self.arrived else {
            return Ok(());
        };
        if !self.lanes.contains_key(&run.lane) {
            let state = self.resumed(&run.lane, resume).await?;
            self.lanes.insert(run.lane.clone(), state);
        }
        let Some(Message::Run(mut run)) = self.arrived.take() else {
            return Ok(());
        };
        if let Some(state) = self.lanes.get_mut(&run.lane) {
            if run.first() <= state.at {
                run.content.split_to(state.at, run.last);
            }
            if !run.content.is_empty() {
                // A lane that was finished goes on where its input has grown.
                state.finished = false;
                self.head = Some(run);
            }
        }
        Ok(())
    }

    async fn resumed(&self, lane: &Lane, resume: &dyn Resume) -> Result<State> {
        let checkpoint = resume.checkpoint(lane).await?;
        let position = checkpoint.as_ref().map(|checkpoint| &checkpoint.position);
        match position.and_then(|position| position.detail.as_deref()) {
            Some(detail) if *detail != *self.identity => {
                let message = "the checkpoint was made with other data; remove it to start anew, or restore the data";
                Err(Error::new(ErrorKind::Checkpoint, "replay.resume", message)
                    .with("lane", lane)
                    .with("checkpoint", detail)
                    .with("found", &self.identity))
            }
            _ => Ok(State {
                at: position.map_or(0, |position| position.offset),
                finished: checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.finished),
                due: Timestamp::from_nanos(i64::MIN),
            }),
        }
    }

    /// When the first of the head is to be played; `None` for what has no time, which is played at once.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let head = self.head.as_ref()?;
        let first = match &head.content {
            Content::Frames(frames) => frames.first().and_then(|frame| frame.received),
            Content::Events(events, _) => events.first().map(event_due),
            _ => None,
        };
        let floor = self.lanes.get(&head.lane).map(|state| state.due);
        first.map(|first| floor.map_or(first, |floor| first.max(floor)))
    }

    /// Cuts a batch of what is due by `until` off the head.
    pub(crate) fn take(&mut self, limit: BatchLimit, until: Timestamp) -> Option<Batch> {
        let mut run = self.head.take()?;
        let state = self.lanes.get_mut(&run.lane)?;
        let mut cut = Cut::new(limit, until, state.due);
        let count = match &run.content {
            Content::Frames(frames) => cut.count(frames.iter().map(|frame| (frame.received, frame.weight()))),
            Content::Events(events, _) => {
                cut.count(events.iter().map(|event| (Some(event_due(event)), event.weight())))
            }
            _ => run.content.len(),
        };
        let last = match &run.content {
            Content::Frames(frames) => frames[count - 1].offset,
            Content::Events(_, Offsets::Each(offsets)) => offsets[count - 1],
            content => run.last - (content.len() - count) as u64,
        };
        let content = run.content.split_to(last, run.last);
        (state.at, state.due) = (last, cut.due);
        let lane = run.lane.clone();
        if !run.content.is_empty() {
            self.head = Some(run);
        }
        let position = Position::at(last).with_detail(Arc::clone(&self.identity));
        Some(Batch::weighed(lane, content, position, cut.bytes))
    }

    /// The ends of its lanes, when it has no more. A lane that an earlier run has finished is not ended again.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Batch> + '_ {
        let open = self.lanes.iter().filter(|(_, state)| !state.finished);
        open.map(|(lane, state)| {
            let position = Position::at(state.at).with_detail(Arc::clone(&self.identity));
            Batch::end(lane.clone(), position, LaneEnd::Exhausted)
        })
    }

    /// Whether its reader is through.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.arrived, Some(Message::End))
    }
}

/// When an event can have been known: a candle when it closes, or when an update of a bar still open was received;
/// anything else at its own time.
pub(super) fn event_due(event: &Event) -> Timestamp {
    match &event.data {
        Data::Candle(candle) => {
            let close = candle.timeframe.next(event.timestamp);
            let update = event.received.filter(|_| !candle.closed);
            update.map_or(close, |received| received.clamp(event.timestamp, close))
        }
        _ => event.timestamp,
    }
}

/// Counts how much goes into a batch.
struct Cut {
    limit: BatchLimit,
    until: Timestamp,
    due: Timestamp,
    /// Of what has been counted.
    bytes: usize,
}

impl Cut {
    fn new(limit: BatchLimit, until: Timestamp, due: Timestamp) -> Self {
        Self {
            limit,
            until,
            due,
            bytes: 0,
        }
    }

    /// How many of the items fit; at least one, since the caller has waited for it.
    fn count(&mut self, items: impl Iterator<Item = (Option<Timestamp>, usize)>) -> usize {
        let mut count = 0;
        for (at, weight) in items.take(self.limit.items.max(1)) {
            let due = at.map_or(self.due, |at| at.max(self.due));
            if count > 0 && (self.bytes + weight > self.limit.bytes || due > self.until) {
                break;
            }
            self.bytes += weight;
            self.due = due;
            count += 1;
        }
        count
    }
}
