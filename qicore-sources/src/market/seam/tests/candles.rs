//! Candles, whatever happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use qicore_data::Event;

use super::super::Grid;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Trades(u64),
    /// The bar so many before the current one gets a late trade.
    Revise(usize),
    Deliver(usize),
    Swap(usize),
    Repeat(usize),
    Disconnect,
    Connect,
    /// Percent of a bar.
    Time(i64),
    Serve(usize),
    Receive(usize),
    Fail,
    Store,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1u64..4).prop_map(Step::Trades),
        1 => (1usize..4).prop_map(Step::Revise),
        10 => (1usize..8).prop_map(Step::Deliver),
        1 => (0usize..4).prop_map(Step::Swap),
        1 => (0usize..4).prop_map(Step::Repeat),
        2 => Just(Step::Disconnect),
        3 => Just(Step::Connect),
        12 => prop_oneof![4 => 1i64..60, 1 => 60i64..300].prop_map(Step::Time),
        5 => (1usize..8).prop_map(Step::Serve),
        5 => (1usize..4).prop_map(Step::Receive),
        1 => Just(Step::Fail),
        4 => Just(Step::Store),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It says when a bar is over, and sends empty ones.
    Closes,
    /// It sends the states of open bars.
    States,
    /// It sends nothing.
    Polled,
}

#[derive(Debug, Clone)]
struct Setting {
    kind: Kind,
    timeframe: Timeframe,
    waiting: usize,
    /// In percent of a bar from the start.
    since: Option<i64>,
    /// By how much this host's clock is ahead, in seconds.
    skew: i64,
    /// By how much the history is behind, in seconds.
    lag: i64,
    /// Bars that the history does not have, by number.
    lost: std::ops::Range<usize>,
    /// The history has bars without a trade, though they are not sent.
    tells_empty: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    let timeframe = prop_oneof![
        4 => Just(Timeframe::M1),
        1 => Just(Timeframe::M5),
        1 => Just(Timeframe::W1),
        1 => Just(Timeframe::Mo1),
    ];
    (
        prop_oneof![Just(Kind::Closes), Just(Kind::States), Just(Kind::Polled)],
        timeframe,
        prop_oneof![Just(3usize), Just(100_000)],
        proptest::option::of(-50i64..200),
        prop_oneof![2 => Just(0i64), 1 => -240i64..240],
        0i64..20,
        prop_oneof![3 => Just(0..0), 1 => (1usize..10, 1usize..4).prop_map(|(from, count)| from..from + count)],
        any::<bool>(),
    )
        .prop_map(
            |(kind, timeframe, waiting, since, skew, lag, lost, tells_empty)| Setting {
                kind,
                timeframe,
                waiting,
                since,
                skew,
                lag,
                lost: if kind == Kind::Closes { lost } else { 0..0 },
                tells_empty,
            },
        )
}

struct World {
    bench: Bench,
    setting: Setting,
    grid: Grid,
    /// A percent of a bar.
    percent: i64,
    now: i64,
    /// The number of trades of each bar from the first on; the last one is open.
    bars: Vec<(i64, u64)>,
    connected: bool,
    queue: VecDeque<Event>,
    pages: VecDeque<Option<Vec<Event>>>,
    served: i64,
    since: Option<i64>,
    /// Whether each revision has arrived, and what was put out is remembered.
    faithful: bool,
    ticks: i64,
}

impl World {
    fn new(setting: Setting) -> Self {
        let sends = setting.kind == Kind::Closes;
        let rules = rules(Order::Strict, setting.waiting, (sends, sends));
        let grid = Grid::new(setting.timeframe, rules.candles.week);
        let start = grid.floor(at(1_700_000_000 * SECOND));
        let percent = (grid.next(start).nanos() - start.nanos()) / 100;
        let start = start.nanos();
        let since = setting.since.map(|since| start + since * percent);
        Self {
            bench: Bench::new(
                Channel::Candles(setting.timeframe),
                setting.kind == Kind::Polled,
                rules,
                since,
            ),
            grid,
            percent,
            now: start + percent,
            bars: vec![(start, 0)],
            connected: setting.kind != Kind::Polled,
            queue: VecDeque::new(),
            pages: VecDeque::new(),
            served: 0,
            since,
            faithful: true,
            ticks: 0,
            setting,
        }
    }

