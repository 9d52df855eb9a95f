//! The history of several streams in one order, before what is live.
//!
//! A stream alone is in order however it is read. Whoever builds candles of several, or looks at two side by side, wants them
//! in one: so what is far behind is read before connections are made, a page of each stream ahead, and given up to the time that
//! all of them have reached.

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
    /// The end of it.
    pub(super) to: Timestamp,
    _tasks: JoinSet<()>,
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

impl Merged {
    /// Begins to read what the streams have from where they stand up to a time.
    pub(super) fn begin(
        client: &Client,
        plans: &[Plan],
        rules: Rules,
        parallel: usize,
        seam: &Seam,
        to: Timestamp,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut streams = Vec::new();
        for plan in plans {
            let Some(from) = seam.mark(plan.stream) else { continue };
            let end = match plan.stream.channel {
                Channel::Candles(timeframe) => {
                    Grid::new(timeframe, rules.candles.week).floor(to.saturating_sub(TOLD_BY))
                }
                _ => to,
            };
            if from.time >= end {
                continue;
            }
            let (sender, read) = mpsc::channel(1);
            let range = Range {
                stream: plan.stream,
                from,
                to: Mark::at(end),
            };
            let mut own = Seam::new(&[*plan], rules, None);
            own.start(plan.stream, from);
            let lane = Lane::new(plan.stream.to_string());
            let mut reader = Reader::new(client.clone(), lane, (*plan, range), own, parallel, 0);
            tasks.spawn(async move {
                loop {
                    let read = read_on(&mut reader).await;
                    let over = read.as_ref().map_or(true, |read| read.until.is_none());
                    if sender.send(read).await.is_err() || over {
                        return;
                    }
                }
            });
            streams.push(Reading {
                progress: Progressing { range, at: from.time },
                read,
                events: VecDeque::new(),
                until: Some(from),
            });
        }
        Self {
            streams,
            to,
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
        progress(self.streams.iter().map(|reading| &reading.progress))
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

async fn read_on(reader: &mut Reader) -> Result<Read> {
    let (batch, _) = reader.next().await?;
    let events = match batch.content {
        Content::Events(events, _) => events,
        _ => Vec::new(),
    };
    let until = batch.end.is_none().then(|| reader.at());
    Ok(Read { events, until })
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
