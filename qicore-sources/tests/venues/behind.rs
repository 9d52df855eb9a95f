//! Sinks that are not equally far when a live source goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Content, Data, ErrorKind, Event, Lane, Offsets, Position, Result, Resume, Source,
    Symbol, Timeframe, Timestamp,
};
use qicore_localvenue::{Limits, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market};
use tokio::time::timeout;

use crate::common::{PATIENCE, consecutive, each_venue, ids, opened, source, venue};

/// What the sinks hold; with one that holds nothing, or without.
struct Held(Vec<Arc<Checkpoint>>, bool);

#[async_trait]
impl Resume for Held {
    async fn checkpoint(&self, _lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        Ok(self.0.first().filter(|_| !self.1).cloned())
    }

    async fn held(&self, _lane: &Lane) -> Result<Vec<Arc<Checkpoint>>> {
        Ok(self.0.clone())
    }
}

fn events(batch: &Batch) -> (&[Event], &Offsets) {
    match &batch.content {
        Content::Events(events, offsets) => (events, offsets),
        other => panic!("{other:?}"),
    }
}

async fn next(source: &mut Market) -> Batch {
    let batch = timeout(PATIENCE, source.next_batch(BatchLimit::default())).await;
    batch.expect("in time").unwrap().unwrap()
}

/// What comes until so many events of a kind have.
async fn live(source: &mut Market, count: usize, which: fn(&Data) -> bool) -> Vec<Batch> {
    let (mut batches, mut found) = (Vec::new(), 0);
    while found < count {
        let batch = next(source).await;
        found += events(&batch).0.iter().filter(|event| which(&event.data)).count();
        batches.push(batch);
    }
    batches
}

/// What comes up to the farther position, which who has it passes over.
async fn up_to(farther: &Position, source: &mut Market) -> Vec<Batch> {
    let mut batches = Vec::<Batch>::new();
    while batches.last().is_none_or(|batch| batch.position != *farther) {
        let batch = next(source).await;
        let (events, offsets) = events(&batch);
        assert_eq!(*offsets, Offsets::Each(vec![batch.position.offset; events.len()]));
        assert!(batch.position.offset <= farther.offset);
        batches.push(batch);
    }
    assert!(batches.is_sorted_by_key(|batch| batch.position.offset));
    batches
}

fn all(batches: &[Batch]) -> Vec<Event> {
    batches.iter().flat_map(|batch| events(batch).0.to_vec()).collect()
}

fn gaps(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.data, Data::Gap(_))).count()
}

fn held(batch: &Batch) -> Arc<Checkpoint> {
    Arc::new(Checkpoint::new(batch.lane.clone(), batch.position.clone()))
}

each_venue!(
    the_one_that_is_behind_gets_what_lies_between the_one_that_has_nothing_gets_all
    a_long_life_comes_in_pieces_and_each_can_be_the_last a_channel_that_is_added_meanwhile
    the_bars_at_hand_when_it_began
);

async fn the_one_that_is_behind_gets_what_lies_between(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let channels = [Channel::Trades, Channel::Quotes, Channel::Candles(Timeframe::M1)];
    let new = || source(kind, &venue, 2, &channels);
    let mut first = opened(new()).await;
    let batches = live(&mut first, 200, |data| matches!(data, Data::Trade(_))).await;
    drop(first);
    let (low, high) = (batches.len() / 2, batches.len() - 1);
    let farther = batches[high].position.clone();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut second = new();
    let sinks = vec![held(&batches[low]), held(&batches[high])];
    second.open(Arc::new(Held(sinks, false))).await.unwrap();
    let found = all(&up_to(&farther, &mut second).await);
    assert_eq!(ids(&found), ids(&all(&batches[low + 1..])));
    // Of quotes nothing can be had: one that was behind is told so.
    assert_eq!(gaps(&found), 2);

    let mut all = all(&batches);
    let before = all.len();
    while all.len() < before + 200 {
        let batch = next(&mut second).await;
        assert!(batch.position.offset > farther.offset);
        all.extend_from_slice(events(&batch).0);
    }
    for (symbol, ids) in ids(&all) {
        assert!(consecutive(&ids), "{symbol}: {ids:?}");
    }
}

