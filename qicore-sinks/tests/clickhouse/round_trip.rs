//! What is written is what is read, to the last digit.

use qicore_data::{Candle, Data, Decimal, Event, EventType, Sink, TradeId, WriterId};
use qicore_stores::clickhouse::Decimals;

use crate::common::edges::{NOW, books, candles, decimals, ids, names, series, times, trade};
use crate::{at, kinds, put, same, servers};

/// Values that `Decimal(38, 18)` and the years from 1900 on have a place for.
fn fits(event: &Event) -> bool {
    let Data::Trade(trade) = &event.data else { return true };
    let price = trade.price.normalize();
    price.scale() <= 18 && price.abs() < Decimal::from(10_u128.pow(20)) && event.timestamp >= at("1900-01-01T00:00:00Z")
}

fn edges() -> Vec<Event> {
    [
        kinds(),
        decimals(),
        times(),
        ids(),
        books(),
        series(),
        candles(),
        names(),
    ]
    .concat()
}

#[tokio::test]
async fn every_kind_comes_back_as_it_was() {
    let place = servers::clickhouse();
    let events: Vec<_> = edges().into_iter().filter(fits).collect();
    put(&place, "p", events.clone()).await;
    same(&place.all().await, &events);
}

#[tokio::test]
async fn every_decimal_comes_back_from_wide_columns() {
    let place = servers::clickhouse();
    let events: Vec<_> = edges()
        .into_iter()
        .filter(|event| event.timestamp >= at("1900-01-01T00:00:00Z"))
        .collect();
    let sink = crate::sink(&place).decimals(Decimals::Decimal256);
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    crate::assert_done(&sink.write(&crate::delivery("lane", 0, events.clone())).await.unwrap());
    same(&place.all().await, &events);
}

#[tokio::test]
async fn doubles_come_back_as_the_nearest_value() {
    let place = servers::clickhouse();
    let trade = |(id, price): (u64, &str)| trade(Some(id.into()), at(NOW), crate::d(price));
    let short: Vec<_> = (0..)
        .zip(["67123.45", "0.1", "-0.00000123", "123456789012345", "0"])
        .map(trade)
        .collect();
    let long = trade((9, "67123.4512345678901234"));
    let sink = crate::sink(&place).decimals(Decimals::Float64);
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    let all = [short.clone(), vec![long]].concat();
    crate::assert_done(&sink.write(&crate::delivery("lane", 0, all)).await.unwrap());
    let found = place.events(EventType::Trade).await;
    same(&found[..5], &short);
    let Data::Trade(rounded) = &found[5].data else { panic!() };
    assert_eq!(rounded.price, crate::d("67123.4512345679"));
}

#[tokio::test]
async fn rows_that_do_not_fit_are_refused_by_name_and_the_rest_lands() {
    let place = servers::clickhouse();
    let events = edges();
    let sink = crate::open(&place, "p").await;
    let receipt = sink.write(&crate::delivery("lane", 0, events.clone())).await.unwrap();
    let unfit: Vec<usize> = (0..events.len()).filter(|at| !fits(&events[*at])).collect();
    assert!(receipt.staged && !unfit.is_empty());
    assert_eq!(receipt.rejected.iter().map(|row| row.index).collect::<Vec<_>>(), unfit);
    for row in &receipt.rejected {
        let told = row.error.to_string();
        let (column, reason) = match events[row.index].timestamp < at("1900-01-01T00:00:00Z") {
            true => ("column=timestamp", "from 1900 on"),
            false => ("column=price", "decimal256"),
        };
        assert!(
            told.contains(column) && told.contains(reason) && told.contains("table=trades"),
            "{told}"
        );
    }
    sink.flush(&qicore_data::Lane::new("lane")).await.unwrap();
    let sound: Vec<_> = events.into_iter().filter(fits).collect();
    same(&place.all().await, &sound);
}

#[tokio::test]
async fn a_long_delivery_comes_back_whole_and_in_order() {
    let place = servers::clickhouse();
    let events = qicore_stream::testkit::trades(0..150_000);
    put(&place, "p", events.clone()).await;
    assert!(place.events(EventType::Trade).await == events);
    assert_eq!(
        place
            .value::<u64>("SELECT count() FROM system.parts WHERE database = '{db}' AND table = 'trades' AND active")
            .await,
        1
    );
}

#[tokio::test]
async fn rows_of_one_time_keep_the_order_of_their_arrival() {
    // Ids that are texts come in any order.
    let named = |price: i64| (price % 2 == 1).then(|| TradeId::new(&format!("x{}", price * 7919 % 1009)));
    let trades: Vec<_> = (1..1000)
        .map(|price| trade(named(price), at(NOW), Decimal::new(price, 2)))
        .collect();
    let place = servers::clickhouse();
    put(&place, "p", trades[..200].to_vec()).await;
    put(&place, "p", trades[200..].to_vec()).await;
    assert!(place.events(EventType::Trade).await == trades);
}

#[tokio::test]
async fn a_sink_of_some_types_passes_the_others_over() {
    let place = servers::clickhouse();
    let sink = crate::sink(&place).only([EventType::Candle]);
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    crate::assert_done(&sink.write(&crate::delivery("l", 0, kinds())).await.unwrap());
    let is_candle = |event: &Event| matches!(event.data, Data::Candle(Candle { .. }));
    let candles: Vec<_> = kinds().into_iter().filter(is_candle).collect();
    same(&place.all().await, &candles);
}
