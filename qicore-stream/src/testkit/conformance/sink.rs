//! What a sink must do.

use std::sync::Arc;

use qicore_data::{Checkpoint, Delivery, Event, Lane, Position, Sink, WriterId};

use crate::testkit::trades;

/// Tests a sink: rows, order within a lane, lanes side by side, checkpoints, and a restart with rows in flight.
///
/// `new` makes a sink on the same store each time, as a new process would; `rows` reads everything that the store has
/// made durable, in any order.
///
/// # Panics
/// With the reason, if the sink does not conform.
pub async fn sink(new: impl Fn() -> Arc<dyn Sink>, rows: impl AsyncFn() -> Vec<Event>) {
    let capabilities = new().capabilities();
    let (stores, replaces) = (capabilities.stores_checkpoints, capabilities.replaces_rows);
    let (one, two) = (Lane::new("conformance/one"), Lane::new("conformance/two"));
    let (first, second) = (trades(0..300), trades(1000..1200));

    let sink = new();
    sink.open(&writer()).await.expect("open");
    for lane in [&one, &two] {
        assert_eq!(
            sink.checkpoint(lane).await.expect("checkpoint"),
            None,
            "an empty store holds a checkpoint"
        );
    }
    let writes =
        [(&one, &first, 0), (&two, &second, 0)].map(|(lane, events, after)| deliver(&*sink, lane, events, after));
    futures_util::future::join_all(writes).await;
    for (lane, offset) in [(&one, 300), (&two, 200)] {
        sink.flush(lane).await.expect("flush");
        if stores {
            let held = sink
                .checkpoint(lane)
                .await
                .expect("checkpoint")
                .map(|held| held.position.offset);
            assert_eq!(held, Some(offset), "lane {lane}: not the checkpoint that was flushed");
        }
    }
    sink.close().await.expect("close");
    drop(sink);
    let mut expected = [first, second].concat();
    assert_rows(&rows().await, &expected, "after flush and close");

    if stores {
        let sink = new();
        sink.open(&writer()).await.expect("open again");
        let _ = sink.checkpoint(&one).await.expect("checkpoint");
        let uncovered = Delivery::of(one.clone(), 300, 350, trades(300..350));
        let receipt = sink.write(&uncovered).await.expect("write");
        assert!(receipt.staged, "rows are durable without a checkpoint that covers them");
        drop(sink);
        // The rows come again.
        if !replaces {
            assert_rows(
                &rows().await,
                &expected,
                "after a kill behind a delivery without checkpoint",
            );
        }
    }

    // A process that dies with rows in flight: they are durable together with their checkpoint, or not at all.
    let sink = new();
    sink.open(&writer()).await.expect("open again");
    let held = sink.checkpoint(&one).await.expect("checkpoint");
    assert_eq!(
        held.is_some(),
        stores,
        "the checkpoint is not there in the next process"
    );
    let third = trades(300..400);
    deliver(&*sink, &one, &third, 300).await;
    drop(sink);
    let sink = new();
    sink.open(&writer()).await.expect("open after a kill");
    let held = sink.checkpoint(&one).await.expect("checkpoint after a kill");
    if stores {
        let offset = held.map_or(0, |held| held.position.offset);
        assert!(
            offset == 300 || offset == 400,
            "a checkpoint that was never given: {offset}"
        );
        if offset == 300 {
            deliver(&*sink, &one, &third, 300).await;
        }
    }
    finish(&*sink, &one, 400).await;
    expected.extend(third);
    if stores {
        assert_rows(&rows().await, &expected, "after a kill and a redelivery");
        let sink = new();
        sink.open(&writer()).await.expect("open after the end");
        let held = sink.checkpoint(&one).await.expect("checkpoint after the end");
        let finished = held.is_some_and(|held| held.finished && held.position.offset == 400);
        assert!(finished, "that the lane is finished is forgotten");
    }
}

fn writer() -> WriterId {
    WriterId::new("conformance", "sink")
}