/// A kill before a sink's first commit leaves it with nothing, where another one has all.
async fn the_one_that_has_nothing_gets_all(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let new = || source(kind, &venue, 2, &[Channel::Trades]);
    let mut first = opened(new()).await;
    let began = Timestamp::now();
    let batches = live(&mut first, 200, |_| true).await;
    drop(first);
    let farther = held(batches.last().unwrap());
    let mut all_of_it = all(&batches);
    let mut second = new();
    let sinks = Held(vec![Arc::clone(&farther)], true);
    second.open(Arc::new(sinks)).await.unwrap();
    let found = ids(&all(&up_to(&farther.position, &mut second).await));
    // What is older than the first run came with its subscription.
    all_of_it.retain(|event| event.timestamp >= began);
    let seen = ids(&all_of_it);
    assert_eq!(seen.len(), 2);
    for (symbol, seen) in seen {
        let found = &found[&symbol];
        assert!(
            consecutive(found) && found.ends_with(&seen),
            "{symbol}: {found:?}, {seen:?}"
        );
    }
}

/// The trades and bars of events, and how many gaps there are.
type Told = (
    BTreeMap<String, Vec<u64>>,
    BTreeSet<(Symbol, Timeframe, Timestamp)>,
    usize,
);

fn told(events: &[Event]) -> Told {
    let mut bars = BTreeSet::new();
    for event in events {
        if let Data::Candle(bar) = &event.data {
            let is_new = bars.insert((event.symbol, bar.timeframe, event.timestamp));
            assert!(is_new, "twice: {event:?}");
        }
    }
    (ids(events), bars, gaps(events))
}

const MINUTES: Duration = Duration::from_secs(700);

async fn with_a_history(kind: VenueKind) -> LocalVenue {
    let limits = Limits::of(kind).without_rest_budget();
    let venue = LocalVenue::builder(kind).trade_interval(Duration::from_millis(100));
    let venue = venue.history(Duration::from_secs(86_400)).limits(limits);
    venue.start().await.unwrap()
}

/// A sink that is added to a pipeline with a history is given it page by page; killed behind any of them, it is given the rest.
async fn a_long_life_comes_in_pieces_and_each_can_be_the_last(kind: VenueKind) {
    let venue = with_a_history(kind).await;
    let from = Timestamp::now().saturating_sub(MINUTES);
    // Coinbase and Kraken have no bars of three minutes.
    let channels = [
        Channel::Trades,
        Channel::Quotes,
        Channel::Candles(Timeframe::M1),
        Channel::Candles(Timeframe::M3),
    ];
    let new = || {
        let mut source = source(kind, &venue, 2, &channels).from(from);
        source.config_mut().limits = Some(Vec::new());
        source
    };
    let mut first = opened(new()).await;
    let batches = live(&mut first, 20, |data| matches!(data, Data::Quote(_))).await;
    drop(first);
    let farther = held(batches.last().unwrap());
    let mut whole = told(&all(&batches));
    assert!(whole.1.len() >= 2 * (10 + 2), "{:?}", whole.1);
    whole.2 = 2;
    let caught_up = async |sinks: Held| {
        let mut source = new();
        source.open(Arc::new(sinks)).await.unwrap();
        up_to(&farther.position, &mut source).await
    };

    let pieces = caught_up(Held(vec![Arc::clone(&farther)], true)).await;
    let found = all(&pieces);
    assert_eq!(told(&found), whole);
    assert!(pieces.len() >= 10, "{}", pieces.len());
    let most = pieces.iter().map(|piece| piece.content.len()).max().unwrap();
    assert!(most <= found.len() / 4, "{most} of {}", found.len());
    // All streams are in one order: none of them is far ahead.
    let mut latest = Timestamp::UNKNOWN;
    for event in found.iter().filter(|event| matches!(event.data, Data::Trade(_))) {
        latest = latest.max(event.timestamp);
        assert!(latest.since(event.timestamp) < Duration::from_secs(2), "{event:?}");
    }
    for kept in [1, pieces.len() / 3, pieces.len() / 2, pieces.len() - 1] {
        let (before, killed) = (all(&pieces[..kept]), held(&pieces[kept - 1]));
        let rest = caught_up(Held(vec![killed, Arc::clone(&farther)], false)).await;
        assert_eq!(told(&[before, all(&rest)].concat()), whole, "after {kept}");
    }
    // And a third one, that has nothing.
    let killed = held(&pieces[pieces.len() / 2]);
    let found = caught_up(Held(vec![killed, Arc::clone(&farther)], true)).await;
    assert_eq!(told(&all(&found)), whole);
}

