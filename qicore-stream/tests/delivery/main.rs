//! The delivery contract: what arrives, in which order, and what a fault changes.

mod crashes;
mod faults;
mod lag;
mod rejects;
mod store;

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{RetryPolicy, Sink};
use qicore_stream::testkit::{Scripted, trades};
use qicore_stream::{Options, Pipeline, PipelineBuilder, SinkOptions};

use store::{Mode, Store, ids};

/// Three lanes of trades in batches of 64.
fn three_lanes(each: u64) -> Scripted {
    let lanes = [("a", 0), ("b", 1), ("c", 2)].map(|(lane, at)| (lane, trades(at * each..(at + 1) * each)));
    Scripted::lanes(lanes, 64)
}

fn quick() -> Options {
    let retry = RetryPolicy::default()
        .retries(3)
        .pauses(Duration::from_millis(1), Duration::from_millis(2));
    Options::default()
        .checkpoint_every(Duration::from_millis(3))
        .retry(retry)
}

fn quick_retries() -> SinkOptions {
    SinkOptions::default().retry(quick().retry)
}

fn pipeline(source: Scripted) -> PipelineBuilder {
    Pipeline::builder("test").source(source).options(quick())
}

/// Lanes take checkpoints of their own accord once the sink's batch is reached, however seldom the options want them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_wants_a_checkpoint_with_each_delivery() {
    let store = Store::new(Mode::Each).batch(200);
    let (kept, longest) = (store.kept(), Arc::clone(&store.longest));
    let rarely = quick().checkpoint_every(Duration::from_secs(3600));
    let beside = Store::new(Mode::Plain).batch(10);
    let plain = beside.kept();
    let builder = pipeline(three_lanes(5000)).options(rarely).sink(store).sink(beside);
    builder.build().unwrap().run().await.unwrap();
    for (lane, at) in [("a", 0), ("b", 1), ("c", 2)] {
        for kept in [&kept, &plain] {
            assert!(ids(kept, lane).into_iter().eq(at * 5000..(at + 1) * 5000), "{lane}");
        }
    }
    let longest = longest.load(std::sync::atomic::Ordering::Relaxed);
    assert!(longest < 200 + 64, "{longest} rows waited for a checkpoint");
}

/// Has a state that is as large as a store can take in two seconds, and takes its time.
#[derive(Clone)]
struct Large;

impl qicore_data::Transform for Large {
    fn name(&self) -> &str {
        "large"
    }

    fn apply(&mut self, events: Vec<qicore_data::Event>, out: &mut qicore_data::Output) -> qicore_data::Result<()> {
        std::thread::sleep(Duration::from_millis(2));
        out.forward(events);
        Ok(())
    }

    fn snapshot(&self) -> qicore_data::Result<Option<Box<str>>> {
        Ok(Some("x".repeat(16_000_000).into()))
    }
}

/// A state that is stored with every few rows would be most of what is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_is_stored_less_often() {
    let store = Store::new(Mode::Each).batch(100_000);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..5000), 10);
    let builder = Pipeline::builder("test").source(source.clone()).options(quick());
    let started = std::time::Instant::now();
    let run = builder.transform(Large).sink(store).build().unwrap().run();
    run.await.unwrap();
    assert!(ids(&kept, "a").into_iter().eq(0..5000));
    let (stored, seconds) = (source.commits().len(), started.elapsed().as_secs_f64());
    assert!(stored as f64 <= 3.0 + seconds / 2.0, "{stored} times in {seconds} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_once_in_order_at_every_sink() {
    for mode in [Mode::Plain, Mode::Transactional, Mode::Each, Mode::Staged] {
        let (one, two) = (Store::new(mode), Store::new(Mode::Plain).batch(10));
        let kept = [one.kept(), two.kept()];
        let source = three_lanes(5000);
        let summary = pipeline(source.clone())
            .sink(one)
            .sink(two)
            .build()
            .unwrap()
            .run()
            .await
            .unwrap();
        for kept in kept {
            for (lane, at) in [("a", 0), ("b", 1), ("c", 2)] {
                assert!(
                    ids(&kept, lane).into_iter().eq(at * 5000..(at + 1) * 5000),
                    "{mode:?} {lane}"
                );
            }
        }
        assert_eq!(summary.stats.total().events(), 15_000);
        assert_eq!(
            summary.stats.sinks.iter().map(|sink| sink.rows).collect::<Vec<_>>(),
            [15_000, 15_000]
        );
        assert_eq!(summary.stats.sinks[1].name, "store-2");
        for lane in ["a", "b", "c"] {
            let last = source
                .commits()
                .into_iter()
                .rfind(|commit| commit.lane.as_str() == lane)
                .unwrap();
            assert_eq!((last.position.offset, last.finished), (5000, true), "{mode:?} {lane}");
        }
    }
}

