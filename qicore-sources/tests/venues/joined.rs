//! History and live, joined.

use std::time::Duration;

use qicore_data::{Data, Event, Source, Timeframe, Timestamp};
use qicore_localvenue::{LocalVenue, VenueKind};
use qicore_sources::{Channel, Order};

use crate::common::{consecutive, each_venue, gather, ids, opened, source, venue};

each_venue!(trades_run_on_over_lost_connections history_comes_first candles_run_on_over_lost_connections candles_are_built instruments_alone_are_told_once several_histories_come_in_one_order a_quiet_market_has_a_history what_is_live_comes_first_and_what_was_missed_after_it);

async fn trades_run_on_over_lost_connections(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 2, &[Channel::Trades])).await;
    let faults = venue.faults();
    let mut rounds = 0;
    let events = gather(&mut source, |events| {
        if events.len() > 100 * (rounds + 1) {
            rounds += 1;
            faults.reset_all();
        }
        rounds > 5
    })
    .await;
    same_trades(&venue, &events);
    for (symbol, ids) in ids(&events) {
        assert!(consecutive(&ids), "{symbol}: {ids:?}");
    }
    assert!(venue.log().violations().is_empty(), "{:?}", venue.log().violations());
}

/// The newest trade lies a while back, and no other comes while the history is read.
async fn a_quiet_market_has_a_history(kind: VenueKind) {
    let venue = LocalVenue::builder(kind)
        .trade_interval(Duration::from_secs(20))
        .history(Duration::from_secs(3600))
        .start()
        .await
        .unwrap();
    let from = Timestamp::now().saturating_sub(Duration::from_secs(1800));
    let mut source = source(kind, &venue, 1, &[Channel::Trades]).from(from);
    source.config_mut().limits = Some(Vec::new());
    let mut source = opened(source).await;
    let symbol = venue.market().symbols()[0].clone();
    let (first, newest) = [from, Timestamp::now()]
        .map(|at| venue.market().first_id_from(&symbol, at.nanos()))
        .into();
    let events = gather(&mut source, |events| events.len() as u64 >= newest - first).await;
    let ids = ids(&events).pop_first().unwrap().1;
    assert!(ids[0] == first && consecutive(&ids), "{ids:?}");
}

/// With the live tail first, what was missed comes later, out of order: all of it, each once.
async fn what_is_live_comes_first_and_what_was_missed_after_it(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let source = source(kind, &venue, 1, &[Channel::Trades]).order(Order::LiveFirst);
    let mut source = opened(source).await;
    let faults = venue.faults();
    let (mut rounds, mut late) = (0, false);
    let events = gather(&mut source, |events| {
        let Some((_, mut ids)) = ids(events).pop_first() else {
            return false;
        };
        late |= !ids.is_sorted();
        // What is dropped may be of another kind.
        if events.len() > 100 * (rounds + 1) && (rounds < 4 || !late) {
            rounds += 1;
            match rounds % 2 {
                0 => faults.reset_all(),
                _ => faults.drop_next(10),
            }
        }
        ids.sort_unstable();
        rounds >= 4 && late && events.len() > 600 && consecutive(&ids)
    })
    .await;
    same_trades(&venue, &events);
    assert!(venue.log().violations().is_empty(), "{:?}", venue.log().violations());
}

fn same_trades(venue: &LocalVenue, events: &[Event]) {
    for event in events {
        let Data::Trade(trade) = &event.data else {
            panic!("{event:?}")
        };
        let id = trade.id.as_ref().unwrap().to_string().parse().unwrap();
        let truth = venue.market().trade(event.symbol.as_str(), id).unwrap();
        assert_eq!(event.timestamp.nanos(), truth.time);
        assert_eq!(trade.price, truth.price.parse().unwrap());
        assert_eq!(trade.size, truth.size.parse().unwrap());
        assert_eq!(
            trade.side.unwrap() == qicore_data::Side::Buy,
            truth.side == qicore_localvenue::Side::Buy
        );
    }
}

async fn history_comes_first(kind: VenueKind) {
    let venue = venue(kind).history(Duration::from_secs(600)).start().await.unwrap();
    let from = Timestamp::now().saturating_sub(Duration::from_secs(120));
    let mut source = source(kind, &venue, 1, &[Channel::Trades]).from(from);
    source.config_mut().limits = Some(Vec::new());
    let mut source = opened(source).await;
    let mut events = gather(&mut source, |events| !events.is_empty()).await;
    let progress = source.progress().unwrap();
    assert!(progress.done < progress.total.unwrap(), "{progress:?}");
    events.append(&mut gather(&mut source, |events| events.len() > 6200).await);
    assert!(source.progress().is_none(), "it is live");
    same_trades(&venue, &events);
    let (symbol, ids) = ids(&events).pop_first().unwrap();
    assert!(consecutive(&ids));
    assert_eq!(ids[0], venue.market().first_id_from(&symbol, from.nanos()));
}

