//! Joins the history and the live messages of a stream into one stream without a hole.
//!
//! Each trade comes out once, in the order of ids, and each closed candle once, in the order of time, however the
//! connection behind the live messages fails: what a jump in ids or times shows to be missing is asked of the venue's
//! history, while what comes live waits. Only what the venue no longer has becomes a `gap`.
//!
//! What holds for both: one range of a stream is asked for at a time, and again after a pause. A history that does not tell
//! something may merely be late: that it is not there is certain when the history tells something behind it, and so a range
//! reaches over what is known behind the hole. A position says what has been put out and what has not; all else is found again.
//!
//! Pure: a state machine per stream, which is told what came and asks for ranges. I/O is done elsewhere.

mod built;
mod candles;
mod grid;
mod place;
mod recent;
#[cfg(test)]
mod tests;
mod trades;

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Event, Exchange, Gap, GapReason, Label, Result, Timestamp};
use serde::Deserialize;

pub(crate) use candles::CandleRules;
pub(crate) use grid::Grid;
pub(crate) use place::Standing;

use crate::venue::{Channel, Mark, Range, Stream};
use built::BuiltSeam;
use candles::CandleSeam;
use place::{Place, Written, ends, mark};
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

/// How a stream is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is wanted.
    pub(crate) stream: Stream,
    /// What is asked of the venue: of candles that are built, shorter ones.
    pub(crate) of: Stream,
    /// The venue sends that live.
    pub(crate) sent: bool,
}

/// The seam of one stream.
trait Joint: std::fmt::Debug + Send + Sync {
    /// A live event.
    fn live(&mut self, event: Event, out: &mut Out);
    /// Messages may have been lost.
    fn disrupted(&mut self);
    /// Whether a range has been asked for, and not been told.
    fn has_asked(&self, range: &Range) -> bool;
    /// A range is being read, and nothing comes live.
    fn begin(&mut self, range: &Range, now: Timestamp);
    /// A page of a range that was asked for.
    fn page(&mut self, events: Vec<Event>, out: &mut Out);
    /// All that the venue has of a range has come.
    fn told(&mut self, range: &Range, out: &mut Out);
    /// What was asked for cannot be had at all.
    fn give_up(&mut self, range: &Range, out: &mut Out);
    /// What was asked for could not be had, and is to be asked for again.
    fn failed(&mut self, range: &Range, again: Timestamp);
    /// Time passes.
    fn tick(&mut self, now: Timestamp, out: &mut Out);
    /// Where the stream stands; `None` before its first event.
    fn place(&self) -> Option<Place>;
    /// Takes up a place, as after a lost connection.
    fn resume(&mut self, place: &Place);
    /// How many live events wait.
    #[cfg(test)]
    fn waiting(&self) -> usize;
}

/// The seams of a lane's streams.
#[derive(Debug)]
pub(crate) struct Seam {
    streams: Vec<(Plan, Box<dyn Joint>)>,
    /// What was last written of each of them; behind that, what a position says of streams that are not wanted now, and may be
    /// again.
    written: Vec<Written>,
    /// When the last live event came.
    at: Timestamp,
    /// Since when there is something.
    since: Timestamp,
}

impl Seam {
    /// Seams for those of the streams that a venue keeps. With `since`, their history from then on comes first.
    pub(crate) fn new(plans: &[Plan], rules: Rules, since: Option<Timestamp>) -> Self {
        let joint = |plan: &Plan| -> Option<Box<dyn Joint>> {
            match (plan.stream.channel, plan.of.channel) {
                (Channel::Trades, _) => Some(Box::new(TradeSeam::new(plan.of, rules, since))),
                (Channel::Candles(wanted), Channel::Candles(of)) if wanted != of => {
                    Some(Box::new(BuiltSeam::new(plan, (of, wanted), rules, since)))
                }
                (Channel::Candles(timeframe), _) => {
                    Some(Box::new(CandleSeam::new(plan.of, timeframe, !plan.sent, rules, since)))
                }
                _ => None,
            }
        };
        let streams: Vec<_> = plans.iter().filter_map(|plan| Some((*plan, joint(plan)?))).collect();
        Self {
            written: streams.iter().map(|_| Written::default()).collect(),
            streams,
            at: Timestamp::now(),
            since: since.unwrap_or_else(Timestamp::now),
        }
    }

