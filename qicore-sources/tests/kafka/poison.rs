//! Messages that are none of ours.

use std::sync::Arc;

use qicore_data::{Event, EventType};
use qicore_sinks::{KafkaConfig, Memory};
use qicore_stores::kafka::Topics;
use qicore_stores::messages::Encoding;
use qicore_stream::testkit::trades;

use super::{Letters, assert_same, config, pipeline, servers};
use servers::Record;

fn message(event: &Event) -> Record {
    Record::new(event.symbol.as_str(), &serde_json::to_string(event).unwrap())
}

fn with(mut record: Record, name: &str, value: &str) -> Record {
    record.headers.push((name.into(), Some(value.into())));
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_goes_to_the_dead_letters_with_its_place() {
    let broker = servers::kafka().await;
    let topic = broker.topic(1).await;
    let sound = trades(0..4);
    let binary = Record {
        payload: Some(vec![0xff, 0x00, 0x80]),
        ..Record::default()
    };
    let tombstone = Record {
        payload: None,
        ..Record::new("BTC/USD", "")
    };
    let records = [
        message(&sound[0]),
        Record::new("k", "{\"type\":\"trade\""),
        with(message(&sound[1]), "schema-version", "1"),
        with(message(&trades(77..78)[0]), "schema-version", "2"),
        binary,
        tombstone,
        Record::new("k", "[1,2]"),
        with(message(&sound[2]), "another-header", "2"),
        with(message(&trades(88..89)[0]), "content-type", "application/x-unknown"),
        Record::new("k", ""),
        Record::new(
            "k",
            &serde_json::to_string(&sound[3])
                .unwrap()
                .replacen('{', "{\"newer\":{\"field\":1},", 1),
        ),
    ];
    broker.produce(&topic, &records).await;
    let (memory, letters) = (Memory::new(), Letters::default());
    let run = pipeline("p", config(&broker, &topic, None), memory.clone()).dead_letters_to(Arc::new(letters.clone()));
    run.build().unwrap().run().await.unwrap();
    assert_same(&memory.events(), &sound);
    let letters = letters.0.lock().unwrap();
    let places: Vec<_> = letters.iter().map(|letter| letter.error.clone()).collect();
    assert_eq!(letters.len(), 6, "{places:#?}");
    for (letter, offset) in letters.iter().zip([1, 3, 4, 6, 8, 9]) {
        assert_eq!((letter.stage.as_str(), letter.reason.as_str()), ("decode", "decode"));
        assert_eq!(
            (letter.lane.as_str(), letter.offset),
            (&*format!("{topic}/0"), offset + 1)
        );
        let told = &letter.error;
        let place = [
            format!("topic={topic}"),
            "partition=0".into(),
            format!("message_offset={offset}"),
        ];
        assert!(place.iter().all(|part| told.contains(part)), "{told}");
    }
    assert!(letters[1].error.contains("newer"), "{}", letters[1].error);
    assert!(letters[4].error.contains("x-unknown"), "{}", letters[4].error);
}

/// Both forms of messages lie in one topic, as where a sink's setting was changed, and each is read as its headers say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_encodings_are_read_side_by_side() {
    let broker = servers::kafka().await;
    let topic = broker.topic(1).await;
    let events = trades(0..60);
    for (events, encoding) in events
        .chunks(20)
        .zip([Encoding::Json, Encoding::Protobuf, Encoding::Json])
    {
        let mut config = KafkaConfig::default();
        config.connection = super::connection(&broker);
        config.encoding = encoding;
        config.only = vec![EventType::Trade];
        config.topics = Topics::default().with(EventType::Trade, &topic);
        config.checkpoints = format!("{topic}-checkpoints");
        let sink = qicore_sinks::Kafka::from_config(config);
        let name = format!("{encoding:?}-{}", events[0].timestamp);
        let source = qicore_stream::testkit::Scripted::events(&name, events.to_vec(), 7);
        let run = qicore_stream::Pipeline::builder("p").source(source).sink(sink);
        run.build().unwrap().run().await.unwrap();
    }
    let sizes = broker
        .read(&topic)
        .await
        .into_iter()
        .map(|record| record.payload.unwrap().len());
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(sizes.len(), events.len());
    assert!(
        2 * sizes[20..40].iter().max().unwrap() < *sizes[..20].iter().min().unwrap(),
        "{sizes:?}"
    );
    let memory = Memory::new();
    let run = pipeline("p", config(&broker, &topic, None), memory.clone())
        .build()
        .unwrap();
    run.run().await.unwrap();
    assert_same(&memory.events(), &events);
}

/// Every kind of event, as any producer may write it: without headers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_not_needed() {
    let broker = servers::kafka().await;
    let topic = broker.topic(1).await;
    let event = trades(0..1).remove(0);
    broker.produce(&topic, &[message(&event)]).await;
    let memory = Memory::new();
    let run = pipeline("p", config(&broker, &topic, None), memory.clone())
        .build()
        .unwrap();
    run.run().await.unwrap();
    assert_eq!(memory.events()[0].event_type(), EventType::Trade);
    assert_same(&memory.events(), &[event]);
}
