//! What flows to a sink: deliveries, and the receipts for them.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::event::Event;
use crate::lane::{Checkpoint, Lane};

/// A range of a lane on its way to one sink.
///
/// Holds the events of one or more batches without copying them, so that several sinks and several tries share one
/// set of events.
#[derive(Clone)]
pub struct Delivery {
    /// The lane.
    pub lane: Lane,
    /// The first offset that this delivery covers is the one after this.
    pub after: u64,
    /// The last offset that this delivery covers.
    pub offset: u64,
    /// Tells deliveries of one offset apart: a batch larger than a sink's limit goes out in parts.
    pub part: u32,
    /// Holds what the transforms still held when the source ended.
    pub last: bool,
    /// The lane's checkpoint after this delivery, where one was taken. A sink that stores checkpoints with its data
    /// stores this one.
    pub checkpoint: Option<Arc<Checkpoint>>,
    chunks: Vec<Chunk>,
    len: usize,
}

/// Events shared by all sinks, and the part of them meant.
#[derive(Clone)]
struct Chunk {
    events: Arc<Vec<Event>>,
    from: usize,
    to: usize,
}

impl Delivery {
    /// An empty delivery of the range after `after`.
    pub fn new(lane: Lane, after: u64) -> Self {
        Self {
            lane,
            after,
            offset: after,
            part: 0,
            last: false,
            checkpoint: None,
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// A delivery of `events`, for tests and simple callers.
    pub fn of(lane: Lane, after: u64, offset: u64, events: Vec<Event>) -> Self {
        let mut delivery = Self::new(lane, after);
        let len = events.len();
        delivery.push(Arc::new(events), 0, len);
        delivery.offset = offset;
        delivery
    }

    /// Adds `events[from..to]`.
    ///
    /// # Panics
    /// If the range is not within `events`.
    pub fn push(&mut self, events: Arc<Vec<Event>>, from: usize, to: usize) {
        assert!(
            from <= to && to <= events.len(),
            "{from}..{to} of {} events",
            events.len()
        );
        if from < to {
            self.len += to - from;
            self.chunks.push(Chunk { events, from, to });
        }
    }

    /// The events, in order. Receipts name them by their place here.
    pub fn iter(&self) -> impl Iterator<Item = &Event> + Clone {
        self.slices().flatten()
    }

    /// The events, in order, in the slices they lie in.
    pub fn slices(&self) -> impl Iterator<Item = &[Event]> + Clone {
        self.chunks.iter().map(|chunk| &chunk.events[chunk.from..chunk.to])
    }

    /// The event at a place that a receipt names.
    pub fn get(&self, mut index: usize) -> Option<&Event> {
        self.slices().find_map(|slice| {
            let found = slice.get(index);
            index = index.saturating_sub(slice.len());
            found
        })
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no event (a checkpoint may still have to be stored).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A text that is the same for every try of this delivery: a deduplication token. Deliveries are cut by time, too, so
    /// after a restart the same rows may come under another one.
    pub fn token(&self) -> String {
        format!(
            "{}:{}-{}.{}{}",
            self.lane,
            self.after,
            self.offset,
            self.part,
            if self.last { "!" } else { "" }
        )
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("token", &self.token())
            .field("events", &self.len)
            .field("checkpoint", &self.checkpoint.is_some())
            .finish()
    }
}

/// What a sink did with a delivery.
#[derive(Debug, Default)]
#[must_use = "rows that the store refused must go to the dead letters"]
pub struct Receipt {
    /// The rows are written, but become durable only with a later receipt or flush of the lane (a Parquet file before
    /// its footer, an open transaction). False: this and everything staged before it for the lane is durable.
    pub staged: bool,
    /// Rows that the store refused.
    pub rejected: Vec<RejectedRow>,
}

impl Receipt {
    /// Everything is durable.
    pub fn durable() -> Self {
        Self::default()
    }

    /// Everything is written and will be durable with a later write or flush.
    pub fn staged() -> Self {
        Self {
            staged: true,
            ..Self::default()
        }
    }

    /// Adds a row that the store refused.
    pub fn reject(&mut self, index: usize, error: Error) {
        self.rejected.push(RejectedRow { index, error });
    }
}

/// A row that a store refused.
#[derive(Debug)]
pub struct RejectedRow {
    /// Its place in the [`Delivery`].
    pub index: usize,
    /// Why.
    pub error: Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::event;

    #[test]
    fn a_delivery_numbers_its_events_across_chunks() {
        let events = Arc::new((0..10).map(event).collect::<Vec<_>>());
        let mut delivery = Delivery::new(Lane::new("l"), 0);
        delivery.push(Arc::clone(&events), 2, 5);
        delivery.push(Arc::clone(&events), 5, 5);
        delivery.push(events, 8, 10);
        let expected = [2, 3, 4, 8, 9];
        assert_eq!(delivery.len(), expected.len());
        for (index, at) in expected.into_iter().enumerate() {
            assert_eq!(delivery.get(index).unwrap().timestamp.nanos(), at);
        }
        assert!(delivery.get(5).is_none());
        assert!(delivery.iter().map(|event| event.timestamp.nanos()).eq(expected));
    }
}