    /// The numbers of the streams that are made of a venue's, by which they are told of.
    pub(crate) fn numbers(&self, of: Stream) -> Vec<usize> {
        let made = self.streams.iter().enumerate().filter(|(_, (plan, _))| plan.of == of);
        made.map(|(at, _)| at).collect()
    }

    /// A live event of a stream.
    #[inline]
    pub(crate) fn live(&mut self, at: usize, event: Event, out: &mut Out) {
        self.streams[at].1.live(event, out);
    }

    /// Something has come live.
    pub(crate) fn heard(&mut self, at: Timestamp) {
        self.at = at;
    }

    /// When something last came live; of one that was resumed, before that.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Messages of the stream may have been lost.
    pub(crate) fn disrupted(&mut self, at: usize) {
        self.streams[at].1.disrupted();
    }

    /// Who has asked for a range: more than one, where candles are wanted and others built of them.
    fn who_asked(&mut self, range: &Range) -> impl Iterator<Item = &mut Box<dyn Joint>> {
        let joints = self.streams.iter_mut().filter(|(plan, _)| plan.of == range.stream);
        joints.map(|(_, joint)| joint).filter(|joint| joint.has_asked(range))
    }

    /// A page of history that was asked for, in order.
    pub(crate) fn page(&mut self, range: &Range, events: Vec<Event>, out: &mut Out) {
        let mut joints = self.who_asked(range);
        let first = joints.next();
        for joint in joints {
            joint.page(events.clone(), out);
        }
        if let Some(joint) = first {
            joint.page(events, out);
        }
    }

    /// All that the venue has of a range has come.
    pub(crate) fn told(&mut self, range: &Range, out: &mut Out) {
        self.who_asked(range).for_each(|joint| joint.told(range, out));
    }

    /// A range cannot be had at all.
    pub(crate) fn give_up(&mut self, range: &Range, out: &mut Out) {
        self.who_asked(range).for_each(|joint| joint.give_up(range, out));
    }

    /// A range could not be had for now: it is asked for again later.
    pub(crate) fn failed(&mut self, range: &Range, again: Timestamp) {
        self.who_asked(range).for_each(|joint| joint.failed(range, again));
    }

    /// A range is being read, of streams that are history alone.
    pub(crate) fn begin(&mut self, range: &Range, now: Timestamp) {
        let joints = self.streams.iter_mut().filter(|(plan, _)| plan.of == range.stream);
        joints.for_each(|(_, joint)| joint.begin(range, now));
    }

    /// Where a stream goes on.
    pub(crate) fn mark(&self, stream: Stream) -> Option<Mark> {
        let (_, joint) = self.streams.iter().find(|(plan, _)| plan.stream == stream)?;
        joint.place().map(|place| mark((place.id, place.time)))
    }

    /// Has a stream go on at a mark. What is missing before it stays so.
    pub(crate) fn start(&mut self, stream: Stream, mark: Mark) {
        let found = self.streams.iter_mut().filter(|(plan, _)| plan.stream == stream);
        for (_, joint) in found {
            let place = Place {
                id: mark.id,
                time: mark.time.nanos(),
                holes: joint.place().map(|place| place.holes).unwrap_or_default(),
            };
            joint.resume(&place);
        }
    }

    /// Time passes: overdue candles, and streams that are silent since a connection came back.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.streams.iter_mut().for_each(|(_, joint)| joint.tick(now, out));
    }

    /// Where all streams stand: enough to go on in another process.
    pub(crate) fn detail(&mut self) -> Arc<str> {
        for ((plan, joint), written) in self.streams.iter().zip(&mut self.written) {
            written.update(plan.stream, joint.place());
        }
        place::detail(self.at, self.since, &self.written)
    }

    /// Takes up what [`detail`](Self::detail) gave, as after a lost connection. Streams that are new begin as new ones.
    pub(crate) fn resume(&mut self, detail: &str) -> Result<()> {
        let standing = Standing::read(detail)?;
        (self.at, self.since) = (standing.at(), standing.since());
        for (plan, joint) in &mut self.streams {
            if let Some(place) = standing.place(plan.stream) {
                joint.resume(place);
            }
        }
        self.written.truncate(self.streams.len());
        let known = self.streams.iter().map(|(plan, _)| plan.stream);
        self.written.extend(standing.others_written(known));
        Ok(())
    }
}
