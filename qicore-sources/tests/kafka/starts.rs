//! Where a partition begins, and what is missing there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{
    BatchLimit, Checkpoint, Content, Data, ErrorKind, Event, Gap, GapReason, Lane, Position, Result, Resume,
    RetryAdvice, Source, Timestamp,
};
use qicore_sinks::Memory;
use qicore_sources::KafkaTopics;
use qicore_stores::kafka::Start;
use qicore_stream::testkit::trades;

use super::{assert_same, config, filled, read, servers};
use servers::Record;

/// All lanes go on from one position.
struct At(u64);

#[async_trait]
impl Resume for At {
    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Arc<Checkpoint>>> {
        Ok(Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(self.0)))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies() {
    let broker = servers::kafka().await;
    let topic = broker.topic(1).await;
    let events = trades(0..10);
    let now = Timestamp::now().nanos() / 1_000_000;
    let records = events.iter().zip(0..).map(|(event, at)| Record {
        timestamp: Some(now - 10_000 + 1000 * at),
        ..Record::new("k", &serde_json::to_string(event).unwrap())
    });
    broker.produce(&topic, &records.collect::<Vec<_>>()).await;
    let by = async |start: Start, group: &str| {
        let mut config = config(&broker, &topic, Some(group));
        config.start = start;
        read(config).await
    };
    let at_seven = Timestamp::from_nanos((now - 10_000 + 6500) * 1_000_000);
    let later = Timestamp::from_nanos((now + 60_000) * 1_000_000);
    let offsets = |offset| Start::Offsets(BTreeMap::from([(format!("{topic}/0"), offset)]));
    for (start, from) in [
        (Start::Earliest, 0),
        (Start::Latest, 10),
        (Start::Committed, 0),
        (Start::Time(at_seven), 7),
        (Start::Time(later), 10),
        (offsets(4), 4),
        (offsets(10), 10),
        (Start::Offsets(BTreeMap::new()), 0),
    ] {
        let group = servers::unique("group");
        assert_same(&by(start.clone(), &group).await, &events[from..]);
        // What the group has committed counts where nothing else is wanted.
        if matches!(start, Start::Earliest) {
            assert_same(&by(Start::Committed, &group).await, &[]);
            assert_same(&by(Start::Earliest, &group).await, &events);
        }
    }
}

/// What comes between a kill and the next start is not passed over: the group knows where it has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_begins_at_the_latest_once() {
    let broker = servers::kafka().await;
    for start in [Start::Latest, Start::Time(Timestamp::from_nanos(i64::MAX))] {
        let (topic, _) = filled(&broker, 2, 10).await;
        let mut config = config(&broker, &topic, Some(&servers::unique("group")));
        config.start = start;
        assert_same(&read(config.clone()).await, &[]);
        let more = trades(500..507);
        super::write(&broker, &topic, 1, &more).await;
        assert_same(&read(config.clone()).await, &more);
        assert_same(&read(config).await, &[]);
    }
}

/// The end moves on while it is looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_of_a_topic_that_is_written() {
    let broker = servers::kafka().await;
    let (topic, _) = filled(&broker, 4, 10).await;
    let readers = async {
        for group in [None, Some(servers::unique("group")), Some(servers::unique("group"))] {
            let mut config = config(&broker, &topic, group.as_deref());
            config.start = Start::Latest;
            read(config).await;
        }
    };
    let mut readers = std::pin::pin!(readers);
    let mut next = 100_000;
    loop {
        for partition in 0..4 {
            let more = trades(next..next + 50);
            next += 50;
            tokio::select! {
                () = &mut readers => return,
                () = super::write(&broker, &topic, partition, &more) => {}
            }
        }
    }
}

/// Opens a source and reads to its end.
async fn from(mut source: KafkaTopics, position: u64) -> Result<Vec<Event>> {
    source.open(Arc::new(At(position))).await?;
    let mut events = Vec::new();
    while let Some(batch) = source.next_batch(BatchLimit::default()).await? {
        match batch.content {
            Content::Events(more, _) => events.extend(more),
            Content::Frames(frames) => {
                events.extend(
                    frames
                        .iter()
                        .map(|frame| serde_json::from_slice::<Event>(&frame.payload).unwrap()),
                );
            }
            _ => unreachable!(),
        }
    }
    source.close().await?;
    Ok(events)
}

