//! What a lane's position says of its streams.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use qicore_data::{Error, ErrorKind, Result, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use crate::venue::{Mark, Stream};

/// Where a stream stands.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The time of the last trade, or the open time of the next candle.
    pub(super) time: i64,
    /// Of trades, the id of the next; of candles nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u64>,
    /// What is still missing before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) holes: Vec<[Ends; 2]>,
}

/// An end of a hole: id and time.
pub(super) type Ends = (Option<u64>, i64);

pub(super) fn ends(mark: Mark) -> Ends {
    (mark.id, mark.time.nanos())
}

pub(super) fn mark((id, time): Ends) -> Mark {
    Mark {
        time: Timestamp::from_nanos(time),
        id,
    }
}

/// The symbol of a stream's text.
fn symbol(stream: &str) -> Option<Symbol> {
    Symbol::new(stream.split(' ').next()?).ok()
}

/// Where all streams of a lane stand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    at: i64,
    since: i64,
    /// It lies between two others, and `at` is that of the lower one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    between: bool,
    streams: BTreeMap<String, Place>,
}

impl Standing {
    /// Of a lane that has just begun.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            at: since.nanos(),
            since: since.nanos(),
            between: false,
            streams: BTreeMap::new(),
        }
    }

    /// From a position.
    pub(crate) fn read(detail: &str) -> Result<Self> {
        serde_json::from_str(detail).map_err(|error| {
            let message = "the stored position is damaged, or not that of a live source";
            Error::new(ErrorKind::Checkpoint, "live.resume", message).with_source(error)
        })
    }

    /// For a position.
    pub(crate) fn detail(&self) -> Result<Arc<str>> {
        let text = serde_json::to_string(self);
        let failed = |error: serde_json::Error| Error::new(ErrorKind::Internal, "live.detail", error.to_string());
        Ok(text.map_err(failed)?.into())
    }

    /// When something last came live.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_nanos(self.at)
    }

    /// Since when there is something of the streams, over all restarts.
    pub(crate) fn since(&self) -> Timestamp {
        Timestamp::from_nanos(self.since)
    }

    pub(crate) fn heard(&mut self, at: Timestamp) {
        self.at = at.nanos();
    }

    /// On the way to here, from where something last came at a time.
    pub(crate) fn between(mut self, at: Timestamp) -> Self {
        self.between = true;
        self.heard(at);
        self
    }

    /// Whether it is on the way between two positions.
    pub(crate) fn is_between(&self) -> bool {
        self.between
    }

    pub(super) fn place(&self, stream: Stream) -> Option<&Place> {
        self.streams.get(&stream.to_string())
    }

    /// What of it is of other streams.
    fn others(&self, streams: impl IntoIterator<Item = Stream>) -> impl Iterator<Item = (&String, &Place)> {
        let streams: Vec<_> = streams.into_iter().map(|stream| stream.to_string()).collect();
        self.streams.iter().filter(move |(stream, _)| !streams.contains(stream))
    }

    /// The text of what is of other streams.
    pub(super) fn others_written(&self, streams: impl IntoIterator<Item = Stream>) -> impl Iterator<Item = Written> {
        self.others(streams).map(|(stream, place)| {
            let mut written = Written::default();
            written.update(stream, Some(place.clone()));
            written
        })
    }

    /// Has other streams than those stand where they do in a lower position. Whose do not, lack something: those symbols.
    pub(crate) fn others_stay(&mut self, streams: impl IntoIterator<Item = Stream>, lower: &Self) -> Vec<Symbol> {
        let moved = self
            .others(streams)
            .filter(|(stream, place)| lower.streams.get(*stream) != Some(place));
        let moved: Vec<_> = moved.map(|(stream, _)| stream.clone()).collect();
        for stream in &moved {
            match lower.streams.get(stream) {
                Some(place) => self.streams.insert(stream.clone(), place.clone()),
                None => self.streams.remove(stream),
            };
        }
        moved.iter().filter_map(|stream| symbol(stream)).collect()
    }

    /// The symbols that it knows.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.streams.keys().filter_map(|stream| symbol(stream))
    }

    /// The latest that any stream has.
    pub(crate) fn latest(&self) -> Timestamp {
        let times = self.streams.values().map(|place| place.time);
        Timestamp::from_nanos(times.max().unwrap_or(self.at).max(self.at))
    }

    /// Where a stream goes on.
    pub(crate) fn mark(&self, stream: Stream) -> Option<Mark> {
        self.place(stream).map(|place| mark((place.id, place.time)))
    }

    /// What is missing before that.
    pub(crate) fn holes(&self, stream: Stream) -> impl Iterator<Item = (Mark, Mark)> {
        let holes = self.place(stream).into_iter().flat_map(|place| &place.holes);
        holes.map(|[from, to]| (mark(*from), mark(*to)))
    }

    /// Has a stream stand where it does, but for stretches that are missing before. If the last of them reaches up to there, it is
    /// where the stream goes on.
    pub(crate) fn lacks(&mut self, stream: Stream, mut stretches: Vec<(Mark, Mark)>) {
        let Some(place) = self.streams.get_mut(&stream.to_string()) else {
            return;
        };
        let stands = mark((place.id, place.time));
        if let Some((from, _)) = stretches.pop_if(|(_, to)| *to == stands) {
            (place.id, place.time) = ends(from);
        }
        place
            .holes
            .extend(stretches.into_iter().map(|(from, to)| [ends(from), ends(to)]));
    }
}

/// Where a stream stands, and as text: of a thousand streams few have moved since the last position.
#[derive(Debug, Default)]
pub(super) struct Written {
    place: Option<Place>,
    text: String,
}

impl Written {
    pub(super) fn update(&mut self, stream: impl Display, place: Option<Place>) {
        if self.place == place {
            return;
        }
        self.text.clear();
        if let Some(place) = &place {
            let told = serde_json::to_string(place).unwrap_or_default();
            let _ = write!(self.text, "\"{stream}\":{told}");
        }
        self.place = place;
    }
}

/// The text of a [`Standing`].
pub(super) fn detail(at: Timestamp, since: Timestamp, streams: &[Written]) -> Arc<str> {
    let length: usize = streams.iter().map(|written| written.text.len() + 1).sum();
    let mut text = String::with_capacity(length + 80);
    let (at, since) = (at.nanos(), since.nanos());
    let _ = write!(text, "{{\"at\":{at},\"since\":{since},\"streams\":{{");
    let told = streams.iter().filter(|written| written.place.is_some());
    for (number, written) in told.enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&written.text);
    }
    text.push_str("}}");
    text.into()
}
