//! Dead letters in topics.

use qicore_data::{DeadLetter, DeadLetters, Lane, Payload, Timestamp};
use qicore_sinks::{KafkaLetters, KafkaLettersConfig};

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
            raw: "x".repeat(bytes),
            received: None,
            channel: None,
        },
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
