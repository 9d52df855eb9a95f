//! `qicore topics` on a real broker.

#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::process::{Command, Output};

use servers::Kafka;
use tempfile::TempDir;

/// A folder with files, a broker, and names that no other test has.
struct Place {
    folder: TempDir,
    kafka: Kafka,
    prefix: String,
}

impl Place {
    async fn new() -> Self {
        Self::on(servers::kafka().await)
    }

    fn on(kafka: Kafka) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            kafka,
            prefix: servers::unique("cli"),
        }
    }

    /// Writes a file; `{p}` in it is the prefix, `{brokers}` the brokers.
    fn file(&self, name: &str, text: &str) {
        let text = text
            .replace("{p}", &self.prefix)
            .replace("{brokers}", &self.kafka.brokers);
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qicore"));
        command
            .arg("topics")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("QICORE_KAFKA_BROKERS");
        command
    }

    fn topics(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs to an exit status, and gives what is told of each topic: the state and the rest, without the prefix.
    fn told(&self, arguments: &str, status: i32) -> Vec<[String; 4]> {
        let output = self.topics(arguments);
        let told = format!("{arguments}\n{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{told}");
        let rows = text(&output.stdout).lines().filter(|line| line.starts_with('│'));
        let row = |line: &str| {
            let line = line.replace(&self.prefix, "");
            let mut cells = line.trim_matches('│').split('┆').map(|cell| cell.trim().to_owned());
            std::array::from_fn(|_| cells.next().unwrap_or_else(|| panic!("{told}")))
        };
        rows.map(row).skip(1).collect()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn states(rows: &[[String; 4]]) -> Vec<(&str, &str)> {
    rows.iter()
        .map(|[topic, state, ..]| (topic.as_str(), state.as_str()))
        .collect()
}

const PIPELINE: &str = r#"
name = "validate"
dead_letters = "letters.jsonl"

[source]
type = "kafka"
topics = ["{p}-raw"]
group = "validate"
connection.brokers = "{brokers}"

[[sink]]
type = "kafka"
name = "validated"
only = ["candle", "instrument"]
topics = { candle = "{p}-validated", instrument = "{p}-reference" }
checkpoints = "{p}-checkpoints"
connection.brokers = "{brokers}"

[[sink]]
type = "timescale"
connection.password = { env = "QICORE_NOT_SET" }
"#;

#[tokio::test]
async fn a_pipelines_topics_are_planned_and_made() {
    let place = Place::new().await;
    place.file("p.toml", PIPELINE);
    let missing = place.told("plan p.toml", 2);
    let names = ["-checkpoints", "-raw", "-reference", "-validated"];
    assert_eq!(states(&missing), names.map(|name| (name, "missing")));
    assert!(
        missing[0][3].starts_with("8 partitions, cleanup.policy=compact"),
        "{missing:?}"
    );
    assert_eq!(missing[1][3], "4 partitions");
    assert_eq!(missing[2][3], "4 partitions, cleanup.policy=compact");
    assert_eq!(missing[3][3], "4 partitions, cleanup.policy=delete");

    // Two at once are no harm.
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| place.told("apply p.toml", 0));
        (place.told("apply p.toml", 0), other.join().unwrap())
    });
    for state in states(&one).into_iter().chain(states(&other)) {
        assert!(["made", "same"].contains(&state.1), "{one:?} {other:?}");
    }
    let quiet = place.topics("plan --quiet p.toml");
    assert!(
        quiet.status.success() && quiet.stdout.is_empty() && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
    let same = place.told("plan p.toml", 0);
    assert_eq!(states(&same), names.map(|name| (name, "same")));
    assert_eq!([&same[0][2], &same[3][2]], ["8 × 1", "4 × 1"]);
    assert_eq!(states(&place.told("apply p.toml", 0)), names.map(|name| (name, "same")));
}

#[tokio::test]
async fn drift_is_told_and_changed_where_it_is_asked_for() {
    let place = Place::new().await;
    place.file(
        "topics.toml",
        "replication = 1\n[topics.{p}-trades]\npartitions = 3\nretention = \"7d\"\n",
    );
    let brokers = place.kafka.brokers.clone();
    let all = format!("--spec topics.toml --brokers {brokers}");
    place
        .kafka
        .create(&format!("{}-trades", place.prefix), 2, &[("retention.ms", "1000")])
        .await;
    let differs = |arguments: &str, status| {
        let rows = place.told(&format!("{arguments} {all}"), status);
        let lines: Vec<_> = rows
            .iter()
            .map(|[_, state, _, line]| format!("{state} {line}"))
            .collect();
        lines
    };
    let partitions = "partitions: 2 → 3";
    let both = [
        format!("differs {partitions}"),
        " retention.ms: 1000 → 604800000".to_owned(),
    ];
    assert_eq!(differs("plan", 2), both);
    assert_eq!(differs("apply", 0), both);
    let changed = differs("apply --change-settings", 0);
    assert_eq!(
        changed,
        [
            "changed done: retention.ms: 1000 → 604800000".to_owned(),
            format!(" left: {partitions}")
        ]
    );
    assert_eq!(differs("plan", 2), [format!("differs {partitions}")]);
    assert_eq!(
        differs("apply --add-partitions", 0),
        [format!("changed done: {partitions}")]
    );
    assert_eq!(differs("plan", 0), ["same "]);
    assert_eq!(
        differs("plan --retention 1d --partitions 9", 0),
        ["same "],
        "the file's word on the topic counts"
    );
    let copies = place.topics(&format!("plan --replication 2 {all}"));
    assert_eq!(copies.status.code(), Some(2), "{}", text(&copies.stdout));
    let advice = text(&copies.stderr);
    assert!(
        advice.contains("1 differences that cannot be changed in place"),
        "{advice}"
    );
}

