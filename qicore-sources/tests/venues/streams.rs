//! Subscriptions and messages that are not as they should be.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Data, ErrorKind, FromStart, Source, Timeframe, Timestamp};
use qicore_localvenue::{ChaosConfig, Limits, VenueKind};
use qicore_sources::Channel;

use crate::common::{
    Seen, assert_bars, assert_no_violations, assert_trades, each_venue, fails, gather, ids, opened, read, source,
    until, venue,
};
use crate::logs::Logs;

each_venue!(
    unknown_symbols_are_named refused_symbols_are_named symbols_taken_off_leave_the_others_alone
    subscriptions_that_are_never_answered silent_subscriptions_are_made_anew many_messages_keep_the_limit
    messages_out_of_order_doubled_and_lost what_nobody_asked_for_is_dropped what_cannot_be_read_is_a_dead_letter
    a_venue_whose_clock_is_wrong restarts_continue_trades restarts_continue_candles
);

fn quote(kind: VenueKind) -> &'static str {
    if kind == VenueKind::Binance { "USDT" } else { "USD" }
}

/// For tests that are not about the budget.
fn free(kind: VenueKind) -> Limits {
    Limits::of(kind).without_rest_budget()
}

async fn unknown_symbols_are_named(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let unknown = format!("NOPE/{}", quote(kind));
    let known = venue.market().symbols();
    let mut source = source(kind, &venue, 1, &[Channel::Trades])
        .symbols([&known[0], &unknown, &known[1]])
        .unwrap();
    let error = source.open(Arc::new(FromStart)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(&unknown), "{error}");
    assert!(known.iter().all(|known| !error.to_string().contains(known)), "{error}");
}

/// By the WebSocket alone; on one connection, and on the second of two.
async fn refused_symbols_are_named(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let symbols = venue.market().symbols();
    venue.faults().refuse_symbol(&symbols[1]);
    for streams in [None, Some(1)] {
        let mut source = source(kind, &venue, 2, &[Channel::Trades]);
        source.config_mut().streams_per_connection = streams;
        let error = fails(&mut opened(source).await).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        let told = error.to_string();
        assert!(told.contains(&symbols[1]) && !told.contains(&symbols[0]), "{told}");
    }
}

async fn symbols_taken_off_leave_the_others_alone(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let symbols = venue.market().symbols();
    let mut source = opened(source(kind, &venue, 2, &[Channel::Trades])).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 50)
        .await
        .unwrap();
    venue.delist(&symbols[0]);
    for _ in 0..3 {
        // Then it is not to be had any more.
        venue.faults().reset_all();
        let enough = seen.events.len() + 80;
        read(&mut source, &mut seen, |seen| seen.events.len() > enough)
            .await
            .unwrap();
    }
    assert_trades(&venue, &seen.events);
    assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
    let count = ids(&seen.events)[&symbols[1]].len();
    assert!(count > 240, "{count}");
}

async fn subscriptions_that_are_never_answered(kind: VenueKind) {
    let logs = Logs::gather();
    let venue = venue(kind).start().await.unwrap();
    let faults = venue.faults();
    faults.never_acknowledge(true);
    let mut source = source(kind, &venue, 2, &[Channel::Trades]);
    source.config_mut().answer_within = Duration::from_millis(300);
    let mut source = opened(source).await;
    let told = format!(
        "does not answer the subscription to trades:{}",
        venue.market().symbols()[0]
    );
    let mut seen = Seen::default();
    tokio::select! {
        read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
        () = until(|| logs.contain("does not answer the subscription to")) => faults.never_acknowledge(false),
    }
    assert!(seen.events.is_empty(), "{told}");
    read(&mut source, &mut seen, |seen| seen.events.len() > 100)
        .await
        .unwrap();
    assert_trades(&venue, &seen.events);
}

/// One symbol, then the whole connection, says nothing while the connection lives.
async fn silent_subscriptions_are_made_anew(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let symbols = venue.market().symbols();
    for muted in [Some(symbols[1].as_str()), None] {
        venue.log().clear();
        let mut source = source(kind, &venue, 2, &[Channel::Trades]);
        source.config_mut().stale_after = Duration::from_millis(700);
        let mut source = opened(source).await;
        let mut seen = Seen::default();
        read(&mut source, &mut seen, |seen| seen.events.len() > 50)
            .await
            .unwrap();
        venue.faults().mute(muted, None);
        let log = venue.log();
        let again = || {
            let connections = log.connections();
            let messages = connections.iter().flat_map(|connection| &connection.messages);
            messages
                .filter(|text| text.to_lowercase().contains("unsubscribe"))
                .count()
        };
        tokio::select! {
            read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
            () = until(|| again() > 0) => venue.faults().unmute(),
        }
        let enough = seen.events.len() + 150;
        read(&mut source, &mut seen, |seen| seen.events.len() > enough)
            .await
            .unwrap();
        assert_trades(&venue, &seen.events);
        assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
        assert_eq!(log.open_connections(), 1);
        assert_no_violations(&venue);
    }
}