/// What retention removed before it was read is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_messages_are_a_gap() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 1, 100).await;
    broker.delete_records(&topic, 0, 60).await;
    let found = from(KafkaTopics::from_config(config(&broker, &topic, None)), 20)
        .await
        .unwrap();
    let Data::Gap(Gap { reason, missed, .. }) = &found[0].data else {
        panic!("{:?}", found[0])
    };
    assert_eq!((*reason, *missed), (GapReason::Provider, Some(40)));
    assert_eq!(
        (found[0].exchange.as_str(), found[0].symbol.as_str()),
        ("kafka", &*format!("{topic}/0"))
    );
    assert_same(&found[1..], &events[60..]);
    // Who had read them misses nothing.
    let found = from(KafkaTopics::from_config(config(&broker, &topic, None)), 60)
        .await
        .unwrap();
    assert_same(&found, &events[60..]);
    broker.delete_records(&topic, 0, 100).await;
    let found = from(KafkaTopics::from_config(config(&broker, &topic, None)), 70)
        .await
        .unwrap();
    assert!(
        matches!(
            &found[..],
            [Event {
                data: Data::Gap(Gap { missed: Some(30), .. }),
                ..
            }]
        ),
        "{found:?}"
    );
}

/// The same while it reads: the reader has fallen behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_removed_at_work_are_a_gap() {
    let broker = servers::kafka().await;
    let topic = broker.topic(1).await;
    // More than the driver fetches ahead.
    let events = trades(0..30_000);
    super::write(&broker, &topic, 0, &events).await;
    let mut config = config(&broker, &topic, None);
    config.queued_bytes = 64 << 10;
    config.connection = config
        .connection
        .property("fetch.message.max.bytes", "65536")
        .property("queued.min.messages", "100");
    let mut source = KafkaTopics::from_config(config);
    source.open(Arc::new(qicore_data::FromStart)).await.unwrap();
    let (mut read, mut missed) = (0, None);
    while let Some(batch) = source.next_batch(BatchLimit::new(100, 1 << 20)).await.unwrap() {
        if read == 0 {
            broker.delete_records(&topic, 0, 20_000).await;
        }
        match &batch.content {
            Content::Frames(frames) => read += frames.len(),
            Content::Events(events, _) => {
                let [
                    Event {
                        data: Data::Gap(gap), ..
                    },
                ] = &events[..]
                else {
                    panic!("{events:?}")
                };
                assert!(missed.is_none());
                missed = gap.missed;
                assert_eq!(read as u64 + gap.missed.unwrap(), 20_000);
            }
            _ => unreachable!(),
        }
    }
    assert_eq!(read as u64 + missed.expect("a gap"), 30_000);
    source.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_beyond_the_end_is_told() {
    let broker = servers::kafka().await;
    let (topic, _) = filled(&broker, 1, 10).await;
    let error = from(KafkaTopics::from_config(config(&broker, &topic, None)), 11)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Checkpoint, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("made anew"), "{error}");
}

/// A topic that was deleted and made anew, and has grown beyond where its readers were, has other messages at their offsets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_made_anew_is_told() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 1, 100).await;
    let folder = tempfile::tempdir().unwrap();
    let run = async || {
        let memory = Memory::new();
        let source = config(&broker, &topic, Some(&format!("group-{topic}")));
        let run = super::pipeline("p", source, memory.clone()).checkpoints(folder.path());
        run.build().unwrap().run().await.map(|_| memory.events())
    };
    assert_same(&run().await.unwrap(), &events);
    let more = trades(500..520);
    super::write(&broker, &topic, 0, &more).await;
    assert_same(&run().await.unwrap(), &more);
    assert_same(&run().await.unwrap(), &[]);
    broker.delete(&topic).await;
    broker.create(&topic, 1, &[]).await;
    super::write(&broker, &topic, 0, &trades(2000..2200)).await;
    let error = run().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Checkpoint, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("made anew"), "{error}");
}

/// What is in a partition that is added while a group reads is new to the group as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_added_is_read_from_its_beginning() {
    let broker = servers::kafka().await;
    let (topic, _) = filled(&broker, 1, 10).await;
    let mut config = config(&broker, &topic, Some(&servers::unique("group")));
    config.start = Start::Latest;
    assert_same(&read(config.clone()).await, &[]);
    broker.add_partitions(&topic, 2).await;
    let more = trades(500..520);
    super::write(&broker, &topic, 1, &more).await;
    assert_same(&read(config).await, &more);
}
