//! A venue's stream, put right by its history.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Batch, BatchLimit, Error, ErrorKind, Event, Frame, Gap, GapReason, Lane, Position, Result, Resume, RetryAdvice,
    Symbol, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::MarketConfig;
use super::books::{Books, Wanted};
use super::catch_up::{Behind, CatchUp};
use super::client::Client;
use super::connection::{Command, OVERFLOW, Report, Shared};
use super::fetch::{Fetched, Fetches, again};
use super::keeper;
use super::protocol::BookRepair;
use super::seam::{Out, Plan, Rules, Seam};
use crate::venue::{Channel, Stream};

/// How often it is looked what is overdue.
const TICK: Duration = Duration::from_millis(100);
/// The longest time between two attempts to wake up a silent subscription.
const STALE_AT_MOST: Duration = Duration::from_secs(3600);
/// Reports that wait for the pipeline; each holds what came together on a connection.
const WAITING: usize = 512;

/// What is known of a stream.
#[derive(Debug)]
struct Route {
    stream: Stream,
    /// Its connection, unless the venue has refused it.
    slot: Option<usize>,
    /// What is made of it, by its number in the seam; nothing, of what no venue keeps.
    seams: Vec<usize>,
    heard: Instant,
    stale_after: Duration,
}

/// A connection's place.
#[derive(Debug)]
struct Slot {
    routes: Vec<usize>,
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
    /// It has been there once.
    was_up: bool,
    /// When it was lost, by the last message, and why.
    down: Option<(Timestamp, GapReason)>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A live market; see [`Market`](super::Market).
#[derive(Debug)]
pub(super) struct Live {
    client: Client,
    config: MarketConfig,
    lane: Lane,
    routes: Vec<Route>,
    by_stream: HashMap<Stream, usize, rustc_hash::FxBuildHasher>,
    slots: Vec<Slot>,
    seam: Seam,
    books: Books,
    fetches: Fetches,
    /// What comes before anything else.
    catch_up: Option<CatchUp>,
    caught_up: VecDeque<Batch>,
    reports: mpsc::Receiver<Report>,
    out: Out,
    /// Messages that cannot be decoded.
    rejected: Vec<Frame>,
    offset: u64,
    tick: Interval,
    /// Messages of streams that nobody asked for.
    stray: u64,
}

/// What a live market is made of, besides the client.
pub(super) struct Setup {
    pub(super) config: MarketConfig,
    pub(super) lane: Lane,
    pub(super) rules: Rules,
    /// What is wanted.
    pub(super) plans: Vec<Plan>,
    pub(super) shared: Shared,
    pub(super) reports: mpsc::Receiver<Report>,
}

impl Live {
    /// Where it goes on is asked of `resume`; then connections are made, in the background.
    pub(super) async fn begin(client: Client, setup: Setup, resume: &dyn Resume) -> Result<Self> {
        let Setup {
            config,
            lane,
            rules,
            plans,
            shared,
            reports,
        } = setup;
        let mut seam = Seam::new(&plans, rules, config.from);
        let held = resume.held(&lane).await?;
        let mut offset = 0;
        if let Some(checkpoint) = held.last() {
            offset = checkpoint.position.offset;
            if let Some(detail) = &checkpoint.position.detail {
                seam.resume(detail).map_err(|error| error.with("lane", &lane))?;
            }
        }
        let lost = (offset > 0).then(|| (seam.at(), GapReason::Disconnect));
        let behind = Behind {
            client: client.clone(),
            lane: lane.clone(),
            plans: plans.clone(),
            rules,
            parallel: config.parallel,
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut live = Self {
            books: Books::new(client.protocol.book_repair()),
            catch_up: CatchUp::begin(behind, held),
            caught_up: VecDeque::new(),
            fetches: Fetches::new(client.clone(), config.parallel),
            client,
            lane,
            routes: Vec::new(),
            by_stream: HashMap::default(),
            slots: Vec::new(),
            seam,
            reports,
            out: Out::default(),
            rejected: Vec::new(),
            offset,
            tick,
            stray: 0,
            config,
        };
        live.connect(&plans, shared, lost);
        Ok(live)
    }

    /// Spreads the streams over connections, and has those made.
    fn connect(&mut self, plans: &[Plan], shared: Shared, lost: Option<(Timestamp, GapReason)>) {
        let mut sent: Vec<_> = plans.iter().filter(|plan| plan.sent).map(|plan| plan.of).collect();
        sent.sort_unstable();
        sent.dedup();
        for stream in &sent {
            self.by_stream.insert(*stream, self.routes.len());
            self.routes.push(Route {
                stream: *stream,
                slot: None,
                seams: self.seam.numbers(*stream),
                heard: Instant::now(),
                stale_after: self.config.stale_after,
            });
        }
        let most = self.config.streams_per_connection.unwrap_or(usize::MAX);
        let most = shared.feed.per_connection.min(most);
        let shared = Arc::new(shared);
        for (slot, streams) in sent.chunks(most.max(1)).enumerate() {
            let routes: Vec<_> = streams.iter().map(|stream| self.by_stream[stream]).collect();
            for route in &routes {
                self.routes[*route].slot = Some(slot);
            }
            let (commands, receiver) = mpsc::channel(1024);
            let task = tokio::spawn(keeper::keep(Arc::clone(&shared), slot, streams.to_vec(), receiver));
            self.slots.push(Slot {
                routes,
                commands,
                task: task.abort_handle(),
                was_up: false,
                down: lost,
            });
        }
    }

    /// See [`Source::next_batch`](qicore_data::Source::next_batch).
    pub(super) async fn next_batch(&mut self, limit: BatchLimit) -> Result<Batch> {
        if let Some(catch_up) = &mut self.catch_up {
            self.caught_up = catch_up.done().await?.into();
            self.catch_up = None;
        }
        if let Some(batch) = self.caught_up.pop_front() {
            return Ok(batch);
        }
        loop {
            if let Some(batch) = self.batch() {
                return Ok(batch);
            }
            tokio::select! {
                biased;
                _ = self.tick.tick() => self.time_passes(),
                fetched = self.fetches.next() => self.fetched(fetched)?,
                Some(report) = self.reports.recv() => {
                    self.report(report)?;
                    while self.out.events.len() < limit.items
                        && let Ok(report) = self.reports.try_recv()
                    {
                        self.report(report)?;
                    }
                }
            }
        }
    }

    /// What there is to give. All of it, since the position says what comes after all of it.
    fn batch(&mut self) -> Option<Batch> {
        if !self.out.asks.is_empty() {
            for range in std::mem::take(&mut self.out.asks) {
                tracing::debug!(stream = %range.stream, from = %range.from.time, to = %range.to.time, "asking for what was missed");
                self.fetches.range(range);
            }
        }
        if !self.out.events.is_empty() {
            let events = std::mem::take(&mut self.out.events);
            self.offset += events.len() as u64;
            let position = Position::at(self.offset).with_detail(self.seam.detail());
            return Some(Batch::events(self.lane.clone(), events, position));
        }
        if self.rejected.is_empty() {
            return None;
        }
        let mut frames = std::mem::take(&mut self.rejected);
        for frame in &mut frames {
            self.offset += 1;
            frame.offset = self.offset;
        }
        let position = Position::at(self.offset).with_detail(self.seam.detail());
        Some(Batch::frames(self.lane.clone(), frames, position))
    }

    fn report(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Events { slot, events } => self.events(slot, events),
            Report::Rejected { frame, error } => self.rejected.push(frame.channel(error.to_string())),
            Report::Refused { slot, streams } => self.refused(slot, &streams),
            Report::Up { slot, refused } => {
                self.refused_at_first(slot, &refused)?;
                self.refused(slot, &refused);
                self.up(slot);
            }
            Report::Down { slot, heard, error } => self.down(slot, heard, error)?,
        }
        Ok(())
    }

