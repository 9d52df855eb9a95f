//! Dead letters in topics.

use qicore_data::{DeadLetter, DeadLetters, Lane, Payload, Timestamp};
use qicore_sinks::{KafkaLetters, KafkaLettersConfig};

use super::conformance::incompressible;
use super::servers;

fn letter(number: u64, source: &str, lane: &str, bytes: usize) -> DeadLetter {
    DeadLetter {
        id: format!("p:{lane}@{number}/decode"),
        at: Timestamp::from_nanos(1),
        pipeline: "p".into(),
        source: source.into(),
        stage: "decode".into(),
        reason: "decode".into(),
        error: "no JSON".into(),
        lane: Lane::new(lane),
        offset: number,
        payload: Payload::Text {
            raw: incompressible(bytes),
            received: None,
            channel: None,
        },
    }
}

/// A message that is refused can be larger than the topic of its letter takes: the others are whole, and the lane goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_is_too_large_is_cut() {
    let broker = servers::kafka().await;
    let topic = servers::unique("letters");
    broker.create(&topic, 1, &[("max.message.bytes", "100000")]).await;
    let mut config = KafkaLettersConfig::default();
    config.connection = qicore_stores::kafka::Connection::brokers(&*broker.brokers);
    config.topic = Some(topic.clone());
    let store = KafkaLetters::from_config(config);
    store.open().await.unwrap();
    // What a topic takes is counted compressed, what a client takes is not.
    let sizes = [10, 300_000, 20, 12_000_000, 30];
    let letters = sizes
        .iter()
        .zip(1..)
        .map(|(bytes, number)| letter(number, "kafka", "raw/1", *bytes));
    let letters: Vec<_> = letters.collect();
    store.write(letters.clone()).await.unwrap();
    let mut found: Vec<DeadLetter> = broker
        .read(&topic)
        .await
        .iter()
        .map(|record| serde_json::from_str(record.text()).unwrap())
        .collect();
    found.sort_by_key(|letter| letter.offset);
    assert_eq!(found.len(), letters.len());
    for (found, letter) in found.iter().zip(&letters) {
        let Payload::Text { raw, .. } = &letter.payload else {
            unreachable!()
        };
        if raw.len() <= 100 {
            assert_eq!(found, letter);
            continue;
        }
        let Payload::Text { raw: kept, .. } = &found.payload else {
            panic!("{found:?}")
        };
        assert!(*kept == raw[..64 << 10], "{} bytes", kept.len());
        assert!(
            found.error.contains(&format!("of {} bytes", raw.len())),
            "{}",
            found.error
        );
        assert_eq!(
            (&found.id, &found.lane, found.offset),
            (&letter.id, &letter.lane, letter.offset)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_lie_beside_the_topic_that_was_read() {
    let broker = servers::kafka().await;
    let topic = broker.topic(2).await;
    let connection = || qicore_stores::kafka::Connection::brokers(&*broker.brokers);
    let lane = format!("{topic}/1");
    let letters = vec![
        letter(1, "kafka", &lane, 10),
        letter(2, "kafka", &lane, 3_000_000),
        letter(3, "kafka", &lane, 10),
    ];
    let store = KafkaLetters::new(connection());
    store.open().await.unwrap();
    store.write(letters.clone()).await.unwrap();
    let beside = format!("{topic}-dead-letter");
    let read = async |topic: &str| -> Vec<DeadLetter> {
        let records = broker.read(topic).await;
        records
            .iter()
            .map(|record| serde_json::from_str(record.text()).unwrap())
            .collect()
    };
    assert_eq!(read(&beside).await, letters);
    let keys: Vec<_> = broker
        .read(&beside)
        .await
        .into_iter()
        .map(|record| record.key.unwrap())
        .collect();
    assert_eq!(
        keys,
        letters
            .iter()
            .map(|letter| letter.id.clone().into_bytes())
            .collect::<Vec<_>>()
    );

    // A topic that is gone comes back with the next letter.
    broker.delete(&beside).await;
    while let Err(error) = store.write(vec![letters[0].clone()]).await {
        assert_eq!(error.retry(), qicore_data::RetryAdvice::Backoff, "{error}");
    }
    assert_eq!(read(&beside).await, letters[..1]);

    let named = servers::unique("letters");
    let mut config = KafkaLettersConfig::default();
    (config.connection, config.topic) = (connection(), Some(named.clone()));
    let store = KafkaLetters::from_config(config);
    store.open().await.unwrap();
    store
        .write(vec![letter(1, "replay", "BINANCE.jsonl", 5)])
        .await
        .unwrap();
    assert_eq!(read(&named).await.len(), 1);
}
