//! History, page by page, under a budget.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use qicore_data::{Data, ErrorKind, GapReason, Source, Timeframe, Timestamp};
use qicore_localvenue::{HttpFault, Limits, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market, Window};

use crate::common::{
    Seen, assert_bars, assert_no_violations, assert_trades, each_venue, fails, ids, opened, read, source, venue,
};

each_venue!(
    rows_outside_the_range_are_left_out an_endless_loop_of_pages_is_told an_open_bar_is_left_out
    the_budget_is_used_and_never_exceeded an_aborted_history_goes_on several_symbols_side_by_side
);

const BARS: Channel = Channel::Candles(Timeframe::M1);

async fn market(kind: VenueKind) -> LocalVenue {
    let limits = Limits::of(kind).without_rest_budget();
    venue(kind)
        .history(Duration::from_secs(86_400))
        .limits(limits)
        .start()
        .await
        .unwrap()
}

/// One time for all stretches of a test.
static BEGAN: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);

/// A stretch that ended an hour ago, without a limit.
fn stretch(kind: VenueKind, venue: &LocalVenue, symbols: usize, channels: &[Channel], length: u64) -> Market {
    let to = Timeframe::M1.floor(BEGAN.saturating_sub(Duration::from_secs(3600)));
    let from = to.saturating_sub(Duration::from_secs(length));
    let mut source = source(kind, venue, symbols, channels).from(from).to(to);
    source.config_mut().limits = Some(Vec::new());
    source
}

async fn all(mut source: Market) -> Seen {
    let mut seen = Seen::default();
    source = opened(source).await;
    read(&mut source, &mut seen, |_| false).await.unwrap();
    let progress = source.progress().unwrap();
    assert_eq!(Some(progress.done), progress.total);
    seen
}

/// Every trade and bar of the range, and no other.
fn assert_whole(venue: &LocalVenue, seen: &Seen, source: &mut Market) {
    let config = source.config_mut();
    let (from, to) = (config.from.unwrap(), config.to.unwrap());
    assert_trades(venue, &seen.events);
    assert_bars(venue, &seen.events);
    assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
    let market = venue.market();
    for symbol in &config.symbols {
        let name = symbol.as_str();
        if config.channels.contains(&Channel::Trades) {
            let ids = &ids(&seen.events)[name];
            let first = market.first_id_from(name, from.nanos());
            let end = market.first_id_from(name, to.nanos());
            assert_eq!((ids[0], ids.len() as u64), (first, end - first), "{name}");
        }
        if config.channels.contains(&BARS) {
            let bar = |event: &&qicore_data::Event| event.symbol == *symbol && matches!(event.data, Data::Candle(_));
            let bars: Vec<_> = seen.events.iter().filter(bar).map(|event| event.timestamp).collect();
            let all = to.since(from).as_secs() / 60;
            assert_eq!((bars[0], bars.len() as u64), (from, all), "{name}");
        }
    }
}

async fn rows_outside_the_range_are_left_out(kind: VenueKind) {
    let venue = market(kind).await;
    venue.faults().http_always("", HttpFault::OutsideRows);
    for (channel, length) in [(Channel::Trades, 60), (BARS, 30_000)] {
        let mut source = stretch(kind, &venue, 1, &[channel], length);
        let seen = all(stretch(kind, &venue, 1, &[channel], length)).await;
        assert_whole(&venue, &seen, &mut source);
    }
}

/// Whatever is asked, the first page comes: an error says so, and there is an end.
async fn an_endless_loop_of_pages_is_told(kind: VenueKind) {
    let venue = market(kind).await;
    let (trades, bars) = match kind {
        VenueKind::Binance => ("aggTrades", "klines"),
        VenueKind::Coinbase => ("/trades", "candles"),
        VenueKind::Kraken => ("Trades", "OHLC"),
    };
    for (channel, part, length) in [(Channel::Trades, trades, 120), (BARS, bars, 80_000)] {
        // All of Kraken's bars are on one page.
        if (kind, channel) == (VenueKind::Kraken, BARS) {
            continue;
        }
        let mut source = opened(stretch(kind, &venue, 1, &[channel], length)).await;
        venue.faults().http_always(part, HttpFault::SamePage);
        // Behind its newest trade Coinbase gives the newest page again: there it is the end, for a venue that says so.
        if (kind, channel) == (VenueKind::Coinbase, Channel::Trades) {
            let mut seen = Seen::default();
            venue.log().clear();
            read(&mut source, &mut seen, |_| false).await.unwrap();
            assert_trades(&venue, &seen.events);
            assert!(venue.log().requests_of(part).len() < 5);
            venue.faults().clear();
            continue;
        }
        let error = fails(&mut source).await;
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert!(error.to_string().contains("the same page again"), "{error}");
        venue.faults().clear();
    }
}

