//! The partitions that this worker has, from the moment the group gives them until it has let go of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Batch, BatchLimit, Checkpoint, Error, ErrorKind, Event, Exchange, Gap, GapReason, Label, Lane, LaneEnd, Position,
    Progress, Result, Resume, RetryAdvice, Symbol, Timestamp,
};
use qicore_stores::kafka::{Begun, Consumer, Partition, Release, Start, Stored, TopicPartition};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::reader::{Read, Reader, lane_of};

/// All lanes, and what is needed to begin with one.
#[derive(Default)]
pub(super) struct Lanes {
    beginning: Option<Beginning>,
    lanes: BTreeMap<TopicPartition, State>,
    starts: JoinSet<Started>,
    /// A start that was waited for.
    started: Option<Started>,
    /// Starts so far: only the newest of a lane counts.
    begun: u64,
    /// The lane that was read last: the others come first.
    last: Option<TopicPartition>,
    /// Ends when the lanes were begun with, and offsets read since.
    total: u64,
    done: u64,
    /// Partitions have been given at least once.
    assigned: bool,
}

struct Beginning {
    consumer: Arc<Consumer>,
    resume: Arc<dyn Resume>,
    start: Arc<Start>,
}

enum State {
    /// Is being looked up; the reader is there already if it had begun before.
    Starting(Box<Reader>, LookUp),
    Running(Box<Reader>),
    /// Everything before `next` is to be committed before the partition is let go of.
    Releasing {
        next: u64,
        _release: Arc<Release>,
    },
}

/// A look-up that goes on.
struct LookUp {
    number: u64,
    task: AbortHandle,
    /// It does not ask the sinks: the lane only goes on.
    goes_on: bool,
}

/// What a look-up has come to: of which partition, which one, and where the lane begins, behind what.
type Started = (TopicPartition, u64, Result<(Begun, Option<Arc<str>>)>);

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.lanes.keys()).finish()
    }
}

impl Lanes {
    pub(super) fn open(&mut self, consumer: Arc<Consumer>, resume: Arc<dyn Resume>, start: Start) {
        self.beginning = Some(Beginning {
            consumer,
            resume,
            start: Arc::new(start),
        });
    }

    pub(super) fn assigned(&mut self, partitions: Vec<Partition>) {
        self.assigned = true;
        for partition in partitions {
            tracing::info!(partition = %partition.place(), "kafka: assigned");
            self.start(Reader::new(partition, 0), None);
        }
    }

    /// Looks up where to begin: at `from`, or where the pipeline says.
    fn start(&mut self, reader: Reader, from: Option<u64>) {
        let Some(beginning) = &self.beginning else { return };
        let place = reader.partition.place().clone();
        let (consumer, start) = (Arc::clone(&beginning.consumer), Arc::clone(&beginning.start));
        let (resume, lane) = (Arc::clone(&beginning.resume), reader.lane.clone());
        self.begun += 1;
        let (number, goes_on) = (self.begun, from.is_some());
        let task = self.starts.spawn({
            let place = place.clone();
            async move {
                let begun = begin(&consumer, place.clone(), from, start, resume.as_ref(), &lane).await;
                (place, number, begun)
            }
        });
        let starting = State::Starting(Box::new(reader), LookUp { number, task, goes_on });
        if let Some(State::Starting(_, before)) = self.lanes.insert(place, starting) {
            before.task.abort();
        }
    }

    /// The group takes partitions away: what was read of them is finished first, unless they are lost.
    pub(super) fn revoked(&mut self, places: &[TopicPartition], release: Release, ready: &mut VecDeque<Batch>) {
        let lost = release.lost;
        let release = Arc::new(release);
        for place in places {
            tracing::info!(partition = %place, lost, "kafka: revoked");
            match self.lanes.remove(place) {
                Some(State::Starting(reader, look_up)) => {
                    look_up.task.abort();
                    end(&reader, ready);
                }
                Some(State::Running(reader)) if reader.began => {
                    end(&reader, ready);
                    if !lost {
                        let releasing = State::Releasing {
                            next: reader.next,
                            _release: Arc::clone(&release),
                        };
                        self.lanes.insert(place.clone(), releasing);
                    }
                }
                _ => {}
            }
        }
    }

    /// Begins anew with a partition of which something may have been missed.
    pub(super) fn again(&mut self, place: &TopicPartition) {
        match self.lanes.remove(place) {
            Some(State::Running(reader)) => {
                let from = reader.next;
                self.start(*reader, Some(from));
            }
            // It begins anyway.
            Some(other) => drop(self.lanes.insert(place.clone(), other)),
            None => {}
        }
    }