/// A number by its place would be another one when sinks are added or put in another order: the store would take the sink
/// for a new one, and be written from the start.
#[tokio::test]
async fn a_second_database_needs_a_name() {
    let two = |name: Option<&str>| {
        let named = name.map_or(SinkOptions::default(), |name| SinkOptions::default().name(name));
        let builder = pipeline(three_lanes(10)).sink_with(Arc::new(Store::new(Mode::Each)), named);
        builder.sink(Store::new(Mode::Each)).build()
    };
    let error = two(None).unwrap_err();
    assert_eq!(error.kind(), qicore_data::ErrorKind::Config);
    assert!(error.to_string().contains("needs a name"), "{error}");
    let summary = two(Some("another")).unwrap().run().await.unwrap();
    let names: Vec<_> = summary.stats.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["another", "store"]);
}

#[tokio::test]
async fn a_batch_larger_than_the_sinks_limit_goes_out_in_parts() {
    let store = Store::new(Mode::Transactional).batch(7);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..1000), 500);
    let summary = pipeline(source).sink(store).build().unwrap().run().await.unwrap();
    assert!(ids(&kept, "a").into_iter().eq(0..1000));
    assert!(summary.stats.sinks[0].deliveries >= 1000 / 7);
}

#[tokio::test]
async fn a_slow_sink_holds_the_source_back() {
    let (events, queue) = (100_000, 1024);
    let source = Scripted::events("a", trades(0..events), 64);
    let blocked = qicore_stream::testkit::FaultySink::new(Arc::new(Store::new(Mode::Plain)), |_| {
        Some(qicore_stream::testkit::Fault::StopAfter)
    });
    let options = quick().queue(queue, 64 << 20);
    let handle = pipeline(source).options(options).sink(blocked).build().unwrap().start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = handle.stats().total().events();
    // One queue before the lane, one before the sink, a delivery of 1000 and a batch in each hand.
    assert!(
        read > 0 && read <= 2 * queue as u64 + 1000 + 3 * 64,
        "{read} events were read ahead"
    );
    handle.abort();
    assert!(handle.wait().await.is_err());
}

#[tokio::test]
async fn nothing_is_committed_before_every_sink_has_accepted() {
    let source = three_lanes(500);
    let stuck: Arc<dyn Sink> = Arc::new(qicore_stream::testkit::FaultySink::new(
        Arc::new(Store::new(Mode::Plain)),
        |_| Some(qicore_stream::testkit::Fault::StopAfter),
    ));
    let quick_one = Store::new(Mode::Plain);
    let kept = quick_one.kept();
    let builder = pipeline(source.clone())
        .sink(quick_one)
        .sink_with(stuck, SinkOptions::default());
    let handle = builder.build().unwrap().start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(kept.lock().unwrap().rows.len(), 1500, "the other sink is not held up");
    assert_eq!(source.commits(), []);
    handle.abort();
    assert!(handle.wait().await.is_err());
}

#[tokio::test]
async fn a_stop_writes_and_commits_what_has_been_read() {
    let store = Store::new(Mode::Staged);
    let kept = store.kept();
    let endless = Scripted::events("a", trades(0..2_000_000), 64);
    let handle = pipeline(endless.clone()).sink(store).build().unwrap().start();
    while handle.stats().total().events() < 1000 {
        tokio::task::yield_now().await;
    }
    handle.stop();
    let stats = handle.wait().await.unwrap().stats;
    let read = stats.total().events();
    assert!(ids(&kept, "a").into_iter().eq(0..read), "all that was read is written");
    assert_eq!(
        endless
            .commits()
            .last()
            .map(|commit| (commit.position.offset, commit.finished)),
        Some((read, false))
    );
    assert!(read < 2_000_000);
}

#[tokio::test]
async fn a_run_says_what_an_earlier_one_had_finished() {
    let kept = Store::new(Mode::Transactional).kept();
    for (before, events) in [(0, 300), (3, 0)] {
        let store = Store::on(Arc::clone(&kept), Mode::Transactional);
        let stats = pipeline(three_lanes(100))
            .sink(store)
            .build()
            .unwrap()
            .run()
            .await
            .unwrap()
            .stats;
        assert_eq!((stats.finished_before, stats.total().events()), (before, events));
    }
}

#[tokio::test]
async fn a_pipeline_runs_on_without_its_handle() {
    let store = Store::new(Mode::Plain);
    let kept = store.kept();
    drop(pipeline(three_lanes(1000)).sink(store).build().unwrap().start());
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if kept.lock().unwrap().rows.len() == 3000 {
            return;
        }
    }
    panic!(
        "{} of 3000 rows after the handle is gone",
        kept.lock().unwrap().rows.len()
    );
}

#[test]
fn a_pipeline_without_source_or_sink_is_a_mistake() {
    let told = |result: qicore_data::Result<Pipeline>| result.unwrap_err().to_string();
    assert!(told(Pipeline::builder("x").sink(Store::new(Mode::Plain)).build()).contains(".source("));
    assert!(told(Pipeline::builder("x").source(three_lanes(1)).build()).contains(".sink("));
}
