//! Other forms, recorded payloads of other sources, and what is refused.

use super::*;

#[test]
fn any_order_of_keys_and_any_white_space_say_the_same() {
    let (mut plain, mut odd) = (decoder(), decoder());
    for received in SESSION.iter() {
        let mut frame = received.frame.clone();
        // Keys come out sorted: `data` before `stream`, `e` after `E`.
        frame.payload = serde_json::to_string_pretty(&received.json).unwrap().into();
        assert_eq!(all(&mut odd, [&frame]), all(&mut plain, [&received.frame]));
        let Some(data) = received.json.get("data") else {
            continue;
        };
        let trailing = format!(
            "{{\"stream\":{},\"data\":{data},\"more\":[1]}}",
            received.json["stream"]
        );
        frame.payload = trailing.into();
        assert_eq!(all(&mut decoder(), [&frame]), all(&mut decoder(), [&received.frame]));
    }
}

#[test]
fn raw_streams_say_the_same_as_combined_ones() {
    let (mut combined, mut raw) = (decoder(), decoder());
    for received in SESSION.iter().filter(|received| received.json.get("stream").is_some()) {
        let mut frame = received.frame.clone();
        let text = std::str::from_utf8(&received.frame.payload).unwrap();
        let data = text.split_once(",\"data\":").unwrap().1.strip_suffix('}').unwrap();
        frame.payload = data.to_owned().into();
        assert_eq!(all(&mut raw, [&frame]), all(&mut combined, [&received.frame]), "{data}");
    }
}

#[test]
fn every_recorded_message_decodes() {
    for file in fixtures("binance") {
        let exchange = if file.contains("binance_us") {
            "binance_us"
        } else {
            "binance"
        };
        let mut context = context(exchange);
        context.channel = file.split('/').next().map(Into::into);
        context.symbol = Some("BTC/GBP".parse().unwrap());
        let mut decoder = Decoder::new(&context);
        let frames = fixture("binance", &file);
        if file.starts_with("error_envelopes") {
            let error = one(&mut decoder, &frames[0].payload).unwrap_err();
            assert_eq!(error.operation(), "binance.answer", "{error}");
            continue;
        }
        let events = all(&mut decoder, &frames);
        let control = ["_ack", "_request", "ws_control"]
            .iter()
            .any(|part| file.contains(part));
        assert_eq!(events.is_empty(), control, "{file}");
        assert_eq!(count(&events, EventType::Gap), 0, "{file}");
    }
}

#[test]
fn partial_depth_is_a_snapshot_of_the_streams_symbol() {
    let frames = fixture("binance", "ws_partialDepth/cmp_l2_topk_spot_15.json");
    let (_, events) = one(&mut decoder(), &frames[0].payload).unwrap();
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(
        json,
        json!({"type": "book", "exchange": "binance", "symbol": "ETH/USDT", "timestamp": "1970-01-01T00:00:00Z",
            "source": "binance", "kind": "snapshot", "sequence": 17044571457u64,
            "bids": [["1782.00000000", "6.48300000"], ["1781.95000000", "0.03000000"]],
            "asks": [["1782.01000000", "15.46080000"], ["1782.02000000", "0.00780000"]]})
    );
}

