//! Binance's wire format, against recordings and against the market's truth.

mod support;

use std::time::{Duration, Instant};

use qicore_localvenue::{Builder, Limits, LocalVenue, Side, VenueKind};
use serde_json::Value;
use support::{Socket, get, json, plain, recorded, same_shape};

fn builder() -> Builder {
    LocalVenue::builder(VenueKind::Binance)
        .symbols(["BTC/USDT", "ETH/USDT"])
        .seed(7)
        .history(Duration::from_secs(7_200))
        .trade_interval(Duration::from_millis(20))
        .book_interval(Duration::from_millis(20))
}

const MINUTE: i64 = 60_000_000_000;

#[tokio::test]
async fn rest_payloads_have_the_recorded_shapes() {
    let venue = builder().start().await.unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "klines?symbol=BTCUSDT&interval=5m&limit=24",
            "rest_klines/gct_1580515200000_interval-5m_limit-24_1577836800000_symbol-BTCUSDT.json",
            &[],
        ),
        ("trades?symbol=BTCUSDT&limit=5", "rest_trades/fetch_trades.json", &[]),
        (
            "historicalTrades?symbol=BTCUSDT&fromId=5&limit=5",
            "rest_historicalTrades/gct_limit-5_symbol-BTCUSDT.json",
            &[],
        ),
        (
            "aggTrades?symbol=BTCUSDT&limit=5",
            "rest_aggTrades/gct_1577978345000_1577977445000_symbol-BTCUSDT.json",
            &[],
        ),
        ("depth?symbol=BTCUSDT", "rest_depth/binance_us_CRVUSDT.json", &[]),
        (
            "ticker/24hr?symbol=BTCUSDT",
            "rest_ticker_24hr/gct_symbol-BTCUSDT.json",
            &[],
        ),
        // Each type of filter has keys of its own.
        (
            "exchangeInfo",
            "rest_exchangeInfo/binance_us.json",
            &[
                ".symbols[].filters[].minPrice",
                ".symbols[].filters[].maxPrice",
                ".symbols[].filters[].tickSize",
                ".symbols[].filters[].minQty",
                ".symbols[].filters[].maxQty",
                ".symbols[].filters[].stepSize",
            ],
        ),
    ];
    for (target, file, allowed) in cases {
        let ours = json(&venue, &format!("/api/v3/{target}")).await;
        same_shape(&recorded(&format!("binance/{file}")), &ours, allowed);
    }
    let reply = get(&venue, "/api/v3/klines?symbol=XYZUSDT&interval=1m").await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.json(),
        recorded("binance/error_envelopes/gct_usdm_symbol-BTCUSD_201225.json")
    );
    assert!(reply.header("x-mbx-used-weight-1m").is_some());
    assert_eq!(venue.log().violations(), []);
    venue.stop().await;
}

#[tokio::test]
async fn stream_payloads_have_the_recorded_shapes() {
    let venue = builder().start().await.unwrap();
    // Buyer and seller order ids were in `trade` until 2023.
    let cases: &[(&str, &str, &[&str])] = &[
        ("trade", "ws_trade/barter_trade_0.json", &[".a", ".b"]),
        ("aggTrade", "ws_aggTrade/binance_ws_1_0_half1.jsonl", &[]),
        ("bookTicker", "ws_bookTicker/cmp_bbo_spot_21.json", &[]),
        ("depth@100ms", "ws_depthUpdate/barter_spot_l2_0.json", &[]),
        ("depth20", "ws_partialDepth/cmp_l2_topk_spot_15.json", &[]),
        ("kline_1m", "ws_kline/cmp_candlestick_spot_37.json", &[]),
        ("ticker", "ws_24hrTicker/xc_testTickerEvent.json", &[]),
        ("miniTicker", "ws_24hrMiniTicker/jk_MiniTicker_3.json", &[]),
    ];
    let names: Vec<String> = cases.iter().map(|(channel, ..)| format!("btcusdt@{channel}")).collect();
    let mut socket = Socket::open(&venue, &format!("/stream?streams={}", names.join("/"))).await;
    for (name, (_, file, allowed)) in names.iter().zip(cases) {
        let ours = socket.until(|message| message["stream"] == **name).await;
        let theirs = recorded(&format!("binance/{file}"));
        let theirs = if theirs.get("stream").is_some() {
            &theirs["data"]
        } else {
            &theirs
        };
        same_shape(theirs, &ours["data"], allowed);
    }
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":"a"}"#).await;
    let list = socket.until(|message| message["id"] == "a").await;
    assert_eq!(list["result"].as_array().unwrap().len(), names.len());
    assert_eq!(venue.log().violations(), []);
}

