//! WebSocket v2: one message of each kind, value by value. In the form of docs.kraken.com.

use qicore_data::{Decoded, Decoder as _, ErrorKind, Event, Frame, Result};
use qicore_sources::kraken::Decoder;

use crate::{context, decode, decoder, read_fixture};

pub(crate) const TRADES: &str = r#"{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.00000000,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"BTC/USD","side":"buy","price":1e5,"qty":1.5e-7,"ord_type":"limit","trade_id":18446744073709551615,"timestamp":"2023-09-25T07:49:38.000000001Z"}]}"#;

pub(crate) const TICKER: &str = r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ALGO/USD","bid":0.10025,"bid_qty":740.00000000,"ask":0.10036,"ask_qty":1361.44813783,"last":0.10035,"volume":997038.98383185,"vwap":0.10148,"low":0.09979,"high":0.10285,"change":-0.00017,"change_pct":-0.17,"timestamp":"2023-09-25T09:04:31.742648Z"}]}"#;

pub(crate) const BARS: &str = r#"{"channel":"ohlc","type":"update","timestamp":"2023-10-04T16:26:30.524394914Z","data":[{"symbol":"MATIC/USD","open":0.5624,"high":0.5628,"low":0.5622,"close":0.5627,"trades":12,"volume":30927.68066226,"vwap":0.5626,"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":5,"timestamp":"2023-10-04T16:30:00.000000Z"}]}"#;

pub(crate) const INSTRUMENTS: &str = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD","status":"enabled","precision":4,"precision_display":2,"borrowable":true,"collateral_value":1.00,"margin_rate":0.015000}],"pairs":[{"symbol":"EUR/USD","base":"EUR","quote":"USD","status":"online","qty_precision":8,"qty_increment":0.00000001,"price_precision":5,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.50,"margin_initial":0.20,"position_limit_long":500000,"position_limit_short":400000,"tick_size":0.00001,"price_increment":0.00001,"qty_min":0.50000000},{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"maintenance","qty_precision":8,"price_precision":1}]}}"#;

fn one(payload: &str) -> Result<(Decoded, Vec<Event>)> {
    decode(&mut decoder(), &Frame::new(0, payload.to_owned()))
}

