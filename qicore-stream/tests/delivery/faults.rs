//! Failing, hanging and panicking plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use qicore_data::{
    Batch, BatchLimit, Checkpoint, ErrorKind, Event, Lane, Output, Position, Result, Resume, RetryAdvice, Sink, Source,
    SourceCapabilities, Transform,
};
use qicore_stream::testkit::{Call, Fault, FaultySink, FaultySource, Scripted, trades};
use qicore_stream::{BreakerPolicy, SinkOptions};

use super::store::{Mode, Store, ids};
use super::{pipeline, quick, quick_retries, three_lanes};

#[tokio::test]
async fn failures_that_pass_change_nothing() {
    let store = Store::new(Mode::Transactional).batch(100);
    let kept = store.kept();
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(store), |call| {
        (call % 3 != 2).then_some(Fault::Fail(RetryAdvice::Backoff))
    }));
    // The lanes share the sink's calls: one of them may meet many failures in a row.
    let options = SinkOptions::default()
        .retry(quick().retry.retries(1000))
        .breaker(BreakerPolicy::new(0, Duration::ZERO));
    let source = FaultySource::new(Box::new(three_lanes(1000)), |call| {
        (call % 5 == 1).then_some(Fault::Fail(RetryAdvice::Backoff))
    });
    let builder = pipeline(three_lanes(0)).source(source).sink_with(faulty, options);
    let stats = builder.build().unwrap().run().await.unwrap().stats;
    for (lane, at) in [("a", 0), ("b", 1), ("c", 2)] {
        assert!(ids(&kept, lane).into_iter().eq(at * 1000..(at + 1) * 1000), "{lane}");
    }
    assert!(stats.sinks[0].failures >= 2 * stats.sinks[0].deliveries);
    assert!(stats.source_failures > 0);
}

#[tokio::test]
async fn calls_that_fail_or_lose_their_answer_are_made_again() {
    let trouble = |call| match call % 3 {
        0 => Some(Fault::Fail(RetryAdvice::Backoff)),
        1 => Some(Fault::LoseAnswer),
        _ => None,
    };
    for mode in [Mode::Transactional, Mode::Each, Mode::Staged] {
        let store = Store::new(mode).batch(100);
        let kept = store.kept();
        let faulty = FaultySink::new(Arc::new(store), |_| None)
            .on(Call::Open, trouble)
            .on(Call::Checkpoint, trouble)
            .on(Call::Flush, trouble);
        // The lanes share the sink's calls: one of them may meet many failures in a row.
        let options = SinkOptions::default()
            .retry(quick().retry.retries(1000))
            .breaker(BreakerPolicy::new(0, Duration::ZERO));
        let scripted = three_lanes(1000);
        let source = FaultySource::new(Box::new(scripted.clone()), |_| None).on(Call::Commit, trouble);
        let builder = pipeline(three_lanes(0))
            .source(source)
            .sink_with(Arc::new(faulty), options);
        builder.build().unwrap().run().await.unwrap();
        for (lane, at) in [("a", 0), ("b", 1), ("c", 2)] {
            assert!(
                ids(&kept, lane).into_iter().eq(at * 1000..(at + 1) * 1000),
                "{mode:?} {lane}"
            );
            let commits = scripted
                .commits()
                .into_iter()
                .filter(|commit| commit.lane.as_str() == lane);
            let commits: Vec<_> = commits
                .map(|commit| (commit.position.offset, commit.finished))
                .collect();
            assert!(commits.is_sorted(), "{mode:?} {lane}: {commits:?}");
            assert_eq!(commits.last(), Some(&(1000, true)), "{mode:?} {lane}");
        }
    }
}

#[tokio::test]
async fn a_call_that_stays_failing_fails_the_run_by_its_name() {
    let broken = |_| Some(Fault::Fail(RetryAdvice::Backoff));
    for call in [Call::Open, Call::Checkpoint, Call::Flush, Call::Close] {
        let store = Store::new(Mode::Staged);
        let kept = store.kept();
        let faulty = FaultySink::new(Arc::new(store), |_| None).on(call, broken);
        let source = Scripted::events("a", trades(0..500), 64);
        let builder = pipeline(source.clone()).sink_with(Arc::new(faulty), quick_retries());
        let error = builder.build().unwrap().run().await.unwrap_err();
        assert!(error.to_string().contains("sink=store"), "{call:?}: {error}");
        // Only what was closed badly is written already.
        let whole = call == Call::Close;
        assert_eq!(ids(&kept, "a").len(), if whole { 500 } else { 0 }, "{call:?}");
        assert_eq!(source.commits().iter().any(|commit| commit.finished), whole, "{call:?}");
        let again = Store::on(Arc::clone(&kept), Mode::Staged);
        pipeline(source).sink(again).build().unwrap().run().await.unwrap();
        assert!(ids(&kept, "a").into_iter().eq(0..500), "{call:?}");
    }
}

