//! What is written is what is read, to the last digit.

use qicore_data::{Candle, Data, Decimal, Event, TradeId};

use crate::common::edges::{NOW, books, candles, decimals, ids, names, series, times, trade};
use crate::{assert_same, at, kinds, put, servers};

#[tokio::test]
async fn every_kind_comes_back_as_it_was() {
    let edges = [decimals(), times(), ids(), books(), series(), candles(), names()].concat();
    let events = [kinds(), edges].concat();
    for place in servers::both().await {
        put(&place, "p", events.clone()).await;
        assert_same(&place.all().await, &events);
    }
}

/// A few rows go in one statement, as JSON.
#[tokio::test]
async fn single_rows_come_back_as_they_were() {
    let edges = [decimals(), times(), ids(), books(), series(), candles(), names()].concat();
    let events = [kinds(), edges].concat();
    for place in servers::both().await {
        let sink = crate::open(&place, "p").await;
        // The first delivery of a lane makes its row.
        for (after, event) in (0..).zip(&events) {
            let delivery = crate::delivery("lane", after, vec![event.clone()]);
            crate::assert_done(&qicore_data::Sink::write(&sink, &delivery).await.unwrap());
        }
        assert_same(&place.all().await, &events);
    }
}

#[tokio::test]
async fn rows_that_are_merged_come_back_as_they_were() {
    for place in servers::both().await {
        let known = |event: &Event| {
            !matches!(
                event.data,
                Data::Quote(_) | Data::Ticker(_) | Data::Book(_) | Data::Alert(_)
            )
        };
        let events: Vec<_> = kinds().into_iter().filter(known).collect();
        put(&place, "first", events.clone()).await;
        let more = [decimals(), times(), series(), candles()].concat();
        // The first rows are known, which sends all of them by way of the staging table.
        put(&place, "second", [events.clone(), more.clone()].concat()).await;
        assert_same(&place.all().await, &[events, more].concat());
    }
}

#[tokio::test]
async fn a_long_delivery_comes_back_whole_and_in_order() {
    let place = servers::postgres().await;
    let events = qicore_stream::testkit::trades(0..50_000);
    put(&place, "p", events.clone()).await;
    assert!(place.events(qicore_data::EventType::Trade).await == events);
}

#[tokio::test]
async fn rows_of_one_time_keep_the_order_of_their_arrival() {
    // Ids that are texts come in any order.
    let named = |price: i64| (price % 2 == 1).then(|| TradeId::new(&format!("x{}", price * 7919 % 1009)));
    let trade = |price| trade(named(price), at(NOW), Decimal::new(price, 2));
    for trades in [
        (1..1000).step_by(2).map(trade).collect::<Vec<_>>(),
        (0..1000).step_by(2).map(trade).collect(),
    ] {
        let place = servers::postgres().await;
        put(&place, "p", trades[..200].to_vec()).await;
        put(&place, "p", trades[200..].to_vec()).await;
        assert!(place.events(qicore_data::EventType::Trade).await == trades);
    }
}

#[tokio::test]
async fn a_sink_of_some_types_passes_the_others_over() {
    let place = servers::postgres().await;
    let sink = crate::sink(&place).only([qicore_data::EventType::Candle]);
    qicore_data::Sink::open(&sink, &qicore_data::WriterId::new("p", "s"))
        .await
        .unwrap();
    let receipt = qicore_data::Sink::write(&sink, &crate::delivery("l", 0, kinds()))
        .await
        .unwrap();
    crate::assert_done(&receipt);
    let is_candle = |event: &Event| matches!(event.data, Data::Candle(Candle { .. }));
    let candles: Vec<_> = kinds().into_iter().filter(is_candle).collect();
    assert_same(&place.all().await, &candles);
}
