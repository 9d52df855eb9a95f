//! What a message looks like to any other client.

use qicore_data::{Event, Sink};

use super::{Place, assert_done, assert_same, delivery, held, kinds, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_client_can_read_it() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let events = kinds();
    assert_done(&sink.write(&delivery("l", 0, events.clone())).await.unwrap());
    let records = place.broker.read(&place.topic).await;
    assert_eq!(records.len(), events.len());
    for record in &records {
        let event: Event = serde_json::from_str(record.text()).unwrap();
        // Instruments are compacted: two venues' must not take each other's place.
        let key = match &event.data {
            qicore_data::Data::Instrument(instrument) => format!("{}:{}", event.exchange, instrument.native),
            _ => event.symbol.to_string(),
        };
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        assert_eq!(record.timestamp, Some(event.timestamp.nanos() / 1_000_000));
        let header = |name: &str| {
            let found = record.headers.iter().find(|(header, _)| header == name);
            found
                .and_then(|(_, value)| String::from_utf8(value.clone()?).ok())
                .unwrap()
        };
        assert_eq!(header("event-type"), event.event_type().as_str());
        assert_eq!(header("schema-version"), "1");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("source"), event.source.as_str());
    }
    assert_same(&place.all().await, &events);
}

/// Offsets tell the order, not times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_may_go_backwards() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let mut events = qicore_stream::testkit::trades(0..300);
    let times: Vec<_> = events.iter().rev().map(|event| event.timestamp).collect();
    for (event, time) in events.iter_mut().zip(times) {
        event.timestamp = time;
    }
    assert_done(&sink.write(&delivery("l", 0, events[..200].to_vec())).await.unwrap());
    assert_done(&sink.write(&delivery("l", 200, events[200..].to_vec())).await.unwrap());
    let found = place.broker.read(&place.topic).await;
    let found: Vec<Event> = found
        .iter()
        .map(|record| serde_json::from_str(record.text()).unwrap())
        .collect();
    assert_eq!(found, events);
}

/// A symbol's events are in one partition, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbol_keeps_its_order() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let mut events = qicore_stream::testkit::trades(0..500);
    for (at, event) in events.iter_mut().enumerate() {
        event.symbol = qicore_data::Symbol::new(&format!("S{}/USD", at % 7)).unwrap();
    }
    assert_done(&sink.write(&delivery("l", 0, events.clone())).await.unwrap());
    let mut partitions = std::collections::BTreeMap::new();
    let mut ids: std::collections::BTreeMap<_, Vec<Event>> = std::collections::BTreeMap::new();
    for record in place.broker.read(&place.topic).await {
        let event: Event = serde_json::from_str(record.text()).unwrap();
        assert_eq!(
            *partitions.entry(event.symbol.as_str()).or_insert(record.partition),
            record.partition
        );
        ids.entry(event.symbol.as_str()).or_default().push(event);
    }
    for (symbol, found) in ids {
        let expected: Vec<_> = events
            .iter()
            .filter(|event| event.symbol.as_str() == symbol)
            .cloned()
            .collect();
        assert_eq!(found, expected, "{symbol}");
    }
    assert!(
        partitions.values().collect::<std::collections::BTreeSet<_>>().len() > 1,
        "{partitions:?}"
    );
}
