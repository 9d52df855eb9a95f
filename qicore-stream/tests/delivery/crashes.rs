//! Runs that are cut off at any point and started again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Lane, LaneEnd, Position, Resume, Sink, Source, SourceCapabilities, Transform,
};
use qicore_stream::testkit::{Call, Fault, FaultySink, Scripted, trades};
use qicore_stream::{FileCheckpoints, SinkOptions};

use super::store::{Kept, Mode, Store, ids};
use super::{pipeline, quick};

/// Numbers trades by how many it has seen: a restart with the wrong state or position gives other prices.
#[derive(Clone, Default)]
struct Number(i64);

impl Transform for Number {
    fn name(&self) -> &str {
        "number"
    }

    fn apply(&mut self, mut events: Vec<qicore_data::Event>, out: &mut qicore_data::Output) -> qicore_data::Result<()> {
        for event in &mut events {
            if let qicore_data::Data::Trade(trade) = &mut event.data {
                trade.price = self.0.into();
                self.0 += 1;
            }
        }
        out.forward(events);
        Ok(())
    }

    fn snapshot(&self) -> qicore_data::Result<Option<Box<str>>> {
        Ok(Some(self.0.to_string().into()))
    }

    fn restore(&mut self, state: &str) -> qicore_data::Result<()> {
        self.0 = state.parse().unwrap();
        Ok(())
    }
}

fn numbers(kept: &Mutex<Kept>) -> Vec<i64> {
    let kept = kept.lock().unwrap();
    let price = |event: &qicore_data::Event| match &event.data {
        qicore_data::Data::Trade(trade) => i64::try_from(trade.price).unwrap(),
        _ => -1,
    };
    kept.rows.iter().map(|(_, event)| price(event)).collect()
}

/// A run in a process of its own, cut off in the sinks' `cuts`-th write, and in the `flush`-th flush: done in the store,
/// the answer never comes.
async fn cut_off_run(source: &Scripted, kept: [&Arc<Mutex<Kept>>; 2], cuts: [u64; 2], flush: u64) -> bool {
    let mut builder = pipeline(source.clone()).transform(Number::default());
    for ((kept, mode), cut) in kept
        .into_iter()
        .zip([Mode::Transactional, Mode::Each, Mode::Staged])
        .zip(cuts)
    {
        let store = Store::on(Arc::clone(kept), mode).batch(50);
        let stop_at = |cut| move |call| (call == cut).then_some(Fault::StopAfter);
        let faulty = FaultySink::new(Arc::new(store), stop_at(cut)).on(Call::Flush, stop_at(flush));
        let faulty: Arc<dyn Sink> = Arc::new(faulty);
        builder = builder.sink_with(faulty, SinkOptions::default().name(format!("{mode:?}")));
    }
    let handle = builder
        .options(quick().checkpoint_every(Duration::ZERO))
        .build()
        .unwrap()
        .start();
    for _ in 0..400 {
        if handle.is_finished() {
            return handle.wait().await.is_ok();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    handle.abort();
    assert!(handle.wait().await.is_err());
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two sinks that keep checkpoints with their rows, cut off at different places: each row once in each, with the
    /// transform's state as if nothing had happened.
    #[test]
    fn sinks_that_are_cut_off_at_different_places_end_equal(
        cuts in prop::collection::vec(([0u64..12, 0u64..12], 0u64..8), 1..4),
        batch in 1usize..100,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (one, two) = (Arc::default(), Arc::default());
        let source = Scripted::events("a", trades(0..700), batch);
        runtime.block_on(async {
            for (cuts, flush) in cuts {
                cut_off_run(&source, [&one, &two], cuts, flush).await;
            }
            assert!(cut_off_run(&source, [&one, &two], [u64::MAX; 2], u64::MAX).await, "the last run is not cut off");
        });
        for kept in [&one, &two] {
            prop_assert!(ids(kept, "a").into_iter().eq(0..700), "{:?}", ids(kept, "a"));
            prop_assert!(numbers(kept).into_iter().eq(0..700));
        }
    }
}

/// A sink without checkpoints gets rows again after a kill, but never misses one.
#[tokio::test]
async fn with_a_checkpoint_store_a_plain_sink_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let source = Scripted::events("a", trades(0..3000), 64);
    for cut in [3, 9, u64::MAX] {
        let store = Store::on(Arc::clone(&kept), Mode::Plain).batch(50);
        let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(store), move |call| {
            (call == cut).then_some(Fault::StopAfter)
        }));
        let checkpoints = Arc::new(FileCheckpoints::new(folder.path().join("checkpoints")));
        let builder = pipeline(source.clone())
            .sink_with(faulty, SinkOptions::default())
            .checkpoints_in(checkpoints);
        let handle = builder
            .options(quick().checkpoint_every(Duration::ZERO))
            .build()
            .unwrap()
            .start();
        if cut == u64::MAX {
            handle.wait().await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_millis(150)).await;
            handle.abort();
            assert!(handle.wait().await.is_err());
        }
    }
    let found = ids(&kept, "a");
    let mut distinct = found.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.into_iter().eq(0..3000));
    assert!(
        found.len() < 3000 + 2 * 1500,
        "it went on near where it was cut off: {} rows",
        found.len()
    );
}

