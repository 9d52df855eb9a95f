//! Sinks that are not equally far when a live source goes on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Content, Data, Event, Lane, Offsets, Position, Result, Resume, Source, Timeframe,
    Timestamp,
};
use qicore_localvenue::{Limits, VenueKind};
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
    a_long_life_comes_in_pieces_and_each_can_be_the_last
);

async fn the_one_that_is_behind_gets_what_lies_between(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let channels = [Channel::Trades, Channel::Quotes, Channel::Candles(Timeframe::M1)];
    let new = || source(kind, &venue, 2, &channels);
    let mut first = opened(new()).await;
    let (mut batches, mut trades) = (Vec::new(), 0);
    while trades < 200 {
        let batch = next(&mut first).await;
        let is_trade = |event: &&Event| matches!(event.data, Data::Trade(_));
        trades += events(&batch).0.iter().filter(is_trade).count();
        batches.push(batch);
    }
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
    let (mut all_of_it, mut last) = (Vec::new(), None);
    while all_of_it.len() < 200 {
        let batch = next(&mut first).await;
        all_of_it.extend_from_slice(events(&batch).0);
        last = Some(held(&batch));
    }
    drop(first);
    let farther = last.unwrap();
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

/// A sink that is added to a pipeline with a history is given it page by page; killed behind any of them, it is given the rest.
async fn a_long_life_comes_in_pieces_and_each_can_be_the_last(kind: VenueKind) {
    let limits = Limits::of(kind).without_rest_budget();
    let venue = venue(kind).history(Duration::from_secs(86_400)).limits(limits);
    let venue = venue.start().await.unwrap();
    let from = Timestamp::now().saturating_sub(Duration::from_secs(150));
    let channels = [Channel::Trades, Channel::Quotes, Channel::Candles(Timeframe::M1)];
    let new = || {
        let mut source = source(kind, &venue, 2, &channels).from(from);
        source.config_mut().limits = Some(Vec::new());
        source
    };
    let mut first = opened(new()).await;
    let (mut batches, mut quotes) = (Vec::new(), 0);
    while quotes < 20 {
        let batch = next(&mut first).await;
        let is_quote = |event: &&Event| matches!(event.data, Data::Quote(_));
        quotes += events(&batch).0.iter().filter(is_quote).count();
        batches.push(batch);
    }
    drop(first);
    let farther = held(batches.last().unwrap());
    let whole = ids(&all(&batches));
    let bars = |events: &[Event]| {
        let bars = events.iter().filter(|event| matches!(event.data, Data::Candle(_)));
        let mut bars: Vec<_> = bars.map(|event| (event.symbol, event.timestamp)).collect();
        bars.sort();
        bars
    };

    let mut second = new();
    let sinks = Held(vec![Arc::clone(&farther)], true);
    second.open(Arc::new(sinks)).await.unwrap();
    let pieces = up_to(&farther.position, &mut second).await;
    let found = all(&pieces);
    assert_eq!((ids(&found), bars(&found)), (whole.clone(), bars(&all(&batches))));
    assert_eq!(gaps(&found), 2);
    assert!(pieces.len() >= 10, "{}", pieces.len());
    let most = pieces.iter().map(|piece| piece.content.len()).max().unwrap();
    assert!(most <= found.len() / 4, "{most} of {}", found.len());
    for kept in [1, pieces.len() / 3, pieces.len() / 2, pieces.len() - 1] {
        let (before, killed) = (all(&pieces[..kept]), held(&pieces[kept - 1]));
        let mut third = new();
        let sinks = Held(vec![killed, Arc::clone(&farther)], false);
        third.open(Arc::new(sinks)).await.unwrap();
        let rest = all(&up_to(&farther.position, &mut third).await);
        let found = [before, rest].concat();
        assert_eq!(ids(&found), whole, "after {kept}");
        assert_eq!((bars(&found), gaps(&found)), (bars(&all(&batches)), 2), "after {kept}");
    }
}
