//! Other forms, recorded payloads of other sources, and what is refused.

use super::*;

#[test]
fn any_order_of_keys_and_any_white_space_say_the_same() {
    let (mut plain, mut odd) = (decoder(), decoder());
    for received in SESSION.iter() {
        let mut frame = received.frame.clone();
        // Keys come out sorted: within a level, the time before the price and the side last.
        frame.payload = format!(" {}", serde_json::to_string_pretty(&received.json).unwrap()).into();
        assert!(all(&mut odd, [&frame]) == all(&mut plain, [&received.frame]));
    }
}

#[test]
fn every_recorded_payload_decodes() {
    for file in fixtures("coinbase") {
        for frame in fixture("coinbase", &file) {
            let mut events = Vec::new();
            let decoded = of_channel(file.split('/').next().unwrap()).decode(&frame, &mut events);
            let (decoded, empty) = (
                decoded.unwrap_or_else(|error| panic!("{file}: {error}")),
                events.is_empty(),
            );
            let is_control = [
                "_request.json",
                "_ack.json",
                "client_requests",
                "_ws_control",
                "_ws_full",
                "_ws_open",
                "_ws_heartbeat",
            ];
            match is_control.iter().any(|name| file.contains(name)) {
                true => assert_eq!((decoded, empty), (Decoded::Control, true), "{file}"),
                // Statistics from before they had a last price.
                false => assert_eq!(
                    (decoded, empty),
                    (Decoded::Data, file.contains("_rest_stats")),
                    "{file}"
                ),
            }
        }
    }
}

fn message(channel: &str, event: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","client_id":"","timestamp":"2023-02-09T20:30:37.167359596Z","sequence_num":0,"events":[{event}]}}"#
    )
}

#[test]
fn status_describes_instruments() {
    let frames = fixture("coinbase", "advanced_ws_status/jk_Symbol_3.json");
    let (_, events) = one(&mut decoder(), &frames[0].payload).unwrap();
    assert_eq!(
        serde_json::to_value(&events[0]).unwrap(),
        json!({"type": "instrument", "exchange": "coinbase", "symbol": "ETH/USDT", "source": "coinbase",
            "timestamp": "2023-02-09T20:29:49.753424311Z", "native": "ETH-USDT", "base": "ETH", "quote": "USDT",
            "kind": "spot", "active": true, "price_step": "0.01", "size_step": "0.00000001"})
    );
}

#[test]
fn empty_strings_are_absent() {
    let ticker = |price: &str, bid: &str, bid_size: &str| {
        let ticker = format!(
            r#"{{"type":"update","tickers":[{{"type":"ticker","product_id":"BTC-USD","price":"{price}","volume_24_h":"1","low_24_h":"","high_24_h":"3","best_bid":"{bid}","best_bid_quantity":"{bid_size}","best_ask":"11","best_ask_quantity":"2"}}]}}"#
        );
        one(&mut decoder(), message("ticker_batch", &ticker)).unwrap().1
    };
    let kinds = |events: &[Event]| events.iter().map(Event::event_type).collect::<Vec<_>>();
    assert_eq!(kinds(&ticker("10", "9", "1")), [EventType::Ticker, EventType::Quote]);
    assert_eq!(kinds(&ticker("10", "9", "")), [EventType::Ticker]);
    assert_eq!(kinds(&ticker("", "9", "1")), [EventType::Quote]);
    let events = ticker("10", "", "");
    let Data::Ticker(ticker) = &events[0].data else {
        panic!()
    };
    assert_eq!((events.len(), ticker.bid, ticker.low), (1, None, None));
    assert_eq!(ticker.ask, Some(Decimal::from(11)));
}

