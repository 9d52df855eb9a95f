//! Connections that cannot be made, and those that are lost.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{ErrorKind, FromStart, RetryPolicy, Source};
use qicore_localvenue::{Limits, LocalVenue, VenueKind};
use qicore_sources::Channel;
use tokio::net::TcpListener;

use crate::common::{
    PATIENCE, Seen, assert_no_violations, assert_trades, each_venue, fails, gather, opened, read, source, until, venue,
};
use crate::logs::Logs;

each_venue!(
    hosts_that_are_not_there certificates lost_connections close_frames_are_told refused_handshakes
    half_open_connections handed_over_before_they_are_old streams_are_split_over_connections
);

/// Nobody listens, the name is unknown, or whoever accepts says nothing.
async fn hosts_that_are_not_there(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for (url, parts) in [
        (nobody, vec!["no connection"]),
        (
            "http://nowhere.invalid".to_owned(),
            vec!["no connection", "no answer in time"],
        ),
        (
            format!("http://{}", silent.local_addr().unwrap()),
            vec!["no answer in time"],
        ),
        // The TLS handshake is never answered.
        (
            format!("https://{}", silent.local_addr().unwrap()),
            vec!["no answer in time", "no connection"],
        ),
    ] {
        let mut source = source(kind, &venue, 1, &[Channel::Trades]).at(&url, venue.ws_url());
        let config = source.config_mut();
        config.net.connect_timeout = Duration::from_millis(500);
        config.net.retry = RetryPolicy::default()
            .retries(1)
            .pauses(Duration::from_millis(1), Duration::from_millis(1))
            .timeout(Duration::from_secs(1));
        let error = tokio::time::timeout(PATIENCE, source.open(Arc::new(FromStart)))
            .await
            .unwrap();
        let error = error.unwrap_err();
        let told = error.to_string();
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
            "{told}"
        );
        assert!(parts.iter().any(|part| told.contains(part)), "{url}: {told}");
        assert!(told.contains(&url), "{told}");
    }
}

async fn certificates(kind: VenueKind) {
    let secure = venue(kind).tls(true).start().await.unwrap();
    let plain = venue(kind).start().await.unwrap();
    let mut stranger = source(kind, &secure, 1, &[Channel::Trades]);
    let error = stranger.open(Arc::new(FromStart)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("net.tls_ca"), "{error}");
    let mut stranger = opened(source(kind, &plain, 1, &[Channel::Trades]).at(plain.http_url(), secure.ws_url())).await;
    let error = fails(&mut stranger).await;
    assert!(error.to_string().contains("net.tls_ca"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, secure.ca_pem().unwrap()).unwrap();
    let mut trusting = source(kind, &secure, 1, &[Channel::Trades]);
    trusting.config_mut().net.tls_ca = Some(file.clone());
    let mut trusting = opened(trusting).await;
    let mut reset = false;
    let events = gather(&mut trusting, |events| {
        if events.len() > 50 && !std::mem::replace(&mut reset, true) {
            secure.faults().reset_all();
        }
        events.len() > 150
    })
    .await;
    assert_trades(&secure, &events);

    std::fs::write(&file, "no certificate").unwrap();
    let mut wrong = source(kind, &secure, 1, &[Channel::Trades]);
    wrong.config_mut().net.tls_ca = Some(file.clone());
    let error = wrong.open(Arc::new(FromStart)).await.unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

/// By a reset, without a word, with a close frame; and while the venue is away for a while.
async fn lost_connections(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 2, &[Channel::Trades])).await;
    let faults = venue.faults();
    let mut rounds = 0;
    let events = gather(&mut source, |events| {
        if events.len() > 60 * (rounds + 1) {
            rounds += 1;
            match rounds {
                1 => faults.reset_all(),
                2 => faults.drop_all(),
                3 => faults.close_all(1012, "service restart"),
                4 => faults.down(Duration::from_millis(700)),
                _ => {}
            }
        }
        rounds > 5
    })
    .await;
    assert_trades(&venue, &events);
}

async fn close_frames_are_told(kind: VenueKind) {
    let logs = Logs::gather();
    let venue = venue(kind).start().await.unwrap();
    let mut source = opened(source(kind, &venue, 1, &[Channel::Trades])).await;
    let mut closed = false;
    let events = gather(&mut source, |events| {
        if events.len() > 20 && !std::mem::replace(&mut closed, true) {
            venue.faults().close_all(4001, "session expired");
        }
        events.len() > 100
    })
    .await;
    assert_trades(&venue, &events);
    assert!(logs.contain("code 4001, \"session expired\""), "{}", logs.text());
}

