//! Coinbase's wire format, against recordings and against the market's truth.

mod support;

use std::time::Duration;

use qicore_localvenue::{Builder, Limits, LocalVenue, Side, VenueKind};
use support::{Socket, get, json, plain, recorded, same_shape};

fn builder() -> Builder {
    LocalVenue::builder(VenueKind::Coinbase)
        .symbols(["BTC/USD", "ETH/USD"])
        .seed(7)
        .history(Duration::from_secs(7_200))
        .trade_interval(Duration::from_millis(50))
        .book_interval(Duration::from_millis(50))
        .limits(Limits::of(VenueKind::Coinbase).without_rest_budget())
}

const MINUTE: i64 = 60_000_000_000;

#[tokio::test]
async fn rest_payloads_have_the_recorded_shapes() {
    let venue = builder().start().await.unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        // Futures have details that spot products lack.
        (
            "/api/v3/brokerage/market/products",
            "advanced_rest_products/jk_GetSymbols.json",
            &[
                ".products[].future_product_details",
                ".products[].fcm_trading_session_details",
            ],
        ),
        // The documentation's example lacks bid and ask, recordings have them, empty.
        (
            "/api/v3/brokerage/market/products/BTC-USD/ticker?limit=5",
            "advanced_rest_ticker/jk_GetTradeHistory.json",
            &[".trades[].bid", ".trades[].ask"],
        ),
        ("/products", "exchange_rest_products/coinbase.json", &[]),
        (
            "/products/BTC-USD/trades?limit=5",
            "exchange_rest_trades/bc_BTC-EUR_trades_GET-200.json",
            &[],
        ),
        (
            "/products/BTC-USD/candles?granularity=60",
            "exchange_rest_candles/bc_BTC-USD_candles_2020-03-20-00-00.json",
            &[],
        ),
        // `time` is newer than the recording.
        (
            "/products/BTC-USD/book?level=2",
            "exchange_rest_book/cmp__l2_snapshot_5.json",
            &[".time"],
        ),
    ];
    for (target, file, allowed) in cases {
        same_shape(
            &recorded(&format!("coinbase/{file}")),
            &json(&venue, target).await,
            allowed,
        );
    }
    assert_eq!(get(&venue, "/products/XYZ-USD/trades").await.status, 404);
    assert_eq!(
        get(&venue, "/api/v3/brokerage/market/products/XYZ-USD").await.status,
        404
    );
    assert_eq!(venue.log().violations(), []);
}

#[tokio::test]
async fn candles_descend_and_are_the_truth() {
    let venue = builder().trade_interval(Duration::from_secs(90)).start().await.unwrap();
    let market = venue.market();
    let (from, to) = (market.start() + 10 * MINUTE, market.start() + 40 * MINUTE);
    let truth: Vec<_> = market
        .candles("BTC/USD", "1m", from, to + 1)
        .into_iter()
        .rev()
        .filter(|bar| bar.count > 0)
        .collect();
    assert!(truth.len() < 31, "some minutes have no trades, and no candles");
    let (from, to) = (from / 1_000_000_000, to / 1_000_000_000);
    let path = "/api/v3/brokerage/market/products/BTC-USD/candles";
    let advanced = json(&venue, &format!("{path}?start={from}&end={to}&granularity=ONE_MINUTE")).await;
    let exchange = json(
        &venue,
        &format!("/products/BTC-USD/candles?start={from}&end={to}&granularity=60"),
    )
    .await;
    let (advanced, exchange) = (advanced["candles"].as_array().unwrap(), exchange.as_array().unwrap());
    assert_eq!((advanced.len(), exchange.len()), (truth.len(), truth.len()));
    for ((row, columns), bar) in advanced.iter().zip(exchange).zip(&truth) {
        let truth = [&bar.low, &bar.high, &bar.open, &bar.close, &bar.volume];
        assert_eq!(row["start"], (bar.open_time / 1_000_000_000).to_string());
        assert_eq!(
            ["low", "high", "open", "close", "volume"].map(|key| plain(&row[key])),
            truth.map(Clone::clone)
        );
        assert_eq!(
            [1, 2, 3, 4, 5].map(|column| plain(&columns[column])),
            truth.map(Clone::clone)
        );
    }
    let many = get(&venue, &format!("{path}?start=0&end={to}&granularity=ONE_MINUTE")).await;
    assert_eq!(
        (many.status, many.json()["error"].as_str()),
        (400, Some("INVALID_ARGUMENT"))
    );
    assert_eq!(
        get(
            &venue,
            &format!("/products/BTC-USD/candles?start=0&end={to}&granularity=60")
        )
        .await
        .status,
        400
    );
}

#[tokio::test]
async fn exchange_trades_page_backwards() {
    let venue = builder().start().await.unwrap();
    let first = get(&venue, "/products/BTC-USD/trades?limit=100").await;
    let after: u64 = first.header("cb-after").unwrap().parse().unwrap();
    assert_eq!(first.json()[99]["trade_id"], after);
    let next = json(&venue, &format!("/products/BTC-USD/trades?limit=100&after={after}")).await;
    for (row, id) in next.as_array().unwrap().iter().zip((after - 100..after).rev()) {
        let truth = venue.market().trade("BTC/USD", id).unwrap();
        assert_eq!(row["trade_id"], id);
        assert_eq!((plain(&row["price"]), plain(&row["size"])), (truth.price, truth.size));
        // The maker's side.
        assert_eq!(row["side"], if truth.side == Side::Buy { "sell" } else { "buy" });
    }
}

