//! The market is a pure function, and fast enough to be a history.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use qicore_localvenue::{LocalVenue, VenueKind};
use support::{get, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MINUTE: i64 = 60_000_000_000;
/// 2024-01-01T00:00:00Z.
const START: i64 = 1_704_067_200_000_000_000;

#[tokio::test]
async fn the_same_seed_gives_the_same_market() {
    let make = |seed| {
        LocalVenue::builder(VenueKind::Kraken)
            .seed(seed)
            .start_at(START)
            .start()
    };
    let (a, b, c) = (make(1).await.unwrap(), make(1).await.unwrap(), make(2).await.unwrap());
    let trades = |venue: &LocalVenue| venue.market().trades("BTC/USD", 1..=2_000);
    assert_eq!(trades(&a), trades(&b));
    assert_ne!(trades(&a), trades(&c));
    let times: Vec<i64> = trades(&a).iter().map(|trade| trade.time).collect();
    assert!(times.is_sorted() && times[0] >= START);
    let prices: BTreeSet<String> = trades(&a).into_iter().map(|trade| trade.price).collect();
    assert!(prices.len() > 100);
    assert_eq!(a.market().book("BTC/USD", 77), b.market().book("BTC/USD", 77));
}

#[tokio::test]
async fn ids_and_times_agree() {
    for interval in [
        Duration::from_micros(100),
        Duration::from_millis(20),
        Duration::from_secs(90),
    ] {
        let venue = LocalVenue::builder(VenueKind::Binance)
            .start_at(START)
            .trade_interval(interval)
            .start()
            .await
            .unwrap();
        let market = venue.market();
        for trade in market.trades("ETH/USDT", 1..=500) {
            let first = market.first_id_from("ETH/USDT", trade.time);
            let last = market.last_id("ETH/USDT", trade.time);
            assert!(first <= trade.id && trade.id <= last);
            assert_eq!(market.trade("ETH/USDT", first).unwrap().time, trade.time);
            assert_eq!(market.trade("ETH/USDT", last).unwrap().time, trade.time);
            assert!(market.trade("ETH/USDT", last + 1).unwrap().time > trade.time);
        }
    }
}

#[tokio::test]
async fn bars_add_up() {
    let venue = LocalVenue::builder(VenueKind::Binance)
        .start_at(START)
        .trade_interval(Duration::from_millis(100))
        .start()
        .await
        .unwrap();
    let market = venue.market();
    let minutes = market.candles("BTC/USDT", "1m", START, START + 60 * MINUTE);
    let hour = market.candle("BTC/USDT", "1h", START).unwrap();
    assert_eq!(minutes.len(), 60);
    assert_eq!(minutes.iter().map(|bar| bar.count).sum::<u64>(), hour.count);
    assert_eq!((&minutes[0].open, &minutes[59].close), (&hour.open, &hour.close));
    assert_eq!(minutes[59].ids.unwrap().1, hour.ids.unwrap().1);
    let trades = market.trades("BTC/USDT", 1..=hour.count);
    assert_eq!(trades[0].price, hour.open);
    assert!(trades.iter().all(|trade| trade.time < START + 60 * MINUTE));
    assert_eq!(market.candle("BTC/USDT", "1m", START - MINUTE), None);
    assert_eq!(market.candle("BTC/USDT", "1m", START + 1), None);
}

#[tokio::test]
async fn a_million_bars_take_seconds() {
    let venue = LocalVenue::builder(VenueKind::Binance)
        .start_at(START - 700 * 1_440 * MINUTE)
        .trade_interval(Duration::from_secs(20))
        .start()
        .await
        .unwrap();
    let bars = venue.market().candles("BTC/USDT", "1m", venue.market().start(), START);
    assert_eq!(bars.len(), 700 * 1_440);
}

#[tokio::test]
async fn the_truth_is_served() {
    let venue = LocalVenue::builder(VenueKind::Coinbase)
        .start_at(START)
        .trade_interval(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let reply = get(&venue, "/_truth/trades?symbol=BTC/USD&from_id=5&to_id=7").await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let ids: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, [5, 6, 7]);
    let to = START + 3 * MINUTE;
    let reply = get(
        &venue,
        &format!("/_truth/candles?symbol=BTC/USD&timeframe=1m&from={START}&to={to}"),
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&reply.body).lines().count(), 3);
    assert_eq!(get(&venue, "/_truth/candles?symbol=BTC/USD").await.status, 400);
    let now = get(&venue, "/_truth/now").await;
    assert!(String::from_utf8_lossy(&now.body).contains(r#""last_id":"#));
    assert!(venue.log().requests().is_empty());
}

#[tokio::test]
async fn tls_and_skew() {
    let venue = LocalVenue::builder(VenueKind::Binance)
        .tls(true)
        .clock_skew_ms(-5_000)
        .start()
        .await
        .unwrap();
    assert!(venue.http_url().starts_with("https://") && venue.ws_url().starts_with("wss://"));
    let mut roots = rustls::RootCertStore::empty();
    let pem = venue.ca_pem().unwrap();
    let der =
        <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes())
            .unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for name in ["127.0.0.1", "localhost"] {
        let stream = tokio::net::TcpStream::connect(venue.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let mut stream = connector.connect(name.try_into().unwrap(), stream).await.unwrap();
        stream
            .write_all(b"GET /api/v3/time HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let time: i64 = text.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
        let real = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis() as i64;
        assert!((real - 5_000 - time).abs() < 1_000, "{text}");
    }
}

#[test]
fn a_venue_on_its_own_threads() {
    let venue = LocalVenue::builder(VenueKind::Binance)
        .threads(1)
        .start_blocking()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert!(runtime.block_on(json(&venue, "/api/v3/time"))["serverTime"].is_i64());
}