/// A partition that goes to another process and comes back while its rows are still on their way.
#[tokio::test]
async fn a_lane_that_comes_back_waits_for_what_it_had_before() {
    for mode in [Mode::Transactional, Mode::Each, Mode::Staged] {
        let lane = Lane::new("a");
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let first = Batch::events(lane.clone(), trades(0..100), Position::at(100)).ending(LaneEnd::Revoked);
        let second = Batch::events(lane.clone(), trades(100..200), Position::at(200)).ending(LaneEnd::Exhausted);
        let slow: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(Store::on(Arc::clone(&kept), mode)), |_| {
            Some(Fault::Delay(Duration::from_millis(50)))
        }));
        let source = Scripted::new([first, second]);
        let builder = pipeline(source.clone())
            .transform(Number::default())
            .sink_with(slow, SinkOptions::default());
        builder.build().unwrap().run().await.unwrap();
        assert!(ids(&kept, "a").into_iter().eq(0..200), "{mode:?}");
        assert!(
            numbers(&kept).into_iter().eq(0..200),
            "{mode:?}: its state came back with it"
        );
        let ends: Vec<_> = source
            .commits()
            .iter()
            .map(|commit| (commit.position.offset, commit.finished))
            .collect();
        assert!(
            ends.contains(&(100, false)) && ends.last() == Some(&(200, true)),
            "{ends:?}"
        );
    }
}

/// A source whose lane begins here, is another process's before anything is read of it, and comes back.
struct Moving {
    kept: Arc<Mutex<Kept>>,
    resume: Option<Arc<dyn Resume>>,
    asked: Arc<Mutex<Vec<Option<u64>>>>,
    over: bool,
}

#[async_trait]
impl Source for Moving {
    fn name(&self) -> &str {
        "moving"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().shared()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> qicore_data::Result<()> {
        self.resume = Some(resume);
        Ok(())
    }

    async fn next_batch(&mut self, _limit: BatchLimit) -> qicore_data::Result<Option<Batch>> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(None);
        }
        let (lane, resume) = (Lane::new("a"), self.resume.clone().unwrap());
        for round in 0..2 {
            let held = resume.checkpoint(&lane).await?;
            self.asked.lock().unwrap().push(held.map(|held| held.position.offset));
            if round == 0 {
                let other = Store::on(Arc::clone(&self.kept), Mode::Each);
                let mut state = Checkpoint::new(lane.clone(), Position::at(100));
                state.state.push(qicore_data::Snapshot {
                    stage: "0:number".into(),
                    state: "100".into(),
                });
                let mut rows = qicore_data::Delivery::of(lane.clone(), 0, 100, trades(0..100));
                rows.checkpoint = Some(Arc::new(state));
                assert!(!other.write(&rows).await?.staged);
            }
        }
        let rest = Batch::events(lane, trades(100..200), Position::at(200));
        Ok(Some(rest.ending(LaneEnd::Exhausted)))
    }
}

/// What a sink held when a lane began here says nothing of what it holds when the lane comes back.
#[tokio::test]
async fn a_lane_that_was_elsewhere_goes_on_where_that_one_ended() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let asked: Arc<Mutex<Vec<_>>> = Arc::default();
    let source = Moving {
        kept: Arc::clone(&kept),
        resume: None,
        asked: Arc::clone(&asked),
        over: false,
    };
    let builder = qicore_stream::Pipeline::builder("test").source(source).options(quick());
    let builder = builder
        .transform(Number::default())
        .sink(Store::on(Arc::clone(&kept), Mode::Each));
    builder.build().unwrap().run().await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [None, Some(100)]);
    assert!(ids(&kept, "a").into_iter().eq(0..200));
    let state = |kept: &Kept| {
        kept.checkpoints[&Lane::new("a")]
            .state
            .iter()
            .any(|state| &*state.state == "200")
    };
    assert!(
        state(&kept.lock().unwrap()),
        "the state of its transforms came back with it"
    );
}

/// A source that cannot be opened at first: its broker is away.
struct Away(usize, Scripted);

#[async_trait]
impl Source for Away {
    fn name(&self) -> &str {
        "away"
    }

    fn capabilities(&self) -> SourceCapabilities {
        self.1.capabilities()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> qicore_data::Result<()> {
        if self.0 > 0 {
            self.0 -= 1;
            let error = qicore_data::Error::new(qicore_data::ErrorKind::Unavailable, "away.open", "no answer");
            return Err(error.with_retry(qicore_data::RetryAdvice::Backoff));
        }
        self.1.open(resume).await
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> qicore_data::Result<Option<Batch>> {
        self.1.next_batch(limit).await
    }
}

#[tokio::test]
async fn a_source_is_opened_again() {
    let run = async |failures| {
        let store = Store::new(Mode::Each);
        let kept = store.kept();
        let source = Away(failures, Scripted::events("a", trades(0..10), 5));
        let builder = qicore_stream::Pipeline::builder("test")
            .source(source)
            .options(quick())
            .sink(store);
        (builder.build().unwrap().run().await, ids(&kept, "a"))
    };
    let (done, found) = run(3).await;
    assert_eq!(done.unwrap().stats.source_failures, 3);
    assert!(found.into_iter().eq(0..10));
    let (failed, found) = run(4).await;
    let error = failed.unwrap_err();
    assert_eq!(error.retry(), qicore_data::RetryAdvice::Exhausted, "{error}");
    assert!(found.is_empty());
}
