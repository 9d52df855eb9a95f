//! Workers as processes, that hang or are killed, on a real broker and a real store.

mod shipped;

#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use qicore_data::{Event, Quote};
use servers::{Database, Kafka, Record};
use tempfile::TempDir;

/// Events of each topic that workers read; each has two partitions.
const EVENTS: u64 = 4000;

/// Quotes: no store knows them by a key, so that one which is written twice is there twice.
fn quotes(from: u64, to: u64) -> Vec<Event> {
    let mut events = qicore::testkit::trades(from..to);
    for event in &mut events {
        let [bid, bid_size, ask, ask_size] = [1, 2, 3, event.timestamp.nanos() / 1_000_000 % 100_000].map(Into::into);
        event.data = qicore_data::Data::Quote(Quote {
            bid,
            bid_size,
            ask,
            ask_size,
        });
    }
    events
}

/// Puts events into a topic, by turns into its partitions.
async fn fill(kafka: &Kafka, topic: &str, events: &[Event]) {
    let record = |(at, event): (usize, &Event)| Record {
        partition: at as i32 % 2,
        ..Record::new(event.symbol.as_str(), &serde_json::to_string(event).unwrap())
    };
    let records: Vec<_> = events.iter().enumerate().map(record).collect();
    kafka.produce(topic, &records).await;
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patient = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(90), patient).await;
    assert!(waited.is_ok(), "not within 90 s: {what}");
}

/// A process that is killed at the end, if it has not ended.
struct Worker(Child);

impl Worker {
    fn start(folder: &TempDir, pipeline: &str) -> Self {
        fs::write(folder.path().join("p.toml"), pipeline).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_qicore"));
        command.args(["run", "--quiet", "p.toml"]).current_dir(folder.path());
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(done.unwrap().success(), "{name}");
    }

    /// Asks it to stop, and waits until it has.
    async fn stop(mut self) {
        self.signal("-INT");
        until("a worker has stopped", async || self.0.try_wait().unwrap().is_some()).await;
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A source of a group whose dead members are noticed soon.
fn source(kafka: &Kafka, topic: &str) -> String {
    let brokers = &kafka.brokers;
    format!(
        r#"
name = "platform-{topic}"

[source]
type = "kafka"
topics = ["{topic}"]
group = "group-{topic}"
connection.brokers = "{brokers}"
connection.properties = {{ "session.timeout.ms" = "3000", "heartbeat.interval.ms" = "300" }}
"#
    )
}

#[track_caller]
fn assert_same(mut found: Vec<String>, expected: &[Event]) {
    let mut expected: Vec<_> = expected
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found.len(), expected.len(), "lost or doubled");
    assert_eq!(found, expected);
}

/// A worker hangs in the middle of its work until the group has given its partitions to another one, which does the rest.
/// Then it wakes up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hung_writes_nothing_twice() {
    let kafka = servers::kafka().await;
    let (raw, clean) = (kafka.topic(2).await, kafka.topic(2).await);
    let mut events = quotes(0, 3 * EVENTS);
    fill(&kafka, &raw, &events).await;
    let sink = format!(
        r#"
[[sink]]
type = "kafka"
only = ["quote"]
topics = {{ quote = "{clean}" }}
checkpoints = "{clean}-checkpoints"
connection.brokers = "{}"
batch = {{ events = 20, linger = "1ms" }}
"#,
        kafka.brokers
    );
    let (folder, pipeline) = (tempfile::tempdir().unwrap(), source(&kafka, &raw) + &sink);
    let hung = Worker::start(&folder, &pipeline);
    let written = async || kafka.ends(&clean).await.iter().sum::<i64>();
    until("some is written", async || written().await > 200).await;
    hung.signal("-STOP");
    // However far it was, there is something that it did not do.
    let more = quotes(3 * EVENTS, 4 * EVENTS);
    fill(&kafka, &raw, &more).await;
    events.extend(more);
    let other = Worker::start(&folder, &pipeline);
    until("the other has done the rest", async || {
        kafka.read(&clean).await.len() >= events.len()
    })
    .await;
    hung.signal("-CONT");
    // Both are at work again, whoever has which partition.
    let more = quotes(4 * EVENTS, 4 * EVENTS + 200);
    fill(&kafka, &raw, &more).await;
    events.extend(more);
    until("what came later is written", async || {
        kafka.read(&clean).await.len() >= events.len()
    })
    .await;
    hung.stop().await;
    other.stop().await;
    let found = kafka
        .read(&clean)
        .await
        .iter()
        .map(|record| record.text().to_owned())
        .collect();
    assert_same(found, &events);
}

/// Workers are killed, and the group never hears how far they were: what a store has is for the store to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_between_the_stores_commit_and_the_groups_double_nothing() {
    let (kafka, database) = (servers::kafka().await, servers::postgres().await);
    let topic = kafka.topic(2).await;
    let events = quotes(0, EVENTS);
    fill(&kafka, &topic, &events).await;
    let Database { url, schema } = &database;
    let sink = format!(
        r#"
[[sink]]
type = "timescale"
connection.url = "{url}"
tables.schema = "{schema}"
batch = {{ events = 50, linger = "1ms" }}
"#
    );
    let (folder, pipeline) = (tempfile::tempdir().unwrap(), source(&kafka, &topic) + &sink);
    let rows = async || match database
        .try_sql(&format!("SELECT FROM {}", database.table("quotes")))
        .await
    {
        Ok(()) => database.count("quotes").await,
        Err(_) => 0,
    };
    for round in 1..=3 {
        let worker = Worker::start(&folder, &pipeline);
        let some = i64::try_from(EVENTS).unwrap() * round / 5;
        until("some is stored", async || rows().await >= some).await;
        drop(worker);
        kafka.rewind(&format!("group-{topic}"), &topic).await;
    }
    let worker = Worker::start(&folder, &pipeline);
    until("all is stored", async || rows().await >= events.len() as i64).await;
    worker.stop().await;
    let found = database.events(qicore_data::EventType::Quote).await;
    assert_same(
        found
            .iter()
            .map(|event| serde_json::to_string(event).unwrap())
            .collect(),
        &events,
    );
}
