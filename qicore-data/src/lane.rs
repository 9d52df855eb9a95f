//! Lanes, positions and checkpoints.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::stable_hash::StableHash;

/// The unit of order, parallelism, state and position: a Kafka partition, a WebSocket connection, one backfill range.
///
/// Events of a lane keep their order; lanes run side by side. The name must be the same in every run, since positions
/// and state are stored under it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lane(Arc<str>);

impl Lane {
    /// The lane of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a file name: letters, digits, `.`, `-` and `_` stay, the rest becomes `_`, and a hash keeps two
    /// lanes apart whose names differ only in the rest (or in case, for file systems that do not tell).
    pub fn file_name(&self) -> String {
        let plain: String = self
            .0
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let start = plain.len().saturating_sub(80);
        let mut hash = StableHash::default();
        hash.write(self.0.as_bytes());
        format!("{}-{}", plain[start..].trim_start_matches('.'), hash.short())
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How far a lane has been read: everything up to and including `offset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Grows within a lane with every frame, message or event read: a line number, a broker's offset, a counter.
    /// Sinks and sources compare positions by it.
    pub offset: u64,
    /// Whatever else the source needs to resume here (a file, a page token); opaque to everyone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
}

impl Position {
    /// A position with no detail.
    pub const fn at(offset: u64) -> Self {
        Self { offset, detail: None }
    }

    /// Adds what the source needs to resume here.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Arc<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// The state of one transform or decoder, as text: JSON or whatever its owner can read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The stage that it belongs to, unique within a lane.
    pub stage: String,
    /// The state.
    pub state: Box<str>,
}

/// A lane's position together with the state that its stages had there: enough to go on in another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The lane.
    pub lane: Lane,
    /// How far it has been read.
    pub position: Position,
    /// The lane's source has ended and what its transforms still held has been written.
    #[serde(default)]
    pub finished: bool,
    /// The stages' states, in the order of the chain.
    #[serde(default)]
    pub state: Vec<Snapshot>,
}

impl Checkpoint {
    /// A checkpoint without state.
    pub fn new(lane: Lane, position: Position) -> Self {
        Self {
            lane,
            position,
            finished: false,
            state: Vec::new(),
        }
    }

    /// Whether this checkpoint covers a delivery that ends at `offset`, where `last` tells the delivery of what the
    /// transforms held when the source ended.
    pub fn covers(&self, offset: u64, last: bool) -> bool {
        offset < self.position.offset || offset == self.position.offset && (self.finished || !last)
    }

    /// Orders checkpoints of one lane by how far they are.
    pub fn progress(&self) -> (u64, bool) {
        (self.position.offset, self.finished)
    }

    /// The JSON form, as sinks and checkpoint stores keep it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`Checkpoint::to_json`] back.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::new(
                ErrorKind::Checkpoint,
                "checkpoint.read",
                "the stored checkpoint is damaged",
            )
            .with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_checkpoint_covers() {
        let mut at = Checkpoint::new(Lane::new("l"), Position::at(10));
        assert!(at.covers(9, false) && at.covers(10, false) && !at.covers(11, false));
        assert!(!at.covers(10, true), "the flush at the end is not in yet");
        at.finished = true;
        assert!(at.covers(10, true) && !at.covers(11, false));
    }

    #[test]
    fn file_names_stay_apart() {
        let names = ["a/b", "a:b", "A/b", "a_b", "../b", ""].map(|name| Lane::new(name).file_name());
        for (at, name) in names.iter().enumerate() {
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
            assert!(
                !names[..at].iter().any(|other| other.eq_ignore_ascii_case(name)),
                "{name}"
            );
        }
        assert!(Lane::new("x".repeat(500)).file_name().len() < 100);
    }

    #[test]
    fn a_checkpoint_survives_its_json() {
        let mut at = Checkpoint::new(Lane::new("l"), Position::at(10).with_detail("page 3"));
        at.state.push(Snapshot {
            stage: "dedupe".into(),
            state: "{}".into(),
        });
        assert_eq!(Checkpoint::from_json(&at.to_json()).unwrap(), at);
        assert_eq!(
            Checkpoint::from_json("{\"lane\"").unwrap_err().kind(),
            ErrorKind::Checkpoint
        );
    }
}