    /// A lane's sinks have refused it. If the group still gives it to this worker, it begins anew, where the sinks say.
    pub(super) fn lost(&mut self, lane: &Lane) {
        let Some(place) = self.place(lane) else { return };
        match self.lanes.remove(&place) {
            Some(State::Running(reader)) => self.start(Reader::new(reader.partition, 0), None),
            Some(State::Starting(reader, look_up)) if look_up.goes_on => {
                look_up.task.abort();
                self.start(Reader::new(reader.partition, 0), None);
            }
            // It has come back meanwhile, and its sinks are asked anyway.
            Some(starting @ State::Starting(..)) => drop(self.lanes.insert(place, starting)),
            // Nothing more will be committed of it.
            Some(State::Releasing { .. }) | None => {}
        }
    }

    fn place(&self, lane: &Lane) -> Option<TopicPartition> {
        self.lanes.keys().find(|place| lane_of(place) == *lane).cloned()
    }

    /// Waits until a lane has been looked up. Cancel-safe.
    pub(super) async fn wait_for_start(&mut self) {
        loop {
            match self.starts.join_next().await {
                None => std::future::pending().await,
                Some(Ok(started)) => {
                    self.started = Some(started);
                    return;
                }
                // It was given up, and may have been the last that was waited for.
                Some(Err(_)) => return,
            }
        }
    }

    /// Takes up what has been looked up.
    pub(super) fn started(&mut self, ready: &mut VecDeque<Batch>) -> Result<()> {
        loop {
            let started = match self.started.take() {
                Some(started) => started,
                None => match self.starts.try_join_next() {
                    None => return Ok(()),
                    Some(Ok(started)) => started,
                    Some(Err(_)) => continue,
                },
            };
            let (place, number, begun) = started;
            let is_newest =
                matches!(self.lanes.get(&place), Some(State::Starting(_, look_up)) if look_up.number == number);
            if is_newest && let Some(State::Starting(mut reader, _)) = self.lanes.remove(&place) {
                let (begun, last) = begun?;
                reader.begin(begun.next, begun.end, last.filter(|_| begun.missed == 0));
                self.total += begun.end.saturating_sub(begun.next);
                if begun.missed > 0 {
                    reader.began = true;
                    ready.push_back(gap(&place, begun)?);
                }
                self.lanes.insert(place, State::Running(reader));
            }
        }
    }

    /// The next batch of any lane, in turn.
    pub(super) fn read(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = match &self.last {
            Some(last) => (Excluded(last.clone()), Unbounded),
            None => (Unbounded, Unbounded),
        };
        let order = self.lanes.range(after).map(|(place, _)| place.clone());
        let until = self.last.clone();
        let rest = self
            .lanes
            .keys()
            .take_while(|place| until.as_ref().is_some_and(|last| *place <= last));
        let order: Vec<_> = order.chain(rest.cloned()).collect();
        for place in order {
            let Some(State::Running(reader)) = self.lanes.get_mut(&place) else {
                continue;
            };
            let before = reader.next;
            match reader.read(limit)? {
                Read::Batch(batch) => {
                    self.done += reader.next - before;
                    self.last = Some(place);
                    return Ok(Some(batch));
                }
                Read::Removed => self.again(&place),
                Read::Nothing => {}
            }
        }
        Ok(None)
    }

    /// Whether everything has been read that there was when the lanes began.
    pub(super) fn have_caught_up(&self) -> bool {
        let caught_up = |state: &State| matches!(state, State::Running(reader) if reader.caught_up);
        self.assigned && self.starts.is_empty() && self.lanes.values().all(caught_up)
    }

    /// Ends all lanes. What the transforms hold goes along in the checkpoint: more may come another day.
    pub(super) fn end(&mut self, ready: &mut VecDeque<Batch>) {
        for state in self.lanes.values_mut() {
            if let State::Running(reader) = state {
                end(reader, ready);
                reader.began = false;
            }
        }
    }

