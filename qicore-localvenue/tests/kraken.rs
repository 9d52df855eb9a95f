//! Kraken's wire format, against recordings and against the market's truth.

mod support;

use std::{collections::BTreeMap, time::Duration};

use qicore_localvenue::{Builder, Limits, LocalVenue, Side, VenueKind};
use serde_json::{Value, value::RawValue};
use support::{Socket, get, json, plain, recorded, same_shape};

fn builder() -> Builder {
    LocalVenue::builder(VenueKind::Kraken)
        .symbols(["BTC/USD", "ETH/USD"])
        .seed(7)
        .history(Duration::from_secs(3_600 * 16))
        .trade_interval(Duration::from_millis(100))
        .book_interval(Duration::from_millis(50))
        .limits(Limits::of(VenueKind::Kraken).without_rest_budget())
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;

#[tokio::test]
async fn rest_payloads_have_the_recorded_shapes() {
    let venue = builder().start().await.unwrap();
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // The trading rules are newer than the recording.
        (
            "AssetPairs?pair=XBTUSD",
            "rest_AssetPairs/kraken.json",
            "XXBTZUSD",
            &[
                ".costmin",
                ".tick_size",
                ".status",
                ".leverage_buy",
                ".leverage_sell",
                ".fees",
                ".fees_maker",
            ],
        ),
        ("OHLC?pair=XBTUSD", "rest_OHLC/jk_GetKlines.json", "XXBTZUSD", &[]),
        (
            "Trades?pair=XBTUSD&count=5",
            "rest_Trades/jk_GetTradeHistory.json",
            "XXBTZUSD",
            &[],
        ),
        (
            "Depth?pair=XBTUSD&count=5",
            "rest_Depth/fetch_order_book.json",
            "BCHEUR",
            &[],
        ),
        ("Ticker?pair=XBTUSD", "rest_Ticker/fetch_ticker.json", "BCHEUR", &[]),
        (
            "Spread?pair=XBTUSD",
            "rest_Spread/xc_spreads-data.json",
            "XXBTZUSD",
            &[],
        ),
    ];
    for (target, file, key, allowed) in cases {
        let (theirs, ours) = (
            recorded(&format!("kraken/{file}")),
            json(&venue, &format!("/0/public/{target}")).await,
        );
        same_shape(&theirs["result"][key], &ours["result"]["XXBTZUSD"], allowed);
        same_shape(&theirs["result"]["last"], &ours["result"]["last"], &[]);
        assert_eq!(ours["error"], Value::Array(Vec::new()));
    }
    let refused = get(&venue, "/0/public/OHLC?pair=XYZUSD").await;
    assert_eq!(
        (refused.status, refused.json()["error"][0].as_str()),
        (200, Some("EQuery:Unknown asset pair"))
    );
    assert_eq!(venue.log().violations(), []);
}

#[tokio::test]
async fn ohlc_gives_the_newest_720_and_fills_empty_minutes() {
    let venue = builder().trade_interval(Duration::from_secs(90)).start().await.unwrap();
    let answer = json(&venue, "/0/public/OHLC?pair=XBTUSD&interval=1&since=0").await;
    let rows = answer["result"]["XXBTZUSD"].as_array().unwrap();
    assert_eq!(rows.len(), 720);
    assert_eq!(answer["result"]["last"], rows[718][0]);
    assert!(rows.iter().any(|row| row[7] == 0));
    for row in &rows[..719] {
        let bar = venue
            .market()
            .candle("BTC/USD", "1m", row[0].as_i64().unwrap() * SECOND)
            .unwrap();
        let ours = [1, 2, 3, 4, 6].map(|column| plain(&row[column]));
        assert_eq!(ours, [bar.open, bar.high, bar.low, bar.close, bar.volume]);
        assert_eq!(row[7], bar.count);
    }
    let since = rows[700][0].as_i64().unwrap();
    let tail = json(&venue, &format!("/0/public/OHLC?pair=XBTUSD&interval=1&since={since}")).await;
    assert_eq!(tail["result"]["XXBTZUSD"][0][0], since + 60);
}

#[tokio::test]
async fn assets_are_those_of_the_pairs() {
    let venue = builder().start().await.unwrap();
    let answer = json(&venue, "/0/public/Assets").await;
    let assets = answer["result"].as_object().unwrap();
    assert_eq!(assets.keys().collect::<Vec<_>>(), ["XETH", "XXBT", "ZUSD"]);
    assert_eq!(assets["XXBT"]["altname"], "XBT");
}

#[tokio::test]
async fn trades_behind_a_time_in_seconds_or_nanoseconds() {
    let venue = builder().start().await.unwrap();
    let second = venue.market().now() / SECOND - 100;
    let mut pages = Vec::new();
    for since in [second, second * SECOND] {
        let page = json(&venue, &format!("/0/public/Trades?pair=XBTUSD&count=5&since={since}")).await;
        pages.push(page["result"]["XXBTZUSD"].clone());
    }
    assert_eq!(pages[0], pages[1]);
    let first = pages[0][0][2].as_f64().unwrap() - second as f64;
    assert!((0.0..10.0).contains(&first), "{first}");
}

