//! What the group wants: partitions come and go, on a thread that does nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use tokio::sync::Notify;

use super::{Partition, TopicPartition};
use crate::kafka::client::Told;
use crate::kafka::error::{is_of_group, mapped};

/// What has happened to a consumer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// These are its partitions now. Nothing is fetched before they [begin](super::Consumer::begin).
    Assigned(Vec<Partition>),
    /// These are to go to another member.
    Revoked(Vec<TopicPartition>, Release),
    /// A message came by a way on which none should: its partition is to begin anew.
    Astray(TopicPartition),
    /// Something went wrong that is about no partition.
    Failed(Error),
}

/// The right to partitions that the group takes away: it is kept until this is dropped, or for as long as may be.
#[derive(Debug)]
pub struct Release {
    /// Another member may have them already: this one was not heard of for too long.
    pub lost: bool,
    _done: mpsc::Sender<()>,
}

/// What waits for the consumer's owner.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    notices: Mutex<VecDeque<Notice>>,
    ends: Mutex<Arc<BTreeMap<TopicPartition, u64>>>,
    changed: Notify,
    pub(super) closing: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    pub(super) fn put(&self, notice: Notice) {
        locked(&self.notices).push_back(notice);
        self.changed.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Notice> {
        locked(&self.notices).drain(..).collect()
    }

    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn ends(&self) -> Arc<BTreeMap<TopicPartition, u64>> {
        Arc::clone(&locked(&self.ends))
    }
}

pub(super) struct Context {
    pub(super) told: Told,
    inbox: Arc<Inbox>,
    release_within: Duration,
    /// Held by who looks up where a group begins, and notes it.
    beginning: Mutex<()>,
    /// Itself, as partitions need it.
    consumer: OnceLock<Weak<BaseConsumer<Self>>>,
}

impl Context {
    pub(super) fn new(inbox: Arc<Inbox>, release_within: Duration) -> Self {
        Self {
            told: Told::default(),
            inbox,
            release_within,
            beginning: Mutex::default(),
            consumer: OnceLock::new(),
        }
    }

    pub(super) fn beginning(&self) -> MutexGuard<'_, ()> {
        locked(&self.beginning)
    }

    pub(super) fn knows(&self, consumer: &Arc<BaseConsumer<Self>>) {
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Gives partitions their queues. Before they are assigned: what is fetched earlier would come by another way.
    pub(super) fn take(&self, consumer: &Arc<BaseConsumer<Self>>, list: &TopicPartitionList) -> Vec<Partition> {
        let places = places(list);
        let taken = places.into_iter().filter_map(|place| {
            let queue = consumer.split_partition_queue(&place.topic, place.partition)?;
            Some(Partition::new(place, queue, Arc::clone(&self.inbox)))
        });
        taken.collect()
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let Some(own) = self.consumer.get().and_then(Weak::upgrade) else {
            return consumer.incremental_assign(list);
        };
        let taken = self.take(&own, list);
        // Where to begin is asked for later, and a partition that waits for an offset cannot be told where to begin.
        let mut from = TopicPartitionList::new();
        for place in places(list) {
            from.add_partition_offset(&place.topic, place.partition, Offset::Offset(0))?;
        }
        consumer.incremental_assign(&from)?;
        consumer.pause(&from)?;
        self.inbox.put(Notice::Assigned(taken));
        Ok(())
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let lost = consumer.assignment_lost();
        let (done, waiting) = mpsc::channel();
        self.inbox
            .put(Notice::Revoked(places(list), Release { lost, _done: done }));
        let until = Instant::now() + self.release_within;
        // Work on them goes on: their heartbeats are sent by another thread.
        while !lost && !self.inbox.closing.load(Relaxed) && Instant::now() < until {
            match waiting.recv_timeout(Duration::from_millis(50)) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                _ => break,
            }
        }
        consumer.incremental_unassign(list)
    }
}

fn places(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| TopicPartition {
        topic: element.topic().into(),
        partition: element.partition(),
    };
    list.elements().iter().map(place).collect()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Told::log(level, facility, line);
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = BTreeMap::new();
        for (topic, about) in &statistics.topics {
            let topic: Arc<str> = topic.as_str().into();
            for (partition, about) in &about.partitions {
                if let Ok(end) = u64::try_from(about.ls_offset) {
                    let place = TopicPartition {
                        topic: Arc::clone(&topic),
                        partition: *partition,
                    };
                    ends.insert(place, end);
                }
            }
        }
        *locked(&self.inbox.ends) = Arc::new(ends);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, wish: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match wish {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        };
        if let Err(error) = done {
            self.inbox.put(Notice::Failed(mapped("kafka.rebalance", error)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // The next one says more. A partition that has gone to another member is that one's to commit.
        if let Err(error) = result {
            tracing::debug!(%error, "kafka: offsets were not committed");
        }
    }
}

/// How long a consumer that is closed may wait for the thread that serves its group.
const SERVING: Duration = Duration::from_millis(10);

/// Serves the group until the consumer closes.
pub(super) fn poll(consumer: Arc<BaseConsumer<Context>>, inbox: Arc<Inbox>, grouped: bool) -> Result<JoinHandle<()>> {
    let serve = move || {
        while !inbox.closing.load(Relaxed) {
            match consumer.poll(SERVING) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if !grouped && is_of_group(&error) => {}
                Some(Ok(message)) => inbox.put(Notice::Astray(TopicPartition {
                    topic: message.topic().into(),
                    partition: message.partition(),
                })),
                Some(Err(error)) => {
                    let error = consumer.context().told.explain(mapped("kafka.read", error));
                    inbox.put(Notice::Failed(error));
                }
            }
        }
        // A partition that nobody has taken from there holds the consumer, and so itself.
        drop(inbox.take());
    };
    let spawned = std::thread::Builder::new().name("qicore-kafka".into()).spawn(serve);
    spawned.map_err(|error| Error::new(ErrorKind::Internal, "kafka.open", error.to_string()))
}
