//! Faults do what they say, and nothing else.

mod support;

use std::time::{Duration, Instant};

use qicore_localvenue::{Builder, ChaosConfig, HttpFault, Limits, LocalVenue, VenueKind};
use support::{Socket, get, get_with, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn builder() -> Builder {
    LocalVenue::builder(VenueKind::Binance)
        .symbols(["BTC/USDT", "ETH/USDT"])
        .seed(7)
        .history(Duration::from_secs(3_600))
        .trade_interval(Duration::from_millis(20))
}

const KLINES: &str = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=20";

async fn trades(venue: &LocalVenue) -> Socket {
    let mut socket = Socket::open(venue, "/ws/btcusdt@trade").await;
    socket.json().await;
    socket
}

async fn next_id(socket: &mut Socket) -> u64 {
    socket.until(|message| message["e"] == "trade").await["t"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn statuses_headers_and_bodies_for_the_next_requests_only() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    faults.http(
        "/klines",
        2,
        HttpFault::too_many_requests(3, r#"{"code":-1003,"msg":"Too many requests."}"#),
    );
    faults.http("/klines", 1, HttpFault::html(451));
    assert_eq!(get(&venue, "/api/v3/ping").await.status, 200);
    for _ in 0..2 {
        let reply = get(&venue, KLINES).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("3")));
        assert_eq!(reply.json()["code"], -1003);
    }
    let blocked = get(&venue, KLINES).await;
    assert_eq!(
        (blocked.status, blocked.header("content-type")),
        (451, Some("text/html"))
    );
    assert_eq!(get(&venue, KLINES).await.status, 200);
    faults.http_always(
        "",
        HttpFault::status(200, r#"{"code":-1000,"msg":"An unknown error occurred."}"#),
    );
    assert_eq!(json(&venue, KLINES).await["code"], -1000);
    faults.clear();
    assert!(json(&venue, KLINES).await.is_array());
    let statuses: Vec<u16> = venue
        .log()
        .requests_of("/klines")
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [429, 429, 451, 200, 200, 200]);
}

#[tokio::test]
async fn broken_bodies() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    faults.http("", 1, HttpFault::CloseMidBody);
    assert!(get_with(&venue, KLINES, None).await.is_err());
    faults.http("", 1, HttpFault::Lost);
    assert!(get_with(&venue, KLINES, None).await.is_err());
    faults.http("", 1, HttpFault::Garbage);
    let garbage = get(&venue, KLINES).await;
    assert!(garbage.status == 200 && serde_json::from_slice::<serde_json::Value>(&garbage.body).is_err());

    let unpack = |body: &[u8]| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(body), &mut text).map(|_| text)
    };
    let whole = get_with(&venue, KLINES, Some("gzip")).await.unwrap();
    assert_eq!(whole.header("content-encoding"), Some("gzip"));
    assert!(unpack(&whole.body).unwrap().starts_with("[["));
    faults.http("", 1, HttpFault::TruncatedGzip);
    let cut = get_with(&venue, KLINES, Some("gzip")).await.unwrap();
    assert!(unpack(&cut.body).is_err());
}

#[tokio::test]
async fn slow_and_hanging_answers() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    faults.http(
        "",
        1,
        HttpFault::Slow {
            bytes: 500,
            every: Duration::from_millis(20),
        },
    );
    let begun = Instant::now();
    let slow = get(&venue, KLINES).await;
    assert!(
        slow.json().is_array() && begun.elapsed() >= Duration::from_millis(60),
        "{:?}",
        begun.elapsed()
    );
    faults.http("", 1, HttpFault::Hang(Duration::from_millis(200)));
    let begun = Instant::now();
    assert!(json(&venue, KLINES).await.is_array());
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn rows_outside_no_rows_and_the_same_rows() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    let from = venue.market().start() / 1_000_000 + 600_000;
    let page = format!("/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={from}&limit=10");
    let right = json(&venue, &page).await;
    assert_eq!(right[0][0], from);
    faults.http("", 1, HttpFault::OutsideRows);
    assert_eq!(json(&venue, &page).await[0][0], from - 180_000);
    faults.http("", 1, HttpFault::EmptyPage);
    assert_eq!(json(&venue, &page).await, serde_json::json!([]));
    faults.http("", 2, HttpFault::SamePage);
    let same = json(&venue, KLINES).await;
    assert_eq!(same[0][0], from - 180_000);
    assert_eq!(json(&venue, &page).await, same);
    assert_eq!(json(&venue, &page).await, right);
}

