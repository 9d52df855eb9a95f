//! A venue's stream, put right by its history.

mod losses;
mod mend;

use std::collections::HashMap;
use std::time::Duration;

use qicore_data::{Batch, BatchLimit, Event, Frame, GapReason, Lane, Position, Progress, Result, Resume, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::MarketConfig;
use super::books::{Books, Wanted};
use super::catch_up::{Behind, CatchUp};
use super::client::Client;
use super::connection::{Command, Shared};
use super::fetch::Fetches;
use super::merged::Merged;
use super::reports::{Posted, Report};
use super::routes::Routes;
use super::seam::{Order, Out, Plan, Rules, Seam};
use crate::venue::{Channel, Stream};

/// How often it is looked what is overdue.
const TICK: Duration = Duration::from_millis(100);
/// What is nearer than this is left to the seams of the streams.
const NEAR: Duration = Duration::from_secs(30);

/// A live market; see [`Market`](super::Market).
#[derive(Debug)]
pub(super) struct Live {
    client: Client,
    config: MarketConfig,
    lane: Lane,
    routes: Routes,
    seam: Seam,
    books: Books,
    fetches: Fetches,
    /// So much is missing that it is read before anything is live.
    history: bool,
    /// What is read of it, up to a time.
    merged: Option<(Merged, Timestamp)>,
    /// What connections are made of, when it is their turn.
    connecting: Option<Box<Connecting>>,
    /// What comes before anything else.
    catch_up: Option<CatchUp>,
    reports: mpsc::Receiver<Posted>,
    out: Out,
    /// Messages that cannot be decoded.
    rejected: Vec<Frame>,
    offset: u64,
    tick: Interval,
    /// Messages of streams that nobody asked for.
    stray: u64,
    /// How often what a stream has missed was asked for in vain.
    in_vain: HashMap<Stream, u32>,
}

/// What a live market is made of, besides the client.
pub(super) struct Setup {
    pub(super) config: MarketConfig,
    pub(super) lane: Lane,
    pub(super) rules: Rules,
    /// What is wanted.
    pub(super) plans: Vec<Plan>,
    pub(super) shared: Shared,
    pub(super) reports: mpsc::Receiver<Posted>,
}

/// What connections are made of.
#[derive(Debug)]
struct Connecting {
    plans: Vec<Plan>,
    rules: Rules,
    shared: Shared,
    /// When an earlier run last heard of the venue.
    lost: Option<(Timestamp, GapReason)>,
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
        // A sink that holds nothing has the lane begin at its start.
        let from_start = resume.checkpoint(&lane).await?.is_none();
        let held = resume.held(&lane).await?;
        let mut offset = 0;
        if let Some(checkpoint) = held.last() {
            offset = checkpoint.position.offset;
            if let Some(detail) = &checkpoint.position.detail {
                seam.resume(detail).map_err(|error| error.with("lane", &lane))?;
            }
        }
        let history = config.order == Order::Strict && offset == 0 && config.from.is_some();
        let lost = (offset > 0).then(|| (seam.at(), GapReason::Disconnect));
        let behind = Behind {
            client: client.clone(),
            lane: lane.clone(),
            plans: plans.clone(),
            rules,
            parallel: config.parallel,
            from: config.from,
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut live = Self {
            books: Books::new(client.protocol.book_repair()),
            catch_up: CatchUp::begin(behind, from_start, &held)?,
            fetches: Fetches::new(client.clone(), config.parallel),
            client,
            lane,
            routes: Routes::default(),
            history,
            merged: None,
            connecting: Some(Box::new(Connecting {
                plans,
                rules,
                shared,
                lost,
            })),
            seam,
            reports,
            out: Out::default(),
            rejected: Vec::new(),
            offset,
            tick,
            stray: 0,
            in_vain: HashMap::new(),
            config,
        };
        live.history |= live.is_far_behind();
        Ok(live)
    }

    fn is_far_behind(&self) -> bool {
        self.config.order == Order::Strict && self.client.clock.now().since(self.seam.at()) > NEAR
    }

    /// See [`Source::next_batch`](qicore_data::Source::next_batch).
    pub(super) async fn next_batch(&mut self, limit: BatchLimit) -> Result<Batch> {
        if let Some(catch_up) = &mut self.catch_up {
            if let Some(batch) = catch_up.next().await? {
                return Ok(batch);
            }
            self.catch_up = None;
            // That may have taken long.
            self.history |= self.is_far_behind();
        }
        if let Some(batch) = self.history().await? {
            return Ok(batch);
        }
        // Nobody would listen to connections before.
        if let Some(connecting) = self.connecting.take() {
            let Connecting {
                plans, shared, lost, ..
            } = *connecting;
            self.routes = Routes::connect(&plans, &self.seam, &self.config, shared, lost);
        }
        loop {
            if let Some(batch) = self.batch() {
                return Ok(batch);
            }
            tokio::select! {
                biased;
                _ = self.tick.tick() => self.time_passes(),
                error = self.routes.broken() => return Err(error),
                fetched = self.fetches.next() => self.fetched(fetched)?,
                Some(posted) = self.reports.recv() => {
                    self.report(posted.report)?;
                    // What cannot be decoded may be large: it goes on at once.
                    while self.out.events.len() < limit.items
                        && self.rejected.is_empty()
                        && let Ok(posted) = self.reports.try_recv()
                    {
                        self.report(posted.report)?;
                    }
                }
            }
        }
    }

    /// How far that is which comes before what is live.
    pub(super) fn progress(&self) -> Option<Progress> {
        let history = self.merged.as_ref().map(|(merged, _)| merged.progress());
        self.catch_up.as_ref().map(CatchUp::progress).or(history)
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
            Report::TakenOver { books } => self.books.taken_over(books),
            Report::Refused { streams } => self.refused(&streams),
            Report::Up { slot, refused } => {
                self.refused_at_first(slot, &refused)?;
                self.refused(&refused);
                self.up(slot);
            }
            Report::Down { slot, heard, error } => self.down(slot, heard, error)?,
        }
        Ok(())
    }

    fn events(&mut self, slot: usize, events: Vec<Event>) {
        let now = Instant::now();
        if let Some(received) = events.iter().rev().find_map(|event| event.received) {
            self.seam.heard(received.max(self.seam.at()));
        }
        for event in events {
            let Some(channel) = Channel::of(&event.data) else {
                self.beside(slot, event);
                continue;
            };
            let Some(at) = self.routes.number(&Stream::new(event.symbol, channel)) else {
                self.elsewhere(event, channel, now);
                continue;
            };
            self.arrived(at, event, channel, now);
        }
    }

    /// An event of a stream that is known.
    #[inline]
    fn arrived(&mut self, at: usize, event: Event, channel: Channel, now: Instant) {
        let route = &mut self.routes.all[at];
        route.heard(now, &self.config);
        match (channel, &route.seams[..]) {
            (_, [first, others @ ..]) => {
                for other in others {
                    self.seam.live(*other, event.clone(), &mut self.out);
                }
                self.seam.live(*first, event, &mut self.out);
            }
            (Channel::Book, []) => {
                let (symbol, at) = (event.symbol, event.timestamp);
                match self.books.live(event, &mut self.out.events) {
                    Wanted::Nothing => {}
                    Wanted::Snapshot => self.fetches.book(symbol),
                    Wanted::SnapshotAfterGap => {
                        self.missed(symbol, (at, at), GapReason::Sequence);
                        self.fetches.book(symbol);
                    }
                }
            }
            _ => self.out.events.push(event),
        }
    }

    /// An event of a symbol that was not asked for under this name.
    #[cold]
    fn elsewhere(&mut self, mut event: Event, channel: Channel, now: Instant) {
        let asked = self.client.protocol.asked_as(event.symbol);
        let known = asked.and_then(|symbol| Some((symbol, self.routes.number(&Stream::new(symbol, channel))?)));
        if let Some((symbol, at)) = known {
            event.symbol = symbol;
            return self.arrived(at, event, channel, now);
        }
        // A venue's one channel may tell more than one of ours.
        if self.routes.all.iter().any(|route| route.stream.symbol == event.symbol) {
            return;
        }
        self.stray += 1;
        if self.stray.is_power_of_two() {
            let (symbol, kind) = (event.symbol, event.data.event_type());
            tracing::warn!(%symbol, ?kind, messages = self.stray, "the venue sends what nobody has asked for");
        }
    }

    fn time_passes(&mut self) {
        self.seam.tick(self.client.clock.now(), &mut self.out);
        for symbol in self.books.due() {
            self.fetches.book(symbol);
        }
        for route in &mut self.routes.all {
            let slot = &self.routes.slots[route.slot];
            if !slot.was_up || slot.down.is_some() {
                continue;
            }
            let (stream, within) = (route.stream, self.config.answer_within);
            if stream.channel == Channel::Book && self.books.is_overdue(stream.symbol, within) {
                tracing::debug!(%stream, "subscribing again to a book whose snapshot has not come");
                let _ = slot.commands.try_send(Command::Resubscribe(stream));
            }
            if !route.is_stale() {
                continue;
            }
            tracing::debug!(%stream, "subscribing again to a silent stream");
            let _ = slot.commands.try_send(Command::Resubscribe(stream));
            route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
        }
    }
}
