//! The sinks without files, and all sinks by name.

#[path = "../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;

use std::sync::Arc;

use one_of_each::one_of_each;
use qicore_data::{Checkpoint, Delivery, Lane, Mistakes, Position, Registry, Settings, Sink};
use qicore_sinks::{Discard, Memory, SINKS};

fn delivery(lane: &Lane) -> Delivery {
    let mut delivery = Delivery::of(lane.clone(), 0, 10, one_of_each());
    delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(10))));
    delivery
}

#[tokio::test]
async fn memory_is_shared_between_its_clones() {
    let lane = Lane::new("l");
    let (first, plain) = (Memory::with_checkpoints(), Memory::new());
    assert!(first.capabilities().stores_checkpoints && !plain.capabilities().stores_checkpoints);
    for sink in [&first.clone(), &plain] {
        assert_eq!(sink.checkpoint(&lane).await.unwrap(), None);
        assert!(!sink.write(&delivery(&lane)).await.unwrap().staged);
        assert_eq!(sink.events(), one_of_each());
    }
    assert_eq!(first.checkpoint(&lane).await.unwrap().unwrap().position.offset, 10);
    assert_eq!(first.checkpoints().len(), 1);
    assert_eq!(plain.checkpoint(&lane).await.unwrap(), None);
    assert_eq!(first.take().len(), 10);
    assert!(first.is_empty() && !first.checkpoints().is_empty());
    first.clear();
    assert!(first.checkpoints().is_empty());
}

#[tokio::test]
async fn discard_counts() {
    let sink = Discard::new();
    for _ in 0..3 {
        sink.clone().write(&delivery(&Lane::new("l"))).await.map(drop).unwrap();
    }
    assert_eq!(sink.events(), 30);
}

fn build(document: &str) -> Result<Arc<dyn Sink>, Mistakes> {
    Registry::default().sinks(SINKS).sink(Settings::parse(document)?)
}

#[test]
fn every_sink_is_built_by_its_name() {
    for plugin in SINKS {
        let path = match plugin.name {
            "jsonl" | "csv" | "parquet" => "path = \"out\"",
            _ => "",
        };
        match build(&format!("type = {:?}\n{path}\n", plugin.name)) {
            Ok(sink) => assert_eq!(sink.name(), plugin.name),
            Err(mistakes) => {
                assert!(plugin.build.is_none());
                assert!(mistakes.to_string().contains(&format!("feature {:?}", plugin.feature)));
            }
        }
        let told = build(&format!("type = {:?}\n{path}\npth = 1\n", plugin.name))
            .err()
            .unwrap()
            .to_string();
        assert!(
            plugin.build.is_none() || told.contains("line 3: unknown field `pth`"),
            "{told}"
        );
    }
}

#[cfg(feature = "timescale")]
#[test]
fn mistakes_tell_no_password() {
    for (setting, told) in [
        ("connection = \"postgres://u:hunter2@h/d\"", "connection.url ="),
        ("connection.url = \"mysql://u:hunter2@h/d\"", "postgres://"),
        (
            "connection.url = \"postgres://u@h/d?pwd=hunter2\"",
            "a parameter that is none of these: sslmode",
        ),
        ("tables.candle_retention = \"2 days\"", "at least 5 days"),
        ("connection.statement_timeout = \"30d\"", "less than 25 days"),
    ] {
        let mistakes = build(&format!("type = \"timescale\"\n{setting}\n"))
            .err()
            .unwrap()
            .to_string();
        assert!(mistakes.contains(told) && !mistakes.contains("hunter2"), "{mistakes}");
    }
}

#[cfg(all(feature = "jsonl", feature = "parquet"))]
#[test]
fn mistakes_are_told_with_their_lines() {
    for (document, told) in [
        ("type = \"jsonl\"", "path is missing"),
        (
            "type = \"jsonl\"\npath = \"out\"\nonly = [\"trade\", \"bar\"]",
            "line 3: unknown event type \"bar\"",
        ),
        (
            "type = \"jsonl\"\npath = \"out\"\nrotate_after = \"soon\"",
            "line 3: \"soon\" is not a duration",
        ),
        (
            "type = \"jsonl\"\npath = \"out\"\nscale = 18",
            "line 3: unknown field `scale`",
        ),
        (
            "type = \"jsonl\"\npath = \"out\"\nrotate_bytes = 0",
            "rotate_bytes must be at least 1",
        ),
        (
            "type = \"parquet\"\npath = \"out\"\nscale = 29",
            "scale must be at most 28",
        ),
        (
            "type = \"parquet\"\npath = \"out\"\ncompression = \"gzip\"",
            "line 3: unknown variant `gzip`",
        ),
        ("type = \"discard\"\npath = \"out\"", "line 2: unknown field `path`"),
    ] {
        let mistakes = build(document)
            .err()
            .unwrap_or_else(|| panic!("{document}"))
            .to_string();
        assert!(mistakes.contains(told), "{mistakes}");
    }
    let all = "type = \"parquet\"\npath = \"out\"\nonly = [\"trade\"]\nrotate_bytes = 1000\nrotate_after = \"5m\"\n\
               max_open_files = 8\nscale = 12\ncompression = \"snappy\"\nrow_group_rows = 1000\nrow_group_bytes = 100000\n";
    let sink = build(all).unwrap();
    assert_eq!(sink.capabilities().flush_after, std::time::Duration::from_secs(300));
}
