//! A venue's history of a stretch of time.

use std::time::Duration;

use qicore_data::{
    Batch, Content, Data, Error, ErrorKind, Event, Lane, LaneEnd, Offsets, Position, Progress, Result, Resume,
    Timestamp, TradeId,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Client;
use super::pages::Pages;
use super::seam::{Out, Plan, Rules, Seam};
use crate::venue::{Channel, Mark, Range};

/// A bar that the venue should have by now and does not tell is asked for again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Trades that are known to be there are asked for so often.
const TIMES: u32 = 12;

/// The history of some streams, each a lane; see [`Market`](super::Market).
///
/// Offsets are those of the venue: a trade's id, a candle's open time in seconds. So the same event has the same offset in
/// every run, whatever pages it came in, and sinks that are not equally far are each given what they miss.
#[derive(Debug)]
pub(super) struct History {
    lanes: Vec<Progressing>,
    told: mpsc::Receiver<Told>,
    tasks: JoinSet<()>,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progressing {
    pub(super) range: Range,
    pub(super) at: Timestamp,
}

/// How far streams are together: in bars, where it is bars alone; else in seconds of market time.
pub(super) fn progress(streams: impl Iterator<Item = Progressing> + Clone) -> Progress {
    let bar = |one: &Progressing| match one.range.stream.channel {
        Channel::Candles(timeframe) => timeframe.length(),
        _ => None,
    };
    let bars = streams.clone().all(|one| bar(&one).is_some());
    let count = |one: &Progressing, to: Timestamp| {
        let unit = bar(one).filter(|_| bars).unwrap_or(Duration::from_secs(1));
        (to.min(one.range.to.time).since(one.range.from.time).as_nanos() / unit.as_nanos()) as u64
    };
    Progress {
        done: streams.clone().map(|one| count(&one, one.at)).sum(),
        total: Some(streams.map(|one| count(&one, one.range.to.time)).sum()),
        unit: if bars { "candles" } else { "seconds of the market" },
    }
}

/// What a stream's task tells.
#[derive(Debug)]
struct Told {
    lane: usize,
    result: Result<(Batch, Timestamp)>,
}

impl History {
    /// Begins to read, each stream from where its lane goes on.
    pub(super) async fn begin(
        client: Client,
        streams: Vec<(Plan, Range)>,
        rules: Rules,
        parallel: usize,
        resume: &dyn Resume,
    ) -> Result<Self> {
        let (sender, told) = mpsc::channel(16);
        let mut history = Self {
            lanes: Vec::new(),
            told,
            tasks: JoinSet::new(),
        };
        for (plan, range) in streams {
            let lane = lane(&client, &range);
            let from = resume.checkpoint(&lane).await?;
            let mut seam = Seam::new(&[plan], rules, Some(range.from.time));
            if let Some(detail) = from.as_ref().and_then(|from| from.position.detail.as_deref()) {
                seam.resume(detail).map_err(|error| error.with("lane", &lane))?;
            }
            let offset = from.map_or(0, |from| from.position.offset);
            let mut reader = Reader::new(client.clone(), lane, (plan, range), seam, parallel, offset);
            let at = history.lanes.len();
            history.lanes.push(Progressing {
                range,
                at: reader.seam.mark(range.stream).map_or(range.from.time, |mark| mark.time),
            });
            let sender = sender.clone();
            history.tasks.spawn(async move {
                loop {
                    let result = reader.next().await;
                    let over = result.as_ref().map_or(true, |(batch, _)| batch.end.is_some());
                    if sender.send(Told { lane: at, result }).await.is_err() || over {
                        return;
                    }
                }
            });
        }
        Ok(history)
    }

    /// See [`Source::next_batch`](qicore_data::Source::next_batch).
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(Told { lane, result }) = self.told.recv().await else {
            // One that has panicked has not told of its end.
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|error| Error::new(ErrorKind::Internal, "market.history", error.to_string()))?;
            }
            return Ok(None);
        };
        let (batch, at) = result?;
        self.lanes[lane].at = at;
        Ok(Some(batch))
    }

    /// See [`Source::progress`](qicore_data::Source::progress).
    pub(super) fn progress(&self) -> Progress {
        progress(self.lanes.iter().copied())
    }
}

