//! Every source and every sink of the project keeps the contract. Those that need a server are tested beside their
//! other tests, in `qicore-sinks` and `qicore-sources`.

use std::path::Path;
use std::sync::Arc;

use qicore::prelude::*;
use qicore::sinks::{Csv, Jsonl, Memory, Parquet};
use qicore::sources::dead_letters::DeadLetters;
use qicore::testkit::{Fault, FaultySink, conformance, trades};
use qicore::{Content, DeadLetter, Decimal, Frame, Payload};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings() {
    for venue in ["KRAKEN", "COINBASE", "BINANCE"] {
        conformance::source(|| Box::new(Replay::recording(format!("{DATA}/{venue}.jsonl.zst")))).await;
    }
}

#[tokio::test]
async fn synthetic_market() {
    conformance::source(|| Box::new(Generator::new(7).symbols(9).lanes(3).events(5000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn Sink>; 3] = [
        Arc::new(Jsonl::new(folder.path().join("jsonl"))),
        Arc::new(Csv::new(folder.path().join("csv"))),
        Arc::new(Parquet::new(folder.path().join("parquet"))),
    ];
    for sink in stores {
        let name = sink.name().to_owned();
        let source = Generator::new(1).symbols(3).lanes(2).events(2000);
        let builder = Pipeline::builder("store")
            .source(source)
            .sink_with(sink, SinkOptions::default());
        builder.build().unwrap().run().await.unwrap();
        conformance::source(|| Box::new(Replay::new([folder.path().join(&name)]))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let letter = |id: u64, stage: &str, payload| DeadLetter {
        id: id.to_string(),
        at: Timestamp::from_nanos(1),
        pipeline: "p".into(),
        source: "kraken".into(),
        stage: stage.into(),
        reason: "r".into(),
        error: "e".into(),
        lane: Lane::new("l"),
        offset: id,
        payload,
    };
    let events = trades(0..300).into_iter().zip(0..).map(|(event, id)| {
        letter(
            id,
            if id % 2 == 0 { "validate" } else { "sink:x" },
            Payload::Event { event: Box::new(event) },
        )
    });
    let frames = (300..400).map(|id| {
        letter(
            id,
            "decode",
            Payload::of_frame(&Frame::new(id, "{\"event\":\"heartbeat\"}")),
        )
    });
    let lines = events
        .chain(frames)
        .map(|letter| serde_json::to_string(&letter).unwrap() + "\n");
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    conformance::source(|| Box::new(DeadLetters::new(&path))).await;
}

/// What a stored data set holds.
async fn stored(folder: &Path) -> Vec<Event> {
    let published = std::fs::read_dir(folder)
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("type="));
    if !published {
        return Vec::new();
    }
    let mut source = Replay::new([folder]);
    source.open(Arc::new(qicore::FromStart)).await.unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = source.next_batch(qicore::BatchLimit::default()).await.unwrap() {
        match batch.content {
            Content::Events(events, _) => rows.extend(events),
            content => assert!(content.is_empty(), "damaged rows"),
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_sinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    conformance::sink(
        || Arc::new(Jsonl::new(path("jsonl"))),
        async || stored(&path("jsonl")).await,
    )
    .await;
    conformance::sink(|| Arc::new(Csv::new(path("csv"))), async || stored(&path("csv")).await).await;
    conformance::sink(
        || Arc::new(Parquet::new(path("parquet"))),
        async || with_scales(stored(&path("parquet")).await),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut large = trades(99..100).remove(0);
    if let Data::Trade(trade) = &mut large.data {
        // 29 digits before the point, and a Parquet column has room for 20.
        trade.price = Decimal::MAX;
    }
    conformance::refusals(
        || Arc::new(Parquet::new(folder.path())),
        large,
        async || with_scales(stored(folder.path()).await),
    )
    .await;

    let memory = Memory::new();
    let plain = memory.clone();
    let new = move || {
        let refusing = FaultySink::new(Arc::new(plain.clone()), |call| {
            (call == 0).then_some(Fault::RejectRow(4))
        });
        Arc::new(refusing) as Arc<dyn Sink>
    };
    conformance::refusals(new, trades(99..100).remove(0), async || memory.events()).await;
}

/// A Parquet column has one scale; the test's prices have two fractional digits and its sizes three.
fn with_scales(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        if let Data::Trade(trade) = &mut event.data {
            trade.price.rescale(2);
            trade.size.rescale(3);
        }
    }
    events
}

#[tokio::test]
async fn memory() {
    let memory = Memory::new();
    let plain = memory.clone();
    conformance::sink(move || Arc::new(plain.clone()), async || memory.events()).await;
}
