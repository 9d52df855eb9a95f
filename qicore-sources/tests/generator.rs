//! The synthetic market: always the same, resumable anywhere, and what it says it is.

#![cfg(feature = "generator")]

mod lanes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lanes::{LIMIT, Stored, decode, drain, drain_from, frames};
use qicore_data::{
    BatchLimit, Content, Data, ErrorKind, Event, FromStart, LaneEnd, Settings, Source, Symbol, Timestamp, TradeId,
};
use qicore_sources::SOURCES;
use qicore_sources::generator::{Generator, GeneratorConfig};

fn market() -> Generator {
    Generator::new(42)
        .symbols(7)
        .events(10_001)
        .lanes(3)
        .quotes(0.2)
        .duplicates(0.05)
        .late(0.02)
}

fn truth(generator: &Generator, lane: u32) -> Vec<Event> {
    generator.lane_events(lane).unwrap().collect()
}

#[tokio::test]
async fn the_source_gives_the_truth() {
    let mut generator = market();
    let lanes = frames(&drain(&mut generator).await);
    assert_eq!(lanes.len(), 3);
    let mut total = 0;
    for (number, (lane, frames)) in lanes.iter().enumerate() {
        assert_eq!(*lane, Generator::lane(number as u32));
        let (events, rejected) = decode(&generator, lane, frames);
        assert!(rejected.is_empty());
        assert_eq!(events, truth(&generator, number as u32));
        total += events.len();
    }
    assert_eq!(total, 10_001);
    assert_eq!(generator.progress().unwrap().done, 10_001);
}

#[test]
fn a_seed_is_a_market() {
    assert_eq!(truth(&market(), 1), truth(&market(), 1));
    assert_ne!(truth(&Generator::new(1), 0)[..10], truth(&Generator::new(2), 0)[..10]);
    let more = Generator::new(1).events(2_000_000);
    assert_eq!(
        truth(&Generator::new(1).events(500), 0),
        more.lane_events(0).unwrap().take(500).collect::<Vec<_>>()
    );
}