/// Twelve silent streams are asked for anew at once, twice: not faster than the venue takes messages.
async fn many_messages_keep_the_limit(kind: VenueKind) {
    let logs = Logs::gather();
    let symbols: Vec<_> = (0..6).map(|number| format!("COIN{number}/{}", quote(kind))).collect();
    let venue = venue(kind)
        .symbols(&symbols)
        .book_depth(20)
        .limits(free(kind))
        .start()
        .await
        .unwrap();
    let mut source = source(kind, &venue, 6, &[Channel::Trades, Channel::Book]);
    source.config_mut().stale_after = Duration::from_millis(500);
    let mut source = opened(source).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 100)
        .await
        .unwrap();
    venue.faults().mute(None, None);
    let log = venue.log();
    let sent = || {
        log.connections()
            .iter()
            .map(|connection| connection.messages.len())
            .sum::<usize>()
    };
    tokio::select! {
        read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
        () = until(|| sent() > 30) => venue.faults().unmute(),
    }
    let enough = seen.events.len() + 300;
    read(&mut source, &mut seen, |seen| seen.events.len() > enough)
        .await
        .unwrap();
    assert_trades(&venue, &seen.events);
    assert_no_violations(&venue);
    assert_eq!(log.connection_count(), 1, "{}", logs.told());
}

async fn messages_out_of_order_doubled_and_lost(kind: VenueKind) {
    let venue = venue(kind)
        .history(Duration::from_secs(600))
        .limits(free(kind))
        .start()
        .await
        .unwrap();
    let mut source = source(kind, &venue, 2, &[Channel::Trades]);
    source.config_mut().limits = Some(Vec::new());
    let mut source = opened(source).await;
    let chaos = ChaosConfig {
        disconnect_every: Some(Duration::from_secs(2)),
        duplicate: 0.1,
        reorder: 0.1,
        drop: 0.05,
        delay: 0.02,
        max_delay: Duration::from_millis(200),
        http_error: 0.1,
    };
    venue.faults().chaos(11, &chaos);
    let events = gather(&mut source, |events| events.len() > 700).await;
    assert_eq!(ids(&events).len(), 2);
    assert_trades(&venue, &events);
}

async fn what_nobody_asked_for_is_dropped(kind: VenueKind) {
    let logs = Logs::gather();
    let symbols = ["AAA", "BBB", "CCC"].map(|base| format!("{base}/{}", quote(kind)));
    let venue = venue(kind).symbols(&symbols).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 2, &[Channel::Trades])).await;
    let events = gather(&mut source, |events| {
        if events.len() > 20 {
            venue.faults().foreign_trade(&symbols[2]);
        }
        // Kraken begins with trades of before.
        events.len() > 200
    })
    .await;
    assert_trades(&venue, &events);
    assert!(events.iter().all(|event| event.symbol.as_str() != symbols[2]));
    assert!(logs.contain("what nobody has asked for"), "{}", logs.text());
}

async fn what_cannot_be_read_is_a_dead_letter(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 1, &[Channel::Trades])).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 20)
        .await
        .unwrap();
    let bad: [&[u8]; 3] = [b"{\"oops\":", b"no JSON at all", b"\xff\x00\x01"];
    venue.faults().send_text(std::str::from_utf8(bad[0]).unwrap());
    venue.faults().send_text(std::str::from_utf8(bad[1]).unwrap());
    venue.faults().send_binary(bad[2]);
    read(&mut source, &mut seen, |seen| {
        seen.rejected.len() == 3 && seen.events.len() > 100
    })
    .await
    .unwrap();
    assert_trades(&venue, &seen.events);
    let payloads: Vec<_> = seen.rejected.iter().map(|frame| &*frame.payload).collect();
    assert_eq!(payloads, bad);
    assert!(seen.rejected.is_sorted_by_key(|frame| frame.offset));
    let lane = seen.checkpoints.keys().next().unwrap();
    let mut decoder = source.decoder(lane).unwrap();
    for frame in &seen.rejected {
        let why = decoder.decode(frame, &mut Vec::new()).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::Decode, "{why}");
        assert!(why.to_string().contains(&*frame.channel.clone().unwrap()), "{why}");
    }
    assert_eq!(venue.log().connection_count(), 1);
}

