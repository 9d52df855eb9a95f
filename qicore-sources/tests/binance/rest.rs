//! Answers of REST endpoints: recorded ones against their own JSON, and the documented forms of futures.

use qicore_data::{Error, ErrorKind};

use super::*;

pub(super) const API: &str = "https://api.binance.com/api/v3";
pub(super) const ROW: &str = r#"[1577836800000,"7195.24","7196.25","7178.64","7179.78","95.509",1577837099999,"686317.13",1127,"32.7","235537.2","0"]"#;

/// The recorded answers of these endpoints: the file, its URL, its JSON.
pub(super) fn answers() -> Vec<(String, String, Frame, Value)> {
    let tested_elsewhere = ["rest_depth", "rest_exchangeInfo", "error_envelopes", "ws_"];
    let files = fixtures("binance").into_iter();
    let files = files.filter(|file| !tested_elsewhere.iter().any(|folder| file.starts_with(folder)));
    let answer = |file: String| {
        let frame = fixture("binance", &file).remove(0);
        let json = serde_json::from_slice(&frame.payload).unwrap();
        (file.clone(), url(&file), frame, json)
    };
    files.map(answer).collect()
}

/// The URL in the index; of an example of the documentation only the path is known.
pub(super) fn url(file: &str) -> String {
    let index =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/binance/INDEX.tsv")).unwrap();
    let row = index.lines().find(|row| row.split('\t').next() == Some(file)).unwrap();
    row.split('\t')
        .nth(2)
        .unwrap()
        .replace("GET /", "https://api.binance.com/")
}

pub(super) fn ask(url: &str, body: &str) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let frame = Frame::new(1, body.to_owned()).channel(url);
    decoder().decode(&frame, &mut events).map(|decoded| {
        assert_eq!(decoded, Decoded::Data);
        events
    })
}

fn json(event: &Event) -> Value {
    serde_json::to_value(event).unwrap()
}