/// A sink that was killed before a channel was added has it from its beginning, as the others.
async fn a_channel_that_is_added_meanwhile(kind: VenueKind) {
    let venue = with_a_history(kind).await;
    let from = Timestamp::now().saturating_sub(MINUTES);
    let new = |channels: &[Channel]| {
        let mut source = source(kind, &venue, 1, channels).from(from);
        source.config_mut().limits = Some(Vec::new());
        source
    };
    let mut first = opened(new(&[Channel::Trades])).await;
    let before = next(&mut first).await;
    drop(first);

    let more = [Channel::Trades, Channel::Candles(Timeframe::M3)];
    let mut second = new(&more);
    second.open(Arc::new(Held(vec![held(&before)], false))).await.unwrap();
    let mut batches = Vec::new();
    while told(&all(&batches)).1.len() < 2 {
        batches.push(next(&mut second).await);
    }
    drop(second);
    let farther = held(batches.last().unwrap());
    let mut third = new(&more);
    let sinks = Held(vec![held(&before), Arc::clone(&farther)], false);
    third.open(Arc::new(sinks)).await.unwrap();
    let found = all(&up_to(&farther.position, &mut third).await);
    assert_eq!(told(&found), told(&all(&batches)));
}

/// The bar that was open when a pipeline began without a history was told when it was over: who has nothing gets it too.
async fn the_bars_at_hand_when_it_began(kind: VenueKind) {
    let venue = with_a_history(kind).await;
    let (m1, m3) = (Timeframe::M1, Timeframe::M3);
    let mut source = source(kind, &venue, 1, &[Channel::Candles(m1), Channel::Candles(m3)]);
    source.config_mut().limits = Some(Vec::new());
    let symbol = source.config_mut().symbols[0];
    let now = Timestamp::now();
    let since = m3
        .floor(now.saturating_sub(MINUTES))
        .saturating_add(Duration::from_secs(70));
    let end = now.saturating_sub(Duration::from_secs(120));
    let detail = format!(
        r#"{{"at":{},"since":{},"streams":{{"{symbol} candles:1m":{{"time":{}}},"{symbol} candles:3m":{{"time":{}}}}}}}"#,
        now.nanos(),
        since.nanos(),
        m1.floor(end).nanos(),
        m3.floor(end).nanos(),
    );
    let lane = Lane::new(source.name());
    let farther = Arc::new(Checkpoint::new(lane, Position::at(1000).with_detail(detail)));
    source
        .open(Arc::new(Held(vec![Arc::clone(&farther)], true)))
        .await
        .unwrap();
    let (_, bars, gaps) = told(&all(&up_to(&farther.position, &mut source).await));
    let mut expected = BTreeSet::new();
    for timeframe in [m1, m3] {
        let first = Some(timeframe.floor(since));
        let opens = std::iter::successors(first, |open| Some(timeframe.next(*open)));
        let opens = opens.take_while(|open| *open < timeframe.floor(end));
        expected.extend(opens.map(|open| (symbol, timeframe, open)));
    }
    assert_eq!((bars, gaps), (expected, 0));
}

/// What a sink lacks of a symbol that is not wanted any more is not read, but told.
#[tokio::test]
async fn what_is_not_wanted_any_more_is_told_to_be_missing() {
    let kind = VenueKind::Binance;
    let venue = venue(kind).start().await.unwrap();
    let position = |offset: u64, at, id| {
        let detail = format!(
            r#"{{"at":{at},"since":1,"streams":{{"BTC/USDT trades":{{"time":1,"id":5}},"ETH/USDT trades":{{"time":1,"id":{id}}}}}}}"#
        );
        let position = Position::at(offset).with_detail(detail);
        Arc::new(Checkpoint::new(Lane::new("binance"), position))
    };
    let farther = position(90, 2, 70);
    let mut source = source(kind, &venue, 1, &[Channel::Trades]);
    let sinks = Held(vec![position(50, 1, 60), Arc::clone(&farther)], false);
    source.open(Arc::new(sinks)).await.unwrap();
    let found = all(&up_to(&farther.position, &mut source).await);
    assert_eq!((found.len(), gaps(&found)), (1, 1));
    assert_eq!(found[0].symbol.as_str(), "ETH/USDT");
}

/// A sink that was left out, and comes back behind a higher offset with less of a stream, is not given anything twice.
#[tokio::test]
async fn positions_that_cannot_be_compared_are_told() {
    let kind = VenueKind::Binance;
    let venue = venue(kind).start().await.unwrap();
    let position = |offset, id| {
        let detail = format!(r#"{{"at":1,"since":1,"streams":{{"BTC/USDT trades":{{"time":1,"id":{id}}}}}}}"#);
        let position = Position::at(offset).with_detail(detail);
        Arc::new(Checkpoint::new(Lane::new("binance"), position))
    };
    let mut source = source(kind, &venue, 1, &[Channel::Trades]);
    assert_eq!(source.config_mut().symbols[0].as_str(), "BTC/USDT");
    let sinks = Held(vec![position(5, 100), position(9, 90)], false);
    let error = source.open(Arc::new(sinks)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("BTC/USDT trades"), "{error}");
}