#[tokio::test]
async fn channels_have_the_recorded_shapes_and_one_sequence() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/").await;
    for channel in ["ticker", "status", "market_trades", "level2", "candles"] {
        socket
            .send(&format!(
                r#"{{"type":"subscribe","product_ids":["BTC-USD"],"channel":"{channel}"}}"#
            ))
            .await;
    }
    socket.send(r#"{"type":"subscribe","channel":"heartbeats"}"#).await;
    let mut seen = std::collections::BTreeMap::new();
    for sequence in 0.. {
        let message = socket.json().await;
        assert_eq!(message["sequence_num"], sequence);
        seen.insert(message["channel"].as_str().unwrap().to_owned(), message);
        if seen.len() == 7 {
            break;
        }
    }
    same_shape(
        &recorded("coinbase/advanced_ws_ticker/jk_Ticker_3.json"),
        &seen["ticker"],
        &[],
    );
    same_shape(
        &recorded("coinbase/advanced_ws_status/jk_Symbol_3.json"),
        &seen["status"],
        &[],
    );
    let ack = &seen["subscriptions"];
    same_shape(
        &recorded("coinbase/advanced_ws_ticker/jk_Ticker_2_ack.json")["channel"],
        &ack["channel"],
        &[],
    );
    assert_eq!(ack["events"][0]["subscriptions"].as_object().unwrap().len(), 6, "{ack}");
    assert!(seen["heartbeats"]["events"][0]["heartbeat_counter"].is_u64());
    assert_eq!(venue.log().violations(), []);
}

#[tokio::test]
async fn trades_are_snapshot_then_updates_newest_first() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/").await;
    socket
        .send(r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}"#)
        .await;
    let snapshot = socket.until(|message| message["channel"] == "market_trades").await;
    assert_eq!(snapshot["events"][0]["type"], "snapshot");
    let mut last: u64 = snapshot["events"][0]["trades"][0]["trade_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for _ in 0..4 {
        let update = socket.until(|message| message["channel"] == "market_trades").await;
        let event = &update["events"][0];
        assert_eq!(event["type"], "update");
        let rows = event["trades"].as_array().unwrap();
        assert!(rows.len() > 1);
        for row in rows.iter().rev() {
            last += 1;
            let truth = venue.market().trade("BTC/USD", last).unwrap();
            assert_eq!(row["trade_id"], last.to_string());
            assert_eq!((plain(&row["price"]), plain(&row["size"])), (truth.price, truth.size));
            assert_eq!(row["side"], if truth.side == Side::Buy { "SELL" } else { "BUY" });
        }
    }
}

#[tokio::test]
async fn a_book_is_kept_by_level2() {
    let venue = builder().book_depth(50).start().await.unwrap();
    let mut socket = Socket::open(&venue, "/").await;
    socket
        .send(r#"{"type":"subscribe","product_ids":["ETH-USD"],"channel":"level2"}"#)
        .await;
    let mut book = std::collections::BTreeMap::new();
    let mut time = String::new();
    for turn in 0..6 {
        let message = socket.until(|message| message["channel"] == "l2_data").await;
        let event = &message["events"][0];
        assert_eq!(event["type"], if turn == 0 { "snapshot" } else { "update" });
        for row in event["updates"].as_array().unwrap() {
            let key = (row["side"].as_str().unwrap().to_owned(), plain(&row["price_level"]));
            let size = plain(&row["new_quantity"]);
            if size == "0" {
                book.remove(&key)
            } else {
                book.insert(key, size)
            };
            time = row["event_time"].as_str().unwrap().to_owned();
        }
    }
    let market = venue.market();
    let now = market.last_update("ETH/USD", market.now());
    let wanted = chrono::DateTime::parse_from_rfc3339(&time)
        .unwrap()
        .timestamp_nanos_opt()
        .unwrap();
    let truth = (now - 20..=now)
        .filter_map(|u| market.book("ETH/USD", u))
        .find(|book| book.time == wanted)
        .unwrap();
    let side = |name: &'static str, levels: Vec<(String, String)>| {
        levels
            .into_iter()
            .map(move |(price, size)| ((name.to_owned(), price), size))
    };
    assert_eq!(book, side("bid", truth.bids).chain(side("offer", truth.asks)).collect());
}

#[tokio::test]
async fn mistakes_are_answered_and_noted() {
    let limits = Limits {
        subscribe_timeout: Some(Duration::from_millis(300)),
        rest_budget: 3,
        ..Limits::of(VenueKind::Coinbase)
    };
    let venue = builder().limits(limits).start().await.unwrap();
    let mut socket = Socket::open(&venue, "/").await;
    socket
        .send(r#"{"type":"subscribe","product_ids":["XYZ-USD"],"channel":"ticker"}"#)
        .await;
    assert_eq!(socket.json().await["type"], "error");
    socket
        .send(r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker"]}"#)
        .await;
    assert_eq!(socket.json().await["type"], "error");
    assert!(socket.message().await.unwrap().is_close());
    for _ in 0..3 {
        assert_eq!(get(&venue, "/products").await.status, 200);
    }
    let limited = get(&venue, "/products").await;
    assert_eq!(
        (limited.status, limited.json()["message"].as_str()),
        (429, Some("Public rate limit exceeded"))
    );
    assert_eq!(venue.log().violations().len(), 4);
}