/// Before the first connection a refusal that will last is an error; a passing one, and any later one, is waited out.
async fn refused_handshakes(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let faults = venue.faults();
    for (status, expected) in [(403, ErrorKind::Unauthorized), (451, ErrorKind::Unsupported)] {
        faults.refuse_upgrades(Some(status));
        let error = fails(&mut opened(source(kind, &venue, 1, &[Channel::Trades])).await).await;
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(&venue.ws_url()), "{error}");
    }
    let logs = Logs::gather();
    for status in [Some(429), Some(503), None] {
        match status {
            Some(_) => faults.refuse_upgrades(status),
            None => faults.hang_handshakes(true),
        }
        let mut source = source(kind, &venue, 1, &[Channel::Trades]);
        source.config_mut().net.connect_timeout = Duration::from_millis(300);
        let mut source = opened(source).await;
        let told = match status {
            Some(status) => format!("status={status}"),
            None => "no connection within".to_owned(),
        };
        let mut seen = Seen::default();
        tokio::select! {
            read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
            () = until(|| logs.contain(&told)) => faults.refuse_upgrades(None),
        }
        let events = gather(&mut source, |events| {
            match events.len() {
                ..=20 => {}
                21..=40 => faults.refuse_upgrades(status.map(|_| 403)),
                _ => faults.refuse_upgrades(None),
            }
            events.len() > 80
        })
        .await;
        assert_trades(&venue, &events);
    }
}

/// Nothing comes, and nothing says that the connection is gone.
async fn half_open_connections(kind: VenueKind) {
    let venue = venue(kind).start().await.unwrap();
    let (faults, log) = (venue.faults(), venue.log());
    let mut source = source(kind, &venue, 2, &[Channel::Trades]);
    let config = source.config_mut();
    config.silence = Some(Duration::from_secs(2));
    config.answer_within = Duration::from_millis(500);
    let mut source = opened(source).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 50)
        .await
        .unwrap();
    faults.half_open(true);
    tokio::select! {
        read = read(&mut source, &mut seen, |_| false) => panic!("{read:?}"),
        () = until(|| log.connection_count() > 1) => faults.half_open(false),
    }
    let before = seen.events.len();
    read(&mut source, &mut seen, |seen| seen.events.len() > before + 400)
        .await
        .unwrap();
    assert_trades(&venue, &seen.events);
}

/// The venue would end them: others take their place before, and nobody notices.
async fn handed_over_before_they_are_old(kind: VenueKind) {
    let limits = Limits {
        max_age: Duration::from_secs(40),
        ..Limits::of(kind)
    };
    let venue = venue(kind).limits(limits).book_depth(40).start().await.unwrap();
    let channels = [Channel::Trades, Channel::Quotes, Channel::Tickers, Channel::Book];
    let mut source = source(kind, &venue, 2, &channels);
    source.config_mut().lasts = Some(Duration::from_millis(1500));
    let mut source = opened(source).await;
    assert_seamless(&venue, &mut source).await;
}

/// The venue says that it goes: the connection is handed over at once.
#[tokio::test]
async fn handed_over_when_the_venue_says_that_it_goes() {
    let kind = VenueKind::Binance;
    let limits = Limits {
        max_age: Duration::from_secs(40),
        shutdown_notice: Duration::from_millis(38_500),
        ..Limits::of(kind)
    };
    let venue = venue(kind).limits(limits).book_depth(40).start().await.unwrap();
    let mut source = opened(source(
        kind,
        &venue,
        2,
        &[Channel::Trades, Channel::Quotes, Channel::Book],
    ))
    .await;
    assert_seamless(&venue, &mut source).await;
}

async fn assert_seamless(venue: &LocalVenue, source: &mut qicore_sources::Market) {
    let logs = Logs::gather();
    let log = venue.log();
    let mut seen = Seen::default();
    read(source, &mut seen, |_| log.connection_count() > 4).await.unwrap();
    let before = seen.events.len();
    read(source, &mut seen, |seen| seen.events.len() > before + 200)
        .await
        .unwrap();
    assert!(seen.gaps().is_empty(), "{:?} {}", seen.gaps(), logs.told());
    assert_trades(venue, &seen.events);
    crate::books::assert_books(venue, &seen.events);
    for connection in log
        .connections()
        .iter()
        .filter(|connection| connection.closed.is_some())
    {
        assert_eq!(connection.reason, "client closed", "{connection:?}");
    }
    assert_no_violations(venue);
}

async fn streams_are_split_over_connections(kind: VenueKind) {
    let quote = if kind == VenueKind::Binance { "USDT" } else { "USD" };
    let symbols: Vec<_> = (0..5).map(|number| format!("COIN{number}/{quote}")).collect();
    let venue = venue(kind).symbols(&symbols).book_depth(20).start().await.unwrap();
    let mut source = source(kind, &venue, 5, &[Channel::Trades, Channel::Book]);
    source.config_mut().streams_per_connection = Some(2);
    let mut source = opened(source).await;
    let events = gather(&mut source, |events| {
        crate::common::ids(events).len() == 5 && events.len() > 500
    })
    .await;
    assert_eq!(venue.log().connection_count(), 5);
    assert_trades(&venue, &events);
    assert_no_violations(&venue);
}
