//! Answers of REST endpoints that are errors, or damaged, or of nothing that is known.

use qicore_data::{ErrorKind, RetryAdvice};

use super::rest::{API, ROW, answers, ask, url};
use super::*;

#[test]
fn errors_that_answer_a_request() {
    let banned = r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1700000000000."}"#;
    for path in [
        "klines?symbol=BTCUSDT",
        "depth?symbol=BTCUSDT",
        "exchangeInfo",
        "ticker/24hr",
        "avgPrice",
        "ping",
        "openInterest",
    ] {
        let error = ask(&format!("{API}/{path}"), banned).unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::RateLimited, RetryAdvice::Backoff),
            "{path}"
        );
        assert!(error.message().contains("until 1700000000000"), "{error}");
    }
    for (file, kind) in [
        (
            "error_envelopes/gct_coinm_limit-5_symbol-BTCUSD_PERP.json",
            ErrorKind::Unauthorized,
        ),
        ("error_envelopes/gct_usdm_symbol-BTCUSD_201225.json", ErrorKind::Config),
    ] {
        let frame = fixture("binance", file).remove(0);
        let by_url = decoder()
            .decode(&frame.clone().channel(url(file)), &mut Vec::new())
            .unwrap_err();
        for channel in ["error_envelopes", "rest_klines", "rest_depth"] {
            let mut decoder = Decoder::new(&context("binance").channel(Some(channel)));
            let error = decoder.decode(&frame, &mut Vec::new()).unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (kind, by_url.to_string()),
                "{channel}"
            );
        }
        // Over a WebSocket it answers a subscription.
        for channel in [None, Some("ws_kline")] {
            let mut decoder = Decoder::new(&context("binance").channel(channel));
            assert_eq!(one(&mut decoder, &frame.payload).unwrap(), (Decoded::Control, vec![]));
        }
    }
    let mut decoder = Decoder::new(&context("binance").channel(Some("error_envelopes")));
    assert_eq!(one(&mut decoder, "{}").unwrap_err().kind(), ErrorKind::Decode);
}

#[test]
fn damaged_rows_are_refused() {
    let klines = format!("{API}/klines?symbol=BTCUSDT&interval=5m");
    let trades = format!("{API}/trades?symbol=BTCUSDT");
    let trade = r#"[{"id":1,"price":"4.0","qty":"12.0","time":1499865549590,"isBuyerMaker":true}]"#;
    assert_eq!(ask(&klines, "[]").unwrap(), []);
    assert_eq!(ask(&klines, &format!("[{ROW}]")).unwrap().len(), 1);
    assert_eq!(ask(&trades, trade).unwrap().len(), 1);
    let row = |from: &str, to: &str| format!("[{ROW},{}]", ROW.replace(from, to));
    for (body, said) in [
        (String::new(), "EOF"),
        ("<html>451</html>".to_owned(), "expected value"),
        ("{}".to_owned(), "invalid type: map"),
        ("null".to_owned(), "invalid type: null"),
        ("[[]]".to_owned(), "invalid length 0"),
        (
            r#"[[1577836800000,"1","1","1","1","1",1577837099999,"1"]]"#.to_owned(),
            "invalid length 8",
        ),
        ("[1577836800000]".to_owned(), "invalid type: integer"),
        (format!("[{ROW}"), "EOF"),
        (format!("[{ROW}]]"), "trailing"),
        (row("\"7195.24\"", "7195.24"), "a decimal in a string"),
        (row("7195.24", "0.-1"), "malformed decimal"),
        (row("7195.24", &"9".repeat(40)), "96 bits"),
        (row("7195.24", "1e999999"), "96 bits"),
        (row("7195.24", ""), "empty decimal"),
        (row("1577836800000", "\"1577836800000\""), "invalid type: string"),
        (row("1577836800000", "9223372036854775807"), "out of range"),
        (row("1577836800000", "1e999"), "out of range"),
        (row("1127", "-1"), "invalid value"),
        (row("1127", "18446744073709551616"), "invalid type"),
    ] {
        let error = ask(&klines, &body).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Decode && error.message().contains(said),
            "{body}: {error}"
        );
    }
    for (from, to) in [
        ("\"id\":1", "\"id\":-1"),
        ("\"qty\"", "\"size\""),
        ("true", "\"true\""),
        ("\"4.0\"", "4.0"),
    ] {
        assert!(ask(&trades, &trade.replace(from, to)).is_err(), "{to}");
    }
    let extra = row("\"0\"]", "\"0\",[{}],null]");
    assert_eq!(
        ask(&klines, &extra).unwrap().len(),
        2,
        "unknown elements are passed over"
    );
    let deep = format!("[[1577836800000,{}", "[".repeat(100_000));
    assert!(ask(&klines, &deep).is_err());
}

#[test]
fn an_answer_of_no_known_instrument_is_refused() {
    let page = format!("[{ROW}]");
    for url in [
        format!("{API}/klines"),
        format!("{API}/klines?symbol"),
        format!("{API}/continuousKlines?pair=BTCUSDT&contractType=CURRENT_QUARTER"),
    ] {
        let error = ask(&url, &page).unwrap_err();
        assert!(error.message().contains("does not name its symbol"), "{error}");
    }
    let error = ask(&format!("{API}/klines?symbol=BTCUSD_PERP"), &page).unwrap_err();
    assert!(error.message().contains("no symbol is known"), "{error}");
    // The context's symbol is for what says nothing itself.
    let mut decoder = Decoder::new(&context("binance").symbol(Some("ETH/USDT".parse().unwrap())));
    let symbols = ["", "?symbol=BTCUSDT"].map(|query| {
        let frame = Frame::new(1, page.clone()).channel(format!("{API}/klines{query}"));
        all(&mut decoder, [&frame])[0].symbol.to_string()
    });
    assert_eq!(symbols, ["ETH/USDT", "BTC/USDT"]);
}

#[test]
fn the_contexts_symbol_is_that_of_an_answer_about_one_unknown_name() {
    let given = "BTCUSD_PERP/USD".parse().unwrap();
    let decode = |path: &str, body: &str| {
        let mut events = Vec::new();
        let frame = Frame::new(1, body.to_owned()).channel(format!("{API}/{path}"));
        let context = context("binance").symbol(Some(given));
        Decoder::new(&context).decode(&frame, &mut events).map(|_| events)
    };
    let price = r#"{"symbol":"BTCUSD_PERP","price":"1"}"#;
    let page = format!("[{ROW}]");
    for (path, body) in [
        ("klines?symbol=BTCUSD_PERP", page.as_str()),
        ("ticker/price?symbol=BTCUSD_PERP", price),
    ] {
        assert_eq!(decode(path, body).unwrap()[0].symbol, given, "{path}");
    }
    // Of several it may be any, and a stream may be of others too.
    assert!(decode("ticker/price", &format!("[{price}]")).is_err());
    let trade = r#"{"e":"trade","E":1,"s":"BTCUSD_PERP","t":1,"p":"1","q":"1","T":1,"m":true}"#;
    assert!(one(&mut Decoder::new(&context("binance").symbol(Some(given))), trade).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn damaged_answers_never_panic(
        (file, url, frame, _) in proptest::sample::select(answers()),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<proptest::sample::Index>(),
    ) {
        let mut payload = frame.payload.to_vec();
        payload.truncate(2_000);
        for (at, byte) in edits {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload.truncate(keep.index(payload.len() + 1));
        let channel = file.split('/').next();
        let _ = decoder().decode(&Frame::new(1, payload.clone()).channel(url), &mut Vec::new());
        let _ = one(&mut Decoder::new(&context("binance").channel(channel)), &payload);
    }
}