    pub(super) async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let (Some(place), Some(beginning)) = (self.place(&checkpoint.lane), &self.beginning) else {
            // Another member has it, and commits.
            return Ok(());
        };
        let committed = checkpoint.position.offset;
        let releasing = matches!(self.lanes.get(&place), Some(State::Releasing { next, .. }) if *next <= committed);
        let done = beginning.consumer.commit(&place, committed, releasing).await;
        if releasing {
            self.lanes.remove(&place);
        }
        match done {
            // The sinks know how far the lane is; the group is told with the next commit, or by the lane's next owner.
            Err(error) if error.retry() != RetryAdvice::Never || error.kind() == ErrorKind::Fenced => {
                tracing::debug!(%error, "kafka: an offset was not committed");
                Ok(())
            }
            done => done,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let behind = !self.have_caught_up();
        let total = self.total.max(self.done) + u64::from(behind && self.done >= self.total);
        Progress {
            done: if behind { self.done } else { total },
            total: Some(total),
            unit: "messages",
        }
    }

    /// How many offsets each lane is behind its partition's end.
    pub(super) fn lag(&self) -> Vec<(Lane, u64)> {
        let Some(beginning) = &self.beginning else {
            return Vec::new();
        };
        let ends = beginning.consumer.ends();
        let lag = |(place, state): (&TopicPartition, &State)| match state {
            // Behind the last message there may be the mark of a transaction.
            State::Running(reader) if reader.at_end => Some((reader.lane.clone(), 0)),
            State::Running(reader) | State::Starting(reader, LookUp { goes_on: true, .. }) => {
                let end = ends.get(place)?;
                Some((reader.lane.clone(), end.saturating_sub(reader.next)))
            }
            _ => None,
        };
        self.lanes.iter().filter_map(lag).collect()
    }
}

/// Ends a lane that is at work.
fn end(reader: &Reader, ready: &mut VecDeque<Batch>) {
    if reader.began {
        ready.push_back(Batch::end(reader.lane.clone(), reader.position(), LaneEnd::Revoked));
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a topic may be unknown that the group gives partitions of: a broker that has just been started knows of none.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Asks where the lane goes on, and begins there; again and again while the brokers do not answer, or while another process takes
/// the lane up as well.
async fn begin(
    consumer: &Arc<Consumer>,
    place: TopicPartition,
    from: Option<u64>,
    start: Arc<Start>,
    resume: &dyn Resume,
    lane: &Lane,
) -> Result<(Begun, Option<Arc<str>>)> {
    let (mut pause, began) = (Duration::from_millis(50), Instant::now());
    loop {
        let held = match from {
            Some(from) => Ok(Some(Position::at(from))),
            None => resume
                .checkpoint(lane)
                .await
                .map(|held| held.map(|held| held.position.clone())),
        };
        let error = match held {
            Ok(held) => match take_up(consumer, place.clone(), held, Arc::clone(&start)).await {
                Err(error) if error.retry() != RetryAdvice::Never => error,
                Err(error) if error.kind() == ErrorKind::Schema && began.elapsed() < UNKNOWN => error,
                begun => return begun,
            },
            Err(error) if error.kind() == ErrorKind::Fenced => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(%error, ?pause, "kafka: trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn take_up(
    consumer: &Arc<Consumer>,
    place: TopicPartition,
    held: Option<Position>,
    start: Arc<Start>,
) -> Result<(Begun, Option<Arc<str>>)> {
    let stored = held.as_ref().map(|position| Stored {
        next: position.offset,
        with_last: position.detail.is_some(),
    });
    let begun = consumer.begin(place, stored, start).await?;
    Ok((begun, held.and_then(|position| position.detail)))
}

/// Tells of messages that were removed unread.
fn gap(place: &TopicPartition, begun: Begun) -> Result<Batch> {
    let named = |error: qicore_data::NameError| Error::new(ErrorKind::Internal, "kafka.gap", error.to_string());
    let now = Timestamp::now();
    let gap = Gap {
        from: Timestamp::UNKNOWN,
        to: now,
        reason: GapReason::Provider,
        missed: Some(begun.missed),
    };
    let from = begun.next - begun.missed;
    tracing::warn!(partition = %place, from, to = begun.next, "kafka: messages were removed before they were read");
    let exchange = Exchange::new("kafka").map_err(named)?;
    let name = place.to_string();
    // A topic's name may be longer than a symbol can be. It is of ASCII letters.
    let symbol = Symbol::new(&name).or_else(|_| Symbol::new(&name[name.len().saturating_sub(64)..]));
    let symbol = symbol.map_err(named)?;
    let source = Label::new("kafka").map_err(named)?;
    let event = Event::new(exchange, symbol, now, source, gap);
    Ok(Batch::events(lane_of(place), vec![event], Position::at(begun.next)))
}
