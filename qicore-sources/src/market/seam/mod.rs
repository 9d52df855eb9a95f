//! Joins the history and the live messages of a stream into one stream without a hole.
//!
//! Each trade comes out once, in the order of ids, and each closed candle once, in the order of time, however the
//! connection behind the live messages fails: what a jump in ids or times shows to be missing is asked of the venue's
//! history, while what comes live waits. Only what the venue no longer has becomes a `gap`.
//!
//! Pure: a state machine per stream, which is told what came and asks for ranges. I/O is done elsewhere.

mod candles;
mod trades;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Error, ErrorKind, Event, Exchange, Gap, GapReason, Label, Result, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use candles::CandleRules;

use crate::venue::{Channel, Mark, Range, Stream};
use candles::CandleSeam;
use trades::TradeSeam;

/// What comes first when something was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Order {
    /// What was missed, while what comes live waits: the stream stays in order.
    #[default]
    Strict,
    /// What comes live, at once; what was missed comes when the venue has told it.
    LiveFirst,
}

/// What a seam puts out.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// Events for the pipeline.
    pub(crate) events: Vec<Event>,
    /// Stretches of history to ask for.
    pub(crate) asks: Vec<Range>,
}

/// How seams work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) exchange: Exchange,
    pub(crate) source: Label,
    pub(crate) order: Order,
    /// The most live events of a stream that wait for what was missed; when there are more, they are given up, and asked of
    /// the history in turn.
    pub(crate) waiting: usize,
    /// How long after a connection is there again a stream that says nothing is asked whether it has missed something.
    pub(crate) verify_after: Duration,
    pub(crate) candles: CandleRules,
}

impl Rules {
    /// What the venue no longer has.
    fn gap(&self, stream: Stream, from: Timestamp, to: Timestamp, missed: Option<u64>) -> Event {
        let gap = Gap {
            from: from.min(to),
            to,
            reason: GapReason::Provider,
            missed,
        };
        Event::new(self.exchange, stream.symbol, to, self.source, gap)
    }
}

/// Where a stream stands, in a lane's position.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Of trades, the id of the next; of candles nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// The time of the last trade, or the open time of the next candle.
    time: i64,
    /// What is still missing before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holes: Vec<[Ends; 2]>,
}

/// An end of a hole: id and time.
type Ends = (Option<u64>, i64);

fn ends(mark: Mark) -> Ends {
    (mark.id, mark.time.nanos())
}

fn mark((id, time): Ends) -> Mark {
    Mark {
        time: Timestamp::from_nanos(time),
        id,
    }
}

/// The seam of one stream.
#[derive(Debug)]
enum Joint {
    Trades(TradeSeam),
    Candles(CandleSeam),
}

/// The seams of a lane's streams.
#[derive(Debug)]
pub(crate) struct Seam {
    streams: Vec<(Stream, Joint)>,
}

impl Seam {
    /// Seams for those of the streams that a venue keeps; `polled` tells which of them it does not send live. With `since`,
    /// their history from then on comes first.
    pub(crate) fn new(
        streams: impl IntoIterator<Item = Stream>,
        polled: impl Fn(Stream) -> bool,
        rules: Rules,
        since: Option<Timestamp>,
    ) -> Self {
        let joint = |stream: Stream| match stream.channel {
            Channel::Trades => Some(Joint::Trades(TradeSeam::new(stream, rules, since))),
            Channel::Candles(timeframe) => {
                let seam = CandleSeam::new(stream, timeframe, polled(stream), rules, since);
                Some(Joint::Candles(seam))
            }
            _ => None,
        };
        Self {
            streams: streams
                .into_iter()
                .filter_map(|stream| Some((stream, joint(stream)?)))
                .collect(),
        }
    }

    /// The number of a stream here, by which it is told of; `None` for one that nothing can be asked about.
    pub(crate) fn number(&self, stream: Stream) -> Option<usize> {
        self.streams.iter().position(|(known, _)| *known == stream)
    }

    /// A live event of a stream.
    #[inline]
    pub(crate) fn live(&mut self, at: usize, event: Event, out: &mut Out) {
        match &mut self.streams[at].1 {
            Joint::Trades(seam) => seam.live(event, out),
            Joint::Candles(seam) => seam.live(event, out),
        }
    }