    fn events(&mut self, slot: usize, events: Vec<Event>) {
        let now = Instant::now();
        self.seam.heard(Timestamp::now());
        for event in events {
            let Some(channel) = Channel::of(&event.data) else {
                self.beside(slot, event);
                continue;
            };
            let Some(at) = self.by_stream.get(&Stream::new(event.symbol, channel)) else {
                self.stray(&event);
                continue;
            };
            let route = &mut self.routes[*at];
            route.heard = now;
            match (channel, &route.seams[..]) {
                (_, [first, others @ ..]) => {
                    for other in others {
                        self.seam.live(*other, event.clone(), &mut self.out);
                    }
                    self.seam.live(*first, event, &mut self.out);
                }
                (Channel::Book, []) => {
                    let symbol = event.symbol;
                    if self.books.live(event, &mut self.out.events) == Wanted::Snapshot {
                        self.fetches.book(symbol);
                    }
                }
                _ => self.out.events.push(event),
            }
        }
    }

    #[cold]
    fn stray(&mut self, event: &Event) {
        // A venue's one channel may tell more than one of ours.
        if self.routes.iter().any(|route| route.stream.symbol == event.symbol) {
            return;
        }
        self.stray += 1;
        if self.stray.is_power_of_two() {
            let (symbol, kind) = (event.symbol, event.data.event_type());
            tracing::warn!(%symbol, ?kind, messages = self.stray, "the venue sends what nobody has asked for");
        }
    }

    /// What belongs to no channel: a break that the decoder has found in the connection's messages.
    fn beside(&mut self, slot: usize, event: Event) {
        if !matches!(event.data, qicore_data::Data::Gap(_)) {
            self.out.events.push(event);
            return;
        }
        let symbol = event.symbol;
        let (mut told, mut book) = (false, None);
        for at in &self.slots[slot].routes {
            let route = &self.routes[*at];
            if route.stream.symbol != symbol {
                continue;
            }
            told |= route.seams.is_empty();
            route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
            if route.stream.channel == Channel::Book {
                book = Some(route.stream);
            }
        }
        if told {
            self.out.events.push(event);
        }
        if let Some(stream) = book {
            self.books.broken(symbol);
            if self.client.protocol.book_repair() == BookRepair::Resubscribe {
                let _ = self.slots[slot].commands.try_send(Command::Resubscribe(stream));
            }
        }
    }