/// Two minutes off, either way: bars are over when the venue's are.
async fn a_venue_whose_clock_is_wrong(kind: VenueKind) {
    for skew in [-120_000, 120_000] {
        let venue = venue(kind)
            .history(Duration::from_secs(1200))
            .clock_skew_ms(skew)
            .limits(free(kind))
            .start()
            .await
            .unwrap();
        let from = Timeframe::M1.floor(Timestamp::now().saturating_sub(Duration::from_secs(600)));
        let channels = [Channel::Candles(Timeframe::M1), Channel::Trades];
        let mut source = source(kind, &venue, 1, &channels).from(from);
        source.config_mut().limits = Some(Vec::new());
        let mut source = opened(source).await;
        let mut seen = Seen::default();
        let bars = |seen: &Seen| {
            seen.events
                .iter()
                .filter(|event| matches!(event.data, Data::Candle(_)))
                .count()
        };
        let over = (venue.market().now() - from.nanos()) / 60_000_000_000;
        // Then for a while more: nothing may come too early.
        let mut ticks = 0;
        let mut patience = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
                _ = patience.tick() => {
                    assert_bars(&venue, &seen.events);
                    // Without a message that it is over, the last one is known to be when its time has passed here too.
                    ticks += i32::from(bars(&seen) as i64 >= over - 3);
                    if ticks > 30 {
                        break;
                    }
                }
            }
        }
        assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
        let first = seen
            .events
            .iter()
            .find(|event| matches!(event.data, Data::Candle(_)))
            .unwrap();
        assert_eq!(first.timestamp, from);
        assert_trades(&venue, &seen.events);
        let (symbol, ids) = ids(&seen.events).pop_first().unwrap();
        assert_eq!(ids[0], venue.market().first_id_from(&symbol, from.nanos()));
    }
}

async fn restarts_continue_trades(kind: VenueKind) {
    let venue = venue(kind)
        .history(Duration::from_secs(600))
        .limits(free(kind))
        .start()
        .await
        .unwrap();
    let from = Timestamp::now().saturating_sub(Duration::from_secs(60));
    restarted(kind, &venue, |source| source.from(from), &[Channel::Trades], 5).await;
}

async fn restarts_continue_candles(kind: VenueKind) {
    let venue = venue(kind)
        .history(Duration::from_secs(86_400))
        .limits(free(kind))
        .start()
        .await
        .unwrap();
    let from = Timeframe::M1.floor(Timestamp::now().saturating_sub(Duration::from_secs(36_000)));
    restarted(
        kind,
        &venue,
        |source| source.from(from),
        &[Channel::Candles(Timeframe::M1)],
        3,
    )
    .await;
}

/// Is stopped at some batch, and goes on from its checkpoint, again and again.
async fn restarted(
    kind: VenueKind,
    venue: &qicore_localvenue::LocalVenue,
    configure: impl Fn(qicore_sources::Market) -> qicore_sources::Market,
    channels: &[Channel],
    rounds: usize,
) {
    let mut seen = Seen::default();
    for round in 1..=rounds {
        let mut source = configure(source(kind, venue, 2, channels));
        source.config_mut().limits = Some(Vec::new());
        let resume = Seen {
            checkpoints: seen.checkpoints.clone(),
            ..Seen::default()
        };
        source.open(Arc::new(resume)).await.unwrap();
        // Some other number of batches each time.
        let batches = seen.batches + round * 7 % 5 + 1;
        tokio::select! {
            read = read(&mut source, &mut seen, |seen| seen.batches >= batches) => read.unwrap(),
            // Bars of a minute may be told by now.
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        drop(source);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_trades(venue, &seen.events);
    assert_bars(venue, &seen.events);
    assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
    let from = configure(source(kind, venue, 1, channels)).config_mut().from.unwrap();
    for symbol in venue.market().symbols() {
        let first = seen
            .events
            .iter()
            .find(|event| event.symbol.as_str() == symbol)
            .unwrap();
        match &first.data {
            Data::Candle(_) => assert_eq!(first.timestamp, from),
            _ => assert_eq!(
                ids(&seen.events)[&symbol][0],
                venue.market().first_id_from(&symbol, from.nanos())
            ),
        }
    }
}
