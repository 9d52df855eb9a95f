//! Pipelines from files: what is built, and how mistakes are told.

use qicore::{Pipeline, Plugin, Registry, registry};

fn told(text: &str) -> String {
    told_by(text, &registry())
}

fn told_by(text: &str, registry: &Registry) -> String {
    Pipeline::from_toml(text, registry).map(|_| ()).unwrap_err().to_string()
}

const SOUND: &str = r#"
name = "sound"
dead_letters = "data/dead-letters.jsonl"
checkpoints = "data/checkpoints"

[options]
checkpoint_every = "250ms"
retry = { retries = 3 }

[source]
type = "generator"
events = 1000

[[transform]]
type = "validate"

[[transform]]
type = "dedupe"

[[transform]]
type = "candles"
timeframes = ["1s", "1m"]

[[sink]]
type = "jsonl"
path = "data"
batch = { events = 500 }
retry = { retries = 5, longest_pause = "5s" }

[[sink]]
type = "discard"
name = "nowhere"
"#;

#[test]
fn a_sound_file_is_a_pipeline() {
    let pipeline = Pipeline::from_toml(SOUND, &registry()).unwrap();
    assert_eq!(pipeline.name(), "sound");
    let shown = format!("{pipeline:?}");
    assert!(
        shown.contains("generator") && shown.contains("jsonl") && shown.contains("nowhere"),
        "{shown}"
    );
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let broken = SOUND
        .replace("events = 1000", "evnts = 1000")
        .replace("type = \"dedupe\"", "type = \"dedup\"")
        .replace("\"1s\", \"1m\"", "\"1s\", \"7m\"")
        .replace("batch = { events = 500 }", "batch = { rows = 500 }")
        .replace("\"250ms\"", "\"soon\"");
    let told = told(&broken);
    for (line, what) in [
        (7, "\"soon\" is not a duration"),
        (12, "unknown field `evnts`"),
        (18, "unknown transform \"dedup\"; known: validate, dedupe"),
        (22, "unknown timeframe \"7m\""),
        (27, "unknown field `rows`"),
    ] {
        let found = told
            .lines()
            .any(|told| told.starts_with(&format!("line {line}: ")) && told.contains(what));
        assert!(found, "{what:?} is not told for line {line}:\n{told}");
    }
    assert_eq!(told.lines().count(), 5, "{told}");
}

#[test]
fn what_is_missing_is_told() {
    let told = told("nam = \"x\"\n");
    for what in [
        "unknown field `nam`",
        "missing field `name`",
        "no [source]",
        "no [[sink]]",
    ] {
        assert!(told.contains(what), "{what:?} is not told:\n{told}");
    }
}

#[test]
fn a_plugin_whose_feature_is_off_names_the_feature() {
    let off = Plugin {
        build: None,
        ..*registry().sinks.iter().find(|plugin| plugin.name == "parquet").unwrap()
    };
    let mut registry = registry();
    registry.sinks = vec![off];
    let told = told_by(
        "name = \"x\"\n[source]\ntype = \"generator\"\n[[sink]]\ntype = \"parquet\"\npath = \"data\"\n",
        &registry,
    );
    assert_eq!(
        told,
        "line 5: the sink \"parquet\" is not compiled in: enable the cargo feature \"parquet\""
    );
}

#[test]
fn a_limit_of_nothing_is_a_mistake() {
    let text = SOUND.replace("checkpoint_every", "queue_items = 0\ncheckpoint_every");
    let line = text.lines().position(|line| line == "queue_items = 0").unwrap() + 1;
    assert_eq!(told(&text), format!("line {line}: queue_items must be greater than 0"));
}

#[test]
fn a_pipeline_has_a_name() {
    let nameless = SOUND.replacen("name = \"", "name = \" \" # \"", 1);
    assert_eq!(told(&nameless), "line 2: the name is empty");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    assert!(
        told("name = \"x\"\n[source\n").starts_with("line 2: "),
        "{}",
        told("name = \"x\"\n[source\n")
    );
}