#[tokio::test]
async fn the_default_topics_are_made_without_a_file() {
    let own = tokio::task::spawn_blocking(|| servers::Own::kafka("")).await.unwrap();
    let place = Place::on(own.broker());
    let asked = format!("--partitions 6 --retention 2d --brokers {}", place.kafka.brokers);
    let planned = place.told(&format!("plan {asked}"), 2);
    let of = |topic: &str| {
        let row = planned.iter().find(|row| row[0] == topic);
        row.unwrap_or_else(|| panic!("{topic}: {planned:?}"))
    };
    for topic in [
        "ohlcv-raw",
        "ohlcv-validated",
        "alerts",
        "analytics-requests",
        "trades",
        "gaps",
    ] {
        assert_eq!(
            of(topic)[3],
            "6 partitions, cleanup.policy=delete, retention.ms=172800000"
        );
        let letters =
            "1 partition, cleanup.policy=delete, max.message.bytes=8388608, retention.bytes=-1, retention.ms=-1";
        assert_eq!(of(&format!("{topic}-dead-letter"))[3], letters);
    }
    assert_eq!(of("market-metadata")[3], "6 partitions, cleanup.policy=compact");
    assert!(of("qicore-checkpoints")[3].starts_with("8 partitions"));

    let made = place.told(&format!("apply {asked}"), 0);
    assert_eq!(made.len(), planned.len());
    assert!(made.iter().all(|row| row[1] == "made"), "{made:?}");
    let same = place.told(&format!("plan {asked}"), 0);
    assert!(same.iter().all(|row| row[1] == "same"), "{same:?}");
    // By the variable, and whatever number there is.
    let output = place
        .command("plan")
        .env("QICORE_KAFKA_BROKERS", &place.kafka.brokers)
        .output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[tokio::test]
async fn failures_exit_with_1_and_say_what_to_do() {
    let place = Place::new().await;
    place.file("p.toml", PIPELINE);
    place.file(
        "typo.toml",
        "name = \"x\"\n[[sink]]\ntype = \"kafka\"\ntopcs = { candle = \"x\" }\n",
    );
    place.file(
        "files.toml",
        "name = \"x\"\n[source]\ntype = \"generator\"\n[[sink]]\ntype = \"discard\"\n",
    );
    place.file(
        "name.toml",
        "name = \"x\"\n[[sink]]\ntype = \"kafka\"\nonly = [\"trade\"]\ntopics.trade = \"a b\"\n",
    );
    place.file(
        "nobody.toml",
        "connection = { brokers = \"127.0.0.1:1\", timeout = \"1s\" }\n",
    );
    place.file("spec.toml", "retention = \"a week\"\n");
    for (arguments, expected) in [
        ("plan", "--brokers HOST:PORT"),
        ("plan typo.toml", "typo.toml:4: unknown field `topcs`"),
        ("plan files.toml", "there are no topics to make"),
        ("apply name.toml", "\"a b\" is no name of a topic"),
        ("plan --spec nobody.toml p.toml", "127.0.0.1:1"),
        ("plan --spec spec.toml p.toml", "spec.toml:1: \"a week\" is not a time"),
        ("plan --retention week p.toml", "--retention: \"week\" is not a time"),
        ("plan --brokers x:1 p.toml", "cannot be used with"),
        ("plan --partitions 0 p.toml", "is not in 1.."),
        ("plan missing.toml", "missing.toml"),
    ] {
        let output = place.topics(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {told}");
        assert!(
            told.contains(expected) && output.stdout.is_empty(),
            "{arguments}: {told}"
        );
    }
    // Copies that no cluster of one broker has: the others are made all the same.
    place.file("copies.toml", "[topics.{p}-raw]\nreplication = 3\n[topics.{p}-slip]\n");
    let output = place.topics("apply --spec copies.toml p.toml");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("more copies of a partition than brokers"), "{told}");
    assert!(
        told.contains("none of the pipelines uses them: ") && told.contains("-slip"),
        "{told}"
    );
    assert_eq!(
        text(&output.stdout).matches("made").count(),
        3,
        "{}",
        text(&output.stdout)
    );
    assert_eq!(states(&place.told("plan p.toml", 2))[1], ("-raw", "missing"));
}

#[test]
fn help_teaches() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_qicore"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        text(&output.stdout).to_owned()
    };
    let all = help(&["topics", "--help"]);
    assert!(
        all.contains("qicore topics apply pipeline.toml") && all.contains("[topics.ohlcv-raw]"),
        "{all}"
    );
    let plan = help(&["topics", "plan", "--help"]);
    assert!(plan.contains("Exit status") && plan.contains("2 where"), "{plan}");
}