fn json(events: &[Event]) -> Vec<String> {
    let head = r#""exchange":"kraken","#;
    let json = events.iter().map(|event| serde_json::to_string(event).unwrap());
    json.map(|json| json.replace(head, "").replace(r#""source":"kraken","#, ""))
        .collect()
}

#[track_caller]
fn check(payload: &str, expected: &[&str]) {
    let (decoded, events) = one(payload).unwrap();
    assert_eq!(
        (decoded, json(&events)),
        (Decoded::Data, expected.iter().map(|json| json.to_string()).collect())
    );
}

#[track_caller]
fn refused(payload: &str, kind: ErrorKind, why: &str) {
    let error = one(payload).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn trades() {
    check(
        TRADES,
        &[
            r#"{"type":"trade","symbol":"MATIC/USD","timestamp":"2023-09-25T07:49:37.708706Z","id":"4665906","side":"sell","price":"0.5117","size":"40.00000000"}"#,
            r#"{"type":"trade","symbol":"BTC/USD","timestamp":"2023-09-25T07:49:38.000000001Z","id":"18446744073709551615","side":"buy","price":"100000","size":"0.00000015"}"#,
        ],
    );
}

#[test]
fn a_ticker_is_a_ticker_and_a_quote() {
    check(
        TICKER,
        &[
            r#"{"type":"ticker","symbol":"ALGO/USD","timestamp":"2023-09-25T09:04:31.742648Z","last":"0.10035","bid":"0.10025","ask":"0.10036","high":"0.10285","low":"0.09979","volume":"997038.98383185"}"#,
            r#"{"type":"quote","symbol":"ALGO/USD","timestamp":"2023-09-25T09:04:31.742648Z","bid":"0.10025","bid_size":"740.00000000","ask":"0.10036","ask_size":"1361.44813783"}"#,
        ],
    );
}

#[test]
fn zeros_of_idle_pairs_are_no_prices() {
    let ticker =
        |fields: &str| format!(r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"A/B",{fields}}}]}}"#);
    // Nothing has been traded for a day, and nobody buys.
    check(
        &ticker(
            r#""bid":0,"bid_qty":0.00000000,"ask":2.5,"ask_qty":1,"last":2.4,"volume":0,"low":0.0,"high":0,"timestamp":"1970-01-01T00:00:00.000000Z""#,
        ),
        &[
            r#"{"type":"ticker","symbol":"A/B","timestamp":"1970-01-01T00:00:00Z","last":"2.4","ask":"2.5","volume":"0"}"#,
        ],
    );
    // Nothing was ever traded.
    check(
        &ticker(
            r#""bid":2.25,"bid_qty":3,"ask":2.5,"ask_qty":1,"last":0,"volume":0,"low":0,"high":0,"timestamp":null"#,
        ),
        &[
            r#"{"type":"quote","symbol":"A/B","timestamp":"1970-01-01T00:00:00Z","bid":"2.25","bid_size":"3","ask":"2.5","ask_size":"1"}"#,
        ],
    );
    check(&ticker(r#""bid":null,"last":null"#), &[]);
}

#[test]
fn candles_begin_where_their_interval_does() {
    check(
        BARS,
        &[
            r#"{"type":"candle","symbol":"MATIC/USD","timestamp":"2023-10-04T16:25:00Z","timeframe":"5m","open":"0.5624","high":"0.5628","low":"0.5622","close":"0.5627","volume":"30927.68066226","trades":12,"closed":false,"metadata":{"source":"websocket","quality":"high"}}"#,
        ],
    );
    refused(
        &BARS.replace(r#""interval":5"#, r#""interval":21600"#),
        ErrorKind::Decode,
        "no timeframe is 21600 minutes long",
    );
    refused(
        &BARS.replace("2023-10-04T16:25:00.000000000Z", "1970-01-01T00:00:00Z"),
        ErrorKind::Decode,
        "a bar without a time",
    );
}

#[test]
fn instruments() {
    check(
        INSTRUMENTS,
        &[
            r#"{"type":"instrument","symbol":"EUR/USD","timestamp":"1970-01-01T00:00:00Z","native":"EUR/USD","base":"EUR","quote":"USD","kind":"forex","active":true,"price_step":"0.00001","size_step":"0.00000001"}"#,
            r#"{"type":"instrument","symbol":"BTC/USD","timestamp":"1970-01-01T00:00:00Z","native":"BTC/USD","base":"BTC","quote":"USD","kind":"spot","active":false,"price_step":"0.1","size_step":"0.00000001"}"#,
        ],
    );
    refused(
        &INSTRUMENTS.replace(r#""price_precision":1}"#, r#""price_precision":4294967295}"#),
        ErrorKind::Decode,
        "4294967295 fractional digits",
    );
}

#[test]
fn names_that_a_list_taught_come_first() {
    let context = context();
    let symbol = qicore_data::Symbol::new("MATIC/USDX").unwrap();
    context.symbols.insert("MATIC/USD", symbol);
    let (_, events) = decode(&mut Decoder::new(&context), &Frame::new(0, TRADES)).unwrap();
    assert_eq!(events[0].symbol, symbol);
}

#[test]
fn a_snapshot_of_orders_is_a_snapshot_of_the_book() {
    let payload = read_fixture("ws2_level3/jk_IndividualBook_3.json");
    check(
        &payload,
        &[
            r#"{"type":"book","symbol":"ETH/USDT","timestamp":"2023-10-06T18:20:55.357467423Z","kind":"snapshot","bids":[["0.5629","111.56125344"],["0.5625","20474.69338"]],"asks":[["0.563","5332.9978357"]]}"#,
        ],
    );
    refused(
        &payload.replace("\"snapshot\"", "\"update\""),
        ErrorKind::Unsupported,
        "channel=level3",
    );
    let long = payload.replace("4422.9978357", "70000000000000000000000000000");
    refused(&long, ErrorKind::Decode, "too many digits");
}

#[test]
fn control_messages() {
    for payload in [
        r#"{"channel":"status","type":"update","data":[{"version":"2.0.0","system":"online","api_version":"v2","connection_id":18239578009413566319}]}"#,
        r#"{"channel":"heartbeat"}"#,
        r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10,"snapshot":true},"req_id":1}"#,
        r#"{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2023-09-25T09:04:31.742599Z","time_out":"2023-09-25T09:04:31.742648Z"}"#,
        r#"{"method":"subscribe","result":{"channel":"instrument","snapshot":true,"warnings":["tick_size is deprecated"]},"success":true}"#,
        r#"{"error":"Currency pair not supported XBT/XYZ","method":"subscribe","success":false,"symbol":"XBT/XYZ","time_in":"2023-09-25T09:04:31.742599Z"}"#,
        r#"{"method":"unsubscribe","result":{"channel":"book","depth":10,"symbol":"BTC/USD"},"success":true}"#,
        r#"{"method":"ping","req_id":101}"#,
        r#"{"method":"pong","req_id":101,"time_in":"2023-09-24T14:10:23.799685Z","time_out":"2023-09-24T14:10:23.799703Z"}"#,
        r#"{"error":"Malformed request","success":false,"time_in":"2023-09-24T14:10:23.799685Z"}"#,
    ] {
        let (decoded, events) = one(payload).unwrap();
        assert_eq!((decoded, events), (Decoded::Control, Vec::new()), "{payload}");
    }
    refused(
        r#"{"method":"add_order","result":{}}"#,
        ErrorKind::Decode,
        "unknown method \"add_order\"",
    );
    refused(r#"{"channel":"heartbeat""#, ErrorKind::Decode, "EOF");
}

#[test]
fn any_layout_of_the_json_is_read() {
    let expected = one(TRADES).unwrap();
    let body = TRADES
        .strip_prefix(r#"{"channel":"trade","type":"update","#)
        .unwrap()
        .strip_suffix('}')
        .unwrap();
    for payload in [
        format!("\n {{ \"channel\" : \"trade\", \"type\" : \"update\", {body} }} \n"),
        format!(r#"{{{body},"type":"snapshot","channel":"trade"}}"#),
        format!(r#"{{"channel":"tr\u0061de","type":"update","new":[1],{body}}}"#),
        TRADES
            .replace("0.5117", "\"0.5117\"")
            .replace("MATIC/USD", "MATIC\\/USD"),
    ] {
        assert_eq!(one(&payload).unwrap(), expected, "{payload}");
    }
    let book = r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1.0,"qty":2}],"asks":[],"checksum":1}]}"#;
    let expected = one(book).unwrap();
    let turned = r#" {"data":[{"asks":[],"new":{},"bids":[{"new":1,"qty":2,"price":1.0}],"symbol":"A\/B"}],"type":"update","channel":"book"}"#;
    assert_eq!(one(turned).unwrap(), expected);
}

