//! Several writers of one lane: whoever is taken for dead writes nothing twice.

use qicore_data::{ErrorKind, RetryAdvice, Sink};
use qicore_stream::testkit::trades;

use super::{Place, assert_done, assert_same, delivery, held, open, write_dropping};

/// The one that was cut off wakes up when another has gone on in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_replaced_writes_nothing() {
    let place = Place::new().await;
    let (first, second) = (open(&place, "p").await, open(&place, "p").await);
    assert_eq!(held(&first, "l").await, 0);
    assert_done(&first.write(&delivery("l", 0, trades(0..10))).await.unwrap());
    assert_eq!(held(&second, "l").await, 10);
    assert_done(&second.write(&delivery("l", 10, trades(10..20))).await.unwrap());
    // The first try finds the producer fenced, the next one who has gone on.
    let late = delivery("l", 10, trades(10..25));
    let error = first.write(&late).await.unwrap_err();
    assert_eq!(error.retry(), RetryAdvice::Backoff, "{error}");
    let error = first.write(&late).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Fenced, RetryAdvice::Never),
        "{error}"
    );
    assert_same(&place.all().await, &trades(0..20));
    // If the lane comes back to it, it goes on where the other has ended.
    assert_eq!(held(&first, "l").await, 20);
    assert_done(&first.write(&delivery("l", 20, trades(20..25))).await.unwrap());
    assert_same(&place.all().await, &trades(0..25));
}

/// Where the other has not written yet, either may go on; what both have is written once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_writes() {
    let place = Place::new().await;
    let (first, second) = (open(&place, "p").await, open(&place, "p").await);
    let rows = delivery("l", 0, trades(0..10));
    assert_eq!(held(&first, "l").await, 0);
    assert_eq!(held(&second, "l").await, 0);
    let mut done = 0;
    for sink in [&first, &second, &first, &second] {
        match sink.write(&rows).await {
            Ok(receipt) => {
                assert_done(&receipt);
                done += 1;
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Fenced) && place.all().await.len() <= 10,
                "{error}"
            ),
        }
    }
    assert!(done >= 1);
    assert_same(&place.all().await, &trades(0..10));
}

/// A call that nobody waits for any more goes on by itself; the next one finds what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_given_up_double_nothing() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let events = trades(0..4000);
    write_dropping(&sink, &events, false).await;
    assert_same(&place.all().await, &events);
}

/// A transaction that a process leaves open is ended by who takes its lane, and holds up nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_do_not_wait_for_each_other() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    for lane in 0..20 {
        let name = format!("l{lane}");
        assert_eq!(held(&sink, &name).await, 0);
        assert_done(
            &sink
                .write(&delivery(&name, 0, trades(lane * 100..lane * 100 + 10)))
                .await
                .unwrap(),
        );
    }
    drop(sink);
    let sink = open(&place, "p").await;
    for lane in 0..20 {
        assert_eq!(held(&sink, &format!("l{lane}")).await, 10);
    }
    sink.close().await.unwrap();
}
