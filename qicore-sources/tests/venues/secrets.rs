//! Users and queries of URLs are nobody's business.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{FromStart, RetryPolicy, Source, Timestamp};
use qicore_localvenue::{HttpFault, LocalVenue, VenueKind};
use qicore_sources::{CaptureConfig, Channel, Market};

use crate::common::{Seen, each_venue, fails, opened, read, source, venue};
use crate::logs::Logs;

each_venue!(urls_keep_their_secrets);

const SECRET: &str = "hunter2";

fn with_secrets(url: &str) -> String {
    url.replace("://", &format!("://user{SECRET}:pass{SECRET}@")) + &format!("/?token={SECRET}")
}

fn secretive(kind: VenueKind, venue: &LocalVenue) -> Market {
    let now = Timestamp::now();
    let mut source = source(kind, venue, 1, &[Channel::Trades, Channel::Book])
        .at(with_secrets(&venue.http_url()), with_secrets(&venue.ws_url()))
        .from(now.saturating_sub(Duration::from_secs(30)));
    let config = source.config_mut();
    config.exchange_url = Some(with_secrets(&venue.http_url()));
    config.answer_within = Duration::from_millis(500);
    config.net.retry = RetryPolicy::default()
        .retries(1)
        .pauses(Duration::from_millis(1), Duration::from_millis(5))
        .timeout(Duration::from_secs(5));
    source
}

async fn urls_keep_their_secrets(kind: VenueKind) {
    let logs = Logs::gather();
    let venue = venue(kind)
        .history(Duration::from_secs(120))
        .book_depth(20)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();

    let mut source = secretive(kind, &venue).capture(CaptureConfig::new(folder.path()));
    told.push(format!("{source:?} {source:#?}"));
    told.push(format!("{:?}", source.config_mut()));
    let mut source = opened(source).await;
    let faults = venue.faults();
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 1600)
        .await
        .unwrap();
    faults.http("", 1, HttpFault::html(502));
    faults.send_text("{");
    read(&mut source, &mut seen, |seen| !seen.rejected.is_empty())
        .await
        .unwrap();
    faults.reset_all();
    read(&mut source, &mut seen, |seen| seen.events.len() > 2000)
        .await
        .unwrap();
    told.push(format!("{source:?} {seen:?}"));
    source.close().await.unwrap();
    drop(source);
    // It did reach the venue.
    assert!(
        venue
            .log()
            .requests()
            .iter()
            .all(|request| request.target.contains(SECRET))
    );

    for fault in [
        HttpFault::html(403),
        HttpFault::html(500),
        HttpFault::Garbage,
        HttpFault::Lost,
        HttpFault::EmptyPage,
    ] {
        faults.http_always("", fault);
        if let Err(error) = secretive(kind, &venue).open(Arc::new(FromStart)).await {
            told.push(format!("{error} {error:?} {error:#?}"));
        }
        faults.clear();
    }
    faults.refuse_upgrades(Some(403));
    let error = fails(&mut opened(secretive(kind, &venue)).await).await;
    told.push(format!("{error} {error:?}"));
    faults.refuse_upgrades(None);

    let http = with_secrets(&venue.http_url());
    drop(venue);
    for wrong in [
        http.as_str(),
        &format!("ftp://user:{SECRET}@host"),
        SECRET,
        &format!("http://{SECRET}:port/"),
    ] {
        let mut source = source_at(kind, wrong);
        told.push(format!("{source:?}"));
        let error = source.open(Arc::new(FromStart)).await.unwrap_err();
        told.push(format!("{error} {error:?}"));
    }
    for told in &told {
        assert!(!told.contains(SECRET), "{told}");
    }
    let text = logs.text();
    assert!(text.contains("connection"), "{text}");
    for line in text.lines() {
        assert!(!line.contains(SECRET), "{line}");
    }
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = zstd::decode_all(std::fs::File::open(file.unwrap().path()).unwrap()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.lines().count() > 100);
        for line in text.lines() {
            assert!(!line.contains(SECRET), "{line}");
        }
        files += 1;
    }
    assert_eq!(files, 1);
}

fn source_at(kind: VenueKind, url: &str) -> Market {
    let market = match kind {
        VenueKind::Binance => qicore_sources::binance::source(),
        VenueKind::Coinbase => qicore_sources::coinbase::source(),
        VenueKind::Kraken => qicore_sources::kraken::source(),
    };
    let mut market = market
        .symbols(["BTC/USD"])
        .unwrap()
        .channels([Channel::Trades])
        .at(url, url);
    let config = market.config_mut();
    config.exchange_url = Some(url.to_owned());
    config.net.retry = RetryPolicy::never();
    market
}