#[test]
fn a_books_time_is_the_latest_of_its_levels() {
    let book = |times: [&str; 3]| {
        let updates =
            times.map(|time| format!(r#"{{"side":"bid","event_time":"{time}","price_level":"1","new_quantity":"0"}}"#));
        let event = format!(
            r#"{{"type":"update","product_id":"BTC-USD","updates":[{}]}}"#,
            updates.join(",")
        );
        one(&mut decoder(), message("l2_data", &event)).unwrap().1[0]
            .timestamp
            .to_string()
    };
    let (six, one_digit, nine) = (
        "2023-02-09T20:30:36.210883Z",
        "2023-02-09T20:30:36.21Z",
        "2023-02-09T20:30:36.210883001Z",
    );
    assert_eq!(book([six, one_digit, six]), six);
    assert_eq!(book([one_digit, six, nine]), nine);
    let sent = "2023-02-09T20:30:37.167359596Z";
    assert_eq!(book(["0001-01-01T00:00:00Z"; 3]), sent, "the zero time is no time");
    assert_eq!(book(["1970-01-01T00:00:00Z"; 3]), sent);
    assert_eq!(
        book(["1970-01-01T00:00:00Z", one_digit, "0001-01-01T00:00:00Z"]),
        one_digit
    );
}

#[test]
fn sides_that_the_venue_does_not_tell_are_absent() {
    let trade = r#"{"type":"update","trades":[{"trade_id":"a-1","product_id":"BTC-USD","price":"1","size":"2","side":"UNKNOWN_ORDER_SIDE","time":"2023-02-09T20:30:36Z"}]}"#;
    let (_, events) = one(&mut decoder(), message("market_trades", trade)).unwrap();
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!((json.get("side"), &json["id"]), (None, &json!("a-1")));
}

#[test]
fn null_says_absent() {
    let ticker = r#"{"type":"update","tickers":[{"product_id":"BTC-USD","price":"1","best_bid":null,"high_24_h":""}]}"#;
    let (_, events) = one(&mut decoder(), message("ticker", ticker)).unwrap();
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(
        (&json["last"], json.get("bid"), json.get("high")),
        (&json!("1"), None, None)
    );
    for side in ["", r#""side":null,"#] {
        let trade = format!(
            r#"{{"trades":[{{"trade_id":"1","product_id":"BTC-USD","price":"1","size":"2",{side}"time":"2023-02-09T20:30:36Z"}}]}}"#
        );
        let (_, events) = one(&mut decoder(), message("market_trades", &trade)).unwrap();
        assert_eq!(serde_json::to_value(&events[0]).unwrap().get("side"), None);
    }
    let product = r#"{"products":[{"product_id":"BTC-USD","status":null,"product_type":null,"is_disabled":null,"price_increment":null,"quote_increment":"0.01"}]}"#;
    let mut events = Vec::new();
    decoder().decode(&Frame::new(1, product), &mut events).unwrap();
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!((&json["active"], &json["price_step"]), (&json!(false), &json!("0.01")));
}

#[test]
fn trades_of_several_events_go_out_in_the_order_of_time() {
    let event = |trades: [(&str, u32); 2]| {
        let trade = |(id, second): (&str, u32)| {
            format!(
                r#"{{"trade_id":"{id}","product_id":"BTC-USD","price":"1","size":"2","side":"BUY","time":"2023-02-09T20:30:{second:02}Z"}}"#
            )
        };
        let trades = trades.map(trade).join(",");
        format!(r#"{{"trades":[{trades}],"type":"update"}}"#)
    };
    let events = [event([("3", 3), ("1", 1)]), event([("4", 4), ("2", 2)])].join(",");
    let mut decoder = decoder();
    let (_, events) = one(&mut decoder, message("market_trades", &events)).unwrap();
    let ids: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    // Nothing of it is left for the next message, nor for the one after a message that breaks off.
    let cut = message("market_trades", &event([("5", 5), ("6", 6)])).replace("\"trade_id\":\"6\"", "\"trade_id\":6");
    assert!(one(&mut decoder, cut).is_err());
    let (_, events) = one(
        &mut decoder,
        message("market_trades", r#"{"trades":[],"type":"update"}"#),
    )
    .unwrap();
    assert!(
        events.iter().all(|event| event.event_type() == EventType::Gap),
        "{events:?}"
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let l2 = |update: &str| {
        message(
            "l2_data",
            &format!(r#"{{"type":"update","product_id":"BTC-USD","updates":[{update}]}}"#),
        )
    };
    for (payload, said) in [
        (message("user", "{}"), "channel=user"),
        (message("ticker", r#"{"type":"update"}"#), "missing field `tickers`"),
        (
            message(
                "ticker",
                r#"{"tickers":[{"product_id":"BIT-28JUL23-CDE","price":"1"}]}"#,
            ),
            "native=\"BIT-28JUL23-CDE\"",
        ),
        (
            message(
                "candles",
                r#"{"candles":[{"product_id":"BTC-USD","start":"soon","open":"1","high":"1","low":"1","close":"1","volume":"1"}]}"#,
            ),
            "start=\"soon\"",
        ),
        (
            l2(r#"{"side":"bid","event_time":"soon","price_level":"1","new_quantity":"0"}"#),
            "malformed timestamp",
        ),
        (
            l2(r#"{"side":"bid","event_time":"2023-02-09T20:30:36Z","price_level":"1","new_quantity":"0.-1"}"#),
            "malformed decimal",
        ),
        (
            l2(r#"{"side":"up","event_time":"2023-02-09T20:30:36Z","price_level":"1","new_quantity":"0"}"#),
            "unknown variant `up`",
        ),
        (r#"[{"id":"BTC-USD"}]"#.into(), "neither a channel nor a type"),
        (r#"{"type":"l3update"}"#.into(), "type=l3update"),
        (r#"{"trades":[]}"#.into(), "neither a channel nor a type"),
        (String::new(), "EOF"),
    ] {
        let error = one(&mut decoder(), &payload).unwrap_err();
        assert!(error.to_string().contains(said), "{payload}: {error}");
    }
    let refused = r#"{"type":"error","message":"authentication failure"}"#;
    assert_eq!(one(&mut decoder(), refused).unwrap(), (Decoded::Control, vec![]));
}
