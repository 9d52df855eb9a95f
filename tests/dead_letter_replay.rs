//! Dead letters that are sent through again reach only what has not had them.

use std::path::Path;
use std::sync::Arc;

use qicore::prelude::*;
use qicore::sinks::{Jsonl, Memory, Parquet};
use qicore::sources::dead_letters::{DeadLetters, stages};
use qicore::testkit::trades;
use qicore::{ErrorKind, Sink};

/// Trades with sizes of three fractional digits, into a store that holds `digits` and one that holds everything.
fn pipeline(folder: &Path, digits: u8) -> Pipeline {
    Pipeline::builder("test")
        .source(qicore::testkit::Scripted::events("lane", trades(0..5000), 100))
        .transform(Candles::new([Timeframe::S1]).unwrap())
        .sink(Parquet::new(folder.join("parquet")).scale(digits))
        .sink(Jsonl::new(folder.join("jsonl")))
        .dead_letters(folder.join("letters.jsonl"))
        .build()
        .unwrap()
}

async fn stored(folder: &Path) -> Vec<Event> {
    let memory = Memory::new();
    let sink: Arc<dyn Sink> = Arc::new(memory.clone());
    let read = Pipeline::builder("read")
        .source(Replay::new([folder]))
        .sink_with(sink, SinkOptions::default());
    read.build().unwrap().run().await.unwrap();
    memory.events()
}

#[tokio::test]
async fn a_row_that_one_sink_refused_goes_to_that_sink_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pipeline(folder, 2).run().await.unwrap();
    let letters = folder.join("letters.jsonl");
    assert_eq!(
        stages(&letters).unwrap().into_iter().collect::<Vec<_>>(),
        ["sink:parquet"]
    );
    let before = stored(&folder.join("jsonl")).await;
    assert!(stored(&folder.join("parquet")).await.len() < before.len());

    let stage = "sink:parquet";
    let again = pipeline(folder, 3)
        .replaying(DeadLetters::new(&letters), stage, folder.join("again"))
        .unwrap();
    again.run().await.unwrap();
    assert_eq!(
        stored(&folder.join("jsonl")).await.len(),
        before.len(),
        "the other sink had them"
    );
    // Three fractional digits hold every size and price; candles' quote volumes need five.
    let parquet = stored(&folder.join("parquet")).await;
    let trades = |events: &[Event]| {
        events
            .iter()
            .filter(|event| event.event_type() == EventType::Trade)
            .count()
    };
    assert_eq!(trades(&parquet), 5000);
    assert!(folder.join("again").exists(), "the candles are refused again");

    let error = pipeline(folder, 3)
        .replaying(DeadLetters::new(&letters), "sink:other", "x")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
