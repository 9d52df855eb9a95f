//! What a pipeline counts while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use qicore_data::{Checksum, Data, Event, EventType, Instruments, Lane, Progress, Tables};

const KINDS: usize = EventType::ALL.len();

/// A count that several tasks add to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: usize) {
        if n > 0 {
            self.0.fetch_add(n as u64, Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The lag of a lane where it is not known.
const UNKNOWN: u64 = u64::MAX;

/// Counts of one lane.
#[derive(Debug)]
pub(crate) struct LaneCounts {
    pub(crate) messages: Count,
    pub(crate) control: Count,
    pub(crate) rejected: Count,
    pub(crate) offset: AtomicU64,
    lag: AtomicU64,
    read: [Count; KINDS],
    written: [Count; KINDS],
    checksums_ok: Count,
    checksums_failed: Count,
}

impl Default for LaneCounts {
    fn default() -> Self {
        Self {
            messages: Count::default(),
            control: Count::default(),
            rejected: Count::default(),
            offset: AtomicU64::default(),
            lag: AtomicU64::new(UNKNOWN),
            read: Default::default(),
            written: Default::default(),
            checksums_ok: Count::default(),
            checksums_failed: Count::default(),
        }
    }
}

impl LaneCounts {
    /// Counts what came from the source, after decoding.
    pub(crate) fn read(&self, events: &[Event]) {
        let mut kinds = [0; KINDS];
        let (mut ok, mut failed) = (0, 0);
        for event in events {
            kinds[event.event_type().index()] += 1;
            if let Data::Book(book) = &event.data {
                match book.checksum {
                    Some(Checksum::Ok) => ok += 1,
                    Some(_) => failed += 1,
                    None => {}
                }
            }
        }
        self.checksums_ok.add(ok);
        self.checksums_failed.add(failed);
        add_all(&self.read, kinds);
    }

    /// Counts what goes to the sinks, after the transforms.
    pub(crate) fn written(&self, events: &[Event]) {
        let mut kinds = [0; KINDS];
        for event in events {
            kinds[event.event_type().index()] += 1;
        }
        add_all(&self.written, kinds);
    }

    fn snapshot(&self) -> LaneStats {
        let table = |counts: &[Count; KINDS]| {
            let counted = EventType::ALL.iter().map(|kind| (*kind, counts[kind.index()].get()));
            counted.filter(|(_, count)| *count > 0).collect()
        };
        LaneStats {
            messages: self.messages.get(),
            control: self.control.get(),
            rejected: self.rejected.get(),
            offset: self.offset.load(Relaxed),
            lag: Some(self.lag.load(Relaxed)).filter(|lag| *lag != UNKNOWN),
            read: table(&self.read),
            written: table(&self.written),
            checksums_ok: self.checksums_ok.get(),
            checksums_failed: self.checksums_failed.get(),
        }
    }
}

fn add_all(counts: &[Count; KINDS], by: [usize; KINDS]) {
    for (count, by) in counts.iter().zip(by) {
        count.add(by);
    }
}

/// Counts of one stage over all lanes.
#[derive(Debug, Default)]
pub(crate) struct StageCounts {
    pub(crate) taken: Count,
    pub(crate) given: Count,
    pub(crate) rejected: Count,
}

/// Counts of one sink over all lanes.
#[derive(Debug, Default)]
pub(crate) struct SinkCounts {
    pub(crate) rows: Count,
    pub(crate) deliveries: Count,
    pub(crate) rejected: Count,
    pub(crate) skipped: Count,
    pub(crate) failures: Count,
    pub(crate) open: AtomicBool,
}

/// Counts of one table.
#[derive(Debug, Default)]
pub(crate) struct TableCounts {
    pub(crate) table: Instruments,
    pub(crate) updates: Count,
    pub(crate) ignored: Count,
    pub(crate) rejected: Count,
    pub(crate) failures: Count,
    caught_up: AtomicBool,
}

impl TableCounts {
    pub(crate) fn caught_up(&self) {
        self.caught_up.store(true, Relaxed);
    }

    fn snapshot(&self, name: &str) -> TableStats {
        TableStats {
            name: name.to_owned(),
            instruments: self.table.len() as u64,
            updates: self.updates.get(),
            ignored: self.ignored.get(),
            rejected: self.rejected.get(),
            failures: self.failures.get(),
            caught_up: self.caught_up.load(Relaxed),
        }
    }
}

/// The counts of a running pipeline.
#[derive(Debug)]
pub(crate) struct Counts {
    started: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    lanes: Mutex<BTreeMap<Lane, Arc<LaneCounts>>>,
    pub(crate) stages: Vec<(String, StageCounts)>,
    pub(crate) sinks: Vec<(String, SinkCounts)>,
    /// In the order of their names.
    pub(crate) tables: Vec<(String, Arc<TableCounts>)>,
    pub(crate) commits: Count,
    pub(crate) source_failures: Count,
    pub(crate) given_up: Count,
    finished_before: Count,
    progress: Mutex<Option<Progress>>,
}

impl Counts {
    pub(crate) fn new(stages: Vec<String>, sinks: Vec<String>, tables: &Tables) -> Self {
        let table = |(name, table): (&str, &Instruments)| {
            let counts = TableCounts {
                table: table.clone(),
                ..TableCounts::default()
            };
            (name.to_owned(), Arc::new(counts))
        };
        Self {
            started: OnceLock::new(),
            ended: OnceLock::new(),
            lanes: Mutex::default(),
            stages: stages.into_iter().map(|name| (name, StageCounts::default())).collect(),
            sinks: sinks.into_iter().map(|name| (name, SinkCounts::default())).collect(),
            tables: tables.iter().map(table).collect(),
            commits: Count::default(),
            source_failures: Count::default(),
            given_up: Count::default(),
            finished_before: Count::default(),
            progress: Mutex::default(),
        }
    }

    pub(crate) fn started(&self) {
        self.started.get_or_init(Instant::now);
    }

    pub(crate) fn ended(&self) {
        self.ended.get_or_init(Instant::now);
    }

    fn elapsed(&self) -> Duration {
        let end = self.ended.get().copied().unwrap_or_else(Instant::now);
        self.started
            .get()
            .map_or(Duration::ZERO, |start| end.duration_since(*start))
    }

    pub(crate) fn lane(&self, lane: &Lane) -> Arc<LaneCounts> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(lane.clone()).or_default())
    }

    /// Takes note of a lane whose checkpoint says that it is finished, unless it was this run that finished it.
    pub(crate) fn found_finished(&self, lane: &Lane) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        self.finished_before.add(usize::from(!lanes.contains_key(lane)));
    }

    pub(crate) fn progressed(&self, progress: Option<Progress>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Takes note of how far behind lanes are: those that are told of, and no others.
    pub(crate) fn lag(&self, lags: Vec<(Lane, u64)>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for counts in lanes.values() {
            counts.lag.store(UNKNOWN, Relaxed);
        }
        for (lane, lag) in lags {
            lanes.entry(lane).or_default().lag.store(lag, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = |(name, counts): &(String, StageCounts)| StageStats {
            name: name.clone(),
            taken: counts.taken.get(),
            given: counts.given.get(),
            rejected: counts.rejected.get(),
        };
        let sink = |(name, counts): &(String, SinkCounts)| SinkStats {
            name: name.clone(),
            rows: counts.rows.get(),
            deliveries: counts.deliveries.get(),
            rejected: counts.rejected.get(),
            skipped: counts.skipped.get(),
            failures: counts.failures.get(),
            breaker_open: counts.open.load(Relaxed),
        };
        Stats {
            elapsed: self.elapsed(),
            lanes: lanes
                .iter()
                .map(|(lane, counts)| (lane.clone(), counts.snapshot()))
                .collect(),
            stages: self.stages.iter().map(stage).collect(),
            sinks: self.sinks.iter().map(sink).collect(),
            tables: self.tables.iter().map(|(name, counts)| counts.snapshot(name)).collect(),
            commits: self.commits.get(),
            source_failures: self.source_failures.get(),
            given_up: self.given_up.get(),
            finished_before: self.finished_before.get(),
            progress: *self.progress.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// A moment's view of a pipeline's counts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stats {
    /// Time from the start to the end, or until now.
    pub elapsed: Duration,
    /// By lane.
    pub lanes: BTreeMap<Lane, LaneStats>,
    /// By transform, in the order of the chain.
    pub stages: Vec<StageStats>,
    /// By sink.
    pub sinks: Vec<SinkStats>,
    /// By table, in the order of their names.
    pub tables: Vec<TableStats>,
    /// Checkpoints committed.
    pub commits: u64,
    /// Reads of the source that failed and were tried again.
    pub source_failures: u64,
    /// Lanes that were given up, since another process had taken them over.
    pub given_up: u64,
    /// Lanes that an earlier run had finished. They are not read again, unless there is more of them now.
    pub finished_before: u64,
    /// How far the source has come, if it knows.
    pub progress: Option<Progress>,
}

/// Counts of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Frames decoded, or events taken where the source gives events.
    pub messages: u64,
    /// Frames that were acknowledgements, heartbeats, statuses.
    pub control: u64,
    /// Frames and events that went to the dead letters before the sinks.
    pub rejected: u64,
    /// The last offset processed.
    pub offset: u64,
    /// How many messages the source has before it, where it can know (a broker).
    pub lag: Option<u64>,
    /// Events after decoding, by type.
    pub read: BTreeMap<EventType, u64>,
    /// Events after the transforms, by type.
    pub written: BTreeMap<EventType, u64>,
    /// Order books that agreed with the venue's checksum.
    pub checksums_ok: u64,
    /// Order books that did not.
    pub checksums_failed: u64,
}

/// Counts of a transform.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageStats {
    /// Its name.
    pub name: String,
    /// Events in.
    pub taken: u64,
    /// Events out.
    pub given: u64,
    /// Events refused.
    pub rejected: u64,
}

/// Counts of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStats {
    /// Its name.
    pub name: String,
    /// Rows written, durable or staged.
    pub rows: u64,
    /// Successful writes.
    pub deliveries: u64,
    /// Rows that the store refused.
    pub rejected: u64,
    /// Rows that the store already had from an earlier run.
    pub skipped: u64,
    /// Calls that failed and were tried again.
    pub failures: u64,
    /// Whether its circuit breaker is open now.
    pub breaker_open: bool,
}

/// Counts of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStats {
    /// Its name.
    pub name: String,
    /// Instruments that it holds.
    pub instruments: u64,
    /// Descriptions of instruments read, new or known.
    pub updates: u64,
    /// Events of other kinds, which were left out.
    pub ignored: u64,
    /// Frames that went to the dead letters.
    pub rejected: u64,
    /// Reads of its source that failed and were tried again.
    pub failures: u64,
    /// Whether it has been read to what was its source's end at the start.
    pub caught_up: bool,
}

impl Stats {
    /// The counts of all lanes together.
    pub fn total(&self) -> LaneStats {
        self.lanes.values().fold(LaneStats::default(), |mut sum, lane| {
            sum.messages += lane.messages;
            sum.control += lane.control;
            sum.rejected += lane.rejected;
            sum.offset = sum.offset.max(lane.offset);
            sum.lag = lane.lag.map_or(sum.lag, |lag| Some(sum.lag.unwrap_or(0) + lag));
            sum.checksums_ok += lane.checksums_ok;
            sum.checksums_failed += lane.checksums_failed;
            for (sums, counts) in [(&mut sum.read, &lane.read), (&mut sum.written, &lane.written)] {
                for (kind, count) in counts {
                    *sums.entry(*kind).or_default() += count;
                }
            }
            sum
        })
    }
}

impl LaneStats {
    /// Events after decoding.
    pub fn events(&self) -> u64 {
        self.read.values().sum()
    }
}