#[tokio::test]
async fn raw_streams_and_requests() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws").await;
    socket
        .send(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#)
        .await;
    assert_eq!(
        socket.json().await,
        recorded("binance/ws_control/barter_subscription_0.json")
    );
    let market = venue.market();
    let first = socket.json().await;
    let id = first["t"].as_u64().unwrap();
    for expected in market.trades("BTC/USDT", id + 1..=id + 20) {
        let ours = socket.json().await;
        assert_eq!(ours["t"], expected.id);
        assert_eq!(ours["T"].as_i64().unwrap() * 1_000_000, expected.time);
        assert_eq!((plain(&ours["p"]), plain(&ours["q"])), (expected.price, expected.size));
        assert_eq!(ours["m"], expected.side == Side::Sell);
    }
    socket
        .send(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}"#)
        .await;
    socket.until(|message| message["id"] == 2).await;
    socket.send(r#"{"method":"NONSENSE","id":3}"#).await;
    assert_eq!(socket.json().await["error"]["code"], 2);
}

#[tokio::test]
async fn rest_pages_are_the_truth() {
    let venue = builder().start().await.unwrap();
    let market = venue.market();
    let from = market.start() + 3 * MINUTE;
    let url = format!(
        "/api/v3/klines?symbol=ETHUSDT&interval=1m&startTime={}&limit=1000",
        from / 1_000_000
    );
    let rows = json(&venue, &url).await;
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 117, "{}", rows.len());
    let truth = market.candles("ETH/USDT", "1m", from, market.now());
    for (row, bar) in rows.iter().zip(&truth).take(rows.len() - 1) {
        let texts = |columns: [usize; 6]| columns.map(|column| plain(&row[column]));
        assert_eq!(row[0].as_i64().unwrap() * 1_000_000, bar.open_time);
        assert_eq!(row[6].as_i64().unwrap(), bar.end / 1_000_000 - 1);
        let ours = [
            &bar.open,
            &bar.high,
            &bar.low,
            &bar.close,
            &bar.volume,
            &bar.quote_volume,
        ];
        assert_eq!(texts([1, 2, 3, 4, 5, 7]), ours.map(Clone::clone));
        assert_eq!(row[8], bar.count);
    }
    let page = json(&venue, "/api/v3/aggTrades?symbol=BTCUSDT&fromId=100&limit=1000").await;
    let ids: Vec<u64> = page
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["a"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (100..1_100).collect::<Vec<_>>());
    let end = market.trade("BTC/USDT", 500).unwrap().time / 1_000_000;
    let page = json(
        &venue,
        &format!("/api/v3/aggTrades?symbol=BTCUSDT&startTime=0&endTime={end}&limit=1000"),
    )
    .await;
    assert_eq!(page.as_array().unwrap().last().unwrap()["a"], 500);
}

#[tokio::test]
async fn closed_bars_of_the_stream_are_the_truth() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws/btcusdt@kline_1s").await;
    for _ in 0..2 {
        let closed = socket.until(|message| message["k"]["x"] == true).await;
        let k = &closed["k"];
        let bar = venue
            .market()
            .candle("BTC/USDT", "1s", k["t"].as_i64().unwrap() * 1_000_000)
            .unwrap();
        let ours = ["o", "h", "l", "c", "v", "q"].map(|key| plain(&k[key]));
        assert_eq!(
            ours,
            [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume]
        );
        assert_eq!(
            (k["n"].as_u64(), k["f"].as_u64()),
            (Some(bar.count), bar.ids.map(|ids| ids.0))
        );
    }
}

