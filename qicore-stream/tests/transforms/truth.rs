//! Candles against those worked out from all trades at once.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use qicore_data::{Candle, Data, Decimal, Event, EventType, Origin, Quality, Symbol, Timeframe, Timestamp, Trade};
use qicore_stream::transform::candles::Empty;
use qicore_stream::transform::{Candles, CandlesConfig};

use crate::common::{as_candle, run, session};

const M1: Timeframe = Timeframe::M1;

fn build(config: CandlesConfig) -> Candles {
    Candles::new(config).unwrap()
}

type Key = (Symbol, Timeframe, Timestamp);

/// Candles worked out from all trades at once.
fn truth(trades: &[Event], timeframes: &[Timeframe]) -> BTreeMap<Key, (Candle, Quality)> {
    let mut bars: BTreeMap<Key, Vec<(Timestamp, &Trade)>> = BTreeMap::new();
    let mut first: BTreeMap<Symbol, Timestamp> = BTreeMap::new();
    for event in trades {
        let Data::Trade(trade) = &event.data else { continue };
        first.entry(event.symbol).or_insert(event.timestamp);
        for timeframe in timeframes {
            let key = (event.symbol, *timeframe, timeframe.floor(event.timestamp));
            bars.entry(key).or_default().push((event.timestamp, trade));
        }
    }
    let bar = |(key, mut trades): (Key, Vec<(Timestamp, &Trade)>)| {
        trades.sort_by_key(|(at, _)| *at);
        let prices = || trades.iter().map(|(_, trade)| trade.price);
        let candle = Candle {
            timeframe: key.1,
            open: trades[0].1.price,
            high: prices().max().unwrap(),
            low: prices().min().unwrap(),
            close: trades[trades.len() - 1].1.price,
            volume: trades.iter().map(|(_, trade)| trade.size).sum(),
            quote_volume: Some(trades.iter().map(|(_, trade)| trade.size * trade.price).sum()),
            trades: Some(trades.len() as u64),
            closed: true,
            origin: Origin::Built,
            revision: 0,
        };
        let whole = key.2 >= first[&key.0];
        (key, (candle, if whole { Quality::High } else { Quality::Medium }))
    };
    bars.into_iter().map(bar).collect()
}

/// The last word on each candle; checks that revisions count up, and that nothing is open before the end.
fn last_words(out: &[Event]) -> BTreeMap<Key, (Candle, Quality)> {
    let mut last: BTreeMap<Key, (Candle, Quality)> = BTreeMap::new();
    for event in out {
        let Some(candle) = as_candle(event) else { continue };
        let key = (event.symbol, candle.timeframe, event.timestamp);
        let revision = last.get(&key).map_or(0, |(before, _)| before.revision + 1);
        assert_eq!(candle.revision, revision, "{key:?}");
        last.insert(key, (candle.clone(), event.quality));
    }
    last
}

fn trades_of(events: Vec<Event>) -> Vec<Event> {
    let sound = |event: &Event| matches!(&event.data, Data::Trade(trade) if !trade.price.is_zero());
    events.into_iter().filter(sound).collect()
}

proptest! {
    #[test]
    fn the_last_word_is_the_truth(events in session()) {
        let trades: Vec<_> = trades_of(events).into_iter().map(|event| Event { received: None, ..event }).collect();
        let timeframes = [M1, Timeframe::M3, Timeframe::H1];
        let config = CandlesConfig::new(timeframes).correct_for(Duration::from_secs(1_000_000)).pass_through(false);
        let mut words = last_words(&run(build(config), trades.clone()));
        for (candle, _) in words.values_mut() {
            (candle.closed, candle.revision) = (true, 0);
        }
        prop_assert_eq!(words, truth(&trades, &timeframes));
    }

    #[test]
    fn every_trade_is_in_a_candle_or_told(events in session(), correct_for in 0u64..60, carry: bool) {
        let trades = trades_of(events);
        let mut config = CandlesConfig::default().correct_for(Duration::from_secs(correct_for));
        if carry {
            config = config.empty(Empty::Carry);
        }
        let out = run(build(config), trades.clone());
        let told = out.iter().filter(|event| event.event_type() == EventType::Alert).count() as u64;
        let counted: u64 = last_words(&out).values().filter_map(|(candle, _)| candle.trades).sum();
        prop_assert_eq!(counted + told, trades.len() as u64);
    }

    #[test]
    fn carried_candles_leave_no_hole(events in session()) {
        let trades: Vec<_> = trades_of(events).into_iter().map(|event| Event { received: None, ..event }).collect();
        let config = CandlesConfig::default().empty(Empty::Carry).correct_for(Duration::from_secs(1_000_000));
        let words = last_words(&run(build(config), trades.clone()));
        let newest = trades.iter().map(|event| event.timestamp).max();
        let watermark = newest.map(|newest| newest.saturating_sub(Duration::from_secs(2)));
        let truth = truth(&trades, &[M1]);
        for ((symbol, _, opens), (candle, _)) in &words {
            let known = truth.get(&(*symbol, M1, *opens));
            prop_assert_eq!(candle.trades, Some(known.map_or(0, |(known, _)| known.trades.unwrap())));
            let before = words.get(&(*symbol, M1, M1.previous(*opens)));
            if let (None, Some((before, _))) = (known, before) {
                prop_assert_eq!([candle.open, candle.high, candle.low, candle.close], [before.close; 4]);
                prop_assert_eq!(candle.volume, Decimal::ZERO);
            }
            let first = !words.range(..(*symbol, M1, *opens)).any(|((other, ..), _)| other == symbol);
            prop_assert!(first || before.is_some() || M1.next(M1.previous(*opens)) > watermark.unwrap() || M1.next(*opens) > watermark.unwrap(), "{} {}", symbol, opens);
        }
    }
}