#[test]
fn the_first_events() {
    let events = Generator::new(7).symbols(3).quotes(0.3).lane_events(0).unwrap().take(6);
    let lines: Vec<_> = events.map(|event| serde_json::to_string(&event).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn instruments_come_first_and_change_nothing_else() {
    let with = truth(&market().instruments().events(300), 1);
    let (instruments, rest) = with.split_at(2);
    assert_eq!(rest, &truth(&market().events(300), 1)[..98]);
    for event in instruments {
        let Data::Instrument(instrument) = &event.data else {
            panic!("{event:?}")
        };
        assert_eq!(
            event.symbol.to_string(),
            format!("{}/{}", instrument.base, instrument.quote)
        );
        let trades = rest.iter().filter(|other| other.symbol == event.symbol);
        let trades = trades.filter_map(|other| match &other.data {
            Data::Trade(trade) => Some(trade),
            _ => None,
        });
        let mut found = 0;
        for trade in trades {
            assert!((trade.price % instrument.price_step.unwrap()).is_zero());
            assert!((trade.size % instrument.size_step.unwrap()).is_zero());
            found += 1;
        }
        assert!(found > 20, "{found}");
    }
}

#[tokio::test]
async fn resumes_at_any_batch() {
    let batches = drain(&mut market()).await;
    let lane = Generator::lane(1);
    let all = truth(&market(), 1);
    for batch in batches.iter().filter(|batch| batch.lane == lane) {
        let resume = Arc::new(Stored::at(&lane, batch.position.clone()));
        let mut generator = market();
        let resumed = drain_from(&mut generator, resume).await.unwrap();
        let rest: Vec<_> = resumed.iter().filter(|batch| batch.lane == lane).cloned().collect();
        assert_eq!(rest.last().unwrap().end, Some(LaneEnd::Exhausted));
        let rest = rest.iter().flat_map(|batch| match &batch.content {
            Content::Frames(frames) => frames.clone(),
            _ => Vec::new(),
        });
        let (events, _) = decode(&generator, &lane, &rest.collect::<Vec<_>>());
        assert_eq!(events, all[batch.position.offset as usize..]);
        assert_eq!(generator.progress().unwrap().done, 10_001);
    }
    let done = Stored::at(&lane, batches[0].position.clone()).finished();
    let resumed = drain_from(&mut market(), Arc::new(done)).await.unwrap();
    assert!(resumed.iter().all(|batch| batch.lane != lane));
}

#[tokio::test]
async fn a_checkpoint_of_another_market_is_refused() {
    let position = drain(&mut market()).await[0].position.clone();
    let resume = Arc::new(Stored::at(&Generator::lane(0), position.clone()));
    let error = drain_from(&mut market().quotes(0.3), resume).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    // More of the same market is no other market.
    let resume = Arc::new(Stored::at(&Generator::lane(0), position));
    assert!(drain_from(&mut market().events(20_000), resume).await.is_ok());
}

#[test]
fn trades_are_numbered_and_on_the_grid() {
    let plain = Generator::new(3).symbols(11).events(50_000).quotes(0.25);
    let mut last: HashMap<Symbol, u64> = HashMap::new();
    let mut scales: HashMap<Symbol, (u32, u32)> = HashMap::new();
    let mut before = Timestamp::UNKNOWN;
    let (mut quotes, mut buys) = (0, 0);
    for event in plain.lane_events(0).unwrap() {
        assert!(event.timestamp >= before && event.received > Some(event.timestamp));
        before = event.timestamp;
        match event.data {
            Data::Trade(trade) => {
                let id = last.entry(event.symbol).or_default();
                *id += 1;
                assert_eq!(trade.id, Some(TradeId::Number(*id)));
                let scale = (trade.price.scale(), trade.size.scale());
                assert_eq!(*scales.entry(event.symbol).or_insert(scale), scale);
                assert!(trade.price.is_sign_positive() && !trade.price.is_zero() && !trade.size.is_zero());
                buys += usize::from(trade.side == Some(qicore_data::Side::Buy));
            }
            Data::Quote(quote) => {
                assert!(quote.bid < quote.ask && !quote.bid_size.is_zero() && !quote.ask_size.is_zero());
                quotes += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((last.len(), quotes), (11, 12_500));
    assert!((15_000..22_000).contains(&buys), "{buys}");
}

#[test]
fn prices_move_little_from_trade_to_trade_and_far_over_time() {
    let prices: Vec<f64> = Generator::new(9)
        .symbols(1)
        .events(200_000)
        .lane_events(0)
        .unwrap()
        .map(|event| match event.data {
            Data::Trade(trade) => trade.price.to_string().parse::<f64>().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let steps = prices
        .windows(2)
        .map(|pair| (pair[1] / pair[0] - 1.0).abs())
        .fold(0.0, f64::max);
    let (low, high) = prices.iter().fold((f64::MAX, 0.0f64), |(low, high), price| {
        (low.min(*price), high.max(*price))
    });
    assert!(steps < 0.01, "{steps}");
    assert!(high / low > 1.05 && high / low < 1.6, "{low} to {high}");
}

#[test]
fn duplicates_and_late_trades() {
    let events = truth(&Generator::new(5).events(10_000).duplicates(0.1).late(0.05), 0);
    let mut seen = HashMap::new();
    let (mut duplicates, mut late) = (0, 0);
    let mut latest = Timestamp::UNKNOWN;
    for event in &events {
        let Data::Trade(trade) = &event.data else { panic!() };
        if let Some((timestamp, data)) =
            seen.insert((event.symbol, trade.id.clone()), (event.timestamp, event.data.clone()))
        {
            assert_eq!(
                (timestamp, data),
                (event.timestamp, event.data.clone()),
                "a duplicate is the same"
            );
            duplicates += 1;
        } else if event.timestamp.saturating_add(Duration::from_secs(4)) < latest {
            late += 1;
        }
        latest = latest.max(event.timestamp);
    }
    assert!((990..=1000).contains(&duplicates), "{duplicates}");
    assert!((440..=450).contains(&late), "{late}");
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].received <= pair[1].received.map(|at| at.saturating_add(Duration::from_millis(1))))
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_rate() {
    let mut generator = Generator::new(1).events(1000).lanes(2).rate(50.0);
    generator.open(Arc::new(FromStart)).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut count = 0;
    while let Some(batch) = generator.next_batch(LIMIT).await.unwrap() {
        count += batch.content.len();
        let due = Duration::from_secs_f64(count as f64 / 50.0);
        let late = began.elapsed().checked_sub(due);
        assert!(late.is_none_or(|late| late <= Duration::from_millis(2)), "{late:?}");
        assert!(began.elapsed() + Duration::from_millis(1) >= due);
    }
    assert_eq!(count, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_loses_nothing() {
    let plain = market().rate(2000.0);
    let mut generator = market().rate(2000.0);
    generator.open(Arc::new(Stored::default())).await.unwrap();
    let (mut batches, mut dropped) = (Vec::new(), 0u64);
    loop {
        let patience = Duration::from_millis(dropped % 3);
        match tokio::time::timeout(patience, generator.next_batch(BatchLimit::new(3, 1 << 20))).await {
            Ok(batch) => match batch.unwrap() {
                Some(batch) => batches.push(batch),
                None => break,
            },
            Err(_) => dropped += 1,
        }
    }
    assert!(dropped > 0);
    for (number, frames) in frames(&batches).values().enumerate() {
        let (events, _) = decode(&generator, &Generator::lane(number as u32), frames);
        assert_eq!(events, truth(&plain, number as u32));
    }
}

#[test]
fn mistakes_are_told() {
    let plugin = SOURCES.iter().find(|plugin| plugin.name == "generator").unwrap();
    let build = |text: &str| (plugin.build.unwrap())(&Settings::parse(text).unwrap());
    assert!(build("seed = 1\nsymbols = 3\nrate = 100.5\ninterval = \"2ms\"").is_ok());
    for (text, told) in [
        ("lanes = 11", "symbols at least as many as lanes"),
        ("lanes = 0", "lanes must be at least 1"),
        ("quotes = 1.5", "shares from 0 to 0.9"),
        ("duplicates = nan", "shares from 0 to 0.9"),
        ("rate = 0", "rate must be above 0"),
        ("seed = \"x\"", "line 1: "),
        ("symbols = 200000", "at most 100000"),
    ] {
        let error = build(text).err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
    let mut config = GeneratorConfig::default();
    (config.events, config.interval) = (u64::MAX, Duration::from_secs(86_400));
    let last = Generator::with_config(config).lane_events(0).unwrap().next_back();
    assert!(last.is_some(), "times beyond the calendar are capped");
}