    /// Messages of the stream may have been lost.
    pub(crate) fn disrupted(&mut self, at: usize) {
        match &mut self.streams[at].1 {
            Joint::Trades(seam) => seam.disrupted(),
            Joint::Candles(seam) => seam.disrupted(),
        }
    }

    /// A page of history that was asked for, in order.
    pub(crate) fn page(&mut self, stream: Stream, events: Vec<Event>, out: &mut Out) {
        match self.joint(stream) {
            Some(Joint::Trades(seam)) => seam.page(events, out),
            Some(Joint::Candles(seam)) => seam.page(events, out),
            None => {}
        }
    }

    /// All that the venue has of a range has come.
    pub(crate) fn told(&mut self, range: &Range, out: &mut Out) {
        match self.joint(range.stream) {
            Some(Joint::Trades(seam)) => seam.told(range, out),
            Some(Joint::Candles(seam)) => seam.told(range, out),
            None => {}
        }
    }

    /// A range is being read, of a stream that is history alone.
    pub(crate) fn begin(&mut self, range: &Range, now: Timestamp) {
        match self.joint(range.stream) {
            Some(Joint::Trades(seam)) => seam.begin(range),
            Some(Joint::Candles(seam)) => seam.begin(range, now),
            None => {}
        }
    }

    /// Where a stream goes on.
    pub(crate) fn mark(&self, stream: Stream) -> Option<Mark> {
        let (_, joint) = self.streams.iter().find(|(known, _)| *known == stream)?;
        let place = match joint {
            Joint::Trades(seam) => seam.place(),
            Joint::Candles(seam) => seam.place(),
        };
        place.map(|place| mark((place.id, place.time)))
    }

    /// A range could not be had for now: it is asked for again later.
    pub(crate) fn failed(&mut self, range: &Range, again: Timestamp) {
        match self.joint(range.stream) {
            Some(Joint::Trades(seam)) => seam.failed(again),
            Some(Joint::Candles(seam)) => seam.failed(again),
            None => {}
        }
    }

    /// Time passes: overdue candles, and streams that are silent since a connection came back.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Out) {
        for (_, joint) in &mut self.streams {
            match joint {
                Joint::Trades(seam) => seam.tick(now, out),
                Joint::Candles(seam) => seam.tick(now, out),
            }
        }
    }

    fn joint(&mut self, stream: Stream) -> Option<&mut Joint> {
        let found = self.streams.iter_mut().find(|(known, _)| *known == stream);
        found.map(|(_, joint)| joint)
    }

    /// Where all streams stand: enough to go on in another process.
    pub(crate) fn detail(&self) -> Arc<str> {
        let mut text = String::with_capacity(64 * self.streams.len() + 2);
        text.push('{');
        for (stream, joint) in &self.streams {
            let place = match joint {
                Joint::Trades(seam) => seam.place(),
                Joint::Candles(seam) => seam.place(),
            };
            let Some(place) = place else { continue };
            let comma = if text.len() > 1 { "," } else { "" };
            let Place { id, time, holes } = &place;
            let _ = write!(text, "{comma}\"{stream}\":{{\"time\":{time}");
            if let Some(id) = id {
                let _ = write!(text, ",\"id\":{id}");
            }
            if !holes.is_empty() {
                let _ = write!(text, ",\"holes\":{}", serde_json::to_string(holes).unwrap_or_default());
            }
            text.push('}');
        }
        text.push('}');
        text.into()
    }

    /// Takes up what [`detail`](Self::detail) gave, as after a lost connection. Streams that are new begin as new ones.
    pub(crate) fn resume(&mut self, detail: &str) -> Result<()> {
        let places: std::collections::BTreeMap<String, Place> = serde_json::from_str(detail).map_err(|error| {
            let message = "the stored position is damaged, or not that of a live source";
            Error::new(ErrorKind::Checkpoint, "live.resume", message).with_source(error)
        })?;
        for (stream, joint) in &mut self.streams {
            if let Some(place) = places.get(&stream.to_string()) {
                match joint {
                    Joint::Trades(seam) => seam.resume(place),
                    Joint::Candles(seam) => seam.resume(place),
                }
            }
        }
        Ok(())
    }
}
