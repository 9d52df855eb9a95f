use std::time::Duration;

use qicore_data::{RetryPolicy, settings::duration};
use serde::Deserialize;

/// Limits and timing of a pipeline.
///
/// The limits are for each lane, and for each of its sinks: a pipeline of many lanes and several sinks, one of which is
/// down, may hold `lanes × (1 + sinks) × queue_bytes`. Lower them for hundreds of lanes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// Frames or events that a source may put into a batch.
    pub read_items: usize,
    /// Bytes that a source may put into a batch.
    pub read_bytes: usize,
    /// Events that may wait before a lane and before each of its sinks.
    pub queue_items: usize,
    /// Bytes that may wait there.
    pub queue_bytes: usize,
    /// A larger frame goes to the dead letters undecoded.
    pub max_frame_bytes: usize,
    /// How often a lane takes a checkpoint while data flows.
    #[serde(with = "duration")]
    pub checkpoint_every: Duration,
    /// How long a stop, or the other lanes after a failure, may take to write what has been read.
    #[serde(with = "duration")]
    pub drain_deadline: Duration,
    /// How the source, the dead letters and the checkpoint store are tried again. Sinks have their own.
    pub retry: RetryPolicy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_items: 2048,
            read_bytes: 4 << 20,
            queue_items: 8 * 2048,
            queue_bytes: 16 << 20,
            max_frame_bytes: 64 << 20,
            checkpoint_every: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}

impl Options {
    /// Sets how much a source may put into a batch.
    #[must_use]
    pub fn read(mut self, items: usize, bytes: usize) -> Self {
        (self.read_items, self.read_bytes) = (items, bytes);
        self
    }

    /// The first limit that is 0: nothing would ever fit.
    pub(super) fn zero_limit(&self) -> Option<&'static str> {
        let limits = [
            ("read_items", self.read_items),
            ("read_bytes", self.read_bytes),
            ("queue_items", self.queue_items),
            ("queue_bytes", self.queue_bytes),
            ("max_frame_bytes", self.max_frame_bytes),
        ];
        limits.into_iter().find(|(_, limit)| *limit == 0).map(|(name, _)| name)
    }

    /// Sets how much may wait before a lane and before each of its sinks.
    #[must_use]
    pub fn queue(mut self, items: usize, bytes: usize) -> Self {
        (self.queue_items, self.queue_bytes) = (items, bytes);
        self
    }

    /// Sets the largest frame that is decoded.
    #[must_use]
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// Sets how often a lane takes a checkpoint.
    #[must_use]
    pub fn checkpoint_every(mut self, every: Duration) -> Self {
        self.checkpoint_every = every;
        self
    }

    /// Sets how long a stop may take.
    #[must_use]
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.drain_deadline = deadline;
        self
    }

    /// Sets how the source, the dead letters and the checkpoint store are tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}