#[tokio::test]
async fn connections_end_in_every_way() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    let mut socket = trades(&venue).await;
    faults.close_all(1012, "restart");
    loop {
        if let Message::Close(frame) = socket.message().await.unwrap() {
            let frame = frame.unwrap();
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1012, "restart"));
            break;
        }
    }
    let mut socket = trades(&venue).await;
    faults.drop_all();
    while socket.message().await.is_some() {}
    let mut socket = trades(&venue).await;
    faults.reset_all();
    let error = loop {
        match futures_util::StreamExt::next(&mut socket.0).await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("reset"), "{error}");
    let reasons: Vec<String> = venue
        .log()
        .connections()
        .into_iter()
        .map(|connection| connection.reason)
        .collect();
    assert_eq!(reasons[1..], ["fault", "fault"]);
}

#[tokio::test]
async fn down_and_back_on_the_same_port() {
    let venue = builder().start().await.unwrap();
    let mut socket = trades(&venue).await;
    venue.faults().down(Duration::from_millis(400));
    while socket.message().await.is_some() {}
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(venue.address()).await.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    trades(&venue).await;
}

#[tokio::test]
async fn handshakes_hang_or_are_refused() {
    let venue = builder().start().await.unwrap();
    venue.faults().refuse_upgrades(Some(503));
    let refused = Socket::try_open(&venue, "/ws").await.err().unwrap();
    assert!(refused.to_string().contains("503"), "{refused}");
    venue.faults().hang_handshakes(true);
    let hanging = tokio::time::timeout(Duration::from_millis(200), Socket::try_open(&venue, "/ws")).await;
    assert!(hanging.is_err());
    venue.faults().hang_handshakes(false);
    trades(&venue).await;
    assert!(Socket::try_open(&venue, "/nowhere").await.is_err());
    assert_eq!(venue.log().violations().len(), 1);
}

