//! Trades, whatever happens.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range as Ids;

use proptest::prelude::*;
use qicore_data::Event;

use super::*;

const START: i64 = 1_700_000_000 * SECOND;
const FIRST: u64 = 1000;

#[derive(Debug, Clone)]
enum Step {
    Trades(u64, i64),
    Deliver(usize),
    Swap(usize),
    Repeat(usize),
    Disconnect,
    Connect(usize),
    Time(i64),
    Serve(usize, usize),
    Receive(usize),
    Fail,
    Store,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u64..5, 0i64..3).prop_map(|(count, seconds)| Step::Trades(count, seconds * SECOND)),
        8 => (1usize..6).prop_map(Step::Deliver),
        2 => (0usize..4).prop_map(Step::Swap),
        1 => (0usize..4).prop_map(Step::Repeat),
        2 => Just(Step::Disconnect),
        3 => (0usize..6).prop_map(Step::Connect),
        6 => (1i64..8000).prop_map(|millis| Step::Time(millis * 1_000_000)),
        5 => (1usize..8, 0usize..3).prop_map(|(rows, again)| Step::Serve(rows, again)),
        5 => (1usize..4).prop_map(Step::Receive),
        1 => Just(Step::Fail),
        4 => Just(Step::Store),
        1 => Just(Step::Crash),
    ]
}

/// How the venue and the seam are.
#[derive(Debug, Clone)]
struct Setting {
    order: Order,
    waiting: usize,
    /// Seconds from the start.
    since: Option<i64>,
    /// By how much this host's clock is ahead.
    skew: i64,
    /// By how much the history is behind.
    lag: i64,
    /// What the history does not have.
    lost: Ids<u64>,
}

fn setting() -> impl Strategy<Value = Setting> {
    (
        prop_oneof![Just(Order::Strict), Just(Order::LiveFirst)],
        prop_oneof![Just(3usize), Just(100_000)],
        proptest::option::of(-5i64..30),
        prop_oneof![Just(0i64), -300i64..300],
        0i64..4,
        prop_oneof![3 => Just(0..0), 1 => (1u64..60, 1u64..12).prop_map(|(from, count)| FIRST + from..FIRST + from + count)],
    )
        .prop_map(|(order, waiting, since, skew, lag, lost)| Setting {
            order,
            waiting,
            since: since.map(|seconds| START + seconds * SECOND),
            skew: skew * SECOND,
            lag: lag * SECOND,
            lost,
        })
}

struct World {
    bench: Bench,
    setting: Setting,
    now: i64,
    trades: Vec<Event>,
    connected: bool,
    /// Messages under way.
    queue: VecDeque<Event>,
    /// Pages under way; `None` when all is told.
    pages: VecDeque<Option<Vec<Event>>>,
    /// Behind the last row that was served.
    served: Option<u64>,
}

impl World {
    fn new(setting: Setting) -> Self {
        let rules = rules(setting.order, setting.waiting, (true, true));
        Self {
            bench: Bench::new(Channel::Trades, false, rules, setting.since),
            setting,
            now: START,
            trades: Vec::new(),
            connected: true,
            queue: VecDeque::new(),
            pages: VecDeque::new(),
            served: None,
        }
    }

