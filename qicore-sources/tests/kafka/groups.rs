//! Workers of one group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{BatchLimit, Checkpoint, Event, Lane, Result, Resume, Source};
use qicore_sinks::Memory;
use qicore_sources::{KafkaTopics, Until};
use qicore_stream::testkit::trades;
use tokio::sync::Notify;

use super::{assert_same, config, filled, pipeline, servers, until, write};

fn ids(events: &[Event]) -> BTreeSet<String> {
    events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect()
}

/// One worker joins while another is at work, then that one leaves: what is read of a partition that moves is finished first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_without_loss_or_double() {
    let broker = servers::kafka().await;
    let (topic, mut events) = filled(&broker, 4, 200).await;
    let group = servers::unique("group");
    let mut source = config(&broker, &topic, Some(&group));
    source.until = Until::Never;
    let memories = [Memory::new(), Memory::new()];
    let start = |memory: &Memory| {
        pipeline("worker", source.clone(), memory.clone())
            .build()
            .unwrap()
            .start()
    };
    let total = |memories: &[Memory]| memories.iter().map(|memory| memory.events().len()).sum::<usize>();

    let first = start(&memories[0]);
    until("the first has read all", async || total(&memories) >= events.len()).await;
    let second = start(&memories[1]);
    for round in 0..6 {
        for partition in 0..4 {
            let from = 100_000 + 1000 * u64::try_from(partition).unwrap() + 100 * round;
            let more = trades(from..from + 100);
            write(&broker, &topic, partition, &more).await;
            events.extend(more);
        }
        if round == 4 {
            until("the second has some", async || !memories[1].events().is_empty()).await;
            first.stop();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    first.wait().await.unwrap();
    until("all is read", async || total(&memories) >= events.len()).await;
    second.stop();
    second.wait().await.unwrap();
    let all = [memories[0].events(), memories[1].events()].concat();
    assert_same(&all, &events);
    assert_eq!(broker.committed(&group, &topic).await, vec![Some(800); 4]);
    assert!(!memories[0].events().is_empty() && !memories[1].events().is_empty());
}

/// A worker that is killed leaves its partitions to the other, which reads again what was not committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_take_over_from_the_dead() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 4, 100).await;
    let group = servers::unique("group");
    let mut source = config(&broker, &topic, Some(&group));
    source.until = Until::Never;
    let memories = [Memory::new(), Memory::new()];
    let dead = pipeline("worker", source.clone(), memories[0].clone())
        .build()
        .unwrap()
        .start();
    until("some is read", async || !memories[0].events().is_empty()).await;
    dead.abort();
    let run = pipeline("worker", source, memories[1].clone()).build().unwrap().start();
    write(&broker, &topic, 2, &trades(900_000..900_100)).await;
    let more = trades(900_000..900_100);
    until("the rest is read", async || {
        ids(&memories[1].events()).is_superset(&ids(&more))
    })
    .await;
    run.stop();
    run.wait().await.unwrap();
    let both = [memories[0].events(), memories[1].events()].concat();
    assert!(ids(&both).is_superset(&ids(&events)), "lost");
}

/// Answers at once, but for the second time that a lane is asked for.
#[derive(Default)]
struct Slowly {
    asked: AtomicUsize,
    go_on: Notify,
}

#[async_trait]
impl Resume for Slowly {
    async fn checkpoint(&self, _lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        if self.asked.fetch_add(1, SeqCst) == 1 {
            self.go_on.notified().await;
        }
        Ok(None)
    }
}

/// A lane that is being looked up once more is not given up because its sinks tell again that another process had it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_lost_twice_is_read_on() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 1, 100).await;
    let resume = Arc::new(Slowly::default());
    let mut source = config(&broker, &topic, Some(&servers::unique("group")));
    source.until = Until::Never;
    let mut source = KafkaTopics::from_config(source);
    source.open(resume.clone()).await.unwrap();
    let lane = Lane::new(format!("{topic}/0"));
    for round in 0..2 {
        let mut found = 0;
        while found < events.len() {
            let next = tokio::time::timeout(Duration::from_secs(30), source.next_batch(BatchLimit::default()));
            let batch = next.await.expect("the lane is read").unwrap().unwrap();
            assert_eq!(batch.lane, lane);
            found += batch.content.len();
        }
        assert_eq!(found, events.len(), "round {round}");
        if round == 0 {
            source.lost(&lane);
            // Looks up, and waits.
            let nothing = tokio::time::timeout(Duration::from_millis(300), source.next_batch(BatchLimit::default()));
            assert!(nothing.await.is_err());
            source.lost(&lane);
            resume.go_on.notify_one();
        }
    }
    source.close().await.unwrap();
}

/// A store that is slow for longer than a member may be silent does not cost the membership.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_keeps_the_membership() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 2, 300).await;
    let group = servers::unique("group");
    let mut source = config(&broker, &topic, Some(&group));
    source.connection = source.connection.property("max.poll.interval.ms", "6000");
    let memory = Memory::new();
    let slow = Slow(memory.clone());
    let options = qicore_stream::Options::default().queue(50, 1 << 20).read(50, 1 << 20);
    let run = qicore_stream::Pipeline::builder("slow")
        .source(qicore_sources::KafkaTopics::from_config(source))
        .sink(slow)
        .options(options);
    let run = run.build().unwrap().start();
    until("it is told to be behind", async || {
        run.stats().total().lag.is_some_and(|lag| lag > 0)
    })
    .await;
    let stats = run.wait().await.unwrap().stats;
    assert_same(&memory.events(), &events);
    assert_eq!(stats.total().lag, Some(0));
    assert_eq!((stats.given_up, stats.source_failures), (0, 0));
    assert!(stats.elapsed > Duration::from_secs(8), "{:?}", stats.elapsed);
}

/// Who starts where everything is read, and has nothing to give, tells that too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_work_is_not_behind() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 2, 50).await;
    let mut source = config(&broker, &topic, Some(&servers::unique("group")));
    source.until = Until::Never;
    for expected in [events.as_slice(), &[]] {
        let memory = Memory::new();
        let run = pipeline("worker", source.clone(), memory.clone());
        let run = run.build().unwrap().start();
        until("nothing is left", async || {
            memory.events().len() >= expected.len() && run.stats().total().lag == Some(0)
        })
        .await;
        run.stop();
        run.wait().await.unwrap();
        assert_same(&memory.events(), expected);
    }
}

/// Takes a second for each delivery.
struct Slow(Memory);

#[async_trait::async_trait]
impl qicore_data::Sink for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    fn capabilities(&self) -> qicore_data::SinkCapabilities {
        let batch = qicore_data::BatchPolicy::new(40, 1 << 20, Duration::from_millis(5));
        self.0.capabilities().batch(batch).concurrency(1)
    }
    async fn open(&self, writer: &qicore_data::WriterId) -> qicore_data::Result<()> {
        self.0.open(writer).await
    }
    async fn write(&self, delivery: &qicore_data::Delivery) -> qicore_data::Result<qicore_data::Receipt> {
        tokio::time::sleep(Duration::from_millis(700)).await;
        self.0.write(delivery).await
    }
}