/// Bars of a second, or of a minute a few minutes back.
async fn candles_run_on_over_lost_connections(kind: VenueKind) {
    let venue = venue(kind).history(Duration::from_secs(900)).start().await.unwrap();
    let timeframe = match kind {
        VenueKind::Binance => Timeframe::S1,
        _ => Timeframe::M1,
    };
    let from = Timeframe::M1.floor(Timestamp::now().saturating_sub(Duration::from_secs(300)));
    let source = source(kind, &venue, 1, &[Channel::Candles(timeframe)]).from(from);
    let mut source = opened(source).await;
    let faults = venue.faults();
    let wanted = match kind {
        VenueKind::Binance => Timestamp::now().since(from).as_secs() as usize + 20,
        _ => 6,
    };
    let (mut next, began) = (1, std::time::Instant::now());
    let events = gather(&mut source, |events| {
        if began.elapsed() > Duration::from_secs(4 * next) {
            next += 1;
            faults.reset_all();
        }
        events.len() >= wanted
    })
    .await;
    let mut open = from;
    for event in &events {
        let Data::Candle(bar) = &event.data else {
            panic!("{event:?}")
        };
        assert!(bar.closed);
        assert_eq!(event.timestamp, open, "{event:?}");
        open = timeframe.next(open);
        let symbol = event.symbol.as_str();
        let truth = venue
            .market()
            .candle(symbol, timeframe.as_str(), event.timestamp.nanos())
            .unwrap();
        assert_eq!(bar.open, truth.open.parse().unwrap(), "{event:?}");
        assert_eq!(bar.high, truth.high.parse().unwrap(), "{event:?}");
        assert_eq!(bar.low, truth.low.parse().unwrap(), "{event:?}");
        assert_eq!(bar.close, truth.close.parse().unwrap(), "{event:?}");
        assert_eq!(bar.volume, truth.volume.parse().unwrap(), "{event:?}");
    }
}

/// A timeframe that a venue does not have is built of a shorter one of its own.
async fn candles_are_built(kind: VenueKind) {
    let venue = venue(kind).history(Duration::from_secs(7200)).start().await.unwrap();
    let timeframe = match kind {
        // It has them all.
        VenueKind::Binance => Timeframe::M3,
        VenueKind::Coinbase => Timeframe::M3,
        VenueKind::Kraken => Timeframe::H2,
    };
    let to = timeframe.floor(Timestamp::now());
    let from = to.saturating_sub(timeframe.length().unwrap());
    let source = source(kind, &venue, 1, &[Channel::Candles(timeframe)])
        .from(from)
        .to(to);
    let mut source = opened(source).await;
    let events = gather(&mut source, |_| false).await;
    let [
        Event {
            data: Data::Candle(bar),
            timestamp,
            symbol,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    let truth = venue
        .market()
        .candle(symbol.as_str(), timeframe.as_str(), timestamp.nanos())
        .unwrap();
    assert_eq!((*timestamp, bar.timeframe, bar.closed), (from, timeframe, true));
    assert_eq!(bar.high, truth.high.parse().unwrap());
    assert_eq!(bar.volume, truth.volume.parse().unwrap());
}

/// What a table wants: the instruments, and no more.
async fn instruments_alone_are_told_once(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let new = |symbols| opened(source(kind, &venue, symbols, &[]).instruments(true));
    for (symbols, told) in [(1, 1), (0, 2)] {
        let events = gather(&mut new(symbols).await, |_| false).await;
        let known = |event: &Event| matches!(&event.data, Data::Instrument(instrument) if instrument.active);
        assert!(events.len() == told && events.iter().all(known), "{events:?}");
    }
}

/// Candles are built of several symbols: none may be far ahead of the others.
async fn several_histories_come_in_one_order(kind: VenueKind) {
    let venue = LocalVenue::builder(kind)
        .history(Duration::from_secs(1200))
        .trade_interval(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    let began = Timestamp::now();
    let from = began.saturating_sub(Duration::from_secs(600));
    let mut source = source(kind, &venue, 2, &[Channel::Trades, Channel::Candles(Timeframe::M1)]).from(from);
    source.config_mut().limits = Some(Vec::new());
    let mut source = opened(source).await;
    let events = gather(&mut source, |events| events.len() > 6100).await;
    for (symbol, ids) in ids(&events) {
        assert!(consecutive(&ids), "{symbol}");
        assert_eq!(ids[0], venue.market().first_id_from(&symbol, from.nanos()));
    }
    // The newest bars are left to the seams, as what comes meanwhile is.
    let old = |event: &&Event| event.timestamp < began.saturating_sub(Duration::from_secs(200));
    let times: Vec<_> = events.iter().filter(old).map(|event| event.timestamp).collect();
    assert!(times.len() > 4000 && times.is_sorted());
}