    fn pass(&mut self, nanos: i64) {
        self.now += nanos;
        self.bench.tick(self.now + self.setting.skew);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Trades(count, nanos) => {
                for _ in 0..count {
                    self.now += nanos;
                    let trade = trade(FIRST + self.trades.len() as u64, self.now);
                    if self.connected {
                        self.queue.push_back(trade.clone());
                    }
                    self.trades.push(trade);
                }
            }
            Step::Deliver(count) => {
                for event in self.queue.drain(..count.min(self.queue.len())).collect::<Vec<_>>() {
                    self.bench.live(event);
                }
            }
            Step::Swap(at) if at + 1 < self.queue.len() => self.queue.swap(at, at + 1),
            Step::Repeat(at) if at < self.queue.len() => {
                let again = self.queue[0].clone();
                self.queue.insert(at + 1, again);
            }
            Step::Disconnect => {
                self.connected = false;
                self.queue.clear();
                self.bench.disrupted();
            }
            Step::Connect(replay) if !self.connected => {
                self.connected = true;
                let from = self.trades.len().saturating_sub(replay);
                self.queue.extend(self.trades[from..].iter().cloned());
                self.bench.disrupted();
            }
            Step::Time(nanos) => self.pass(nanos),
            Step::Serve(rows, again) => self.serve(rows, again),
            Step::Receive(count) => (0..count).for_each(|_| self.receive()),
            Step::Fail if self.bench.asked.is_some() => {
                self.forget();
                self.bench.failed(self.now + self.setting.skew + 5 * SECOND);
            }
            Step::Store => self.bench.store(),
            Step::Crash => {
                self.bench.crash();
                self.forget();
                self.queue.clear();
                self.connected = false;
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.pages.clear();
        self.served = None;
    }

    /// The venue answers with a page, which repeats some rows of the one before.
    fn serve(&mut self, rows: usize, again: usize) {
        let Some(range) = self.bench.asked.filter(|_| !matches!(self.pages.back(), Some(None))) else {
            return;
        };
        let from = self.served.unwrap_or(0).saturating_sub(again as u64);
        let has = |event: &&Event| {
            let id = id(event).unwrap();
            let there = event.timestamp.nanos() + self.setting.lag <= self.now && !self.setting.lost.contains(&id);
            there && id >= from && range.contains(&crate::market::place(event))
        };
        let page: Vec<_> = self.trades.iter().filter(has).take(rows + again).cloned().collect();
        let full = page.len() == rows + again;
        self.served = page.last().and_then(id).map(|id| id + 1).or(self.served);
        self.pages.push_back(Some(page));
        if !full {
            self.pages.push_back(None);
        }
    }

    fn receive(&mut self) {
        match self.pages.pop_front() {
            Some(Some(page)) => self.bench.page(page),
            Some(None) => {
                self.served = None;
                self.bench.told();
            }
            None => {}
        }
    }

    /// All that is under way arrives, and time passes.
    fn settle(&mut self) {
        self.step(&Step::Connect(0));
        self.step(&Step::Deliver(usize::MAX));
        let before = self.bench.asks;
        for _ in 0..400 {
            self.pass(SECOND);
            self.serve(50, 0);
            self.receive();
            self.receive();
        }
        let asks = self.bench.asks - before;
        // Each part of what is lost for good is asked for over a minute.
        assert!(asks <= 120, "{asks} asks in 400 s");
    }

    /// The ids that are to come: from the first that was wanted, or else from the first that came.
    fn wanted(&self) -> BTreeSet<u64> {
        let ids = self.bench.events.iter().filter_map(id);
        let first = match self.setting.since {
            Some(since) => {
                let later = self.trades.iter().filter(|trade| trade.timestamp.nanos() >= since);
                later.filter_map(id).next()
            }
            None if self.setting.order == Order::Strict => ids.clone().next(),
            None => ids.min(),
        };
        let end = FIRST + self.trades.len() as u64;
        first.map(|first| (first..end).collect()).unwrap_or_default()
    }

    fn check(&self) {
        let events = &self.bench.events;
        let ids: Vec<_> = events.iter().filter_map(id).collect();
        let came: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(ids.len(), came.len(), "doubled: {ids:?}");
        let wanted = self.wanted();
        assert!(came.is_subset(&wanted), "not wanted: {:?}", came.difference(&wanted));
        let missed: Vec<_> = wanted.difference(&came).copied().collect();
        assert!(
            missed.iter().all(|id| self.setting.lost.contains(id)),
            "lost: {missed:?}; came {ids:?}"
        );
        let told: u64 = events.iter().filter_map(gap).map(|gap| gap.missed.unwrap()).sum();
        // What lies before the first trade of all, or behind the last, is not known to be missing.
        let between = |id: &&u64| came.first().is_some_and(|first| first < *id) && came.last() > Some(*id);
        let known = missed.iter().filter(between).count() as u64;
        assert!(
            known <= told && told <= missed.len() as u64,
            "{known} known, gaps: {:?}",
            events.iter().filter_map(gap).collect::<Vec<_>>()
        );
        assert!(events.iter().filter_map(gap).count() <= 1.max(missed.len()));
        match self.setting.order {
            Order::Strict => self.check_order(),
            Order::LiveFirst => check_holes(&ids),
        }
    }

    /// Everything is in order, and each gap is where something is missing.
    fn check_order(&self) {
        let time = |id: u64| self.trades[(id - FIRST) as usize].timestamp;
        let mut last: Option<u64> = None;
        let mut gaps: Vec<&Gap> = Vec::new();
        for event in &self.bench.events {
            if let Some(gap) = gap(event) {
                gaps.push(gap);
                continue;
            }
            let id = id(event).unwrap();
            if let Some(last) = last {
                let missed: u64 = gaps.iter().map(|gap| gap.missed.unwrap()).sum();
                assert_eq!(last + 1 + missed, id, "after {last} comes {id}");
                // What was given up ends with the last trade that was seen.
                let ends = time(id - 1)..=time(id);
                assert!(gaps.first().is_none_or(|gap| gap.from == time(last)));
                assert!(gaps.last().is_none_or(|gap| ends.contains(&gap.to)));
                assert!(gaps.windows(2).all(|pair| pair[0].to == pair[1].from));
            }
            last = Some(id);
            gaps.clear();
        }
    }
}

/// What came later than a trade behind it came in order where it is one stretch.
fn check_holes(ids: &[u64]) {
    let mut edge = 0;
    let late: Vec<_> = ids
        .iter()
        .filter(|id| {
            let late = **id < edge;
            edge = edge.max(**id);
            late
        })
        .collect();
    for (at, id) in late.iter().enumerate() {
        assert!(
            !late[..at].contains(&&(**id + 1)),
            "{id} came after the one behind it: {ids:?}"
        );
    }
}

proptest! {
    // What fails goes to the plain tests as an example; no files of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_trade_comes_once(setting in setting(), steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new(setting);
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }
}