#[tokio::test]
async fn a_source_that_does_not_open_or_commit_fails_the_run() {
    for call in [Call::Open, Call::Commit] {
        let broken = |_| Some(Fault::Fail(RetryAdvice::Backoff));
        let source = FaultySource::new(Box::new(three_lanes(100)), |_| None).on(call, broken);
        let builder = pipeline(three_lanes(0)).source(source).sink(Store::new(Mode::Plain));
        let error = builder.build().unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{call:?}: {error}");
    }
}

#[tokio::test]
async fn the_breaker_spares_a_store_that_is_down() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(Store::new(Mode::Plain)), move |call| {
        counted.store(call, Relaxed);
        Some(Fault::Fail(RetryAdvice::Backoff))
    }));
    let options = SinkOptions::default()
        .retry(quick().retry.retries(1_000_000))
        .breaker(BreakerPolicy::new(5, Duration::from_secs(3600)));
    let handle = pipeline(three_lanes(100))
        .sink_with(faulty, options)
        .build()
        .unwrap()
        .start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(handle.stats().sinks[0].breaker_open);
    // Three lanes may be on their way when the fifth failure opens it.
    assert!((4..8).contains(&calls.load(Relaxed)), "{} calls", calls.load(Relaxed));
    handle.abort();
    assert!(handle.wait().await.is_err());
}

#[tokio::test]
async fn a_store_that_stays_down_fails_the_run_and_the_next_run_goes_on() {
    let store = Store::new(Mode::Transactional).batch(100);
    let kept = store.kept();
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(store), |call| {
        (call >= 14).then_some(Fault::Fail(RetryAdvice::Backoff))
    }));
    let source = Scripted::events("a", trades(0..5000), 64);
    let options = quick().checkpoint_every(Duration::ZERO);
    let builder = pipeline(source.clone())
        .options(options)
        .sink_with(faulty, quick_retries());
    let error = builder.build().unwrap().run().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unavailable, RetryAdvice::Exhausted),
        "{error}"
    );
    assert!(
        error.to_string().contains("sink=store") && error.to_string().contains("tries=4"),
        "{error}"
    );
    let written = ids(&kept, "a").len();
    assert!(written > 0 && written < 5000);
    let again = Store::on(Arc::clone(&kept), Mode::Transactional);
    pipeline(source).sink(again).build().unwrap().run().await.unwrap();
    assert!(ids(&kept, "a").into_iter().eq(0..5000));
}

#[tokio::test]
async fn a_panic_fails_the_run_and_is_never_counted_as_delivered() {
    let source = three_lanes(1000);
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(Store::new(Mode::Plain).batch(100)), |call| {
        (call == 7).then_some(Fault::Panic)
    }));
    let error = pipeline(source.clone())
        .sink_with(faulty, quick_retries())
        .build()
        .unwrap()
        .run()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains("injected fault"), "{error}");
    let finished = source.commits().iter().filter(|commit| commit.finished).count();
    assert!(finished < 3, "the lane that panicked has not finished");
}

#[tokio::test]
async fn a_panicking_source_fails_the_run() {
    let source = FaultySource::new(Box::new(three_lanes(100)), |call| (call == 2).then_some(Fault::Panic));
    let error = pipeline(three_lanes(0))
        .source(source)
        .sink(Store::new(Mode::Plain))
        .build()
        .unwrap()
        .run()
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_write_that_hangs_times_out_and_is_tried_again() {
    let store = Store::new(Mode::Plain);
    let kept = store.kept();
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(store), |call| {
        (call == 0).then_some(Fault::Delay(Duration::from_secs(3600)))
    }));
    let options = SinkOptions::default().retry(quick().retry.timeout(Duration::from_millis(50)));
    let source = Scripted::events("a", trades(0..100), 64);
    pipeline(source)
        .sink_with(faulty, options)
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
    assert!(ids(&kept, "a").into_iter().eq(0..100));
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_so() {
    let stuck: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(Store::new(Mode::Plain)), |_| {
        Some(Fault::Delay(Duration::from_secs(3600)))
    }));
    let options = quick().drain_deadline(Duration::from_millis(50));
    let source = Scripted::events("a", trades(0..100), 64);
    let builder = pipeline(source.clone())
        .options(options)
        .sink_with(stuck, SinkOptions::default());
    let handle = builder.build().unwrap().start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!handle.is_finished(), "the end of the source alone sets no deadline");
    handle.stop();
    let error = handle.wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("drain_deadline"), "{error}");
    assert_eq!(source.commits(), []);
}