#[test]
fn tickers_of_both_sizes_and_in_lists() {
    let full = r#"{"e":"24hrTicker","E":1653812100450,"s":"ETHBTC","p":"0.1","c":"7","o":"6","h":"9","l":"5","v":"10","q":"70","b":"6.9","B":"1","a":"7.1","A":"2"}"#;
    let mini =
        r#"{"e":"24hrMiniTicker","E":1653812100450,"s":"ETHBTC","c":"7","o":"6","h":"9","l":"5","v":"10","q":"70"}"#;
    let ticker = |payload: String| {
        let (_, events) = one(&mut decoder(), &payload).unwrap();
        assert_eq!(events.len(), 1, "{payload}");
        serde_json::to_value(&events[0]).unwrap()
    };
    let expected = json!({"type": "ticker", "exchange": "binance", "symbol": "ETH/BTC", "source": "binance",
        "timestamp": "2022-05-29T08:15:00.45Z", "last": "7", "open": "6", "high": "9", "low": "5", "volume": "10",
        "quote_volume": "70"});
    let mut with_quote = expected.clone();
    with_quote["bid"] = "6.9".into();
    with_quote["ask"] = "7.1".into();
    for (payload, stream, expected) in [(full, "ticker", &with_quote), (mini, "miniTicker", &expected)] {
        assert_eq!(&ticker(payload.to_owned()), expected);
        assert_eq!(&ticker(format!("[{payload}]")), expected);
        assert_eq!(&ticker(format!(" [ {payload} ] ")), expected);
        assert_eq!(
            &ticker(format!(r#"{{"stream":"ethbtc@{stream}","data":{payload}}}"#)),
            expected
        );
        assert_eq!(
            &ticker(format!(r#"{{"stream":"!{stream}@arr","data":[{payload}]}}"#)),
            expected
        );
    }
}

#[test]
fn tickers_over_other_windows_than_a_day_tell_the_last_price_only() {
    let payload = |window: &str| {
        format!(
            r#"{{"e":"{window}Ticker","E":1653812100450,"s":"ETHBTC","p":"0.1","P":"1","o":"6","h":"9","l":"5","c":"7","w":"6.5","v":"10","q":"70","O":0,"C":1653812100400,"F":0,"L":9,"n":10}}"#
        )
    };
    let last = json!({"type": "ticker", "exchange": "binance", "symbol": "ETH/BTC", "source": "binance",
        "timestamp": "2022-05-29T08:15:00.45Z", "last": "7"});
    let mut day = last.clone();
    for (field, value) in [
        ("open", "6"),
        ("high", "9"),
        ("low", "5"),
        ("volume", "10"),
        ("quote_volume", "70"),
    ] {
        day[field] = value.into();
    }
    for (window, expected) in [("1h", &last), ("4h", &last), ("1d", &day)] {
        let raw = payload(window);
        for payload in [
            raw.clone(),
            format!("[{raw}]"),
            format!(r#"{{"stream":"ethbtc@ticker_{window}","data":{raw}}}"#),
            format!(r#"{{"stream":"!ticker_{window}@arr","data":[{raw}]}}"#),
        ] {
            let (_, events) = one(&mut decoder(), &payload).unwrap();
            assert_eq!(events.len(), 1, "{payload}");
            assert_eq!(&serde_json::to_value(&events[0]).unwrap(), expected, "{payload}");
        }
    }
}

#[test]
fn means_and_reference_prices_are_no_trades() {
    let event = |stream: &str, payload: &str| {
        let (_, raw) = one(&mut decoder(), payload).unwrap();
        let combined = format!(r#"{{"stream":"btcusdt@{stream}","data":{payload}}}"#);
        assert_eq!(one(&mut decoder(), combined).unwrap().1, raw);
        let events: Vec<_> = raw.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        events
    };
    let header = |kind: &str, at: &str| json!({"type": kind, "exchange": "binance", "symbol": "BTC/USDT", "source": "binance", "timestamp": at});
    let mut mean = header("price", "2023-09-05T09:43:52.213Z");
    mean["price"] = "25776.86".into();
    let payload = r#"{"e":"avgPrice","E":1693907033000,"s":"BTCUSDT","i":"5m","w":"25776.86","T":1693907032213}"#;
    assert_eq!(event("avgPrice", payload), [mean]);
    let mut reference = header("series", "2023-09-05T09:43:52.213Z");
    reference["name"] = "reference_price".into();
    reference["value"] = "25776.86".into();
    let payload = r#"{"e":"referencePrice","s":"BTCUSDT","r":"25776.86","t":1693907032213}"#;
    assert_eq!(event("referencePrice", payload), [reference]);
    let none = payload.replace("\"25776.86\"", "null");
    assert_eq!(event("referencePrice", &none), [] as [Value; 0]);
}

#[test]
fn lists_of_events_and_of_nothing() {
    let trade = r#"{"e":"trade","E":1,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true}"#;
    let block = trade.replace("\"trade\"", "\"blockTrade\"");
    let kline = r#"{"e":"kline","E":1,"s":"BNBBTC","k":{"t":1672515780000,"s":"BNBBTC","i":"1m","o":"1","c":"1","h":"1","l":"1","v":"1","n":1,"x":false,"q":"1"}}"#;
    let depth = r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[],"a":[["1","0"]]}"#;
    for payload in [trade, &block, kline, depth] {
        let (_, alone) = one(&mut decoder(), payload).unwrap();
        let (_, listed) = one(&mut decoder(), format!("[{payload}, {payload}]")).unwrap();
        assert_eq!(listed, [alone.clone(), alone].concat(), "{payload}");
    }
    let broken = format!("[{trade},{kline}]");
    let error = one(&mut decoder(), broken).unwrap_err().to_string();
    assert!(error.contains("missing field `t`"), "{error}");
    for payload in ["[]", " [ ] ", r#"{"stream":"!miniTicker@arr","data":[]}"#] {
        assert_eq!(one(&mut decoder(), payload).unwrap().1, [], "{payload}");
    }
}

#[test]
fn microseconds_are_told_by_their_size() {
    let trade = |time: &str| {
        format!(r#"{{"e":"trade","E":1,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":{time},"m":true}}"#)
    };
    let at = |time: &str| one(&mut decoder(), trade(time)).unwrap().1[0].timestamp.to_string();
    assert_eq!(at("1672515782136"), "2022-12-31T19:43:02.136Z");
    assert_eq!(at("1672515782136123"), "2022-12-31T19:43:02.136123Z");
    for time in [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "1.5",
        "\"1\"",
        "null",
    ] {
        assert!(one(&mut decoder(), trade(time)).is_err(), "{time}");
    }
}

#[test]
fn a_quote_without_a_time_has_the_time_of_receipt() {
    let spot =
        r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;
    let futures = r#"{"e":"bookTicker","u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66","T":1568014460891,"E":1568014460893}"#;
    let received = Timestamp::from_nanos(77);
    let at = |payload: &str, received: Option<Timestamp>| {
        let (mut events, mut frame) = (Vec::new(), Frame::new(1, payload.to_owned()));
        frame.received = received;
        decoder().decode(&frame, &mut events).unwrap();
        events[0].timestamp
    };
    assert_eq!(at(spot, Some(received)), received);
    assert_eq!(at(spot, None), Timestamp::UNKNOWN);
    assert_eq!(at(futures, Some(received)).to_string(), "2019-09-09T07:34:20.893Z");
}

#[test]
fn control_messages() {
    for payload in [
        r#"{"result":null,"id":1}"#,
        r#"{"result":["btcusdt@depth"],"id":"abc"}"#,
        r#"{"error":{"code":2,"msg":"Invalid request"},"id":null}"#,
        r#"{"code":2,"msg":"Invalid request: unknown stream"}"#,
        r#"{"e":"serverShutdown","E":1770123456789}"#,
        r#"{ "E": 1770123456789, "e": "serverShutdown" }"#,
        r#"{"serverTime":1499827319559}"#,
    ] {
        assert_eq!(
            one(&mut decoder(), payload).unwrap(),
            (Decoded::Control, vec![]),
            "{payload}"
        );
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let kline = r#"{"e":"kline","E":1,"s":"BNBBTC","k":{"t":1,"s":"BNBBTC","i":"2m","o":"1","c":"1","h":"1","l":"1","v":"1","n":1,"x":false,"q":"1"}}"#;
    for (payload, said) in [
        (kline, "unknown timeframe \"2m\""),
        (r#"{"e":"markPriceUpdate","E":1,"s":"BTCUSDT"}"#, "markPriceUpdate"),
        (r#"{"stream":"btcusdt@rpiDepth@500ms","data":{}}"#, "rpiDepth"),
        (r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#, "does not name its symbol"),
        (
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"0.-1","q":"1","T":1,"m":true}"#,
            "malformed decimal",
        ),
        (
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"NaN","q":"1","T":1,"m":true}"#,
            "malformed decimal",
        ),
        (
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"","q":"1","T":1,"m":true}"#,
            "empty decimal",
        ),
        (
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"q":"1","T":1,"m":true}"#,
            "missing field `p`",
        ),
        (r#"[[1499040000000,"0.01"]]"#, "not of events"),
        (r#"[{"id":28457,"price":"4.0"}]"#, "not of events"),
        ("[1]", "not of events"),
        (r#"{"price":"1"}"#, "no known form"),
        ("", "EOF"),
    ] {
        let error = one(&mut decoder(), payload).unwrap_err();
        assert!(error.to_string().contains(said), "{payload}: {error}");
    }
    assert!(
        one(&mut decoder(), b"{\"e\":\"trade\xff\"")
            .unwrap_err()
            .to_string()
            .contains("utf-8")
    );
    let deep = format!("{{\"data\":{}", "[".repeat(100_000));
    assert!(one(&mut decoder(), deep).is_err());
    let mut rest = context("binance");
    rest.channel = Some("rest_openInterest".into());
    let error = one(&mut Decoder::new(&rest), "[[1499040000000]]").unwrap_err();
    assert!(error.to_string().contains("endpoint=openInterest"), "{error}");
    let url =
        Frame::new(1, "[]").channel("https://fapi.binance.com/fapi/v1/markPriceKlines?symbol=BTCUSDT&interval=1m");
    let error = decoder().decode(&url, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("endpoint=markPriceKlines"), "{error}");
}

#[test]
fn futures_send_partial_depth_as_an_update() {
    let payload = r#"{"stream":"btcusdt@depth5@100ms","data":{"e":"depthUpdate","E":1571889248277,"T":1571889248276,"s":"BTCUSDT","U":390497796,"u":390497878,"pu":390497794,"b":[["7403.89","0.002"]],"a":[]}}"#;
    let (_, events) = one(&mut decoder(), payload).unwrap();
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(
        (&json["kind"], &json["sequence"]),
        (&json!("snapshot"), &json!(390497878))
    );
    assert_eq!(json["timestamp"], "2019-10-24T03:54:08.277Z");
}
