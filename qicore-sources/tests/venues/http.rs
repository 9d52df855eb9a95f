//! What goes wrong over HTTP.

use std::time::Duration;

use qicore_data::{ErrorKind, FromStart, RetryPolicy, Source, Timestamp};
use qicore_localvenue::{HttpFault, Limits, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market};

use crate::common::{Seen, assert_trades, each_venue, fails, ids, opened, read, source, until, venue};

each_venue!(
    what_passes_is_tried_again slow_answers_are_awaited what_does_not_pass_is_told
    a_pause_is_kept_by_all_users a_long_outage_is_told
);

/// The trades of a short while, without a limit.
fn history(kind: VenueKind, venue: &LocalVenue) -> Market {
    let now = Timestamp::now();
    let mut source = source(kind, venue, 1, &[Channel::Trades])
        .from(now.saturating_sub(Duration::from_secs(40)))
        .to(now.saturating_sub(Duration::from_secs(5)));
    source.config_mut().limits = Some(Vec::new());
    source
}

async fn market(kind: VenueKind) -> LocalVenue {
    let limits = Limits::of(kind).without_rest_budget();
    venue(kind)
        .history(Duration::from_secs(120))
        .limits(limits)
        .start()
        .await
        .unwrap()
}

/// All of it came, once.
async fn assert_whole(venue: &LocalVenue, mut source: Market) {
    let (from, to) = (source.config_mut().from.unwrap(), source.config_mut().to.unwrap());
    let mut seen = Seen::default();
    let mut source = opened(source).await;
    read(&mut source, &mut seen, |_| false).await.unwrap();
    assert_trades(venue, &seen.events);
    assert!(seen.gaps().is_empty(), "{:?}", seen.gaps());
    let (symbol, ids) = ids(&seen.events).pop_first().unwrap();
    let first = venue.market().first_id_from(&symbol, from.nanos());
    let end = venue.market().first_id_from(&symbol, to.nanos());
    assert_eq!((ids[0], ids.len() as u64), (first, end - first));
}

async fn what_passes_is_tried_again(kind: VenueKind) {
    let venue = market(kind).await;
    let limited = match kind {
        VenueKind::Binance => r#"{"code":-1003,"msg":"Too much request weight used."}"#,
        VenueKind::Coinbase => r#"{"error":"RESOURCE_EXHAUSTED","message":"rate limit exceeded"}"#,
        VenueKind::Kraken => r#"{"error":["EGeneral:Too many requests"]}"#,
    };
    for fault in [
        HttpFault::status(500, ""),
        HttpFault::html(502),
        HttpFault::status(503, "{\"message\":\"maintenance\"}"),
        HttpFault::status(408, "late"),
        HttpFault::html(200),
        HttpFault::status(200, "no such page"),
        HttpFault::status(200, ""),
        // An error in the envelope of a success.
        HttpFault::status(200, limited),
        HttpFault::status(429, limited),
        HttpFault::status(418, limited),
        HttpFault::Hang(Duration::from_secs(600)),
        HttpFault::CloseMidBody,
        HttpFault::TruncatedGzip,
        HttpFault::Garbage,
        HttpFault::Lost,
    ] {
        let name = format!("{fault:?}");
        let tries = if matches!(fault, HttpFault::Hang(_)) { 1 } else { 3 };
        let (faults, log) = (venue.faults(), venue.log());
        log.clear();
        faults.http("", tries, fault);
        let mut source = history(kind, &venue);
        source.config_mut().net.retry.timeout = Duration::from_secs(2);
        assert_whole(&venue, source).await;
        assert!(log.requests().len() as u64 > tries, "{name}");
    }
}

async fn slow_answers_are_awaited(kind: VenueKind) {
    let venue = market(kind).await;
    let every = Duration::from_millis(2);
    venue.faults().http_always("", HttpFault::Slow { bytes: 4096, every });
    assert_whole(&venue, history(kind, &venue)).await;
}

async fn what_does_not_pass_is_told(kind: VenueKind) {
    let venue = market(kind).await;
    for (fault, expected, part) in [
        (HttpFault::html(403), ErrorKind::Unauthorized, "403"),
        (HttpFault::html(451), ErrorKind::Unsupported, "does not serve the place"),
        (HttpFault::status(401, "{}"), ErrorKind::Unauthorized, "credentials"),
        (HttpFault::html(404), ErrorKind::Rejected, "an HTML page, \"404\""),
    ] {
        venue.log().clear();
        venue.faults().http_always("", fault);
        let error = history(kind, &venue)
            .open(std::sync::Arc::new(FromStart))
            .await
            .unwrap_err();
        let told = error.to_string();
        assert_eq!(error.kind(), expected, "{told}");
        assert!(told.contains(part) && told.contains(&venue.http_url()), "{told}");
        // To try again would not help, and may be what a ban is for. A refusal may be of one of the symbols, which is asked.
        assert!(venue.log().requests().len() <= 2, "{:?}", venue.log().requests());
        venue.faults().clear();
        // The same in the middle of it.
        let mut source = history(kind, &venue);
        source.open(std::sync::Arc::new(FromStart)).await.unwrap();
        venue.faults().http_always("", HttpFault::html(451));
        assert_eq!(fails(&mut source).await.kind(), ErrorKind::Unsupported);
        venue.faults().clear();
    }
}

/// 429 and 418 name a time: nobody who shares the budget asks before it is over.
async fn a_pause_is_kept_by_all_users(kind: VenueKind) {
    for status in [429, 418] {
        let venue = market(kind).await;
        venue.faults().http("", 1, HttpFault::retry_after(status, 2, "{}"));
        let one = tokio::spawn({
            let source = history(kind, &venue);
            async move { opened(source).await }
        });
        let log = venue.log();
        until(|| log.requests().iter().any(|request| request.status == status)).await;
        // Its answer is read on this thread too.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let other = opened(history(kind, &venue)).await;
        let requests = log.requests();
        assert_eq!(requests[0].status, status);
        for request in &requests[1..] {
            assert!(request.at - requests[0].at >= Duration::from_secs(2), "{requests:?}");
        }
        drop((one.await.unwrap(), other));
    }
}

async fn a_long_outage_is_told(kind: VenueKind) {
    let venue = market(kind).await;
    venue.faults().http_always("", HttpFault::html(503));
    let mut source = history(kind, &venue);
    source.config_mut().net.retry = RetryPolicy::default()
        .retries(3)
        .pauses(Duration::from_millis(1), Duration::from_millis(5));
    let error = source.open(std::sync::Arc::new(FromStart)).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("cannot serve now") && told.contains("tries=4"), "{told}");
    assert_eq!(venue.log().requests().len(), 4);
}
