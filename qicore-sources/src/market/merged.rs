//! The history of several streams in one order, before what is live.
//!
//! A stream alone is in order however it is read. Whoever builds candles of several, or looks at two side by side, wants them
//! in one: so what is far behind, or what a sink lacks, is read before connections are made, a page of each stream ahead, and
//! given up to the time that all of them have reached.

use std::collections::VecDeque;
use std::time::Duration;

use qicore_data::{Content, Error, ErrorKind, Event, Lane, Progress, Result, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Client;
use super::history::{Progressing, Reader, progress};
use super::pages::place;
use super::seam::{Grid, Plan, Rules, Seam};
use crate::venue::{Channel, Mark, Range, Stream};

/// Bars that are over for so long are there, if they are at all: none is waited for.
const TOLD_BY: Duration = Duration::from_secs(90);

/// What is read, side by side.
#[derive(Debug)]
pub(super) struct Merged {
    streams: Vec<Reading>,
    _tasks: JoinSet<()>,
}

/// What is to be read of a stream.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) plan: Plan,
    /// In their order.
    pub(super) stretches: VecDeque<(Mark, Mark)>,
}

/// A stream that is read.
#[derive(Debug)]
struct Reading {
    progress: Progressing,
    read: mpsc::Receiver<Result<Read>>,
    /// What is read and not given.
    events: VecDeque<Event>,
    /// Everything before this is read; `None` when everything is.
    until: Option<Mark>,
}

/// A page.
#[derive(Debug)]
struct Read {
    events: Vec<Event>,
    until: Option<Mark>,
}

/// What is given: events in the order of their times, and where their streams stand behind them.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) events: Vec<Event>,
    pub(super) marks: Vec<(Stream, Mark)>,
}

impl Way {
    /// From where a stream stands up to a time.
    pub(super) fn up_to(to: Timestamp, plan: Plan, rules: Rules, seam: &Seam) -> Self {
        let end = match plan.stream.channel {
            Channel::Candles(timeframe) => Grid::new(timeframe, rules.candles.week).floor(to.saturating_sub(TOLD_BY)),
            _ => to,
        };
        let from = seam.mark(plan.stream).filter(|from| from.time < end);
        Self {
            plan,
            stretches: from.map(|from| (from, Mark::at(end))).into_iter().collect(),
        }
    }

    /// All of it, at its beginning.
    pub(super) fn progressing(&self) -> Progressing {
        let nothing = Mark::at(Timestamp::UNKNOWN);
        let range = Range {
            stream: self.plan.stream,
            from: self.stretches.front().map_or(nothing, |(from, _)| *from),
            to: self.stretches.back().map_or(nothing, |(_, to)| *to),
        };
        Progressing {
            range,
            at: range.from.time,
        }
    }

    /// What lies before a mark is read.
    pub(super) fn is_read_to(&mut self, mark: Mark) {
        while let Some((from, to)) = self.stretches.front_mut() {
            if to.is_after(&mark) {
                if !from.is_after(&mark) {
                    *from = mark;
                }
                return;
            }
            self.stretches.pop_front();
        }
    }
}

impl Merged {
    /// Begins to read, with so many requests side by side, but one for each stream.
    pub(super) fn begin(client: &Client, rules: Rules, parallel: usize, ways: Vec<Way>) -> Self {
        let mut tasks = JoinSet::new();
        let parallel = parallel / ways.len().max(1);
        let begin = |way: Way| {
            let (sender, read) = mpsc::channel(1);
            let reading = Reading {
                progress: way.progressing(),
                read,
                events: VecDeque::new(),
                until: way.stretches.front().map(|(from, _)| *from),
            };
            tasks.spawn(read_all(client.clone(), rules, parallel, way, sender));
            reading
        };
        Self {
            streams: ways.into_iter().map(begin).collect(),
            _tasks: tasks,
        }
    }

    /// What all streams have come to; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Given>> {
        loop {
            let behind = self.streams.iter_mut().filter(|reading| reading.until.is_some());
            let Some(furthest) = behind.min_by_key(|reading| reading.until.map(|until| until.time)) else {
                let rest = self.take(Timestamp::MAX);
                return Ok((!rest.events.is_empty()).then_some(rest));
            };
            let Read { events, until } = furthest.read.recv().await.unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Internal,
                    "market.merged",
                    "a reading task has ended",
                ))
            })?;
            furthest.events.extend(events);
            furthest.until = until;
            furthest.progress.at = until.map_or(furthest.progress.range.to.time, |until| until.time);
            let reached = self
                .streams
                .iter()
                .filter_map(|reading| reading.until)
                .map(|until| until.time)
                .min();
            let given = self.take(reached.unwrap_or(Timestamp::MAX));
            if !given.events.is_empty() {
                return Ok(Some(given));
            }
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        progress(self.streams.iter().map(|reading| reading.progress))
    }

    /// Takes out what lies before a time. A stream's own order is kept: of trades that is the order of their ids, in which their
    /// times may go back.
    fn take(&mut self, before: Timestamp) -> Given {
        let (mut events, mut marks) = (Vec::new(), Vec::new());
        for reading in &mut self.streams {
            let events_before = reading.events.iter().take_while(|event| event.timestamp < before);
            let count = events_before.count();
            let stream = reading.progress.range.stream;
            let told = reading.events.range(..count);
            let mark = told.filter_map(|event| behind(stream, event)).next_back();
            marks.extend(mark.map(|mark| (stream, mark)));
            let mut latest = Timestamp::UNKNOWN;
            events.extend(reading.events.drain(..count).map(|event| {
                latest = latest.max(event.timestamp);
                (latest, event)
            }));
        }
        // Stable, for what is of one time.
        events.sort_by_key(|(at, _)| *at);
        let events = events.into_iter().map(|(_, event)| event).collect();
        Given { events, marks }
    }
}

/// Reads all stretches of a stream.
async fn read_all(client: Client, rules: Rules, parallel: usize, way: Way, sender: mpsc::Sender<Result<Read>>) {
    let (plan, mut left) = (way.plan, way.stretches);
    let lane = Lane::new(plan.stream.to_string());
    while let Some((from, to)) = left.pop_front() {
        let stream = plan.stream;
        let mut seam = Seam::new(&[plan], rules, None);
        seam.start(stream, from);
        let range = Range { stream, from, to };
        let mut reader = Reader::new(client.clone(), lane.clone(), (plan, range), seam, parallel, 0);
        loop {
            let read = read_on(&mut reader, left.front().map(|(from, _)| *from)).await;
            let (over, failed) = (!matches!(read, Ok((_, false))), read.is_err());
            if sender.send(read.map(|(read, _)| read)).await.is_err() || failed {
                return;
            }
            if over {
                break;
            }
        }
    }
}

/// The next page, and whether it was the last of the stretch, behind which the stream goes on.
async fn read_on(reader: &mut Reader, goes_on: Option<Mark>) -> Result<(Read, bool)> {
    let (batch, _) = reader.next().await?;
    let over = batch.end.is_some();
    let events = match batch.content {
        Content::Events(events, _) => events,
        _ => Vec::new(),
    };
    let until = if over { goes_on } else { Some(reader.at()) };
    Ok((Read { events, until }, over))
}

/// Where a stream stands behind an event of its own.
fn behind(stream: Stream, event: &Event) -> Option<Mark> {
    if Channel::of(&event.data) != Some(stream.channel) {
        return None;
    }
    match stream.channel {
        Channel::Candles(timeframe) => Some(Mark::at(timeframe.next(event.timestamp))),
        _ => place(event).id.map(|id| Mark::id(id + 1, event.timestamp)),
    }
}
