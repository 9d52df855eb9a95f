//! What flows from a source: frames and events, in batches.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::Event;
use crate::lane::{Lane, Position};
use crate::time::Timestamp;

/// A raw payload as it was received, not yet decoded. The lane's [`Decoder`](crate::Decoder) makes events of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its place in the lane; grows from frame to frame.
    pub offset: u64,
    /// When it was received.
    pub received: Option<Timestamp>,
    /// Where it came from, if the payload does not say: the URL of an HTTP response.
    pub channel: Option<Arc<str>>,
    /// The bytes.
    pub payload: Bytes,
}

impl Frame {
    /// A frame with nothing known but its bytes.
    pub fn new(offset: u64, payload: impl Into<Bytes>) -> Self {
        Self {
            offset,
            received: None,
            channel: None,
            payload: payload.into(),
        }
    }

    /// Adds the time of receipt.
    #[must_use]
    pub fn received(mut self, at: Timestamp) -> Self {
        self.received = Some(at);
        self
    }

    /// Adds where it came from.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<Arc<str>>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Bytes the frame takes in memory.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

/// How the events of a batch lie in their lane.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offsets {
    /// One event, one offset: the last event has the batch's, the one before has one less, and so on.
    Counted,
    /// The offset of each event. Several events may share one (they came from one message); they stay together.
    Each(Vec<u64>),
}

/// What a batch holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Payloads for the lane's decoder, in order.
    Frames(Vec<Frame>),
    /// Events, in order.
    Events(Vec<Event>, Offsets),
}

impl Content {
    /// Number of frames or events.
    pub fn len(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.len(),
            Self::Events(events, _) => events.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory.
    pub fn weight(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.iter().map(Frame::weight).sum(),
            Self::Events(events, _) => events.iter().map(Event::weight).sum(),
        }
    }

    /// Takes out what lies at or before `offset` in a lane whose batch ends at `end`.
    pub fn split_to(&mut self, offset: u64, end: u64) -> Self {
        match self {
            Self::Frames(frames) => {
                let at = frames.partition_point(|frame| frame.offset <= offset);
                Self::Frames(take_first(frames, at))
            }
            Self::Events(events, Offsets::Counted) => {
                let kept = usize::try_from(end.saturating_sub(offset))
                    .unwrap_or(usize::MAX)
                    .min(events.len());
                let at = events.len() - kept;
                Self::Events(take_first(events, at), Offsets::Counted)
            }
            Self::Events(events, Offsets::Each(offsets)) => {
                let at = offsets.partition_point(|each| *each <= offset);
                Self::Events(take_first(events, at), Offsets::Each(take_first(offsets, at)))
            }
        }
    }
}

/// Takes out the first `at`. Mostly there are none to take, and then nothing is copied.
fn take_first<T>(all: &mut Vec<T>, at: usize) -> Vec<T> {
    if at == 0 {
        return Vec::new();
    }
    let rest = all.split_off(at);
    std::mem::replace(all, rest)
}

/// How a lane ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaneEnd {
    /// The source has no more for this lane: its transforms write out what they hold.
    Exhausted,
    /// The lane goes to another process: its state goes along, nothing is written out.
    Revoked,
}

/// A piece of one lane, as a source reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The lane.
    pub lane: Lane,
    /// What was read. May be empty (progress without data, or only an end).
    pub content: Content,
    /// Where the lane stands after this batch; a restart from here repeats nothing and skips nothing.
    pub position: Position,
    /// Set on the last batch of a lane.
    pub end: Option<LaneEnd>,
    weight: usize,
}

impl Batch {
    /// A batch that ends at `position`.
    pub fn new(lane: Lane, content: Content, position: Position) -> Self {
        let weight = content.weight();
        Self::weighed(lane, content, position, weight)
    }

    /// A batch whose bytes in memory are known: a source that keeps to a [`BatchLimit`] has counted them, and to count
    /// them once more, when the content has left the caches, costs more than anything else that is done with a batch
    /// before its lane has it.
    pub fn weighed(lane: Lane, content: Content, position: Position, weight: usize) -> Self {
        Self {
            lane,
            content,
            position,
            end: None,
            weight,
        }
    }