/// The lane of a stretch: another stretch is another lane.
fn lane(client: &Client, range: &Range) -> Lane {
    let exchange = client.protocol.context().exchange;
    Lane::new(format!(
        "{exchange}/{} {}..{}",
        range.stream, range.from.time, range.to.time
    ))
}

/// Reads one stream.
#[derive(Debug)]
pub(super) struct Reader {
    lane: Lane,
    plan: Plan,
    range: Range,
    client: Client,
    parallel: usize,
    /// What is being read: what is left of the range.
    asked: Range,
    pages: Pages,
    seam: Seam,
    offset: u64,
    /// How often it has been asked for.
    begun: u32,
}

impl Reader {
    pub(super) fn new(
        client: Client,
        lane: Lane,
        (plan, range): (Plan, Range),
        seam: Seam,
        parallel: usize,
        offset: u64,
    ) -> Self {
        let mut reader = Self {
            pages: Pages::new(client.clone(), range, parallel),
            client,
            lane,
            plan,
            range,
            parallel,
            asked: range,
            seam,
            offset,
            begun: 0,
        };
        reader.begin();
        reader
    }

    /// Asks from where the stream goes on.
    fn begin(&mut self) {
        self.begun += 1;
        self.asked = Range {
            stream: self.plan.of,
            from: self.at(),
            to: self.range.to,
        };
        self.seam.begin(&self.asked, self.client.clock.now());
        self.pages = Pages::new(self.client.clone(), self.asked, self.parallel);
    }

    pub(super) fn at(&self) -> Mark {
        self.seam.mark(self.range.stream).unwrap_or(self.range.from)
    }

    /// The next batch that says something new, with how far it is.
    pub(super) async fn next(&mut self) -> Result<(Batch, Timestamp)> {
        loop {
            let (mut out, before) = (Out::default(), self.offset);
            let page = self.pages.next().await?;
            let told = page.is_none();
            match page {
                Some(events) => self.seam.page(&self.asked, events, &mut out),
                None if self.begun >= TIMES && self.at().id < self.range.to.id => {
                    self.seam.give_up(&self.asked, &mut out)
                }
                None => self.seam.told(&self.asked, &mut out),
            }
            let over = told && self.is_over();
            let batch = self.batch(out.events)?;
            if over {
                return Ok((batch.ending(LaneEnd::Exhausted), self.range.to.time));
            }
            if self.offset > before {
                return Ok((batch, self.at().time));
            }
            if told {
                tokio::time::sleep(AGAIN).await;
                self.begin();
            }
        }
    }

    /// Bars whose time has just passed may come yet, and trades that are known to be there, for a while.
    fn is_over(&self) -> bool {
        match (self.range.stream.channel, self.range.to.id) {
            (Channel::Candles(_), _) => self.at().time >= self.range.to.time,
            (_, Some(end)) => self.at().id >= Some(end) || self.begun >= TIMES,
            _ => true,
        }
    }

    /// A gap shares the offset of the event behind it: they stay together.
    fn batch(&mut self, events: Vec<Event>) -> Result<Batch> {
        let mut offsets = vec![0; events.len()];
        let mut next = self.offset + 1;
        for (offset, event) in offsets.iter_mut().zip(&events).rev() {
            next = offset_of(event)?.unwrap_or(next);
            *offset = next;
        }
        self.offset = offsets.last().copied().unwrap_or(self.offset).max(self.offset);
        let position = Position::at(self.offset).with_detail(self.seam.detail());
        Ok(Batch::new(
            self.lane.clone(),
            Content::Events(events, Offsets::Each(offsets)),
            position,
        ))
    }
}

/// The place of an event in its lane: the same in every run.
fn offset_of(event: &Event) -> Result<Option<u64>> {
    match &event.data {
        Data::Candle(_) => Ok(u64::try_from(event.timestamp.nanos() / 1_000_000_000).ok()),
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => Ok(Some(id)),
            _ => {
                let message = "a trade of the history has no number: it cannot be told from others after a restart";
                Err(Error::new(ErrorKind::Unsupported, "market.history", message).with("symbol", event.symbol))
            }
        },
        _ => Ok(None),
    }
}
