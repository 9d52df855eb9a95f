//! Answers of the REST interfaces.

use super::*;

const EXCHANGE: &str = "https://api.exchange.coinbase.com";
const ADVANCED: &str = "https://api.coinbase.com/api/v3/brokerage/market";

fn body(file: &str) -> String {
    String::from_utf8(fixture("coinbase", file).remove(0).payload.to_vec()).unwrap()
}

/// A recorded fixture with the digits of its numbers: a tree of floats would lose them.
fn rows(text: &str) -> Vec<Vec<String>> {
    let list = text.trim().trim_start_matches('[').trim_end_matches(']');
    let rows = list.split(']').map(|row| row.trim_matches([',', '[', ' ', '\n']));
    rows.filter(|row| !row.is_empty())
        .map(|row| row.split(',').map(|number| number.trim().to_owned()).collect())
        .collect()
}

#[test]
fn candles_of_exchange_ascend_with_all_their_digits() {
    for file in [
        "bc_BTC-USD_candles_2020-03-20-00-00.json",
        "xc_example-historical-candles.json",
    ] {
        let text = body(&format!("exchange_rest_candles/{file}"));
        let (_, events) = answer(&format!("{EXCHANGE}/products/BTC-USD/candles?granularity=60"), &text).unwrap();
        let newest = events.len() - 1;
        let expected = rows(&text).into_iter().rev().enumerate().map(|(at, row)| {
            let start = Timestamp::from_secs(row[0].parse().unwrap()).unwrap().to_string();
            json!({"type": "candle", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
                "timestamp": start, "timeframe": "1m", "low": row[1], "high": row[2], "open": row[3], "close": row[4],
                "volume": row[5], "closed": at < newest, "metadata": {"source": "rest", "quality": "high"}})
        });
        assert_eq!(normalised(&events), expected.collect::<Vec<_>>());
        assert!(events.is_sorted_by(|a, b| a.timestamp < b.timestamp), "{file}");
    }
}