    fn up(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        slot.was_up = true;
        // What the seam asked for while the connection was away does not reach up to here.
        for seam in slot.routes.iter().flat_map(|at| &self.routes[*at].seams) {
            self.seam.disrupted(*seam);
        }
        let Some((lost, reason)) = slot.down.take() else { return };
        tracing::info!(lane = %self.lane, "the connection is there again");
        let back = Timestamp::now();
        let mut told: Vec<Symbol> = Vec::new();
        for at in &slot.routes {
            let route = &mut self.routes[*at];
            route.heard = Instant::now();
            if route.seams.is_empty() && !told.contains(&route.stream.symbol) {
                told.push(route.stream.symbol);
            }
        }
        for symbol in told {
            let gap = Gap {
                from: lost.min(back),
                to: back,
                reason,
                missed: None,
            };
            let context = self.client.protocol.context();
            let mut event = Event::new(context.exchange, symbol, back, context.source, gap);
            event.received = Some(back);
            self.out.events.push(event);
        }
    }

    fn down(&mut self, at: usize, heard: Timestamp, error: Error) -> Result<()> {
        let slot = &mut self.slots[at];
        let hopeless = !matches!(error.retry(), RetryAdvice::Backoff | RetryAdvice::After(_));
        let reason = match error.operation() {
            OVERFLOW => GapReason::Overflow,
            _ if hopeless && !slot.was_up => return Err(error),
            _ => GapReason::Disconnect,
        };
        tracing::warn!(lane = %self.lane, connection = at, %error, "the connection is lost, or cannot be made");
        if !slot.was_up || slot.down.is_some() {
            return Ok(());
        }
        slot.down = Some((heard, reason));
        for route in &slot.routes {
            let route = &self.routes[*route];
            route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
            if route.stream.channel == Channel::Book {
                self.books.broken(route.stream.symbol);
            }
        }
        Ok(())
    }

    /// What the venue refuses before it has given anything is a mistake in the configuration.
    fn refused_at_first(&self, slot: usize, streams: &[(Stream, String)]) -> Result<()> {
        if self.slots[slot].was_up || streams.is_empty() {
            return Ok(());
        }
        let mistakes: Vec<_> = streams.iter().map(|(stream, why)| format!("{stream}: {why}")).collect();
        let message = format!("the venue refuses {}", mistakes.join("; "));
        Err(Error::new(ErrorKind::Config, "market.subscribe", message))
    }

    /// What it refuses later is an instrument that was taken off.
    fn refused(&mut self, slot: usize, streams: &[(Stream, String)]) {
        for (stream, why) in streams {
            let Some(at) = self.by_stream.get(stream).copied() else {
                continue;
            };
            tracing::error!(%stream, why, "the venue gives this stream no more: all others go on");
            self.routes[at].slot = None;
            self.slots[slot].routes.retain(|route| *route != at);
        }
    }

    fn fetched(&mut self, fetched: Fetched) -> Result<()> {
        match fetched {
            Fetched::Page { range, events } => self.seam.page(&range, events, &mut self.out),
            Fetched::Told(range) => self.seam.told(&range, &mut self.out),
            Fetched::Failed(range, error) => {
                tracing::warn!(stream = %range.stream, %error, "what was missed could not be had: it is asked for again");
                self.seam.failed(&range, again(self.client.clock.now()));
            }
            Fetched::Book(symbol, Ok(book)) => {
                if !self.books.snapshot(book, &mut self.out.events) {
                    self.fetches.book(symbol);
                }
            }
            Fetched::Book(symbol, Err(error)) => {
                tracing::warn!(%symbol, %error, "the order book could not be had: it is asked for again");
                if self.books.is_broken(symbol) {
                    self.books.broken(symbol);
                }
            }
        }
        Ok(())
    }

    fn time_passes(&mut self) {
        self.seam.tick(self.client.clock.now(), &mut self.out);
        for route in &mut self.routes {
            let Some(slot) = route.slot.map(|slot| &self.slots[slot]) else {
                continue;
            };
            if !slot.was_up || slot.down.is_some() {
                continue;
            }
            let (stream, within) = (route.stream, self.config.answer_within);
            if stream.channel == Channel::Book && self.books.is_overdue(stream.symbol, within) {
                tracing::debug!(%stream, "subscribing again to a book whose snapshot has not come");
                let _ = slot.commands.try_send(Command::Resubscribe(stream));
            }
            if route.heard.elapsed() < route.stale_after {
                continue;
            }
            tracing::debug!(stream = %route.stream, silent = ?route.stale_after, "subscribing again to a silent stream");
            let _ = slot.commands.try_send(Command::Resubscribe(route.stream));
            route.heard = Instant::now();
            route.stale_after = (route.stale_after * 2).min(STALE_AT_MOST);
            route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
        }
    }
}

/// A channel for reports.
pub(super) fn reports() -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    mpsc::channel(WAITING)
}
