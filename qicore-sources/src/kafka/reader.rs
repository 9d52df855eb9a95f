//! One partition while it is read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use qicore_data::{Batch, BatchLimit, Content, Error, ErrorKind, Frame, Lane, Position, Result, StableHash};
use qicore_stores::kafka::{Message, Partition, Polled, TopicPartition};

use super::decoder::Forms;

/// The lane of a partition.
pub(super) fn lane_of(place: &TopicPartition) -> Lane {
    Lane::new(place.to_string())
}

/// Reads a partition. Positions are offsets of the message that comes next, as a group commits them: 0 is before the first.
pub(super) struct Reader {
    pub(super) partition: Partition,
    pub(super) lane: Lane,
    /// The offset of the next message.
    pub(super) next: u64,
    /// What the message before that is known by, where one has been read.
    last: Option<Arc<str>>,
    /// Whether it has been seen here, or is yet to be compared with what lies there now.
    seen: bool,
    /// There were no more messages when it was last asked.
    pub(super) at_end: bool,
    /// The partition's end when the lane began, and whether everything before it has been read.
    goal: u64,
    pub(super) caught_up: bool,
    /// Batches were given, so that the lane is at work.
    pub(super) began: bool,
    /// What comes next is gone, and nothing more is fetched before the lane begins anew.
    removed: bool,
    /// What came behind messages that were given first.
    failed: Option<Error>,
    forms: Forms,
}

/// What a message is known by.
fn mark(payload: &[u8]) -> Arc<str> {
    format!("{:016x}", StableHash::of(payload)).into()
}

/// What reading has come to.
pub(super) enum Read {
    Batch(Batch),
    Nothing,
    /// What comes next was removed before it was read.
    Removed,
}

/// Messages copied out of the driver's memory, one behind the other.
#[derive(Default)]
struct Copied {
    bytes: Vec<u8>,
    frames: Vec<(Frame, Range<usize>)>,
    weight: usize,
}

impl Reader {
    pub(super) fn new(partition: Partition, next: u64) -> Self {
        Self {
            lane: lane_of(partition.place()),
            partition,
            next,
            last: None,
            seen: false,
            at_end: false,
            goal: u64::MAX,
            caught_up: false,
            began: false,
            removed: false,
            failed: None,
            forms: Forms::default(),
        }
    }

    /// Begins at `next`, in a partition that ends at `end`; behind the message that is known by `last`, if that is known.
    pub(super) fn begin(&mut self, next: u64, end: u64, last: Option<Arc<str>>) {
        (self.next, self.goal) = (next, end);
        (self.last, self.seen) = (last, false);
        (self.at_end, self.caught_up) = (false, next >= end);
    }

    /// Where the lane goes on.
    pub(super) fn position(&self) -> Position {
        let position = Position::at(self.next);
        match &self.last {
            Some(last) => position.with_detail(Arc::clone(last)),
            None => position,
        }
    }

    /// A topic that was deleted and made anew has other messages at the same offsets.
    fn compare(&self, message: &Message<'_>) -> Result<()> {
        let known = self
            .last
            .as_deref()
            .filter(|_| !self.seen && message.offset() + 1 == self.next);
        match known {
            Some(known) if *known != *mark(message.payload().unwrap_or_default()) => {
                let message = format!(
                    "the message before the position {} is not the one that was read there",
                    self.next
                );
                let advice = "was the topic deleted and made anew? Then give the pipeline and its group new names";
                let error = Error::new(ErrorKind::Checkpoint, "kafka.read", message).with("advice", advice);
                Err(error.with("lane", &self.lane))
            }
            _ => Ok(()),
        }
    }

    /// What has come, up to a limit, without waiting.
    pub(super) fn read(&mut self, limit: BatchLimit) -> Result<Read> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut copied = Copied::default();
        let before = self.next;
        while !self.removed && copied.frames.len() < limit.items && copied.weight < limit.bytes {
            match self.partition.poll() {
                Ok(None) => break,
                Ok(Some(Polled::End)) => self.at_end = true,
                Ok(Some(Polled::Message(message))) => {
                    self.at_end = false;
                    if message.offset() >= self.next {
                        self.next = message.offset() + 1;
                        copied.add(self.next, &message, &mut self.forms);
                    // Others are left over from before a jump back.
                    } else if let Err(error) = self.compare(&message) {
                        self.failed = Some(error);
                        break;
                    }
                }
                // What was read before these goes first.
                Ok(Some(Polled::Removed)) => self.removed = true,
                Ok(Some(_)) => {}
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.caught_up |= self.at_end || self.next >= self.goal;
        if self.next != before {
            self.began = true;
            (self.last, self.seen) = (Some(copied.mark(self.next)), true);
            return Ok(Read::Batch(copied.into_batch(self.lane.clone(), self.position())));
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None if std::mem::take(&mut self.removed) => Ok(Read::Removed),
            None => Ok(Read::Nothing),
        }
    }
}

impl Copied {
    /// Adds a message, unless it is one that marks a key as deleted.
    fn add(&mut self, offset: u64, message: &Message<'_>, forms: &mut Forms) {
        let Some(payload) = message.payload() else { return };
        let (content_type, version) = message.form();
        let from = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        let mut frame = Frame::new(offset, Bytes::new());
        frame.channel = forms.name(content_type, version);
        self.weight += frame.weight() + payload.len();
        self.frames.push((frame, from..self.bytes.len()));
    }

    /// What the last message is known by: that before `next`, which may have been one that marks a key as deleted.
    fn mark(&self, next: u64) -> Arc<str> {
        match self.frames.last() {
            Some((frame, range)) if frame.offset == next => mark(&self.bytes[range.clone()]),
            _ => mark(&[]),
        }
    }

    fn into_batch(self, lane: Lane, position: Position) -> Batch {
        let bytes = Bytes::from(self.bytes);
        let frames = self.frames.into_iter().map(|(mut frame, range)| {
            frame.payload = bytes.slice(range);
            frame
        });
        Batch::weighed(lane, Content::Frames(frames.collect()), position, self.weight)
    }
}
