//! One message of each kind, value by value.

use qicore_data::{Decoded, Decoder as _, ErrorKind, Frame, Timestamp};
use qicore_sources::kraken::Decoder;

use crate::{context, decode, decoder, events_of, read_fixture, whole_recording};

/// The normalised JSON of a payload's events.
#[track_caller]
fn check(payload: &str, expected: &[&str]) {
    let events = events_of(payload).unwrap();
    let json: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    assert_eq!(json, expected);
}

#[track_caller]
fn refused(payload: &str, why: &str) {
    let error = events_of(payload).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn trades() {
    check(
        r#"[993,[["354.04000000","0.28245396","1618678150.826417","s","m",""],["353.81000000","1.71754604","1618678150.827816","b","m",""]],"trade","XMR/USD"]"#,
        &[
            r#"{"type":"trade","exchange":"kraken","symbol":"XMR/USD","timestamp":"2021-04-17T16:49:10.826417Z","source":"kraken","side":"sell","price":"354.04000000","size":"0.28245396"}"#,
            r#"{"type":"trade","exchange":"kraken","symbol":"XMR/USD","timestamp":"2021-04-17T16:49:10.827816Z","source":"kraken","side":"buy","price":"353.81000000","size":"1.71754604"}"#,
        ],
    );
    check(r#"[993,[],"trade","XMR/USD"]"#, &[]);
}

#[test]
fn ticker() {
    let payload = read_fixture("ws1_ticker/cmp_ticker_spot_15.json");
    let body = r#""last":"29938.60000","bid":"29938.50000","ask":"29938.60000","open":"31614.50000","high":"31869.30000","low":"29328.60000","volume":"5243.60824494"}"#;
    let head = r#"{"type":"ticker","exchange":"kraken","symbol":"BTC/USD","timestamp":"1970-01-01T00:00:00Z","source":"kraken","#;
    check(&payload, &[&format!("{head}{body}")]);

    // A ticker has no time of its own: it is of when it came.
    let frame = Frame::new(0, payload).received(Timestamp::from_millis(1_654_031_976_500).unwrap());
    let (_, events) = decode(&mut decoder(), &frame).unwrap();
    assert_eq!(
        serde_json::to_string(&events[0]).unwrap(),
        format!(
            r#"{{"type":"ticker","exchange":"kraken","symbol":"BTC/USD","timestamp":"2022-05-31T21:19:36.5Z","received":"2022-05-31T21:19:36.5Z","source":"kraken",{body}"#
        )
    );
}

#[test]
fn spread() {
    check(
        &read_fixture("ws1_spread/cmp_bbo_spot_13.json"),
        &[
            r#"{"type":"quote","exchange":"kraken","symbol":"BTC/USD","timestamp":"2022-05-31T21:19:36.197239Z","source":"kraken","bid":"31760.00000","bid_size":"0.02167307","ask":"31760.10000","ask_size":"6.46761464"}"#,
        ],
    );
}

#[test]
fn candles_open_an_interval_before_their_end() {
    let message = |interval: &str| {
        format!(
            r#"[42,["1542057314.748456","1542057600.000000","3586.70000","3586.80000","3586.60000","3586.65000","3586.68894","0.03373000",2],"ohlc-{interval}","XBT/USD"]"#
        )
    };
    let candle = |open: &str, timeframe: &str| {
        format!(
            r#"{{"type":"candle","exchange":"kraken","symbol":"BTC/USD","timestamp":"{open}","source":"kraken","timeframe":"{timeframe}","open":"3586.70000","high":"3586.80000","low":"3586.60000","close":"3586.65000","volume":"0.03373000","trades":2,"closed":false,"metadata":{{"source":"websocket","quality":"high"}}}}"#
        )
    };
    for (minutes, open, timeframe) in [
        ("1", "2018-11-12T21:19:00Z", "1m"),
        ("5", "2018-11-12T21:15:00Z", "5m"),
        ("15", "2018-11-12T21:05:00Z", "15m"),
        ("30", "2018-11-12T20:50:00Z", "30m"),
        ("60", "2018-11-12T20:20:00Z", "1h"),
        ("240", "2018-11-12T17:20:00Z", "4h"),
        ("1440", "2018-11-11T21:20:00Z", "1d"),
        ("10080", "2018-11-05T21:20:00Z", "1w"),
    ] {
        check(&message(minutes), &[&candle(open, timeframe)]);
    }
    refused(&message("21600"), "no timeframe is 21600 minutes long");
    refused(&message("7"), "subscribe to one of 1, 5, 15");
    refused(&message("x"), "unknown channel \"ohlc-x\"");
}

#[test]
fn books() {
    check(
        r#"[0,{"as":[["5541.30000","2.50700000","1534614248.123678"],["5541.80000","0.33000000","1534614098.345543"]],"bs":[["5541.20000","1.52900000","1534614248.765567"]]},"book-10","XBT/USD"]"#,
        &[
            r#"{"type":"book","exchange":"kraken","symbol":"BTC/USD","timestamp":"2018-08-18T17:44:08.765567Z","source":"kraken","kind":"snapshot","bids":[["5541.20000","1.52900000"]],"asks":[["5541.30000","2.50700000"],["5541.80000","0.33000000"]]}"#,
        ],
    );
    check(
        &read_fixture("ws1_book/cmp_l2_event_spot_update_7.json"),
        &[
            r#"{"type":"book","exchange":"kraken","symbol":"BTC/USD","timestamp":"2021-06-03T09:57:36.068601Z","source":"kraken","kind":"delta","bids":[["39071.40000","7.26106570"]],"asks":[]}"#,
        ],
    );
    // Deleted, and back in the depth: levels like others.
    check(
        r#"[1,{"a":[["2.5","0.00000000","1.25"],["2.75","1","1.0","r"]]},"book-10","XDG/XBT"]"#,
        &[
            r#"{"type":"book","exchange":"kraken","symbol":"DOGE/BTC","timestamp":"1970-01-01T00:00:01.25Z","source":"kraken","kind":"delta","bids":[],"asks":[["2.5","0.00000000"],["2.75","1"]]}"#,
        ],
    );
    check(
        &read_fixture("ws1_book/cmp_l2_event_spot_snapshot_5.json"),
        &[
            r#"{"type":"book","exchange":"kraken","symbol":"PERP/EUR","timestamp":"1970-01-01T00:00:00Z","source":"kraken","kind":"snapshot","bids":[],"asks":[]}"#,
        ],
    );
}

#[test]
fn any_layout_of_the_json_is_read() {
    let expected = events_of(r#"[1,[["1","2","3.5","b","l",""]],"trade","XBT/USD"]"#).unwrap();
    for payload in [
        "\n [ 1 , [ [ \"1\", \"2\", \"3.5\", \"b\", \"l\", \"\" ] ] , \"trade\" , \"XBT/USD\" ] \n",
        r#"[1,[["1","2","3.5","b","l",""]],"trade","XBT\/USD"]"#,
        r#"[1,[["1","2","3.5","b","l",""]],"tr\u0061de","XBT/USD"]"#,
        r#"[1,[["1","2","3.5","b"]],"trade","XBT/USD"]"#,
        r#"[1,[["1","2","3.5","b","l","",{"new":[1]}]],"trade","XBT/USD"]"#,
        r#"[18446744073709551615,[["1","2","3.5","b","l",""]],"trade","XBT/USD"]"#,
    ] {
        assert_eq!(events_of(payload).unwrap(), expected, "{payload}");
    }
}

#[test]
fn control_messages() {
    for payload in [
        r#"{"connectionID":18239578009413566319,"event":"systemStatus","status":"online","version":"1.8.3"}"#,
        r#"{"errorMessage":"Currency pair not supported XBT/XYZ","event":"subscriptionStatus","pair":"XBT/XYZ","status":"error","subscription":{"name":"book"}}"#,
        r#"{"event":"heartbeat"}"#,
        r#"{"event":"pong","reqid":1693415329704}"#,
        r#"{"errorMessage":"Malformed request","event":"error"}"#,
        r#"{"event":"subscribe","pair":["XBT/USD"],"subscription":{"name":"trade"}}"#,
    ] {
        let (decoded, events) = decode(&mut decoder(), &Frame::new(0, payload)).unwrap();
        assert_eq!((decoded, events), (Decoded::Control, Vec::new()), "{payload}");
    }
    refused(
        r#"{"event":"addOrderStatus","status":"ok"}"#,
        "unknown event \"addOrderStatus\"",
    );
    refused(r#"{"status":"ok"}"#, "missing field `event`");
}

#[test]
fn malformed_messages_say_what_is_wrong() {
    refused("", "EOF");
    refused("[]", "expected [channelID, payload, channel, pair]");
    refused(
        r#"[[],"openOrders",{"sequence":1}]"#,
        "expected [channelID, payload, channel, pair]",
    );
    refused(r#"[1,[],"ownTrades","XBT/USD"]"#, "unknown channel \"ownTrades\"");
    refused(r#"[1,[],"book","XBT/USD"]"#, "unknown channel \"book\"");
    refused(
        r#"[1,[["1","2","3.5","x"]],"trade","XBT/USD"]"#,
        "expected \"b\" or \"s\"",
    );
    refused(r#"[1,[["1","NaN","3.5","b"]],"trade","XBT/USD"]"#, "malformed decimal");
    refused(
        r#"[1,[["1","2","yesterday","b"]],"trade","XBT/USD"]"#,
        "seconds since 1970",
    );
    refused(r#"[1,[["1"]],"trade","XBT/USD"]"#, "missing field `volume`");
    refused(
        r#"[1,[[1,"2","3.5","b"]],"trade","XBT/USD"]"#,
        "expected a decimal in a string",
    );
    refused(r#"[1,[],"trade","XBTUSD"]"#, "tells no symbol");
    refused(r#"[1,{"c":"1"},"book-10","XBT/USD"]"#, "either a snapshot");
    refused(r#"[1,{"as":[],"a":[]},"book-10","XBT/USD"]"#, "either a snapshot");
    refused(r#"[1,{"a":[],"c":"minus"},"book-10","XBT/USD"]"#, "CRC-32");
    refused(r#"[1,"book-10","XBT/USD"]"#, "either a snapshot");
    refused(r#"[1,"trade","XBT/USD"]"#, "expected a sequence");
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    refused(&format!(r#"[1,{deep},"trade","A/B"]"#), "invalid type");
    refused(&format!(r#"[1,[],"trade","A/B",{deep}]"#), "unknown channel \"A/B\"");
    let binary = Frame::new(0, &[b'[', 0xff, 0xfe][..]);
    assert!(
        decode(&mut decoder(), &binary)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );
}

const PAIRS: &str = "https://api.kraken.com/0/public/AssetPairs";

#[test]
fn instruments() {
    let records = whole_recording();
    let listing = &records
        .iter()
        .find(|record| record.conn.contains("http"))
        .unwrap()
        .frame;
    assert_eq!(listing.channel.as_deref(), Some(PAIRS));
    let context = context();
    let (decoded, events) = decode(&mut Decoder::new(&context), listing).unwrap();
    assert_eq!((decoded, events.len()), (Decoded::Data, 304));

    let mut symbols: Vec<_> = events.iter().map(|event| event.symbol).collect();
    symbols.sort();
    symbols.dedup();
    assert_eq!(symbols.len(), 304, "every pair has a symbol of its own");

    let head = r#"{"type":"instrument","exchange":"kraken","symbol":"#;
    let times =
        r#","timestamp":"2021-04-17T16:48:52.358447Z","received":"2021-04-17T16:48:52.358447Z","source":"kraken""#;
    let json: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    for (symbol, rest) in [
        (
            "BTC/USD",
            r#""native":"XXBTZUSD","base":"BTC","quote":"USD","kind":"spot","active":true,"price_step":"0.1","size_step":"0.00000001"}"#,
        ),
        (
            "DOGE/EUR",
            r#""native":"XDGEUR","base":"DOGE","quote":"EUR","kind":"spot","active":true,"price_step":"0.0000001","size_step":"0.00000001"}"#,
        ),
        (
            "EUR/USD",
            r#""native":"ZEURZUSD","base":"EUR","quote":"USD","kind":"forex","active":true,"price_step":"0.00001","size_step":"0.00000001"}"#,
        ),
        (
            "BTC/USD.d",
            r#""native":"XXBTZUSD.d","base":"BTC","quote":"USD","kind":"spot","active":true,"price_step":"0.001","size_step":"0.00000001"}"#,
        ),
    ] {
        let expected = format!(r#"{head}"{symbol}"{times},{rest}"#);
        assert!(
            json.contains(&expected),
            "{expected}\n{:?}",
            json.iter().find(|json| json.contains(&format!("\"{symbol}\"")))
        );
    }
    for (native, symbol) in [
        ("XXBTZUSD", "BTC/USD"),
        ("XBTUSD", "BTC/USD"),
        ("XBT/USD", "BTC/USD"),
        ("XBTUSD.d", "BTC/USD.d"),
        ("XDGUSDT", "DOGE/USDT"),
    ] {
        assert_eq!(context.symbols.get(native).map(|symbol| symbol.as_str()), Some(symbol));
    }
}

#[test]
fn answers_over_http() {
    let newer = r#"{"error":["WGeneral:slow"],"result":{"ADAUSD":{"altname":"ADAUSD","wsname":"ADA/USD","base":"ADA","quote":"ZUSD","pair_decimals":6,"lot_decimals":8,"tick_size":"0.000005","status":"cancel_only"}}}"#;
    let expected = r#"{"type":"instrument","exchange":"kraken","symbol":"ADA/USD","timestamp":"1970-01-01T00:00:00Z","source":"kraken","native":"ADAUSD","base":"ADA","quote":"USD","kind":"spot","active":false,"price_step":"0.000005","size_step":"0.00000001"}"#;
    let (_, events) = decode(
        &mut decoder(),
        &Frame::new(0, newer).channel(format!("{PAIRS}?pair=ADAUSD")),
    )
    .unwrap();
    assert_eq!(serde_json::to_string(&events[0]).unwrap(), expected);

    let mut named = context();
    named.channel = Some("rest_AssetPairs".into());
    let (_, events) = decode(&mut Decoder::new(&named), &Frame::new(0, newer)).unwrap();
    assert_eq!(serde_json::to_string(&events[0]).unwrap(), expected);

    for (body, kind, why) in [
        (
            r#"{"error":["EQuery:Unknown asset pair"]}"#,
            ErrorKind::Config,
            "EQuery:Unknown asset pair",
        ),
        (
            r#"{"error":["WGeneral:slow","EService:Unavailable"],"result":{}}"#,
            ErrorKind::Unavailable,
            "EService:Unavailable",
        ),
        (r#"{"error":[]}"#, ErrorKind::Decode, "neither an error nor a result"),
        ("<html>", ErrorKind::Decode, "expected value"),
        (&newer.replace(":8,", ":29,"), ErrorKind::Decode, "29 fractional digits"),
        (&newer.replace("ADA/USD", "ADA USD"), ErrorKind::Decode, "BASE/QUOTE"),
    ] {
        let context = context();
        let frame = Frame::new(0, body.to_owned()).channel(PAIRS);
        let error = decode(&mut Decoder::new(&context), &frame).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(
            context.symbols.get("ADAUSD"),
            None,
            "nothing is learnt from what is refused"
        );
    }
    let frame = Frame::new(0, newer).channel("https://api.kraken.com/0/public/PreTrade?symbol=BTC/USD");
    let error = decode(&mut decoder(), &frame).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("endpoint=PreTrade"), "{error}");
}

#[test]
fn a_name_that_a_list_taught_needs_no_slash() {
    let context = context();
    let mut decoder = Decoder::new(&context);
    let mut events = Vec::new();
    let trade = Frame::new(0, r#"[1,[["1","2","3.5","b"]],"trade","ADAUSD"]"#);
    assert!(decoder.decode(&trade, &mut events).is_err());
    context
        .symbols
        .insert("ADAUSD", qicore_data::Symbol::new("ADA/USD").unwrap());
    decoder.decode(&trade, &mut events).unwrap();
    assert_eq!(events[0].symbol.as_str(), "ADA/USD");
}
