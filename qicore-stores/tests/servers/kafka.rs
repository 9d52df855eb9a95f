//! A Kafka broker as a test sees it, by a client that knows nothing of QiCore.
//!
//! Each call opens a client of its own, and fails after [`PATIENCE`] at the latest.

use std::future::Future;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

/// How long anything may take: also after a restart of the broker, and while other tests use all cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// All that a test needs to know of a broker.
#[derive(Debug, Clone)]
pub(crate) struct Kafka {
    /// `host:port`.
    pub(crate) brokers: String,
    /// More settings of the client.
    pub(crate) settings: Vec<(String, String)>,
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// In milliseconds; a record without one gets that of its arrival at the client.
    pub(crate) timestamp: Option<i64>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Record {
    /// In partition 0, without headers.
    pub(crate) fn new(key: &str, payload: &str) -> Self {
        Self {
            key: Some(key.into()),
            payload: Some(payload.into()),
            ..Self::default()
        }
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.payload.as_deref().unwrap_or_default()).unwrap()
    }
}

impl Kafka {
    pub(crate) fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            settings: Vec::new(),
        }
    }

    /// The same broker, with another setting of the client.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a client starts from.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        // A broker that is killed on purpose would fill the output.
        config.set_log_level(RDKafkaLogLevel::Critical);
        config
    }

    fn client<T: FromClientConfig>(&self) -> T {
        self.config().create().unwrap()
    }

    /// Makes a topic under a new name, which it gives.
    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = super::unique("topic");
        self.create(&name, partitions, &[]).await;
        name
    }

    /// Makes a topic, with settings of its own.
    pub(crate) async fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.try_create(topic, partitions, settings)
            .await
            .unwrap_or_else(|error| panic!("{topic}: {error}"));
        // Other clients see it once the broker has it from its controller.
        self.blocking::<BaseConsumer, _>(topic, move |consumer, topic, until| {
            while partitions_of(consumer, topic).is_none_or(|there| there != partitions) {
                assert!(Instant::now() < until, "{topic}: made, but not to be seen");
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .await;
    }

    /// Makes a topic, which may fail.
    pub(crate) async fn try_create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> KafkaResult<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let admin: AdminClient<DefaultClientContext> = self.client();
        let done = within(admin.create_topics([&new], &options())).await?;
        done.into_iter()
            .try_for_each(|done| done.map(drop).map_err(|(_, code)| KafkaError::AdminOp(code)))
    }

    /// Makes it so many partitions.
    pub(crate) async fn add_partitions(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client();
        let (new, options) = (NewPartitions::new(topic, partitions), options());
        for done in within(admin.create_partitions([&new], &options)).await.unwrap() {
            done.unwrap();
        }
        self.blocking::<BaseConsumer, _>(topic, move |consumer, topic, until| {
            while partitions_of(consumer, topic).is_none_or(|there| there as usize != partitions) {
                assert!(Instant::now() < until, "{topic}: made, but not to be seen");
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .await;
    }

    pub(crate) async fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client();
        let done = within(admin.delete_topics(&[topic], &options())).await.unwrap();
        for done in done {
            done.unwrap();
        }
    }

    /// Deletes the records of a partition that are before an offset.
    pub(crate) async fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(topic, partition, Offset::Offset(before))
            .unwrap();
        let admin: AdminClient<DefaultClientContext> = self.client();
        let done = within(admin.delete_records(&offsets, &options())).await.unwrap();
        for element in done.elements() {
            element.error().unwrap();
        }
    }

    /// Writes records in their order to their partitions (any of them if it is negative), and gives partitions and offsets.
    pub(crate) async fn produce(&self, topic: &str, records: &[Record]) -> Vec<(i32, i64)> {
        let done = self.try_produce(topic, records).await;
        done.unwrap_or_else(|error| panic!("{topic}: {error}"))
    }

    /// The same, where it may fail.
    pub(crate) async fn try_produce(&self, topic: &str, records: &[Record]) -> KafkaResult<Vec<(i32, i64)>> {
        let mut writer = Self::new(&self.brokers)
            .with("enable.idempotence", "true")
            .with("message.timeout.ms", &(PATIENCE / 2).as_millis().to_string());
        writer.settings.extend_from_slice(&self.settings);
        let producer: FutureProducer = writer.config().create()?;
        let mut places = Vec::with_capacity(records.len());
        // Less than what the client's queue takes.
        for records in records.chunks(50_000) {
            let mut sent = Vec::with_capacity(records.len());
            for record in records {
                let accepted = producer.send_result(future_record(topic, record));
                sent.push(accepted.map_err(|(error, _)| error)?);
            }
            for sent in sent {
                let delivery = within(sent).await.expect("the producer is there");
                let delivery = delivery.map_err(|(error, _)| error)?;
                places.push((delivery.partition, delivery.offset));
            }
        }
        Ok(places)
    }

    /// All records of committed transactions and of none, as they are when this is called: partition by partition.
    /// The end of a transaction is to be seen a moment after its commit, which is waited for, up to 5 s.
    pub(crate) async fn read(&self, topic: &str) -> Vec<Record> {
        let (ends, committed) = (
            self.ends(topic).await,
            self.clone().with("isolation.level", "read_committed"),
        );
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            let stable = committed.blocking(topic, watermarks).await;
            if stable.iter().zip(&ends).all(|((_, stable), end)| stable >= end) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.read_as(topic, "read_committed").await
    }

    /// Those of open and aborted transactions too.
    pub(crate) async fn read_uncommitted(&self, topic: &str) -> Vec<Record> {
        self.read_as(topic, "read_uncommitted").await
    }

    async fn read_as(&self, topic: &str, isolation: &str) -> Vec<Record> {
        let reader = self
            .clone()
            .with("isolation.level", isolation)
            .with("enable.partition.eof", "true")
            .with("enable.auto.commit", "false")
            .with("group.id", "qicore-tests");
        reader.blocking(topic, read_all).await
    }

    /// The offset behind the last record of each partition, with those of transactions that are open.
    pub(crate) async fn ends(&self, topic: &str) -> Vec<i64> {
        let ends = self.watermarks(topic).await;
        ends.into_iter().map(|(_, end)| end).collect()
    }

    /// The offset of the first record of each partition, and the one behind the last.
    pub(crate) async fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let reader = self.clone().with("isolation.level", "read_uncommitted");
        reader.blocking(topic, watermarks).await
    }

    /// What a group has committed of each partition.
    pub(crate) async fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let reader = self.clone().with("group.id", group);
        reader
            .blocking(topic, |consumer: &BaseConsumer, topic, until| {
                let mut asked = TopicPartitionList::new();
                let partitions = partitions_of(consumer, topic).unwrap_or_else(|| panic!("no topic {topic}"));
                asked.add_partition_range(topic, 0, partitions - 1);
                let found = consumer.committed_offsets(asked, left(until)).unwrap();
                let offset = |partition| match found.find_partition(topic, partition).unwrap().offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                (0..partitions).map(offset).collect()
            })
            .await
    }

    /// Lets a group begin anew, once it has no members any more.
    pub(crate) async fn rewind(&self, group: &str, topic: &str) {
        let member = self.clone().with("group.id", group);
        member
            .blocking(topic, |consumer: &BaseConsumer, topic, until| {
                let mut first = TopicPartitionList::new();
                let partitions = partitions_of(consumer, topic).unwrap_or_else(|| panic!("no topic {topic}"));
                first.add_partition_range(topic, 0, partitions - 1);
                first.set_all_offsets(Offset::Offset(0)).unwrap();
                while let Err(error) = consumer.commit(&first, CommitMode::Sync) {
                    assert!(Instant::now() < until, "{error}");
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
            .await;
    }

    /// Does what blocks with a client of its own, until an instant.
    async fn blocking<C, T>(&self, topic: &str, act: impl FnOnce(&C, &str, Instant) -> T + Send + 'static) -> T
    where
        C: FromClientConfig,
        T: Send + 'static,
    {
        let (config, topic) = (self.config(), topic.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            let client = config.create().unwrap();
            act(&client, &topic, Instant::now() + PATIENCE)
        });
        task.await.unwrap()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE / 2))
        .operation_timeout(Some(PATIENCE / 2))
}

async fn within<T>(act: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, act).await.expect("an answer in time")
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// How many partitions a topic has, once all of them can be written.
fn partitions_of(consumer: &BaseConsumer, topic: &str) -> Option<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE / 2).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    let ready = partitions.iter().all(|partition| partition.error().is_none());
    (ready && !partitions.is_empty()).then(|| i32::try_from(partitions.len()).unwrap())
}