#[tokio::test]
async fn a_book_is_rebuilt_from_snapshot_and_updates() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws/btcusdt@depth@100ms").await;
    let first = socket.json().await;
    let snapshot = json(&venue, "/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
    let mut last = snapshot["lastUpdateId"].as_u64().unwrap();
    let side = |value: &Value| -> std::collections::BTreeMap<String, String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|level| (plain(&level[0]), plain(&level[1])))
            .collect()
    };
    let (mut bids, mut asks) = (side(&snapshot["bids"]), side(&snapshot["asks"]));
    let mut messages = vec![first];
    for _ in 0..8 {
        messages.push(socket.json().await);
    }
    for message in messages {
        let (from, to) = (message["U"].as_u64().unwrap(), message["u"].as_u64().unwrap());
        if to <= last {
            continue;
        }
        assert!(from <= last + 1, "{from} {last}");
        last = to;
        for (book, key) in [(&mut bids, "b"), (&mut asks, "a")] {
            for (price, size) in side(&message[key]) {
                if size == "0" {
                    book.remove(&price)
                } else {
                    book.insert(price, size)
                };
            }
        }
    }
    let truth = venue.market().book("BTC/USDT", last).unwrap();
    assert_eq!(bids, truth.bids.into_iter().collect());
    assert_eq!(asks, truth.asks.into_iter().collect());
}

#[tokio::test]
async fn over_the_budget_is_429_then_418() {
    let limits = Limits {
        rest_budget: 10,
        ..Limits::of(VenueKind::Binance)
    };
    let venue = builder().limits(limits).start().await.unwrap();
    for _ in 0..5 {
        assert_eq!(
            get(&venue, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1")
                .await
                .status,
            200
        );
    }
    let limited = get(&venue, "/api/v3/ping").await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    assert_eq!(get(&venue, "/api/v3/ping").await.status, 418);
    assert_eq!(venue.log().violations().len(), 2);
    assert_eq!(venue.log().requests_of("/klines").len(), 5);
}

#[tokio::test]
async fn rules_of_the_socket() {
    let limits = Limits {
        ping_interval: Some(Duration::from_millis(50)),
        pong_timeout: Duration::from_millis(150),
        ..Limits::of(VenueKind::Binance)
    };
    let venue = builder().limits(limits).start().await.unwrap();
    // A client that does not read does not answer pings.
    let silent = Socket::open(&venue, "/ws").await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(venue.log().open_connections(), 0);
    assert_eq!(venue.log().violations()[0].what, "no pong in time");
    drop(silent);

    let mut hasty = Socket::open(&venue, "/ws").await;
    for id in 0..7 {
        hasty
            .send(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#))
            .await;
    }
    while hasty.message().await.is_some_and(|message| message.is_text()) {}
    assert!(venue.log().violations()[1].what.contains("client messages in a second"));
}

#[tokio::test]
async fn old_connections_are_told_and_closed() {
    let limits = Limits {
        max_age: Duration::from_millis(500),
        shutdown_notice: Duration::from_millis(300),
        ..Limits::of(VenueKind::Binance)
    };
    let venue = builder().limits(limits).start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws").await;
    assert_eq!(socket.json().await["e"], "serverShutdown");
    assert!(socket.message().await.unwrap().is_close());
}

#[tokio::test]
async fn a_delisted_symbol_is_invalid_and_silent() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/stream?streams=btcusdt@trade/ethusdt@trade").await;
    socket.until(|message| message["stream"] == "ethusdt@trade").await;
    venue.delist("ETH/USDT");
    assert_eq!(get(&venue, "/api/v3/trades?symbol=ETHUSDT").await.json()["code"], -1121);
    // Every trade before the delisting is told, and none after it.
    let last = venue.market().last_id("ETH/USDT", i64::MAX - 1);
    let (mut told, deadline) = (0, Instant::now() + Duration::from_millis(300));
    while Instant::now() < deadline {
        let message = socket.json().await;
        if message["stream"] == "ethusdt@trade" {
            told = message["data"]["t"].as_u64().unwrap();
        }
    }
    assert!(told == last || told == 0, "{told} {last}");
    assert_eq!(
        json(&venue, "/api/v3/exchangeInfo").await["symbols"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn bursts_go_on_behind_the_last_trade() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws/btcusdt@trade").await;
    let first = socket.json().await["t"].as_u64().unwrap();
    venue.burst(20_000);
    for id in first + 1..=first + 20_000 {
        assert_eq!(socket.json().await["t"], id);
    }
}