/// The normalised JSON that an answer is to become, written down without the decoder.
fn expected(channel: &str, url: &str, body: &Value) -> Vec<Value> {
    let parameter = |name: &str| {
        url.split(['?', '&'])
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let event = |kind: &str, symbol: &str, at: &Value, fields: Value| {
        let symbol = symbol
            .replace("USDT", "/USDT")
            .replace("USDC", "/USDC")
            .replace("GBP", "/GBP");
        let symbol = symbol.replace("ETHBTC", "ETH/BTC").replace("BNBBTC", "BNB/BTC");
        let mut event = json!({"type": kind, "exchange": "binance", "symbol": symbol, "timestamp": millis(at), "source": "binance"});
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        event
    };
    let trade = |row: &Value, [id, maker, price, size, at]: [&str; 5]| {
        let mut fields = json!({"id": row[id].to_string(), "price": row[price], "size": row[size]});
        if let Some(maker) = row[maker].as_bool() {
            fields["side"] = if maker { "sell" } else { "buy" }.into();
        }
        event("trade", parameter("symbol").unwrap(), &row[at], fields)
    };
    let rows = |of: &dyn Fn(&Value) -> Value| body.as_array().unwrap().iter().map(of).collect();
    match channel {
        "rest_klines" => {
            let mut candles: Vec<Value> = rows(&|row| {
                let fields = json!({"timeframe": parameter("interval").unwrap(), "open": row[1], "high": row[2],
                    "low": row[3], "close": row[4], "volume": row[5], "quote_volume": row[7], "trades": row[8],
                    "closed": true, "metadata": {"source": "rest", "quality": "high"}});
                event("candle", parameter("symbol").unwrap(), &row[0], fields)
            });
            candles.last_mut().unwrap()["closed"] = false.into();
            candles
        }
        "rest_aggTrades" => rows(&|row| trade(row, ["a", "m", "p", "q", "T"])),
        "rest_trades" | "rest_historicalTrades" => {
            rows(&|row| trade(row, ["id", "isBuyerMaker", "price", "qty", "time"]))
        }
        "rest_ticker" | "rest_ticker_24hr" => {
            let mut fields = json!({"last": body["lastPrice"], "open": body["openPrice"], "high": body["highPrice"],
                "low": body["lowPrice"], "volume": body["volume"], "quote_volume": body["quoteVolume"]});
            if channel == "rest_ticker_24hr" {
                fields["bid"] = body["bidPrice"].clone();
                fields["ask"] = body["askPrice"].clone();
            }
            vec![event(
                "ticker",
                body["symbol"].as_str().unwrap(),
                &body["closeTime"],
                fields,
            )]
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_value_of_the_recorded_answers_is_the_venues() {
    let mut seen = HashMap::new();
    for (file, url, frame, body) in answers() {
        let channel = file.split('/').next().unwrap();
        let expected = expected(channel, &url, &body);
        *seen.entry(channel.to_owned()).or_insert(0) += expected.len();
        let by_url = all(&mut decoder(), [&frame.clone().channel(url.as_str())]);
        assert_eq!(by_url.iter().map(json).collect::<Vec<_>>(), expected, "{file}");
        // By the folder's name the symbol is the context's, and the timeframe told by the rows.
        let context = context("binance").channel(Some(channel)).symbol(Some(by_url[0].symbol));
        assert_eq!(all(&mut Decoder::new(&context), [&frame]), by_url, "{file}");
    }
    let expected = [
        ("rest_aggTrades", 13),
        ("rest_historicalTrades", 5),
        ("rest_klines", 108),
        ("rest_ticker", 1),
        ("rest_ticker_24hr", 3),
        ("rest_trades", 506),
    ];
    assert_eq!(
        seen,
        expected.map(|(channel, events)| (channel.to_owned(), events)).into()
    );
}

#[test]
fn a_trade_that_does_not_say_who_was_the_maker_has_no_side() {
    // Recorded so: the recorder has damaged the key `m`.
    let frame = fixture(
        "binance",
        "rest_aggTrades/gct_1577981045000_limit-1000_1577977445000_symbol-BTCUSDT.json",
    )
    .remove(0);
    let frame = frame.channel("https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT");
    for event in all(&mut decoder(), [&frame]) {
        assert!(matches!(event.data, Data::Trade(trade) if trade.side.is_none()));
    }
}

#[test]
fn the_open_bar_is_told_by_the_time_of_receipt() {
    let next = ROW
        .replace("1577836800000", "1577837100000")
        .replace("1577837099999", "1577837399999");
    let page = format!("[{ROW},{next}]");
    let closed = |received: Option<i64>| {
        let mut frame = Frame::new(1, page.clone()).channel(format!("{API}/klines?symbol=BTCUSDT&interval=5m"));
        frame.received = received.map(|millis| Timestamp::from_millis(millis).unwrap());
        let closed = |event: Event| matches!(event.data, Data::Candle(candle) if candle.closed);
        all(&mut decoder(), [&frame])
            .into_iter()
            .map(closed)
            .collect::<Vec<_>>()
    };
    assert_eq!(closed(None), [true, false]);
    assert_eq!(closed(Some(1577836800000)), [false, false]);
    assert_eq!(closed(Some(1577837100000)), [true, false]);
    assert_eq!(closed(Some(1577837399999)), [true, false], "its last millisecond");
    assert_eq!(closed(Some(1577837400000)), [true, true]);
}

#[test]
fn the_timeframe_of_the_url_comes_before_the_contexts_and_the_rows() {
    let timeframe = |interval: &str, context: Option<&str>| {
        let context = self::context("binance").timeframe(context.map(|text| text.parse().unwrap()));
        let mut events = Vec::new();
        let frame = Frame::new(1, format!("[{ROW}]")).channel(format!("{API}/uiKlines?symbol=BTCUSDT{interval}"));
        let decoded = Decoder::new(&context).decode(&frame, &mut events);
        decoded.map(|_| json(&events[0])["timeframe"].as_str().unwrap().to_owned())
    };
    assert_eq!(timeframe("&interval=1M", Some("1h")).unwrap(), "1M");
    assert_eq!(timeframe("", Some("1h")).unwrap(), "1h");
    assert_eq!(timeframe("", None).unwrap(), "5m");
    assert!(
        timeframe("&interval=7m", Some("1h"))
            .unwrap_err()
            .message()
            .contains("unknown timeframe")
    );
    let odd = ROW.replace("1577837099999", "1577837099998");
    let error = ask(&format!("{API}/klines?symbol=BTCUSDT"), &format!("[{odd}]")).unwrap_err();
    assert!(error.message().contains("no known timeframe"), "{error}");
}

#[test]
fn objects_and_lists_of_the_tickers() {
    let best = r#"{"symbol":"BTCUSDT","bidPrice":"4.0","bidQty":"431","askPrice":"4.2","askQty":"9"}"#;
    let price = r#"{"symbol":"BTCUSDT","price":"4.1","time":1589437530011}"#;
    let mini = r#"{"symbol":"BTCUSDT","openPrice":"1","highPrice":"3","lowPrice":"0.5","lastPrice":"2","volume":"7","quoteVolume":"9","openTime":1641859200000,"closeTime":1641945599999,"firstId":0,"lastId":60,"count":61}"#;
    let header = |kind: &str, at: &str| json!({"type": kind, "exchange": "binance", "symbol": "BTC/USDT", "source": "binance", "timestamp": at});
    let with = |mut header: Value, fields: Value| {
        header
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        header
    };
    let quote = with(
        header("quote", "1970-01-01T00:00:00Z"),
        json!({"bid": "4.0", "bid_size": "431", "ask": "4.2", "ask_size": "9"}),
    );
    let last = with(header("ticker", "2020-05-14T06:25:30.011Z"), json!({"last": "4.1"}));
    let window = with(
        header("ticker", "2022-01-11T23:59:59.999Z"),
        json!({"last": "2", "open": "1", "high": "3", "low": "0.5", "volume": "7", "quote_volume": "9"}),
    );
    for (endpoint, folder, body, expected) in [
        ("ticker/bookTicker", "rest_bookTicker", best, quote),
        ("ticker/price", "rest_ticker_price", price, last),
        ("ticker/24hr", "rest_ticker_24hr", mini, window.clone()),
        ("ticker", "rest_ticker", mini, window.clone()),
        ("ticker/tradingDay", "rest_ticker_tradingDay", mini, window),
    ] {
        let url = format!("{API}/{endpoint}?symbols=[]");
        let both = [expected.clone(), expected.clone()];
        for (body, expected) in [
            (body.to_owned(), &both[..1]),
            (format!(" [{body} , {body}]"), &both),
            ("[]".to_owned(), &[]),
        ] {
            let events = ask(&url, &body).unwrap();
            assert_eq!(events.iter().map(json).collect::<Vec<_>>(), expected, "{url} {body}");
            let mut by_folder = Decoder::new(&context("binance").channel(Some(folder)));
            assert_eq!(one(&mut by_folder, &body).unwrap().1, events, "{folder} {body}");
        }
    }
    let average = r#"{"mins":5,"price":"9.35751834","closeTime":1694061154503}"#;
    let events = ask(&format!("{API}/avgPrice?symbol=BTCUSDT"), average).unwrap();
    let expected = with(
        header("price", "2023-09-07T04:32:34.503Z"),
        json!({"price": "9.35751834"}),
    );
    assert_eq!(events.iter().map(json).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_trading_day_that_is_not_over_is_of_the_time_of_receipt() {
    let body = r#"{"symbol":"BTCUSDT","openPrice":"1","highPrice":"3","lowPrice":"0.5","lastPrice":"2","volume":"7","quoteVolume":"9","openTime":1641859200000,"closeTime":1641945599999}"#;
    for (received, at) in [(1641860000000, 1641860000000), (1641990000000, 1641945599999)] {
        let [received, at] = [received, at].map(|millis| Timestamp::from_millis(millis).unwrap());
        let frame = Frame::new(1, body.to_owned()).channel(format!("{API}/ticker/tradingDay?symbol=BTCUSDT"));
        let events = all(&mut decoder(), [&frame.received(received)]);
        assert_eq!(events[0].timestamp, at);
    }
}

#[test]
fn block_trades_and_reference_prices() {
    let block =
        r#"[{"id":582,"price":"0.052","qty":"5838","quoteQty":"303.576","time":1772506983321,"isBuyerMaker":true}]"#;
    let events = ask(&format!("{API}/historicalBlockTrades?symbol=BNBBTC"), block).unwrap();
    assert_eq!(
        json(&events[0]),
        json!({"type": "trade", "exchange": "binance", "symbol": "BNB/BTC", "source": "binance", "id": "582",
            "timestamp": "2026-03-03T03:03:03.321Z", "side": "sell", "price": "0.052", "size": "5838"})
    );
    let url = format!("{API}/referencePrice?symbol=BTCUSDT");
    let reference = r#"{"symbol":"BTCUSDT","referencePrice":"10.00","timestamp":1770736694138}"#;
    let events = ask(&url, reference).unwrap();
    assert_eq!(
        json(&events[0]),
        json!({"type": "series", "exchange": "binance", "symbol": "BTC/USDT", "source": "binance",
            "timestamp": "2026-02-10T15:18:14.138Z", "name": "reference_price", "value": "10.00"})
    );
    assert_eq!(ask(&url, &reference.replace("\"10.00\"", "null")).unwrap(), []);
}

#[test]
fn answers_that_tell_of_no_market_are_control() {
    for (endpoint, body) in [
        ("time", r#"{"serverTime":1499827319559}"#),
        ("ping", "{}"),
        ("executionRules", r#"{"symbolRules":[{"symbol":"BTCUSDT","rules":[]}]}"#),
    ] {
        let mut by_folder = Decoder::new(&context("binance").channel(Some(&format!("rest_{endpoint}"))));
        assert_eq!(one(&mut by_folder, body).unwrap(), (Decoded::Control, vec![]));
        let frame = Frame::new(1, body.to_owned()).channel(format!("{API}/{endpoint}"));
        let mut events = Vec::new();
        assert_eq!(decoder().decode(&frame, &mut events).unwrap(), Decoded::Control);
        assert!(ask(&format!("{API}/{endpoint}"), "{").is_err());
    }
}

#[test]
fn sizes_of_coin_margined_contracts_are_in_base_currency_or_refused() {
    let map = context("binance");
    map.symbols.insert("BTCUSD_PERP", "BTCUSD_PERP/USD".parse().unwrap());
    let ask = |path: &str, body: &str| {
        let mut events = Vec::new();
        let frame = Frame::new(1, body.to_owned()).channel(format!("https://dapi.binance.com/dapi/v1/{path}"));
        Decoder::new(&map).decode(&frame, &mut events).map(|_| json(&events[0]))
    };
    let trade =
        r#"[{"id":28457,"price":"9635.0","qty":"1","baseQty":"0.01037883","time":1591250192508,"isBuyerMaker":true}]"#;
    assert_eq!(ask("trades?symbol=BTCUSD_PERP", trade).unwrap()["size"], "0.01037883");
    let klines = format!("[{ROW}]");
    for path in [
        "klines?symbol=BTCUSD_PERP",
        "continuousKlines?pair=BTCUSD&contractType=PERPETUAL",
    ] {
        let candle = ask(path, &klines).unwrap();
        assert_eq!(
            (&candle["volume"], candle.get("quote_volume")),
            (&json!("686317.13"), None)
        );
        assert_eq!(candle["symbol"], "BTCUSD_PERP/USD");
    }
    let ticker = r#"[{"symbol":"BTCUSD_PERP","pair":"BTCUSD","lastPrice":"2","openPrice":"1","highPrice":"3","lowPrice":"1","volume":"70","baseVolume":"0.7","closeTime":1591257600000}]"#;
    let ticker = ask("ticker/24hr", ticker).unwrap();
    assert_eq!((&ticker["volume"], ticker.get("quote_volume")), (&json!("0.7"), None));
    for path in [
        "aggTrades?symbol=BTCUSD_PERP",
        "ticker/bookTicker",
        "depth?symbol=BTCUSD_PERP",
    ] {
        let error = ask(path, "[]").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}
