//! A range of a stream's history, page by page.

use std::collections::VecDeque;

use qicore_data::{Data, Error, ErrorKind, Event, Gap, GapReason, Result, Timestamp, TradeId};
use tokio::task::JoinHandle;

use super::client::Client;
use super::protocol::Covers;
use crate::venue::{Mark, Range};

/// Reads a range. Pages whose bounds are known beforehand are asked for side by side, and given in order.
#[derive(Debug)]
pub(super) struct Pages {
    client: Client,
    /// What has not been asked for.
    rest: Option<Range>,
    parallel: usize,
    under_way: VecDeque<Asked>,
    /// The place of the last event given.
    last: Option<Mark>,
    /// The rows of the page before: how many, the first and the last.
    before: Option<(usize, Mark, Mark)>,
    /// Nothing before this is wanted: an id that stands for a time may be a little early.
    not_before: Option<Timestamp>,
}

#[derive(Debug)]
struct Asked {
    range: Range,
    covers: Covers,
    task: JoinHandle<Result<(Vec<Event>, Option<Range>)>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pages {
    /// At most `parallel` requests are under way at a time.
    pub(super) fn new(client: Client, range: Range, parallel: usize) -> Self {
        Self {
            client,
            rest: Some(range),
            parallel: parallel.max(1),
            under_way: VecDeque::new(),
            last: None,
            before: None,
            not_before: range.from.id.is_none().then_some(range.from.time),
        }
    }

    /// The next page: events in order, all of them of the range and behind those of the page before. `None` when the range is
    /// told. Cancel-safe: requests go on by themselves.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Event>>> {
        self.ask_ahead();
        let Some(first) = self.under_way.front_mut() else {
            return Ok(None);
        };
        let done = (&mut first.task).await;
        let (range, covers) = (first.range, first.covers);
        self.under_way.pop_front();
        let (events, left) =
            done.map_err(|error| Error::new(ErrorKind::Internal, "market.history", error.to_string()))??;
        // Of a venue whose answer alone tells, a page that says nothing new and leaves nothing to ask for is the end.
        let over = covers == Covers::Told && left.is_none();
        if covers == Covers::Told {
            self.rest = left;
            self.progress(&range)?;
        }
        self.ask_ahead();
        let rows = (events.len(), oldest(&events));
        let same = self.is_repeated(&events);
        let mut events = self.in_order(&range, events);
        if same && events.is_empty() {
            if !over {
                return Err(stuck(&range));
            }
            let (stream, newest) = (range.stream, self.last.map(|last| last.time));
            tracing::info!(%stream, ?newest, to = %range.to.time, "the venue has nothing newer");
        }
        if let (Covers::Newest(most), (rows, Some(oldest))) = (covers, rows)
            && rows >= most
            && oldest.timestamp > range.from.time
        {
            events.insert(0, out_of_reach(&range, &oldest));
        }
        Ok(Some(events))
    }

    /// Whether a page has the rows of the page before.
    fn is_repeated(&mut self, events: &[Event]) -> bool {
        let rows = events.first().zip(events.last());
        let rows = rows.map(|(first, last)| (events.len(), place(first), place(last)));
        // One row may well be that at the edge of two pages.
        rows.is_some_and(|(rows, ..)| rows > 1) && std::mem::replace(&mut self.before, rows) == rows
    }

    /// A rest that begins where the page began would be asked for again and again.
    fn progress(&self, asked: &Range) -> Result<()> {
        let stands = self
            .rest
            .is_some_and(|rest| rest.from == asked.from || asked.from.is_after(&rest.from));
        if stands { Err(stuck(asked)) } else { Ok(()) }
    }

    fn ask_ahead(&mut self) {
        while self.under_way.len() < self.parallel
            && let Some(range) = self.rest.take()
        {
            let ask = self.client.protocol.history(&range);
            let covers = ask.covers;
            let client = self.client.clone();
            let task = tokio::spawn(async move {
                let (events, answer) = client.ask(&ask).await?;
                let left = match ask.covers {
                    Covers::Told => client.protocol.left(&range, &events, answer.text()?),
                    _ => None,
                };
                Ok((events, left))
            });
            self.under_way.push_back(Asked { range, covers, task });
            match covers {
                Covers::Until(mark) => self.rest = range.behind(mark),
                Covers::All | Covers::Newest(_) => {}
                Covers::Told => return,
            }
        }
    }

    /// Leaves out rows that lie outside the range, or have been given: venues repeat the row at a page's edge.
    fn in_order(&mut self, range: &Range, mut events: Vec<Event>) -> Vec<Event> {
        let wanted = |event: &Event| {
            let of_stream = event.symbol == range.stream.symbol
                && crate::venue::Channel::of(&event.data) == Some(range.stream.channel);
            of_stream && range.contains(&place(event)) && self.not_before.is_none_or(|time| event.timestamp >= time)
        };
        events.retain(wanted);
        let key = |event: &Event| (place(event).id, event.timestamp);
        if !events.is_sorted_by_key(key) {
            events.sort_by_key(key);
        }
        events.retain(|event| {
            let here = place(event);
            let new = self.last.is_none_or(|last| here.is_after(&last));
            if new {
                self.last = Some(here);
            }
            new
        });
        events
    }
}

fn stuck(asked: &Range) -> Error {
    let message = "the venue gives the same page again and again: what lies behind it cannot be reached";
    Error::new(ErrorKind::Decode, "market.history", message).with("stream", asked.stream)
}

fn oldest(events: &[Event]) -> Option<Event> {
    events.iter().min_by_key(|event| event.timestamp).cloned()
}

/// What lies before the oldest row that the venue gives.
fn out_of_reach(range: &Range, oldest: &Event) -> Event {
    let to = oldest.timestamp.min(range.to.time);
    let gap = Gap {
        from: range.from.time,
        to,
        reason: GapReason::Provider,
        missed: None,
    };
    let mut event = Event::new(oldest.exchange, oldest.symbol, to, oldest.source, gap);
    event.received = oldest.received;
    event
}

/// The place of the event with the highest id, in whatever order they are.
pub(crate) fn newest(events: &[Event]) -> Option<Mark> {
    events.iter().map(place).max_by_key(|place| place.id)
}

/// Where an event lies in its stream.
pub(crate) fn place(event: &Event) -> Mark {
    let id = match &event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => Some(id),
            _ => None,
        },
        _ => None,
    };
    Mark {
        time: event.timestamp,
        id,
    }
}