#[tokio::test]
async fn muted_and_half_open() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/stream?streams=btcusdt@trade/ethusdt@trade").await;
    venue.faults().mute(Some("BTC/USDT"), Some("trade"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    while socket.json().await["stream"] != "ethusdt@trade" {}
    for _ in 0..20 {
        assert_eq!(socket.json().await["stream"], "ethusdt@trade");
    }
    venue.faults().unmute();
    socket.until(|message| message["stream"] == "btcusdt@trade").await;
    venue.faults().half_open(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let silence = async { while socket.message().await.is_some() {} };
    assert!(
        tokio::time::timeout(Duration::from_millis(300), silence).await.is_err(),
        "still open"
    );
    venue.faults().half_open(false);
    socket.until(|message| message["stream"] == "btcusdt@trade").await;
}

#[tokio::test]
async fn messages_are_dropped_doubled_swapped_and_delayed() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    let mut socket = trades(&venue).await;
    let mut id = next_id(&mut socket).await;
    faults.drop_next(3);
    loop {
        let next = next_id(&mut socket).await;
        if next != id + 1 {
            assert_eq!(next, id + 4);
            id = next;
            break;
        }
        id = next;
    }
    faults.reorder_next(1);
    loop {
        let next = next_id(&mut socket).await;
        if next != id + 1 {
            assert_eq!((next, next_id(&mut socket).await), (id + 2, id + 1));
            break;
        }
        id = next;
    }
    faults.duplicate(1.0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut before = next_id(&mut socket).await;
    loop {
        let next = next_id(&mut socket).await;
        if next == before {
            break;
        }
        before = next;
    }
    faults.clear();
    faults.delay(Duration::from_millis(300));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let market = venue.market();
    let newest = async {
        loop {
            next_id(&mut socket).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(10), newest).await;
    let last = next_id(&mut socket).await;
    assert!(market.last_id("BTC/USDT", market.now()) >= last + 10);
}

#[tokio::test]
async fn frames_of_ones_own_foreign_symbols_and_refusals() {
    let venue = builder().start().await.unwrap();
    let faults = venue.faults();
    let mut socket = trades(&venue).await;
    faults.send_text("not json");
    while socket.text().await != "not json" {}
    faults.send_binary(&[1, 2, 3]);
    while socket.message().await.unwrap() != Message::binary(vec![1, 2, 3]) {}
    faults.foreign_trade("ETH/USDT");
    socket.until(|message| message["s"] == "ETHUSDT").await;
    faults.refuse_symbol("ETH/USDT");
    socket
        .send(r#"{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":5}"#)
        .await;
    assert_eq!(socket.until(|message| message["id"] == 5).await["error"]["code"], 2);
    faults.accept_symbol("ETH/USDT");
    faults.never_acknowledge(true);
    socket
        .send(r#"{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":6}"#)
        .await;
    socket.until(|message| message["s"] == "ETHUSDT").await;
}

#[tokio::test]
async fn a_revised_bar_is_the_truth_from_then_on() {
    let venue = builder().start().await.unwrap();
    let mut socket = Socket::open(&venue, "/ws/btcusdt@kline_1s").await;
    let closed = socket.until(|message| message["k"]["x"] == true).await;
    let open = closed["k"]["t"].as_i64().unwrap();
    assert!(venue.faults().revise_candle("BTC/USDT", "1s", open * 1_000_000, 500));
    let again = socket
        .until(|message| message["k"]["t"] == open && message["k"]["x"] == true)
        .await;
    assert_ne!(again["k"]["h"], closed["k"]["h"]);
    let rest = json(
        &venue,
        &format!("/api/v3/klines?symbol=BTCUSDT&interval=1s&startTime={open}&limit=1"),
    )
    .await;
    assert_eq!(rest[0][2], again["k"]["h"]);
    let truth = venue.market().candle("BTC/USDT", "1s", open * 1_000_000).unwrap();
    assert_eq!(support::plain(&rest[0][2]), truth.high);
}

#[tokio::test]
async fn skipped_book_updates_and_wrong_checksums() {
    let venue = builder()
        .book_interval(Duration::from_millis(50))
        .start()
        .await
        .unwrap();
    let mut socket = Socket::open(&venue, "/ws/btcusdt@depth@100ms").await;
    let mut last = socket.json().await["u"].as_u64().unwrap();
    venue.faults().skip_book_updates(1);
    for turn in 0.. {
        let update = socket.json().await;
        if update["U"] != last + 1 {
            break;
        }
        last = update["u"].as_u64().unwrap();
        assert!(turn < 5);
    }
}

#[tokio::test]
async fn chaos_disconnects_and_ends() {
    let venue = builder()
        .limits(Limits {
            connections: 10_000,
            ..Limits::of(VenueKind::Binance)
        })
        .start()
        .await
        .unwrap();
    let config = ChaosConfig {
        disconnect_every: Some(Duration::from_millis(100)),
        ..ChaosConfig::default()
    };
    venue.faults().chaos(3, &config);
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        let Ok(mut socket) = Socket::try_open(&venue, "/ws/btcusdt@trade").await else {
            continue;
        };
        while Instant::now() < deadline && socket.message().await.is_some() {}
    }
    assert!(venue.log().connection_count() > 5, "{}", venue.log().connection_count());
    venue.faults().clear();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut socket = trades(&venue).await;
    let first = next_id(&mut socket).await;
    for id in first + 1..first + 50 {
        assert_eq!(next_id(&mut socket).await, id);
    }
}

#[tokio::test]
async fn stopping_ends_everything() {
    let venue = builder().start().await.unwrap();
    let mut socket = trades(&venue).await;
    let address = venue.address();
    let reader = tokio::spawn(async move { while socket.message().await.is_some() {} });
    tokio::time::timeout(Duration::from_secs(2), venue.stop())
        .await
        .unwrap();
    reader.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
