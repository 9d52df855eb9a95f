//! The pipelines as they are shipped, as processes: only names and addresses are a test's own.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use qicore_data::{Data, Event, EventType, Quality};
use tempfile::TempDir;

use super::servers::{self, Clickhouse, Database, Kafka};
use super::{Worker, until};

const INGESTS: [&str; 3] = ["ingest-instruments", "ingest-batches", "ingest-stream"];
const SERVICES: [&str; 3] = ["validate", "write-timescale", "write-clickhouse"];

struct Platform {
    folder: TempDir,
    prefix: String,
    kafka: Kafka,
    timescale: Database,
    clickhouse: Clickhouse,
}

impl Platform {
    async fn new() -> Self {
        let platform = Self {
            folder: tempfile::tempdir().unwrap(),
            prefix: servers::unique("shipped"),
            kafka: servers::kafka().await,
            timescale: servers::timescale().await,
            clickhouse: servers::clickhouse(),
        };
        for name in INGESTS.into_iter().chain(SERVICES) {
            let text = platform.shipped(name);
            fs::write(platform.folder.path().join(format!("{name}.toml")), text).unwrap();
        }
        platform
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// A shipped file with the names of this test.
    fn shipped(&self, name: &str) -> String {
        let file = format!("{}/../pipelines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut text = fs::read_to_string(file).unwrap();
        let (raw, validated, metadata) = (
            self.topic("ohlcv-raw"),
            self.topic("ohlcv-validated"),
            self.topic("market-metadata"),
        );
        let Database { url, schema } = &self.timescale;
        let Clickhouse { url: http, database } = &self.clickhouse;
        for (shipped, own) in [
            ("\"ohlcv-raw\"", format!("{raw:?}")),
            ("\"ohlcv-validated\"", format!("{validated:?}")),
            ("\"market-metadata\"", format!("{metadata:?}")),
            (
                "only = [\"instrument\"]",
                format!("only = [\"instrument\"]\ntopics = {{ instrument = {metadata:?} }}"),
            ),
            (
                "only = [\"candle\"]",
                format!("only = [\"candle\"]\ntopics = {{ candle = {raw:?} }}"),
            ),
            (
                &format!("name = {name:?}"),
                format!("name = \"{}-{name}\"", self.prefix),
            ),
            (
                &format!("group = {name:?}"),
                format!("group = \"{}-{name}\"", self.prefix),
            ),
            ("events = 400000", "events = 80000".into()),
            (
                "{ env = \"QICORE_TIMESCALE_URL\" }",
                format!("{url:?}\ntables.schema = {schema:?}"),
            ),
            (
                "{ env = \"QICORE_CLICKHOUSE_URL\" }",
                format!("{http:?}\ntables.database = {database:?}"),
            ),
            ("standalone = true", format!("standalone = true\n{QUICK}")),
            ("\ngroup =", format!("\n{QUICK}\ngroup =")),
        ] {
            text = text.replace(shipped, &own);
        }
        text
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qicore"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("QICORE_KAFKA_BROKERS", &self.kafka.brokers);
        command
    }

    /// Runs the program to its end.
    async fn done(&self, arguments: &[&str]) {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn start(&self, name: &str) -> Worker {
        let mut command = self.command(&["run", "--quiet", &format!("{name}.toml")]);
        Worker(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// The candles in both stores.
    async fn stored(&self) -> [Vec<Event>; 2] {
        [
            sorted(&self.timescale.events(EventType::Candle).await),
            sorted(&self.clickhouse.events(EventType::Candle).await),
        ]
    }

    async fn messages(&self, topic: &str) -> Vec<Event> {
        let records = self.kafka.read(&self.topic(topic)).await;
        records
            .iter()
            .map(|record| serde_json::from_str(record.text()).unwrap())
            .collect()
    }
}

/// Members of groups that are dead are noticed soon.
const QUICK: &str = r#"connection.properties = { "session.timeout.ms" = "3000", "heartbeat.interval.ms" = "300" }"#;

#[track_caller]
fn assert_same(found: &[Event], expected: &[Event]) {
    let differ = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(
        found.len() == expected.len() && differ.is_none(),
        "{} rows of {}: {differ:#?}",
        found.len(),
        expected.len()
    );
}

/// In the order of their keys, without what validation has added. Equal decimals may have different zeros at their ends.
fn sorted(events: &[Event]) -> Vec<Event> {
    let bare = |event: &Event| Event {
        enrichment: None,
        ..event.clone()
    };
    let mut events: Vec<_> = events.iter().map(bare).collect();
    events.sort_by_key(|event| {
        let Data::Candle(candle) = &event.data else {
            panic!("{event:?}")
        };
        (event.symbol.to_string(), candle.timeframe, event.timestamp)
    });
    events
}

/// Batches of history through validation into both stores, while a worker of each service is killed; then the topic is read
/// again, by the same writers whose group is set back, and by others that know nothing of the first ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_services_write_each_row_once_and_read_again_change_nothing() {
    let platform = Platform::new().await;
    let files = ["ingest-instruments", "ingest-batches", "validate"].map(|name| format!("{name}.toml"));
    platform
        .done(&["topics", "apply", &files[0], &files[1], &files[2]])
        .await;
    platform.done(&["run", "--quiet", &files[0]]).await;
    let killed = SERVICES.map(|name| platform.start(name));
    platform.done(&["run", "--quiet", &files[1]]).await;
    let validated = platform.topic("ohlcv-validated");
    until("some is validated", async || {
        platform.kafka.ends(&validated).await.iter().sum::<i64>() > 50
    })
    .await;
    drop(killed);
    let workers: Vec<_> = SERVICES
        .iter()
        .flat_map(|name| [platform.start(name), platform.start(name)])
        .collect();

    let raw = platform.messages("ohlcv-raw").await;
    assert!(raw.len() > 500, "{} candles", raw.len());
    let expected = sorted(&raw);
    until("all is stored", async || {
        platform.stored().await.iter().all(|rows| rows.len() >= expected.len())
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
    let [timescale, clickhouse] = platform.stored().await;
    assert_same(&timescale, &expected);
    assert_same(&clickhouse, &expected);

    let messages = platform.messages("ohlcv-validated").await;
    assert_same(&sorted(&messages), &expected);
    for event in &messages {
        let enrichment = event.enrichment.as_deref().unwrap();
        assert!(enrichment.validated_at.is_some() && enrichment.native.is_some() && enrichment.active == Some(true));
        assert_eq!(
            event.quality == Quality::High,
            enrichment.reasons.is_empty(),
            "{event:?}"
        );
    }
    let high = messages.iter().filter(|event| event.quality == Quality::High).count();
    assert!(
        2 * high > messages.len(),
        "{high} of {} are of high quality",
        messages.len()
    );

    for name in &SERVICES[1..] {
        platform
            .kafka
            .rewind(&format!("{}-{name}", platform.prefix), &validated)
            .await;
        let again = platform.shipped(name).replace("[source]", "[source]\nuntil = \"end\"");
        fs::write(platform.folder.path().join("same.toml"), &again).unwrap();
        platform.done(&["run", "--quiet", "same.toml"]).await;
        let other = again.replace(
            &format!("\"{}-{name}\"", platform.prefix),
            &format!("\"{}-{name}-again\"", platform.prefix),
        );
        assert_ne!(again, other);
        fs::write(platform.folder.path().join("other.toml"), other).unwrap();
        platform.done(&["run", "--quiet", "other.toml"]).await;
    }
    assert!(
        platform.stored().await == [timescale, clickhouse],
        "reading again has changed something"
    );
}

/// What is shipped is without mistakes, in each of its files.
#[test]
fn the_shipped_files_are_sound() {
    let folder = format!("{}/../pipelines", env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let mut command = Command::new(env!("CARGO_BIN_EXE_qicore"));
            let command = command.arg("check").arg(&path).current_dir(format!("{folder}/.."));
            command.env("QICORE_KAFKA_BROKERS", "localhost:1");
            command.env("QICORE_TIMESCALE_URL", "postgres://localhost:1/market");
            command.env("QICORE_CLICKHOUSE_URL", "http://localhost:1");
            let output = command.output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            found.insert(path, (output.status.success(), told));
        }
    }
    assert!(found.len() >= 7, "{found:?}");
    assert!(found.values().all(|(sound, _)| *sound), "{found:#?}");
}

/// What cannot be meant is told before anything is connected to.
#[test]
fn mistakes_in_sections_of_kafka_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let head = "name = \"p\"\ndead_letters = \"l.jsonl\"\n[[sink]]\ntype = \"discard\"\n[source]\ntype = \"kafka\"\n";
    let sound = "topics = [\"a\", \"b\"]\ngroup = \"g\"\n";
    let check = |source: &str| {
        let file = folder.path().join("p.toml");
        fs::write(&file, format!("{head}{source}")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_qicore"))
            .arg("check")
            .arg(file)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), told)
    };
    assert!(check(sound).0, "{:?}", check(sound));
    for (wrong, told) in [
        ("topics = [\"a\", \"a\"]\ngroup = \"g\"", "a is there twice"),
        ("topics = [\"a b\"]\ngroup = \"g\"", "no name of a topic"),
        ("topics = [\"a\"]", "group = "),
        (
            &format!("{sound}start = {{ offsets = {{ \"c/0\" = 5 }} }}"),
            "\"c/0\" is no TOPIC/PARTITION",
        ),
        (
            &format!("{sound}start = {{ offsets = {{ \"a\" = 5 }} }}"),
            "\"a\" is no TOPIC/PARTITION",
        ),
        (
            &format!("{sound}start = {{ time = \"2026-01-01T00:00:00Z\", offsets = {{}} }}"),
            "start is ",
        ),
        (&format!("{sound}connection.timeout = \"0s\""), "100 ms"),
        (&format!("{sound}connection.timeout = \"10m\""), "5 minutes"),
        (&format!("{sound}connection.password = 271828"), "quotation marks"),
        (
            &format!("{sound}connection.properties = {{ \"acks\" = \"1\" }}"),
            "not for you to set",
        ),
        (
            &format!("{sound}connection.properties = {{ \"no.such\" = \"1\" }}"),
            "does not know it",
        ),
    ] {
        let (sound, found) = check(wrong);
        assert!(!sound && found.contains(told), "{wrong}\n{found}");
        assert!(found.contains("p.toml:") && !found.contains("271828"), "{found}");
    }
}