/// Ends a lane as the pipeline does: a last delivery with the finished checkpoint, here without rows, then a flush.
async fn finish(sink: &dyn Sink, lane: &Lane, offset: u64) {
    let mut end = Delivery::of(lane.clone(), offset, offset, Vec::new());
    let mut checkpoint = Checkpoint::new(lane.clone(), Position::at(offset));
    checkpoint.finished = true;
    (end.last, end.checkpoint) = (true, Some(Arc::new(checkpoint)));
    let receipt = sink.write(&end).await.expect("write the end");
    assert!(receipt.rejected.is_empty(), "a row that is not there is refused");
    sink.flush(lane).await.expect("flush");
    sink.close().await.expect("close");
}

/// Tests how a sink refuses a row that its store cannot hold: by name, with a reason, and with all others written; and
/// that nothing is durable before the caller had time to put the row away.
///
/// `new` makes a sink on an empty store, `refused` is such a row, `rows` reads what the store has made durable.
///
/// # Panics
/// With the reason, if the sink does not conform.
pub async fn refusals(new: impl Fn() -> Arc<dyn Sink>, refused: Event, rows: impl AsyncFn() -> Vec<Event>) {
    let (lane, at) = (Lane::new("conformance/refusals"), 4);
    let sound = trades(0..10);
    let mut events = sound.clone();
    events.insert(at, refused);
    let sink = new();
    sink.open(&writer()).await.expect("open");
    sink.checkpoint(&lane).await.expect("checkpoint");
    let offset = events.len() as u64;
    let mut delivery = Delivery::of(lane.clone(), 0, offset, events);
    delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(offset))));
    let receipt = sink.write(&delivery).await.expect("a refused row is no error");
    let named: Vec<_> = receipt.rejected.iter().map(|row| row.index).collect();
    assert_eq!(named, [at], "other rows are refused");
    let reason = receipt.rejected[0].error.message();
    assert!(!reason.is_empty(), "the row is refused without a reason");
    if sink.capabilities().stores_checkpoints {
        assert!(receipt.staged, "durable before the refused row is put away");
        let held = sink.checkpoint(&lane).await.expect("checkpoint");
        assert_eq!(held, None, "a checkpoint covers the row before it is put away");
        if !sink.capabilities().replaces_rows {
            assert_rows(&rows().await, &[], "before the flush");
        }
        // Asking for the checkpoint begins anew.
        let receipt = sink.write(&delivery).await.expect("the same again");
        assert_eq!(receipt.rejected.len(), 1, "the row is taken now");
    }
    finish(&*sink, &lane, offset).await;
    assert_rows(&rows().await, &sound, "beside the refused one");
}

/// Writes events in three deliveries; the middle one is empty, the last one carries the checkpoint.
async fn deliver(sink: &dyn Sink, lane: &Lane, events: &[Event], after: u64) {
    let half = events.len() / 2;
    let (middle, end) = (after + half as u64, after + events.len() as u64);
    let mut deliveries = [
        Delivery::of(lane.clone(), after, middle, events[..half].to_vec()),
        Delivery::of(lane.clone(), middle, middle, Vec::new()),
        Delivery::of(lane.clone(), middle, end, events[half..].to_vec()),
    ];
    for (at, delivery) in deliveries.iter_mut().enumerate() {
        if at > 0 {
            let position = Position::at(delivery.offset);
            delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), position)));
        }
        let receipt = sink.write(delivery).await.expect("write");
        assert!(
            receipt.rejected.is_empty(),
            "sound rows are refused: {:?}",
            receipt.rejected
        );
    }
}

/// In any order, with decimals that are equal as numbers.
fn assert_rows(found: &[Event], expected: &[Event], when: &str) {
    let sorted = |events: &[Event]| {
        let mut events = events.to_vec();
        // The text begins with what tells the rows of these tests apart.
        events.sort_by_cached_key(|event| serde_json::to_string(event).expect("JSON"));
        events
    };
    let (found, expected) = (sorted(found), sorted(expected));
    assert_eq!(found.len(), expected.len(), "another number of rows {when}");
    assert!(found == expected, "other rows {when}");
}