/// Candles as `start` minutes, newest first.
fn candles(starts: &[u64]) -> String {
    let rows = starts.iter().map(|start| format!("[{},1,4,2,3,5e-8]", start * 60));
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn closed(events: &[Event]) -> Vec<bool> {
    let closed = events.iter().map(|event| match &event.data {
        Data::Candle(candle) => candle.closed,
        _ => panic!("{event:?}"),
    });
    closed.collect()
}

#[test]
fn a_candle_is_closed_when_its_end_is_over() {
    let url = format!("{EXCHANGE}/products/BTC-USD/candles?granularity=60");
    let at = |received: Option<&str>| {
        let mut frame = Frame::new(1, candles(&[12, 11, 9])).channel(&*url);
        frame.received = received.map(|at| at.parse().unwrap());
        closed(&all(&mut decoder(), [&frame]))
    };
    assert_eq!(at(None), [true, true, false], "the newest may be open");
    assert_eq!(at(Some("1970-01-01T00:12:59.999999999Z")), [true, true, false]);
    assert_eq!(at(Some("1970-01-01T00:13:00Z")), [true, true, true]);
    assert_eq!(
        at(Some("1970-01-01T00:11:30Z")),
        [true, false, false],
        "a clock that is behind"
    );
}

#[test]
fn the_granularity_is_the_urls_or_the_contexts_or_the_shortest_distance() {
    let timeframe = |decoder: &mut Decoder, starts: &[u64]| {
        let (_, events) = one(decoder, candles(starts)).map_err(|error| error.to_string())?;
        let Data::Candle(candle) = &events[0].data else {
            panic!()
        };
        Ok::<_, String>(candle.timeframe.as_str())
    };
    let mut bare = of_channel("exchange_rest_candles");
    assert_eq!(timeframe(&mut bare, &[120, 60, 15, 0]), Ok("15m"));
    assert_eq!(timeframe(&mut bare, &[3, 2, 2]), Ok("1m"));
    for unclear in [&[60][..], &[60, 60], &[67, 60], &[63, 60]] {
        let error = timeframe(&mut bare, unclear).unwrap_err();
        assert!(
            error.contains("say it as the context's timeframe"),
            "{unclear:?}: {error}"
        );
    }
    let error = timeframe(&mut bare, &[66, 61]).unwrap_err();
    assert!(error.contains("timeframe=5m, start=1970-01-01T01:01:00Z"), "{error}");

    let context = VenueContext::new("coinbase", "coinbase")
        .unwrap()
        .channel(Some("exchange_rest_candles"));
    let context = context.symbol(Some("BTC/USD".parse().unwrap()));
    let mut hourly = Decoder::new(&context.timeframe(Some(qicore_data::Timeframe::H1)));
    assert_eq!(timeframe(&mut hourly, &[60]), Ok("1h"));
    let error = timeframe(&mut hourly, &[61, 60]).unwrap_err();
    assert!(error.contains("timeframe=1h, start=1970-01-01T01:01:00Z"), "{error}");
    assert_eq!(one(&mut bare, "[]").unwrap(), (Decoded::Data, vec![]));
}

#[test]
fn candles_of_advanced_trade_are_objects() {
    let text = r#"{"candles":[{"start":"7200","low":"1.10","high":"4","open":"2","close":"3","volume":"5"},{"start":"3600","low":"1","high":"4","open":"2","close":"3","volume":"0.00"}]}"#;
    let (_, events) = answer(
        &format!("{ADVANCED}/products/ETH-USD/candles?granularity=ONE_HOUR&limit=2"),
        text,
    )
    .unwrap();
    let json = normalised(&events);
    assert_eq!(
        json[1],
        json!({"type": "candle", "exchange": "coinbase", "symbol": "ETH/USD", "source": "coinbase",
            "timestamp": "1970-01-01T02:00:00Z", "timeframe": "1h", "open": "2", "high": "4", "low": "1.10", "close": "3",
            "volume": "5", "closed": false, "metadata": {"source": "rest", "quality": "high"}})
    );
    assert_eq!(
        (&json[0]["timestamp"], &json[0]["closed"]),
        (&json!("1970-01-01T01:00:00Z"), &json!(true))
    );
    let mut bare = of_channel("advanced_rest_candles");
    assert_eq!(closed(&one(&mut bare, text).unwrap().1), [true, false]);
}

/// What a mapper of others makes of the same answer: its numbers are floats, so they are compared as such.
fn compare(ours: &Value, theirs: &Value, fields: &[(&str, &str)]) {
    let at: Timestamp = ours["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (&ours["symbol"], at.millis()),
        (&theirs["symbol"], theirs["timestamp"].as_i64().unwrap())
    );
    for (our_name, their_name) in fields {
        let (ours, theirs) = (&ours[our_name], &theirs[their_name]);
        match theirs.as_f64() {
            Some(number) => assert_eq!(ours.as_str().unwrap().parse(), Ok(number), "{our_name}"),
            None => assert_eq!(ours, theirs, "{our_name}"),
        }
    }
}

#[test]
fn answers_agree_with_another_mapper() {
    let theirs = |file: &str| serde_json::from_str::<Value>(&body(file)).unwrap();
    let trades = body("exchange_rest_trades/ccxt_BTC-USDT.json");
    let (_, events) = answer("https://api.pro.coinbase.com/products/BTC-USDT/trades", trades).unwrap();
    let fields = [("id", "id"), ("side", "side"), ("price", "price"), ("size", "amount")];
    let expected = theirs("exchange_rest_trades/ccxt_BTC-USDT.expected.json");
    compare(&normalised(&events)[0], &expected[0], &fields);

    let ticker = body("advanced_rest_ticker/ccxt_BTC-USDC.json");
    let (_, events) = answer(&format!("{ADVANCED}/products/BTC-USDC/ticker?limit=1"), ticker).unwrap();
    let [trade, ticker] = &normalised(&events)[..] else {
        panic!("{events:?}")
    };
    let expected = theirs("advanced_rest_ticker/ccxt_BTC-USDC.expected.json");
    compare(ticker, &expected, &[("last", "last"), ("bid", "bid"), ("ask", "ask")]);
    // The other mapper says nothing of the trade. Its side is the maker's, as on the feed.
    assert_eq!(
        *trade,
        json!({"type": "trade", "exchange": "coinbase", "symbol": "BTC/USDC", "source": "coinbase",
            "timestamp": "2024-04-24T09:56:38.063595Z", "id": "635541194", "side": "sell", "price": "66363.03",
            "size": "0.03720194"})
    );
}

#[test]
fn trades_of_exchange_go_out_oldest_first() {
    let text = body("exchange_rest_trades/bc_BTC-EUR_trades_GET-200.json");
    let raw: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (_, events) = answer("https://api.gdax.com/products/BTC-EUR/trades?after=24169718", &text).unwrap();
    let expected = raw.iter().rev().map(|trade| {
        let side = if trade["side"] == "sell" { "buy" } else { "sell" };
        json!({"type": "trade", "exchange": "coinbase", "symbol": "BTC/EUR", "source": "coinbase",
            "timestamp": time(&trade["time"]), "id": trade["trade_id"].to_string(), "side": side,
            "price": trade["price"], "size": trade["size"]})
    });
    assert_eq!(normalised(&events), expected.collect::<Vec<_>>());
    let ids = raw
        .iter()
        .map(|trade| trade["trade_id"].as_u64().unwrap())
        .collect::<Vec<_>>();
    assert!(
        ids.windows(2).all(|pair| pair[0] == pair[1] + 1),
        "ids are consecutive in answers too"
    );
}

#[test]
fn a_stretch_of_the_past_has_no_ticker() {
    let text = body("advanced_rest_ticker/jk_GetTradeHistory.json");
    let kinds = |query: &str| {
        let (_, events) = answer(&format!("{ADVANCED}/products/BTC-USD/ticker?{query}"), &text).unwrap();
        events.iter().map(Event::event_type).collect::<Vec<_>>()
    };
    assert_eq!(kinds("limit=9"), [EventType::Trade, EventType::Ticker]);
    assert_eq!(kinds("limit=9&start=1600000000&end=1700000000"), [EventType::Trade]);
}

#[test]
fn books_of_every_level_and_form() {
    let url = format!("{EXCHANGE}/products/BTC-EUR/book?level=2");
    for file in [
        "bc_BTC-EUR_book_level-1.json",
        "bc_BTC-EUR_book_level-2.json",
        "cmp__l2_snapshot_5.json",
    ] {
        let text = body(&format!("exchange_rest_book/{file}"));
        let raw: Value = serde_json::from_str(&text).unwrap();
        let side = |side: &str| {
            list(&raw, side)
                .iter()
                .map(|row| json!([row[0], row[1]]))
                .collect::<Vec<_>>()
        };
        let (_, events) = answer(&url, &text).unwrap();
        assert_eq!(
            normalised(&events),
            [
                json!({"type": "book", "exchange": "coinbase", "symbol": "BTC/EUR", "source": "coinbase",
                "timestamp": "1970-01-01T00:00:00Z", "kind": "snapshot", "sequence": raw["sequence"],
                "bids": side("bids"), "asks": side("asks")})
            ]
        );
    }
    let orders = r#"{"sequence":"3","bids":[["9.50","0.1","a"],["9.5","0.25","b"],["9","1","c"]],"asks":[["10","1","d"],["10","2","e"]],"auction":null,"time":"2024-01-02T03:04:05.678901Z"}"#;
    let json = &normalised(&answer(&url, orders).unwrap().1)[0];
    assert_eq!(
        json["bids"],
        json!([["9.50", "0.35"], ["9", "1"]]),
        "orders of a price are one level"
    );
    assert_eq!((&json["asks"], &json["sequence"]), (&json!([["10", "3"]]), &json!(3)));
    assert_eq!(json["timestamp"], "2024-01-02T03:04:05.678901Z");

    let advanced = r#"{"pricebook":{"product_id":"BTC-USD","bids":[{"price":"9","size":"1.0"},{"price":"8","size":"2"}],"asks":[],"time":"2024-01-02T03:04:05.678901Z"},"last":"9","spread_bps":"1"}"#;
    for (_, events) in [
        one(&mut of_channel("advanced_rest_product_book"), advanced).unwrap(),
        answer(&format!("{ADVANCED}/product_book?product_id=BTC-USD&limit=2"), advanced).unwrap(),
    ] {
        assert_eq!(
            normalised(&events),
            [
                json!({"type": "book", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
                "timestamp": "2024-01-02T03:04:05.678901Z", "kind": "snapshot",
                "bids": [["9", "1.0"], ["8", "2"]], "asks": []})
            ]
        );
    }
}

#[test]
fn products_of_exchange_are_instruments_whose_names_are_known_then() {
    let text = body("exchange_rest_products/coinbase.json");
    let raw: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (_, events) = answer(&format!("{EXCHANGE}/products"), &text).unwrap();
    let expected = raw.iter().map(|one| {
        let active = one["status"] == "online" && one["trading_disabled"] == false;
        json!({"type": "instrument", "exchange": "coinbase", "source": "coinbase", "timestamp": "1970-01-01T00:00:00Z",
            "symbol": one["id"].as_str().unwrap().replace('-', "/"), "native": one["id"], "base": one["base_currency"],
            "quote": one["quote_currency"], "kind": "spot", "active": active, "price_step": one["quote_increment"],
            "size_step": one["base_increment"]})
    });
    assert_eq!(normalised(&events), expected.collect::<Vec<_>>());
    let single = serde_json::to_string(&raw[0]).unwrap();
    let id = raw[0]["id"].as_str().unwrap();
    let (_, one) = answer(&format!("{EXCHANGE}/products/{id}"), single).unwrap();
    assert_eq!(one, events[..1]);
}

#[test]
fn ticker_and_statistics() {
    let (_, events) = answer(
        &format!("{EXCHANGE}/products/BTC-USD/ticker"),
        body("exchange_rest_ticker/xc_example-ticker-data.json"),
    )
    .unwrap();
    assert_eq!(
        normalised(&events),
        [
            json!({"type": "ticker", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "2015-04-08T20:49:06.506997Z", "last": "246.28000000", "bid": "637", "ask": "637.11",
            "volume": "4661.70407704"})
        ]
    );
    let url = format!("{EXCHANGE}/products/BTC-USD/stats");
    let stats = r#"{"open":"5414.18","high":"6441.37","low":"5261.69","volume":"53687.76","last":"6250.02","volume_30day":"786763.72"}"#;
    assert_eq!(
        normalised(&answer(&url, stats).unwrap().1),
        [
            json!({"type": "ticker", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "1970-01-01T00:00:00Z", "last": "6250.02", "open": "5414.18", "high": "6441.37",
            "low": "5261.69", "volume": "53687.76"})
        ]
    );
    // No last price, no ticker; no statistics at all are no statistics.
    assert_eq!(
        answer(&url, body("exchange_rest_stats/xc_example-stats-data.json")).unwrap(),
        (Decoded::Data, vec![])
    );
    assert!(
        answer(&url, "{}")
            .unwrap_err()
            .to_string()
            .contains("neither a price nor a volume")
    );
    let without_volume = r#"{"trade_id":1,"price":"6268.48","size":"0.1","time":"2020-03-20T00:22:57.833897Z","bid":"6265","ask":"6267"}"#;
    let (_, events) = answer(&format!("{EXCHANGE}/products/BTC-USD/ticker"), without_volume).unwrap();
    let ticker = &normalised(&events)[0];
    assert_eq!((&ticker["last"], ticker.get("volume")), (&json!("6268.48"), None));
}

#[test]
fn best_prices_of_several_products_are_quotes() {
    let books = r#"{"pricebooks":[{"product_id":"BTC-USD","bids":[{"price":"1","size":"2"}],"asks":[{"price":"3","size":"4"}],"time":"2023-07-04T12:34:56.123456Z"},{"product_id":"ETH-USD","bids":[],"asks":[{"price":"3","size":"4"}],"time":"2023-07-04T12:34:56Z"}]}"#;
    let url = "https://api.coinbase.com/api/v3/brokerage/best_bid_ask?product_ids=BTC-USD&product_ids=ETH-USD";
    let (_, events) = answer(url, books).unwrap();
    // ETH-USD has no bid.
    assert_eq!(
        normalised(&events),
        [
            json!({"type": "quote", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "2023-07-04T12:34:56.123456Z", "bid": "1", "bid_size": "2", "ask": "3", "ask_size": "4"})
        ]
    );
    assert_eq!(
        one(&mut of_channel("advanced_rest_best_bid_ask"), books).unwrap().1,
        events
    );
}

#[test]
fn answers_that_tell_of_no_market_are_control() {
    let advanced = r#"{"iso":"2022-11-18T20:31:02Z","epochSeconds":"1668803462","epochMillis":"1668803462000"}"#;
    let exchange = r#"{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}"#;
    let currencies = r#"[{"id":"BTC","name":"Bitcoin","min_size":"0.00000001","status":"online","message":""}]"#;
    for (channel, url, body) in [
        (
            "advanced_rest_time",
            "https://api.coinbase.com/api/v3/brokerage/time",
            advanced,
        ),
        ("exchange_rest_time", &*format!("{EXCHANGE}/time"), exchange),
        (
            "exchange_rest_currencies",
            &*format!("{EXCHANGE}/currencies"),
            currencies,
        ),
    ] {
        assert_eq!(one(&mut of_channel(channel), body).unwrap(), (Decoded::Control, vec![]));
        assert_eq!(answer(url, body).unwrap(), (Decoded::Control, vec![]));
        assert!(answer(url, &body[1..]).is_err(), "{body}");
    }
}

#[test]
fn exchange_rates_are_prices() {
    let text = body("v2_exchange_rates/jk_GetExchangeRates.json").replace("\"AED\"", "\"BTC\": \"1.0\", \"AED\"");
    let (_, events) = answer("https://api.coinbase.com/v2/exchange-rates?currency=BTC", text).unwrap();
    let raw: Value = serde_json::from_str(&body("v2_exchange_rates/jk_GetExchangeRates.json")).unwrap();
    let expected = raw["data"]["rates"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(currency, rate)| {
            json!({"type": "price", "exchange": "coinbase", "symbol": format!("BTC/{currency}"), "source": "coinbase",
            "timestamp": "1970-01-01T00:00:00Z", "price": rate})
        });
    assert_eq!(normalised(&events), expected.collect::<Vec<_>>());
}