#[tokio::test]
async fn trades_page_by_last() {
    let venue = builder().start().await.unwrap();
    let (mut since, mut id) = ("0".to_owned(), 0);
    for _ in 0..5 {
        let page = json(&venue, &format!("/0/public/Trades?pair=ETHUSD&count=300&since={since}")).await;
        for row in page["result"]["XETHZUSD"].as_array().unwrap() {
            id += 1;
            let truth = venue.market().trade("ETH/USD", id).unwrap();
            assert_eq!(row[6], id);
            assert_eq!((plain(&row[0]), plain(&row[1])), (truth.price, truth.size));
            assert_eq!(row[3], if truth.side == Side::Buy { "b" } else { "s" });
            assert_eq!((row[2].as_f64().unwrap() * 1e6).round() as i64 * 1_000, truth.time);
        }
        since = page["result"]["last"].as_str().unwrap().to_owned();
    }
    assert_eq!(id, 1_500);
}

/// Numbers of a level as they were written.
#[derive(serde::Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Sides<'a> {
    #[serde(borrow)]
    bids: Vec<Level<'a>>,
    #[serde(borrow)]
    asks: Vec<Level<'a>>,
    checksum: u32,
}

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    data: Vec<Sides<'a>>,
}

/// Units of a decimal text.
fn units(text: &str, scale: usize) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<scale$}").parse().unwrap()
}

#[tokio::test]
async fn book_checksums_hold_and_payloads_have_the_recorded_shape() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/v2").await;
    socket
        .send(r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":25}}"#)
        .await;
    let theirs = recorded("kraken/ws2_book_checksum/pks_orderbook-v2_first_half.jsonl");
    let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
    let mut seen = 0;
    while seen < 40 {
        let text = socket.text().await;
        if !text.contains(r#""channel":"book","type""#) {
            continue;
        }
        if seen == 0 {
            same_shape(&theirs, &serde_json::from_str(&text).unwrap(), &[]);
        }
        seen += 1;
        let message: Message<'_> = serde_json::from_str(&text).unwrap();
        for (book, levels) in [(&mut bids, &message.data[0].bids), (&mut asks, &message.data[0].asks)] {
            for level in levels {
                let (price, size) = (units(level.price.get(), 1), units(level.qty.get(), 8));
                if size == 0 {
                    book.remove(&price)
                } else {
                    book.insert(price, size)
                };
            }
        }
        while bids.len() > 25 {
            bids.pop_first();
        }
        while asks.len() > 25 {
            asks.pop_last();
        }
        let best = asks.iter().take(10).chain(bids.iter().rev().take(10));
        let digits: String = best.map(|(price, size)| format!("{price}{size}")).collect();
        assert_eq!(
            crc32fast::hash(digits.as_bytes()),
            message.data[0].checksum,
            "message {seen}"
        );
    }
}

#[tokio::test]
async fn acknowledgements_come_per_symbol() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/v2").await;
    assert_eq!(socket.json().await["channel"], "status");
    let symbols = r#"["BTC/USD","XYZ/USD","ETH/USD"]"#;
    socket
        .send(&format!(
            r#"{{"method":"subscribe","params":{{"channel":"trade","symbol":{symbols}}},"req_id":9}}"#
        ))
        .await;
    let mut acks = BTreeMap::new();
    while acks.len() < 3 {
        let ack = socket.until(|message| message["method"] == "subscribe").await;
        assert_eq!(ack["req_id"], 9);
        let symbol = ack["symbol"]
            .as_str()
            .or(ack["result"]["symbol"].as_str())
            .unwrap()
            .to_owned();
        acks.insert(symbol, ack["success"] == true);
        if ack["success"] == false {
            assert_eq!(ack["error"], "Currency pair not supported XYZ/USD");
        }
    }
    assert_eq!(acks.into_values().collect::<Vec<_>>(), [true, true, false]);
    socket.send(r#"{"method":"ping","req_id":101}"#).await;
    assert_eq!(socket.until(|message| message["method"] == "pong").await["req_id"], 101);
    socket
        .send(r#"{"method":"unsubscribe","params":{"channel":"trade","symbol":["ETH/USD"]}}"#)
        .await;
    assert_eq!(
        socket.until(|message| message["method"] == "unsubscribe").await["success"],
        true
    );
    assert_eq!(venue.log().violations(), []);
    socket
        .send(r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}"#)
        .await;
    assert_eq!(
        socket.until(|message| message["method"] == "subscribe").await["error"],
        "Already subscribed"
    );
    assert_eq!(venue.log().violations().len(), 1);
}

#[tokio::test]
async fn trades_are_a_snapshot_of_50_and_updates() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/v2").await;
    socket
        .send(r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}"#)
        .await;
    let snapshot = socket.until(|message| message["channel"] == "trade").await;
    assert_eq!(
        (snapshot["type"].as_str(), snapshot["data"].as_array().unwrap().len()),
        (Some("snapshot"), 50)
    );
    let mut last = snapshot["data"][49]["trade_id"].as_u64().unwrap();
    for _ in 0..5 {
        let update = socket.until(|message| message["channel"] == "trade").await;
        for row in update["data"].as_array().unwrap() {
            last += 1;
            let truth = venue.market().trade("BTC/USD", last).unwrap();
            assert_eq!(
                (row["trade_id"].as_u64().unwrap(), plain(&row["price"])),
                (last, truth.price)
            );
            assert_eq!(plain(&row["qty"]), truth.size);
        }
    }
}