/// Binance sends a bar for every minute: where there is none, it has lost them.
#[tokio::test]
async fn an_empty_page_of_bars_is_a_gap() {
    let venue = market(VenueKind::Binance).await;
    let mut source = opened(stretch(VenueKind::Binance, &venue, 1, &[BARS], 75_000)).await;
    venue.faults().http("klines", 1, HttpFault::EmptyPage);
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |_| false).await.unwrap();
    let (from, to) = (source.config_mut().from.unwrap(), source.config_mut().to.unwrap());
    let Data::Gap(gap) = &seen.events[0].data else {
        panic!("{:?}", seen.events[0])
    };
    assert_eq!(
        (gap.from, gap.reason, gap.missed),
        (from, GapReason::Provider, Some(1000))
    );
    assert_bars(&venue, &seen.events[1..]);
    assert_eq!(seen.events[1].timestamp, gap.to);
    assert_eq!(seen.events.len() - 1, 250);
    assert_eq!(Timeframe::M1.next(seen.events.last().unwrap().timestamp), to);
}

/// A hole of trades that the venue says it does not have, while live trades show that they were.
#[tokio::test]
async fn an_empty_page_of_trades_is_a_gap() {
    let kind = VenueKind::Binance;
    let venue = venue(kind).history(Duration::from_secs(300)).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 1, &[Channel::Trades])).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 20)
        .await
        .unwrap();
    venue.faults().http_always("aggTrades", HttpFault::EmptyPage);
    venue.faults().drop_next(5);
    read(&mut source, &mut seen, |seen| !seen.gaps().is_empty())
        .await
        .unwrap();
    let enough = seen.events.len() + 20;
    read(&mut source, &mut seen, |seen| seen.events.len() > enough)
        .await
        .unwrap();
    let gap = seen.gaps()[0].clone();
    assert_eq!((gap.reason, gap.missed), (GapReason::Provider, Some(5)));
    let (_, ids) = ids(&seen.events).pop_first().unwrap();
    let jumps: Vec<_> = ids
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|jump| *jump != 1)
        .collect();
    assert_eq!(jumps, [6]);
}

/// Kraken has the last 720 bars: what is before is a gap with bounds, also when all of the range is.
#[tokio::test]
async fn kraken_s_candles_reach_back_720_bars() {
    let kind = VenueKind::Kraken;
    let venue = market(kind).await;
    let now = Timeframe::M1.floor(Timestamp::now());
    let minutes = |minutes: u64| now.saturating_sub(Duration::from_secs(60 * minutes));
    let between = |from, to| {
        let mut source = source(kind, &venue, 1, &[BARS]).from(minutes(from)).to(minutes(to));
        source.config_mut().limits = Some(Vec::new());
        source
    };
    let seen = all(between(800, 600)).await;
    let Data::Gap(gap) = &seen.events[0].data else {
        panic!("{:?}", seen.events[0])
    };
    assert_eq!((gap.from, gap.reason), (minutes(800), GapReason::Provider));
    assert_bars(&venue, &seen.events[1..]);
    assert_eq!(gap.to, seen.events[1].timestamp);
    // The minute may have changed meanwhile.
    assert!((119..=121).contains(&(seen.events.len() - 1)), "{}", seen.events.len());

    let seen = all(between(1000, 900)).await;
    let [gap] = seen.gaps()[..] else {
        panic!("{:?}", seen.events)
    };
    assert_eq!((gap.from, gap.to, seen.events.len()), (minutes(1000), minutes(900), 1));
}