    /// A batch of frames that ends at `position`.
    pub fn frames(lane: Lane, frames: Vec<Frame>, position: Position) -> Self {
        Self::new(lane, Content::Frames(frames), position)
    }

    /// A batch of events, one offset each, that ends at `position`.
    pub fn events(lane: Lane, events: Vec<Event>, position: Position) -> Self {
        Self::new(lane, Content::Events(events, Offsets::Counted), position)
    }

    /// An empty batch that ends the lane.
    pub fn end(lane: Lane, position: Position, end: LaneEnd) -> Self {
        Self::frames(lane, Vec::new(), position).ending(end)
    }

    /// Bytes of its content in memory, for the bounds of queues.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Takes out what lies at or before `offset`, as a batch that ends there.
    pub fn split_to(&mut self, offset: u64) -> Self {
        let content = self.content.split_to(offset, self.position.offset);
        let first = Self::new(self.lane.clone(), content, Position::at(offset));
        self.weight = self.weight.saturating_sub(first.weight);
        first
    }

    /// Marks this as the last batch of its lane.
    #[must_use]
    pub fn ending(mut self, end: LaneEnd) -> Self {
        self.end = Some(end);
        self
    }
}

/// How much a source may put into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimit {
    /// Events or frames.
    pub items: usize,
    /// Bytes; a single item may exceed it.
    pub bytes: usize,
}

impl BatchLimit {
    /// At most so many items and bytes.
    pub const fn new(items: usize, bytes: usize) -> Self {
        Self { items, bytes }
    }
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self {
            items: 2048,
            bytes: 4 << 20,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::event::{Gap, GapReason};
    use crate::intern::{Exchange, Label, Symbol};

    pub(crate) fn event(at: i64) -> Event {
        let (exchange, symbol, source) = (
            Exchange::new("x").unwrap(),
            Symbol::new("A/B").unwrap(),
            Label::new("test").unwrap(),
        );
        let gap = Gap {
            from: Timestamp::UNKNOWN,
            to: Timestamp::UNKNOWN,
            reason: GapReason::Sequence,
            missed: None,
        };
        Event::new(exchange, symbol, Timestamp::from_nanos(at), source, gap)
    }

    #[test]
    fn a_part_takes_its_weight_along() {
        let events: Vec<_> = (0..10).map(event).collect();
        let each = events[0].weight();
        let mut batch = Batch::events(Lane::new("x"), events, Position::at(10));
        assert_eq!(batch.weight(), 10 * each);
        let first = batch.split_to(4);
        assert_eq!(
            (first.position.offset, first.content.len(), first.weight()),
            (4, 4, 4 * each)
        );
        assert_eq!(
            (batch.position.offset, batch.content.len(), batch.weight()),
            (10, 6, 6 * each)
        );
        assert_eq!(batch.split_to(0).weight(), 0);
        assert_eq!(batch.weight(), batch.content.weight());
    }

    fn times(content: &Content) -> Vec<i64> {
        match content {
            Content::Events(events, _) => events.iter().map(|event| event.timestamp.nanos()).collect(),
            Content::Frames(frames) => frames.iter().map(|frame| frame.offset as i64).collect(),
        }
    }

    #[test]
    fn splits_at_an_offset() {
        // Offsets 11 to 15.
        let events: Vec<_> = (11..=15).map(event).collect();
        for (at, first, rest) in [(10, 0, 5), (11, 1, 4), (13, 3, 2), (15, 5, 0), (99, 5, 0)] {
            let mut content = Content::Events(events.clone(), Offsets::Counted);
            assert_eq!((content.split_to(at, 15).len(), content.len()), (first, rest), "{at}");
        }
        let mut shared = Content::Events(events, Offsets::Each(vec![11, 11, 12, 15, 15]));
        assert_eq!(times(&shared.split_to(11, 15)), [11, 12]);
        assert_eq!(times(&shared), [13, 14, 15]);
        let mut frames = Content::Frames([3, 7, 9].map(|offset| Frame::new(offset, "")).into());
        assert_eq!(times(&frames.split_to(8, 9)), [3, 7]);
        assert_eq!(times(&frames), [9]);
    }
}
