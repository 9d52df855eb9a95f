//! What one answer came to, and batches of it.

use std::sync::Arc;

use qicore_data::{Batch, BatchLimit, Content, Event, Lane, LaneEnd, Offsets, Position, Timestamp};

/// An event with its place in its lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) offset: u64,
    pub(crate) event: Event,
    /// What else is needed to go on behind it.
    pub(crate) detail: Option<Arc<str>>,
}

/// The new rows of an answer, in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    /// Whether the stream's history is at its end.
    pub(crate) done: bool,
    /// How far the market's time has been read.
    pub(crate) at: Timestamp,
}

/// A page that is cut into batches.
#[derive(Debug)]
pub(crate) struct Cutting {
    lane: Lane,
    rows: std::vec::IntoIter<Row>,
    done: bool,
    /// Where the lane stands.
    position: Position,
}

impl Cutting {
    pub(crate) fn new(lane: Lane, page: Page, position: Position) -> Self {
        Self {
            lane,
            rows: page.rows.into_iter(),
            done: page.done,
            position,
        }
    }

    /// The next batch, and the lane's position behind it. `None` when there is no more.
    pub(crate) fn next(&mut self, limit: BatchLimit) -> Option<Batch> {
        if self.rows.len() == 0 && !self.done {
            return None;
        }
        let (mut events, mut offsets, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.rows.as_slice().first() {
            let weight = next.event.weight();
            if !events.is_empty() && (events.len() >= limit.items || bytes + weight > limit.bytes) {
                break;
            }
            let Some(row) = self.rows.next() else { break };
            self.position = Position {
                offset: row.offset,
                detail: row.detail,
            };
            bytes += weight;
            offsets.push(row.offset);
            events.push(row.event);
        }
        let content = Content::Events(events, Offsets::Each(offsets));
        let batch = Batch::weighed(self.lane.clone(), content, self.position.clone(), bytes);
        let last = self.done && self.rows.len() == 0;
        self.done &= !last;
        Some(if last { batch.ending(LaneEnd::Exhausted) } else { batch })
    }

    pub(crate) fn position(&self) -> &Position {
        &self.position
    }
}