#[tokio::test]
async fn bars_end_complete_before_the_next_begins() {
    // Just before a full minute by the venue's clock.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as i64;
    let skew = (2 * MINUTE - now % MINUTE - 1_500_000_000) / 1_000_000;
    let venue = builder().clock_skew_ms(skew).start().await.unwrap();
    let mut socket = Socket::open(&venue, "/v2").await;
    socket
        .send(r#"{"method":"subscribe","params":{"channel":"ohlc","symbol":["BTC/USD"],"interval":1}}"#)
        .await;
    let snapshot = socket.until(|message| message["channel"] == "ohlc").await;
    let bars = snapshot["data"].as_array().unwrap();
    assert_eq!((snapshot["type"].as_str(), bars.len()), (Some("snapshot"), 720));
    let begin = bars[719]["interval_begin"].clone();
    let mut last = bars[719].clone();
    loop {
        let update = socket.until(|message| message["channel"] == "ohlc").await;
        let bar = &update["data"][0];
        if bar["interval_begin"] != begin {
            break;
        }
        last = bar.clone();
    }
    let open = chrono::DateTime::parse_from_rfc3339(begin.as_str().unwrap())
        .unwrap()
        .timestamp_nanos_opt()
        .unwrap();
    let truth = venue.market().candle("BTC/USD", "1m", open).unwrap();
    assert_eq!(
        ["open", "high", "low", "close", "volume"].map(|key| plain(&last[key])),
        [truth.open, truth.high, truth.low, truth.close, truth.volume]
    );
    assert_eq!(last["trades"], truth.count);
}

#[tokio::test]
async fn quiet_connections_get_heartbeats_and_idle_ones_are_closed() {
    let limits = Limits {
        idle_timeout: Some(Duration::from_millis(300)),
        rest_budget: 2,
        ..Limits::of(VenueKind::Kraken)
    };
    let venue = builder()
        .trade_interval(Duration::from_secs(3_600))
        .limits(limits.clone())
        .start()
        .await
        .unwrap();
    let mut idle = Socket::open(&venue, "/v2").await;
    idle.json().await;
    assert!(idle.message().await.unwrap().is_close());
    for _ in 0..2 {
        get(&venue, "/0/public/Time").await;
    }
    assert_eq!(
        json(&venue, "/0/public/Time").await["error"][0],
        "EAPI:Rate limit exceeded"
    );

    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(30)),
        ..limits
    };
    let venue = builder()
        .trade_interval(Duration::from_secs(3_600))
        .limits(limits)
        .start()
        .await
        .unwrap();
    let mut quiet = Socket::open(&venue, "/v2").await;
    quiet
        .send(r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}"#)
        .await;
    quiet.until(|message| message["channel"] == "heartbeat").await;
    quiet
        .send(r#"{"method":"subscribe","params":{"channel":"instrument"}}"#)
        .await;
    let instruments = quiet.until(|message| message["channel"] == "instrument").await;
    assert_eq!(instruments["data"]["pairs"][0]["price_precision"], 1);
}

#[tokio::test]
async fn checksums_can_be_wrong() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/v2").await;
    socket
        .send(r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}"#)
        .await;
    let update = |message: &Value| message["channel"] == "book" && message["type"] == "update";
    socket.until(update).await;
    venue.faults().corrupt_checksums(1);
    let market = venue.market();
    let digits = |levels: &[(String, String)], scale| -> String {
        let level = |(price, size): &(String, String)| format!("{}{}", units(price, scale), units(size, 8));
        levels.iter().take(10).map(level).collect()
    };
    let mut wrong = 0;
    for _ in 0..10 {
        let data = socket.until(update).await["data"][0].clone();
        let time = chrono::DateTime::parse_from_rfc3339(data["timestamp"].as_str().unwrap()).unwrap();
        let last = market.last_update("BTC/USD", time.timestamp_nanos_opt().unwrap());
        let book = market.book("BTC/USD", last).unwrap();
        let text = digits(&book.asks, 1) + &digits(&book.bids, 1);
        wrong += u32::from(data["checksum"] != crc32fast::hash(text.as_bytes()));
    }
    assert_eq!(wrong, 1);
}
