//! One partition while it is read.

use std::ops::Range;

use bytes::Bytes;
use qicore_data::{Batch, BatchLimit, Content, Frame, Lane, Position, Result};
use qicore_stores::kafka::{Partition, Polled, TopicPartition};

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
    /// There were no more messages when it was last asked.
    pub(super) at_end: bool,
    /// Batches were given, so that the lane is at work.
    pub(super) began: bool,
    /// What comes next is gone, and nothing more is fetched before the lane begins anew.
    removed: bool,
    forms: Forms,
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
            at_end: false,
            began: false,
            removed: false,
            forms: Forms::default(),
        }
    }

    /// What has come, up to a limit, without waiting.
    pub(super) fn read(&mut self, limit: BatchLimit) -> Result<Read> {
        let mut copied = Copied::default();
        let before = self.next;
        while !self.removed && copied.frames.len() < limit.items && copied.weight < limit.bytes {
            match self.partition.poll()? {
                None => break,
                Some(Polled::End) => {
                    self.at_end = true;
                    break;
                }
                // What was read before it goes first.
                Some(Polled::Removed) => {
                    self.removed = true;
                    break;
                }
                Some(Polled::Message(message)) => {
                    self.at_end = false;
                    // Left over from before a jump back.
                    if message.offset() < self.next {
                        continue;
                    }
                    self.next = message.offset() + 1;
                    if let Some(payload) = message.payload() {
                        let (content_type, version) = message.form();
                        copied.add(self.next, payload, self.forms.name(content_type, version));
                    }
                }
                Some(_) => {}
            }
        }
        if self.next == before {
            let removed = std::mem::take(&mut self.removed);
            return Ok(if removed { Read::Removed } else { Read::Nothing });
        }
        self.began = true;
        Ok(Read::Batch(copied.into_batch(self.lane.clone(), self.next)))
    }
}

impl Copied {
    fn add(&mut self, offset: u64, payload: &[u8], form: Option<std::sync::Arc<str>>) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        let mut frame = Frame::new(offset, Bytes::new());
        frame.channel = form;
        self.weight += frame.weight() + payload.len();
        self.frames.push((frame, from..self.bytes.len()));
    }

    fn into_batch(self, lane: Lane, next: u64) -> Batch {
        let bytes = Bytes::from(self.bytes);
        let frames = self.frames.into_iter().map(|(mut frame, range)| {
            frame.payload = bytes.slice(range);
            frame
        });
        Batch::weighed(lane, Content::Frames(frames.collect()), Position::at(next), self.weight)
    }
}