#[test]
fn malformed_messages_say_what_is_wrong() {
    for (payload, why) in [
        (
            r#"{"channel":"executions","type":"update","data":[]}"#,
            "unknown channel \"executions\"",
        ),
        (r#"{"channel":"trade","type":"update"}"#, "missing field `data`"),
        (r#"{"channel":"trade","type":"other","data":[]}"#, "unknown variant"),
        (r#"{"channel":"book","data":[]}"#, "missing field `type`"),
        (r#"{"channel":"book","type":"update"}"#, "missing field `data`"),
        (
            r#"{"channel":"book","type":"update","data":[],"data":[]}"#,
            "duplicate field `data`",
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"bids":[]}]}"#,
            "missing field `symbol`",
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"AB"}]}"#,
            "tells no symbol",
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","checksum":-1}]}"#,
            "invalid value",
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1}]}]}"#,
            "missing field `qty`",
        ),
        (
            r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1e99,"qty":1}]}]}"#,
            "96 bits",
        ),
        (&TRADES.replace("\"sell\"", "\"b\""), "unknown variant"),
        (&TRADES.replace("40.00000000", "null"), "malformed decimal"),
        (&TRADES.replace("2023-09-25T07:49:37.708706Z", "yesterday"), "RFC 3339"),
        (&TRADES[..TRADES.len() - 1], "EOF"),
        (&format!("{TRADES}{TRADES}"), "trailing characters"),
    ] {
        refused(payload, ErrorKind::Decode, why);
    }
}

#[test]
fn a_message_is_decoded_as_a_whole_or_not_at_all() {
    for payload in [
        TRADES.replace("BTC/USD", "BTCUSD"),
        r#"{"channel":"book","type":"snapshot","data":[{"symbol":"A/B","bids":[{"price":1,"qty":1}]},{"symbol":"AB"}]}"#.into(),
    ] {
        let mut decoder = decoder();
        let mut events = Vec::new();
        decoder.decode(&Frame::new(0, payload), &mut events).unwrap_err();
        assert_eq!((events, decoder.snapshot().unwrap()), (Vec::new(), None));
    }
}