fn watermarks(consumer: &BaseConsumer, topic: &str, until: Instant) -> Vec<(i64, i64)> {
    let partitions = partitions_of(consumer, topic).unwrap_or_else(|| panic!("no topic {topic}"));
    // A broker tells of a partition a moment before it answers for it.
    let of = |partition| loop {
        match consumer.fetch_watermarks(topic, partition, left(until)) {
            Ok(marks) => return marks,
            Err(error) => assert!(Instant::now() < until, "{topic}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    (0..partitions).map(of).collect()
}

fn read_all(consumer: &BaseConsumer, topic: &str, until: Instant) -> Vec<Record> {
    // Behind the last record there may be marks of transactions: the client tells when it has passed them too.
    let mut open: Vec<Option<i64>> = watermarks(consumer, topic, until)
        .into_iter()
        .map(|(_, end)| Some(end))
        .collect();
    let mut assignment = TopicPartitionList::new();
    for partition in (0..).take(open.len()) {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut records, mut trouble) = (Vec::new(), None);
    while open.iter().any(Option::is_some) {
        match consumer.poll(left(until).min(Duration::from_millis(200))) {
            Some(Ok(message)) => {
                let end = &mut open[usize::try_from(message.partition()).unwrap()];
                match *end {
                    Some(before) if message.offset() < before => records.push(record(&message)),
                    _ => *end = None,
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => open[usize::try_from(partition).unwrap()] = None,
            Some(Err(error)) => trouble = Some(error),
            None => {}
        }
        let in_time = Instant::now() < until;
        assert!(
            in_time,
            "{topic}: {} records, not at {open:?}: {trouble:?}",
            records.len()
        );
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

fn record(message: &impl Message) -> Record {
    let header = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(Vec::from));
    Record {
        key: message.key().map(Vec::from),
        payload: message.payload().map(Vec::from),
        headers: message
            .headers()
            .map_or_else(Vec::new, |headers| headers.iter().map(header).collect()),
        timestamp: message.timestamp().to_millis(),
        partition: message.partition(),
        offset: message.offset(),
    }
}

fn future_record<'a>(topic: &'a str, record: &'a Record) -> FutureRecord<'a, [u8], [u8]> {
    let mut sent = FutureRecord::<[u8], [u8]>::to(topic);
    if record.partition >= 0 {
        sent = sent.partition(record.partition);
    }
    if let Some(key) = &record.key {
        sent = sent.key(key);
    }
    if let Some(payload) = &record.payload {
        sent = sent.payload(payload);
    }
    if let Some(timestamp) = record.timestamp {
        sent = sent.timestamp(timestamp);
    }
    if record.headers.is_empty() {
        return sent;
    }
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_deref(),
            })
        });
    sent.headers(headers)
}