async fn an_open_bar_is_left_out(kind: VenueKind) {
    let venue = market(kind).await;
    let from = Timeframe::M1.floor(Timestamp::now().saturating_sub(Duration::from_secs(3600)));
    let now = Timestamp::now();
    let mut source = source(kind, &venue, 1, &[BARS]).from(from).to(now);
    source.config_mut().limits = Some(Vec::new());
    let seen = all(source).await;
    assert_bars(&venue, &seen.events);
    let last = seen.events.last().unwrap().timestamp;
    assert_eq!(Timeframe::M1.next(last), Timeframe::M1.floor(now));
    assert!(seen.gaps().is_empty());
}

async fn the_budget_is_used_and_never_exceeded(kind: VenueKind) {
    let second = Duration::from_secs(1);
    let (limits, window) = match kind {
        // Ten pages a second.
        VenueKind::Binance => {
            let limits = Limits {
                rest_budget: 40,
                rest_window: second,
                ..Limits::of(kind)
            };
            (limits, Window::new(40, second))
        }
        // A burst of five, and one earned back in 100 ms.
        _ => {
            let limits = Limits {
                rest_budget: 5,
                rest_window: second / 10,
                ..Limits::of(kind)
            };
            (limits, Window::new(5, second / 2))
        }
    };
    let venue = venue(kind)
        .history(Duration::from_secs(7200))
        .trade_interval(Duration::from_millis(2))
        .limits(limits)
        .start()
        .await
        .unwrap();
    let stretch = || {
        let mut source = stretch(kind, &venue, 2, &[Channel::Trades], 40);
        source.config_mut().limits = Some(vec![window]);
        source
    };
    // Two sources share it.
    let (one, other) = tokio::join!(all(stretch()), all(stretch()));
    assert_whole(&venue, &one, &mut stretch());
    assert_whole(&venue, &other, &mut stretch());
    let requests = venue.log().requests();
    assert!(requests.len() > 80, "{}", requests.len());
    assert!(requests.iter().all(|request| request.status == 200), "{requests:?}");
    assert_no_violations(&venue);
}

/// Stopped after each few batches, and begun again from there: all rows once.
async fn an_aborted_history_goes_on(kind: VenueKind) {
    let venue = market(kind).await;
    let stretch = || stretch(kind, &venue, 2, &[Channel::Trades, BARS], 120);
    let mut seen = Seen::default();
    let mut round = 0;
    loop {
        round += 1;
        let mut source = stretch();
        let resume = Seen {
            checkpoints: seen.checkpoints.clone(),
            ..Seen::default()
        };
        source.open(Arc::new(resume)).await.unwrap();
        let batches = seen.batches + 1 + round * 5 % 3;
        let before = seen.events.len();
        read(&mut source, &mut seen, |seen| seen.batches >= batches)
            .await
            .unwrap();
        if seen.events.len() == before {
            read(&mut source, &mut seen, |_| false).await.unwrap();
            if seen.events.len() == before {
                break;
            }
        }
    }
    assert!(round >= 3, "{round}");
    assert_whole(&venue, &seen, &mut stretch());
}

async fn several_symbols_side_by_side(kind: VenueKind) {
    let quote = if kind == VenueKind::Binance { "USDT" } else { "USD" };
    let symbols: Vec<_> = (0..4).map(|number| format!("COIN{number}/{quote}")).collect();
    let venue = venue(kind)
        .symbols(&symbols)
        .history(Duration::from_secs(86_400))
        .limits(Limits::of(kind).without_rest_budget())
        .start()
        .await
        .unwrap();
    let channels = [Channel::Trades, BARS];
    let seen = all(stretch(kind, &venue, 4, &channels, 300)).await;
    assert_whole(&venue, &seen, &mut stretch(kind, &venue, 4, &channels, 300));
    // The place of a row is the same in every run.
    let again = all(stretch(kind, &venue, 4, &channels, 300)).await;
    let offsets = |seen: &Seen| -> BTreeMap<_, _> {
        seen.checkpoints
            .iter()
            .map(|(lane, at)| (lane.clone(), at.position.offset))
            .collect()
    };
    assert_eq!(offsets(&seen), offsets(&again));
}