/// Passes on every second event, and at the end everything that it held back.
#[derive(Clone, Default)]
struct Hold(Vec<Event>);

impl Transform for Hold {
    fn name(&self) -> &str {
        "hold"
    }

    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()> {
        for (at, event) in events.into_iter().enumerate() {
            if at % 2 == 0 {
                out.events.push(event)
            } else {
                self.0.push(event)
            }
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        out.forward(std::mem::take(&mut self.0));
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        Ok(Some(serde_json::to_string(&self.0).unwrap().into()))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        self.0 = serde_json::from_str(state).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn what_a_transform_holds_at_the_end_passes_the_stages_behind_it() {
    let store = Store::new(Mode::Transactional);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..1000), 64);
    let builder = pipeline(source)
        .transform(Hold::default())
        .transform(Hold::default())
        .sink(store);
    builder.build().unwrap().run().await.unwrap();
    let mut found = ids(&kept, "a");
    found.sort_unstable();
    assert!(found.into_iter().eq(0..1000));
}

#[tokio::test]
async fn a_checkpoint_of_another_chain_is_refused() {
    let store = Store::new(Mode::Transactional);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..1000), 64);
    pipeline(source.clone())
        .transform(Hold::default())
        .sink(store)
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
    kept.lock().unwrap().checkpoints.values_mut().for_each(|held| {
        held.finished = false;
        held.position.offset = 500;
    });
    let again = Store::on(kept, Mode::Transactional);
    let error = pipeline(source).sink(again).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
    assert!(error.to_string().contains("0:hold"), "{error}");
}

#[tokio::test]
async fn a_stopped_run_goes_on_with_the_state_of_its_transforms() {
    let store = Store::new(Mode::Staged);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..20_000), 64);
    let handle = pipeline(source.clone())
        .transform(Hold::default())
        .sink(store)
        .build()
        .unwrap()
        .start();
    while handle.stats().total().events() < 500 {
        tokio::task::yield_now().await;
    }
    handle.stop();
    let read = handle.wait().await.unwrap().stats.total().events();
    assert!(read < 20_000);
    let again = Store::on(Arc::clone(&kept), Mode::Staged);
    pipeline(source)
        .transform(Hold::default())
        .sink(again)
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
    let mut found = ids(&kept, "a");
    found.sort_unstable();
    assert!(found.into_iter().eq(0..20_000));
}

/// A live stream: it cannot go back, and gives one trade for each offset behind the checkpoint that it is told.
struct Live {
    next: u64,
    until: u64,
}

#[async_trait::async_trait]
impl Source for Live {
    fn name(&self) -> &str {
        "live"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.next = resume
            .checkpoint(&Lane::new("a"))
            .await?
            .map_or(0, |from| from.position.offset);
        Ok(())
    }

    async fn next_batch(&mut self, _: BatchLimit) -> Result<Option<Batch>> {
        if self.next >= self.until {
            return Ok(None);
        }
        let first = self.next;
        self.next = (first + 50).min(self.until);
        Ok(Some(Batch::events(
            Lane::new("a"),
            trades(first..self.next),
            Position::at(self.next),
        )))
    }
}

#[tokio::test]
async fn a_live_stream_goes_on_behind_all_that_any_sink_holds() {
    let (ahead, behind) = (Store::new(Mode::Transactional), Store::new(Mode::Transactional));
    let kept = [ahead.kept(), behind.kept()];
    for (kept, offset) in kept.iter().zip([200, 100]) {
        let held = Checkpoint::new(Lane::new("a"), Position::at(offset));
        kept.lock().unwrap().checkpoints.insert(Lane::new("a"), held);
    }
    let builder = pipeline(three_lanes(0))
        .source(Live { next: 0, until: 300 })
        .sink(ahead)
        .sink(behind);
    builder.build().unwrap().run().await.unwrap();
    for kept in kept {
        assert!(
            ids(&kept, "a").into_iter().eq(200..300),
            "new rows were taken for old ones"
        );
    }
}

#[tokio::test]
async fn a_stop_is_heard_while_a_store_is_down() {
    let down: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(Store::new(Mode::Plain)), |_| {
        Some(Fault::Fail(RetryAdvice::After(Duration::from_secs(3600))))
    }));
    let options = quick().queue(64, 1 << 20).drain_deadline(Duration::from_millis(100));
    let source = Scripted::events("a", trades(0..100_000), 64);
    let handle = pipeline(source)
        .options(options)
        .sink_with(down, SinkOptions::default())
        .build()
        .unwrap()
        .start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    handle.stop();
    let error = tokio::time::timeout(Duration::from_secs(30), handle.wait())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}
