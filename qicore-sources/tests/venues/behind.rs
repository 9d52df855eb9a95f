//! Sinks that are not equally far when a live source goes on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Content, Data, Event, Lane, Offsets, Result, Resume, Source, Timeframe, Timestamp,
};
use qicore_localvenue::VenueKind;
use qicore_sources::Channel;
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

each_venue!(the_one_that_is_behind_gets_what_lies_between the_one_that_has_nothing_gets_all);

async fn the_one_that_is_behind_gets_what_lies_between(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let channels = [Channel::Trades, Channel::Quotes, Channel::Candles(Timeframe::M1)];
    let new = || source(kind, &venue, 2, &channels);
    let mut first = opened(new()).await;
    let mut batches = Vec::new();
    let mut trades = 0;
    while trades < 200 {
        let batch = timeout(PATIENCE, first.next_batch(BatchLimit::default()))
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        trades += events(&batch)
            .0
            .iter()
            .filter(|event| matches!(event.data, Data::Trade(_)))
            .count();
        batches.push(batch);
    }
    drop(first);
    let checkpoint = |at: usize| {
        let Batch { lane, position, .. } = &batches[at];
        Arc::new(Checkpoint::new(lane.clone(), position.clone()))
    };
    let (low, high) = (batches.len() / 2, batches.len() - 1);
    let held = vec![checkpoint(low), checkpoint(high)];
    let farther = held[1].position.clone();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut second = new();
    second.open(Arc::new(Held(held, false))).await.unwrap();
    let between = second.next_batch(BatchLimit::default()).await.unwrap().unwrap();
    assert_eq!(between.position, farther);
    let (found, offsets) = events(&between);
    assert_eq!(*offsets, Offsets::Each(vec![farther.offset; found.len()]));
    let missed: Vec<Event> = batches[low + 1..]
        .iter()
        .flat_map(|batch| events(batch).0.to_vec())
        .collect();
    assert_eq!(ids(found), ids(&missed));
    // Of quotes nothing can be had: one that was behind is told so.
    assert_eq!(
        found.iter().filter(|event| matches!(event.data, Data::Gap(_))).count(),
        2
    );

    let mut all: Vec<Event> = batches.iter().flat_map(|batch| events(batch).0.to_vec()).collect();
    let before = all.len();
    while all.len() < before + 200 {
        let batch = timeout(PATIENCE, second.next_batch(BatchLimit::default()))
            .await
            .unwrap()
            .unwrap()
            .unwrap();
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
    let (mut all, mut last) = (Vec::new(), None);
    while all.len() < 200 {
        let batch = timeout(PATIENCE, first.next_batch(BatchLimit::default()))
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        all.extend_from_slice(events(&batch).0);
        last = Some(Arc::new(Checkpoint::new(batch.lane, batch.position)));
    }
    drop(first);
    let held = last.unwrap();
    let mut second = new();
    second
        .open(Arc::new(Held(vec![Arc::clone(&held)], true)))
        .await
        .unwrap();
    let batch = second.next_batch(BatchLimit::default()).await.unwrap().unwrap();
    assert_eq!(batch.position, held.position);
    let found = ids(events(&batch).0);
    // What is older than the first run came with its subscription.
    all.retain(|event| event.timestamp >= began);
    let seen = ids(&all);
    assert_eq!(seen.len(), 2);
    for (symbol, seen) in seen {
        let found = &found[&symbol];
        assert!(
            consecutive(found) && found.ends_with(&seen),
            "{symbol}: {found:?}, {seen:?}"
        );
    }
}
