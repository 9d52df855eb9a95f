//! What tests of the databases' sinks share.

// Each binary uses a part of it.
#![allow(dead_code)]

pub(crate) mod edges;
pub(crate) mod log;
pub(crate) mod proxy;

#[path = "../../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use qicore_data::{
    BatchPolicy, Candle, Checkpoint, Decimal, Delivery, Error, ErrorKind, Event, EventType, Exchange, Label, Lane,
    Origin, Position, Quote, Receipt, RetryAdvice, RetryPolicy, Sink, Symbol, Timeframe, Timestamp,
};
use qicore_stream::testkit::{Scripted, trades};
use qicore_stream::{BreakerPolicy, Options, Pipeline, PipelineBuilder, SinkOptions};

/// The range behind `after`, ending with a checkpoint. Offsets count events, or 1 where there is none.
pub(crate) fn delivery(lane: &str, after: u64, events: Vec<Event>) -> Delivery {
    let (lane, offset) = (Lane::new(lane), after + events.len().max(1) as u64);
    let mut delivery = Delivery::of(lane.clone(), after, offset, events);
    delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane, Position::at(offset))));
    delivery
}

/// Where a lane stands.
pub(crate) async fn held(sink: &dyn Sink, lane: &str) -> u64 {
    let held = sink.checkpoint(&Lane::new(lane)).await.unwrap();
    held.map_or(0, |held| held.position.offset)
}

pub(crate) fn assert_done(receipt: &Receipt) {
    assert!(!receipt.staged && receipt.rejected.is_empty(), "{receipt:?}");
}

/// A server that lets nobody in is named, and waited for.
#[track_caller]
pub(crate) fn assert_away(error: &Error, port: u16) {
    let verdict = (error.kind(), error.retry());
    assert_eq!(verdict, (ErrorKind::Unavailable, RetryAdvice::Backoff), "{error}");
    let (told, server) = (error.to_string(), format!("127.0.0.1:{port}"));
    assert!(told.contains("refused") && told.contains(&server), "{told}");
}

pub(crate) fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(crate) fn event(symbol: &str, at: Timestamp, data: impl Into<qicore_data::Data>) -> Event {
    let (exchange, symbol) = (Exchange::new("kraken").unwrap(), Symbol::new(symbol).unwrap());
    Event::new(exchange, symbol, at, label("test"), data)
}

/// A closed bar that moves from `open` to `close`.
pub(crate) fn bar(symbol: &str, timeframe: Timeframe, from: Timestamp, open: i64, close: i64) -> Event {
    let (open, close) = (Decimal::new(open, 2), Decimal::new(close, 2));
    let candle = Candle {
        timeframe,
        open,
        high: open.max(close) + Decimal::new(5, 2),
        low: open.min(close) - Decimal::new(7, 2),
        close,
        volume: Decimal::new(15, 1),
        quote_volume: Some(Decimal::new(25, 1)),
        trades: Some(3),
        closed: true,
        origin: Origin::Rest,
        revision: 0,
    };
    event(symbol, from, candle)
}

/// One event of each kind; the bar opens at a whole minute, as bars do.
pub(crate) fn kinds() -> Vec<Event> {
    let mut events = one_of_each::one_of_each();
    for event in &mut events {
        if event.event_type() == EventType::Candle {
            event.timestamp = Timeframe::M1.floor(event.timestamp);
        }
    }
    events
}

/// Changes a candle.
pub(crate) fn candle(event: &Event, change: impl FnOnce(&mut Candle)) -> Event {
    let mut event = event.clone();
    let qicore_data::Data::Candle(candle) = &mut event.data else {
        panic!("{event:?}")
    };
    change(candle);
    event
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next one below `end`, by splitmix64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Their JSON, in order: equal texts are equal to the last digit of a scale, in any order of rows.
pub(crate) fn texts(events: &[Event]) -> Vec<String> {
    let mut texts: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    texts.sort_unstable();
    texts
}

#[track_caller]
pub(crate) fn assert_same(found: &[Event], expected: &[Event]) {
    let (found, expected) = (texts(found), texts(expected));
    assert_eq!(found.len(), expected.len(), "rows lost or doubled");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

/// A market of so many lanes with `size` events each: trades, which have keys, and quotes, which have none. With all
/// that is to be stored of it.
pub(crate) fn market(lanes: u64, size: usize) -> (Scripted, Vec<Event>) {
    let quote = |price: u64| {
        let (price, size) = (Decimal::from(price), d("0.5"));
        let (bid, ask, bid_size, ask_size) = (price, price + size, size, size);
        event(
            "BTC/USD",
            Timestamp::from_nanos(price.mantissa() as i64),
            Quote {
                bid,
                bid_size,
                ask,
                ask_size,
            },
        )
    };
    let lane = |lane: u64| {
        let first = 1_000_000 * lane;
        let trades = trades(first..first + size as u64);
        let mixed = (first..)
            .zip(trades)
            .map(|(at, trade)| if at % 5 == 0 { quote(at) } else { trade });
        mixed.collect::<Vec<_>>()
    };
    let names: Vec<_> = (0..lanes).map(|lane| format!("lane {lane}")).collect();
    let events: Vec<_> = (0..lanes).map(lane).collect();
    let all = events.concat();
    let lanes = names.iter().map(String::as_str).zip(events);
    (Scripted::lanes(lanes, 100), all)
}

/// A pipeline of many small deliveries that gives up only with the test: quick to try again, and to find a call hanging.
pub(crate) fn pipeline(name: &str, source: Scripted, sink: impl Sink + 'static) -> PipelineBuilder {
    let retry = RetryPolicy::default()
        .retries(usize::MAX)
        .pauses(Duration::from_millis(10), Duration::from_millis(200))
        .timeout(Duration::from_secs(5));
    let options = SinkOptions::default()
        .retry(retry)
        .breaker(BreakerPolicy::new(0, Duration::ZERO))
        .batch(BatchPolicy::new(200, 1 << 20, Duration::from_millis(20)));
    Pipeline::builder(name)
        .source(source)
        .sink_with(Arc::new(sink), options.name("sink"))
        .options(Options::default())
}

/// Writes events as many deliveries of the lane `l`, each given up after ever more waits, and made again, until it is
/// answered. Where the server may end with a connection that was given up, it may need more tries.
pub(crate) async fn write_dropping(sink: &dyn Sink, events: &[Event], server_may_end: bool) {
    let (mut random, mut dropped) = (Random(3), 0);
    for (number, events) in events.chunks(400).enumerate() {
        let delivery = delivery("l", 400 * number as u64, events.to_vec());
        for try_number in 0.. {
            let waits = random.below(3) + try_number * try_number;
            match dropped_after(waits, sink.write(&delivery)).await {
                None => dropped += 1,
                Some(Err(_)) if server_may_end => tokio::time::sleep(Duration::from_millis(100)).await,
                Some(receipt) => {
                    assert_done(&receipt.unwrap());
                    break;
                }
            }
        }
    }
    assert!(dropped >= 5, "only {dropped} writes were dropped");
}

/// Drops a future once it has waited more than so many times: at the same places however fast the machine is.
async fn dropped_after<T>(waits: u64, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut waited) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if waited == waits => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}