    fn bar(&self, at: usize, closed: bool) -> Event {
        bar(self.setting.timeframe, self.bars[at].0, self.bars[at].1, closed)
    }

    fn send(&mut self, at: usize, closed: bool) -> bool {
        if self.connected {
            let event = self.bar(at, closed);
            self.queue.push_back(event);
        }
        self.connected
    }

    /// Time passes, for the venue and then for the seam.
    fn pass(&mut self, nanos: i64) {
        self.now += nanos;
        loop {
            let last = self.bars.len() - 1;
            let end = self.grid.next(at(self.bars[last].0)).nanos();
            if end > self.now {
                break;
            }
            if self.setting.kind == Kind::Closes {
                self.send(last, true);
            }
            self.bars.push((end, 0));
        }
        self.ticks += 1;
        self.bench.tick(self.now + self.setting.skew * SECOND);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Trades(count) => {
                for _ in 0..count {
                    let last = self.bars.len() - 1;
                    self.bars[last].1 += 1;
                    self.send(last, false);
                }
            }
            Step::Revise(back) if back < self.bars.len() => {
                let at = self.bars.len() - 1 - back;
                // By a clock that is behind, a late change of an old bar is one of the present: see `CandleSeam::current`.
                let unclear = self.setting.kind == Kind::States && self.setting.skew < 0;
                if self.bars[at].1 > 0 && !unclear {
                    self.bars[at].1 += 1;
                    self.faithful &= self.send(at, self.setting.kind == Kind::Closes);
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
            Step::Disconnect if self.setting.kind != Kind::Polled => {
                self.lose();
                self.bench.disrupted();
            }
            Step::Connect if !self.connected && self.setting.kind != Kind::Polled => {
                self.connected = true;
                self.bench.disrupted();
            }
            Step::Time(percent) => self.pass(percent * self.percent),
            Step::Serve(rows) => self.serve(rows),
            Step::Receive(count) => (0..count).for_each(|_| self.receive()),
            Step::Fail if self.bench.asked.is_some() => {
                self.forget();
                self.bench.failed(self.now + (self.setting.skew + 5) * SECOND);
            }
            Step::Store => self.bench.store(),
            Step::Crash => {
                self.bench.crash();
                self.forget();
                self.lose();
                self.faithful = false;
            }
            _ => {}
        }
    }

    /// The connection is lost, with all that is under way.
    fn lose(&mut self) {
        let current = self.bars[self.bars.len() - 1].0;
        self.faithful &= self.queue.iter().all(|event| event.timestamp.nanos() >= current);
        self.queue.clear();
        self.connected = false;
    }

    fn forget(&mut self) {
        self.pages.clear();
        self.served = 0;
    }

    fn serve(&mut self, rows: usize) {
        let Some(range) = self.bench.asked.filter(|_| !matches!(self.pages.back(), Some(None))) else {
            return;
        };
        let view = self.now - self.setting.lag * SECOND;
        let empty = self.setting.kind == Kind::Closes || self.setting.tells_empty;
        let has = |(number, (open, trades)): &(usize, &(i64, u64))| {
            let there = *open <= view && (*trades > 0 || empty) && !self.setting.lost.contains(number);
            there && *open >= self.served && range.contains(&Mark::at(at(*open)))
        };
        let page: Vec<_> = self
            .bars
            .iter()
            .enumerate()
            .filter(has)
            .take(rows)
            .map(|(number, (open, _))| self.bar(number, self.grid.next(at(*open)).nanos() <= view))
            .collect();
        let full = page.len() == rows;
        self.served = page.last().map_or(self.served, |last| last.timestamp.nanos() + 1);
        self.pages.push_back(Some(page));
        if !full {
            self.pages.push_back(None);
        }
    }

    fn receive(&mut self) {
        match self.pages.pop_front() {
            Some(Some(page)) => self.bench.page(page),
            Some(None) => {
                self.served = 0;
                self.bench.told();
            }
            None => {}
        }
    }

    fn settle(&mut self) {
        self.step(&Step::Connect);
        let (asks, bars) = (self.bench.asks, self.bars.len());
        let mut rounds = 0;
        // As long as anything may be in doubt, and the clocks may differ, and some bars.
        let end = (self.now + 1500 * SECOND).max(self.now + 400 * self.percent);
        while self.now < end {
            self.pass((self.percent * 10).min(self.percent * 100));
            rounds += 1;
            self.step(&Step::Deliver(usize::MAX));
            self.serve(50);
            self.receive();
            self.receive();
        }
        let (asks, bars) = (self.bench.asks - asks, self.bars.len() - bars);
        assert!(asks <= 30 + 2 * bars + rounds / 4, "{asks} asks for {bars} bars");
    }

    fn check(&self) {
        // A clock that is ahead may take an open bar for over; what comes later of it is a revision.
        let early = self.setting.kind == Kind::States && self.setting.skew > 0;
        let mut last: BTreeMap<i64, (u64, u32)> = BTreeMap::new();
        let mut edge = i64::MIN;
        let mut gaps = Vec::new();
        for event in &self.bench.events {
            if let Some(gap) = gap(event) {
                assert!(gap.from.nanos() >= edge);
                edge = gap.to.nanos();
                gaps.push(gap.clone());
                continue;
            }
            let Data::Candle(candle) = &event.data else {
                panic!("{event:?}")
            };
            let open = event.timestamp.nanos();
            assert!(candle.closed);
            if candle.revision == 0 {
                assert!(
                    open >= edge && !last.contains_key(&open),
                    "doubled or out of order: {event:?}"
                );
                edge = open + 1;
            } else {
                let known = last[&open];
                assert_eq!(known.1 + 1, candle.revision);
                assert!(known.0 < candle.trades.unwrap());
            }
            last.insert(open, (candle.trades.unwrap(), candle.revision));
        }
        let end = self.now - (600 + self.setting.skew.abs()) * SECOND;
        let empty = self.setting.kind == Kind::Closes;
        let first = match self.since {
            Some(since) => Some(self.grid.ceil(at(since)).nanos()),
            None => {
                let gaps = gaps.iter().map(|gap| gap.from.nanos());
                last.keys().copied().chain(gaps).min()
            }
        };
        let wanted = self.bars.iter().enumerate().filter(|(_, (open, trades))| {
            let over = self.grid.next(at(*open)).nanos() <= end;
            over && (*trades > 0 || empty) && first.is_some_and(|first| *open >= first)
        });
        let mut missed = BTreeSet::new();
        for (number, (open, trades)) in wanted {
            let Some((told, _)) = last.remove(open) else {
                assert!(self.setting.lost.contains(&number), "bar {number} is missing");
                missed.insert(*open);
                continue;
            };
            assert!(told <= *trades && (told > 0 || empty));
            assert!(
                !self.faithful || early || told == *trades,
                "bar {number}: {told} of {trades}"
            );
        }
        let there = |open: &i64| {
            self.bars
                .iter()
                .any(|(known, trades)| known == open && (*trades > 0 || empty))
        };
        assert!(last.keys().all(there), "not of this world: {last:?}");
        let told: u64 = gaps.iter().map(|gap| gap.missed.unwrap()).sum();
        assert_eq!(told, missed.len() as u64, "{gaps:?}");
        for open in missed {
            assert!(gaps.iter().any(|gap| gap.from.nanos() <= open && open < gap.to.nanos()));
        }
    }
}

proptest! {
    // What fails goes to the plain tests as an example; no files of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_bar_comes_once(setting in setting(), steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new(setting);
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }
}
