//! Bytes that Kraken never sent.

use std::sync::LazyLock;

use proptest::prelude::*;
use qicore_data::{Decoded, Decoder as _, Frame};

use crate::{context, decode, decoder, read_fixture, v2};

/// A stream of one book, every change with a checksum.
static CHECKED: LazyLock<String> =
    LazyLock::new(|| read_fixture("ws1_book_checksum/pks_orderbook-v1_first_half.jsonl"));

/// The same over WebSocket v2.
static SECOND: LazyLock<String> = LazyLock::new(|| read_fixture("ws2_book_checksum/pks_orderbook-v2_first_half.jsonl"));

/// A short message of each kind, and the starts of those streams.
static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let names = [
        "ws1_book_small/gct_7.json",
        "ws1_control/gct_1.json",
        "ws1_ohlc/gct_3.json",
        "ws1_spread/gct_5.json",
        "ws1_ticker/cmp_ticker_spot_15.json",
        "ws1_trade/gct_all_0.json",
        "ws2_level3/jk_IndividualBook_2_ack.json",
        "ws2_level3/jk_IndividualBook_3.json",
        "rest_Depth/xc_depth-data.json",
        "rest_OHLC/jk_GetKlines.json",
        "rest_Spread/xc_spreads-data.json",
        "rest_Ticker/fetch_ticker.json",
        "rest_Trades/jk_GetTradeHistory.json",
    ];
    let named = names.iter().map(|name| read_fixture(name).into_bytes());
    let checked = CHECKED.lines().take(40).map(|line| line.as_bytes().to_vec());
    let pairs = r#"{"error":[],"result":{"ADAUSD":{"altname":"ADAUSD","wsname":"ADA/USD","base":"ADA","quote":"ZUSD","pair_decimals":6,"lot_decimals":8,"tick_size":"0.000001"}}}"#;
    let second = SECOND.lines().take(10).map(|line| line.as_bytes().to_vec());
    let messages = [pairs, v2::TRADES, v2::TICKER, v2::BARS, v2::INSTRUMENTS].map(|text| text.into());
    named.chain(checked).chain(second).chain(messages).collect()
});

/// A change to a message: where, and what is put there instead of how much.
#[derive(Debug, Clone)]
struct Change(prop::sample::Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let telling = prop::sample::select(vec![
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\\",
        "\\u0000",
        "null",
        "-",
        "1e400",
        "0.-1",
        "\"\"",
        "\u{0}",
        "9999999999999999999999999999999",
    ]);
    let bytes = prop_oneof![
        telling.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4)
    ];
    let change = (any::<prop::sample::Index>(), 0usize..30, bytes).prop_map(|(at, cut, bytes)| Change(at, cut, bytes));
    prop::collection::vec(change, 1..4)
}

fn mutated(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for Change(at, cut, new) in changes {
        let start = at.index(bytes.len() + 1);
        let end = (start + cut).min(bytes.len());
        bytes.splice(start..end, new.iter().copied());
    }
    bytes
}

/// Decodes in all ways a payload may arrive. What is refused must leave nothing behind.
fn survive(payload: &[u8]) {
    let endpoints = ["AssetPairs", "Depth", "OHLC", "Spread", "Ticker", "Trades"];
    let named = endpoints.map(|endpoint| context().channel(Some(&format!("rest_{endpoint}"))));
    for context in [context()].into_iter().chain(named) {
        let mut decoder = qicore_sources::kraken::Decoder::new(&context);
        let mut events = Vec::new();
        match decoder.decode(&Frame::new(0, payload.to_vec()), &mut events) {
            Ok(Decoded::Data) => {}
            Ok(Decoded::Control) => assert_eq!(events, []),
            Err(error) => {
                assert_eq!(events, []);
                assert!(error.to_string().len() < 2000, "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&payload);
    }

    #[test]
    fn arbitrary_json_like_text_never_panics(payload in r#"[\[{][\[\]{}",:0-9.a-z\\/ -]{0,80}[\]}]?"#) {
        survive(payload.as_bytes());
    }

    #[test]
    fn mutated_messages_never_panic(which in any::<prop::sample::Index>(), changes in changes()) {
        survive(&mutated(which.get(&MESSAGES[..]).clone(), &changes));
    }

    /// A refused frame takes nothing else with it: the lane decodes as if the frame were not there.
    #[test]
    fn a_refused_frame_changes_nothing(second: bool, at in 0usize..40, which in any::<prop::sample::Index>(), changes in changes()) {
        let bad = Frame::new(0, mutated(which.get(&MESSAGES[..]).clone(), &changes));
        let (mut disturbed, mut sound) = (decoder(), decoder());
        let stream = if second { &SECOND } else { &CHECKED };
        for (nth, line) in stream.lines().take(40).enumerate() {
            if nth == at && decode(&mut disturbed, &bad).is_ok() {
                return Ok(());
            }
            let frame = Frame::new(nth as u64, line);
            prop_assert_eq!(decode(&mut disturbed, &frame).unwrap(), decode(&mut sound, &frame).unwrap());
        }
        prop_assert_eq!(disturbed.snapshot().unwrap(), sound.snapshot().unwrap());
    }
}

#[test]
fn errors_quote_no_more_than_a_reader_wants() {
    let long = "x".repeat(1 << 20);
    for payload in [
        format!(r#"[1,[["{long}","2","3.5","b"]],"trade","A/B"]"#),
        format!(r#"[1,[["1","2","{long}","b"]],"trade","A/B"]"#),
        format!(r#"[1,[["1","2","3.5","{long}"]],"trade","A/B"]"#),
        format!(r#"[1,"{long}","trade","A/B"]"#),
        format!(r#"[1,[],"trade","{long}"]"#),
        format!(r#"[1,[],"trade","A/{long}"]"#),
        format!(r#"[1,[],"{long}","A/B"]"#),
        format!(r#"{{"event":"{long}"}}"#),
        format!(r#"{{"method":"{long}"}}"#),
        format!(r#"{{"channel":"{long}"}}"#),
        format!(r#"{{"channel":"{long}","type":"update","data":[]}}"#),
        format!(r#"{{"channel":"trade","type":"{long}","data":[]}}"#),
        format!(r#"{{"channel":"book","type":"update","data":[{{"symbol":"{long}","bids":[],"asks":[]}}]}}"#),
        format!(r#"{{"channel":"book","type":"update","data":[{{"symbol":"A/B","bids":[{{"price":1{long}}}]}}]}}"#),
        format!(r#"{{"error":[],"result":{{"{long}":[],"last":1}}}}"#),
        format!(r#"{{"error":[],"result":{{"XBTUSD":[["1","2","{long}","b","l",""]],"last":"{long}"}}}}"#),
        format!(r#"{{"error":["{long}"],"result":{{}}}}"#),
        format!(
            r#"{{"error":[],"result":{{"{long}":{{"altname":"","base":"","quote":"","pair_decimals":1,"lot_decimals":1}}}}}}"#
        ),
    ] {
        survive(payload.as_bytes());
    }
}
