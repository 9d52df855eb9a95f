//! Trades that a venue sent.

use std::time::Duration;

use qicore_data::{Data, Decimal, Event, Timeframe, decimal};
use qicore_stream::transform::{Candles, CandlesConfig, Dedupe, DedupeConfig, Validate};

use crate::common::{apply, event, run, trade};

/// 500 trades of Binance's BTCUSDC, with what the venue says each was worth.
fn recorded() -> Vec<(Event, Decimal)> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        id: u64,
        price: String,
        qty: String,
        quote_qty: String,
        time: i64,
    }
    let rows: Vec<Row> = serde_json::from_str(include_str!("data/binance_rest_trades.json")).unwrap();
    let row = |row: &Row| {
        let trade = trade(Some(row.id), &row.price, &row.qty);
        (
            event("BTC/USDC".parse().unwrap(), row.time, trade),
            decimal::parse(&row.quote_qty).unwrap(),
        )
    };
    rows.iter().map(row).collect()
}

#[test]
fn recorded_trades_become_their_candles() {
    let recorded = recorded();
    let events: Vec<_> = recorded.iter().map(|(event, _)| event.clone()).collect();
    // What a venue sends is sound, and a page that is fetched twice is there once.
    let sound = apply(
        &mut Validate::default(),
        events.iter().chain(&events).cloned().collect(),
    );
    assert!(sound.rejected.is_empty());
    let once = apply(&mut Dedupe::new(DedupeConfig::default()).unwrap(), sound.events).events;
    assert_eq!(once, events);

    let config = CandlesConfig::new([Timeframe::M1, Timeframe::M15, Timeframe::H1]).pass_through(false);
    let config = config.correct_for(Duration::ZERO);
    let candles = run(Candles::new(config).unwrap(), once);
    assert!(
        candles
            .iter()
            .all(|event| matches!(&event.data, Data::Candle(candle) if candle.revision == 0))
    );
    for timeframe in [Timeframe::M1, Timeframe::M15, Timeframe::H1] {
        let mut trades = 0;
        for candle_event in &candles {
            let Data::Candle(candle) = &candle_event.data else {
                continue;
            };
            if candle.timeframe != timeframe {
                continue;
            }
            let of_bar = || {
                recorded
                    .iter()
                    .filter(|(trade, _)| timeframe.floor(trade.timestamp) == candle_event.timestamp)
            };
            let prices = of_bar().map(|(event, _)| match &event.data {
                Data::Trade(trade) => trade.price,
                other => panic!("{other:?}"),
            });
            let prices: Vec<_> = prices.collect();
            assert_eq!(candle.open, prices[0]);
            assert_eq!(candle.close, prices[prices.len() - 1]);
            assert_eq!(
                (candle.low, candle.high),
                (*prices.iter().min().unwrap(), *prices.iter().max().unwrap())
            );
            // The venue rounds what each trade was worth to eight places.
            let venue: Decimal = of_bar().map(|(_, worth)| *worth).sum();
            let error = (candle.quote_volume.unwrap() - venue).abs();
            assert!(
                error <= Decimal::new(prices.len() as i64, 8),
                "{error} over {} trades",
                prices.len()
            );
            trades += prices.len();
        }
        assert_eq!(trades, 500);
    }
    let hours = candles
        .iter()
        .filter(|event| matches!(&event.data, Data::Candle(candle) if candle.timeframe == Timeframe::H1));
    assert_eq!(hours.count(), 2, "from 02:50 to 03:40");
}
