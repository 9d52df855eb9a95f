//! The recorded session against its own JSON.

use super::*;

/// The instruments of the session's list: native name to symbol, base and quote.
static INSTRUMENTS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let list = SESSION
        .iter()
        .find_map(|received| received.json["symbols"].as_array())
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |one: &Value| format!("{}/{}", text(&one["baseAsset"]), text(&one["quoteAsset"]));
    list.iter().map(|one| (text(&one["symbol"]), pair(one))).collect()
});

/// The normalised JSON that a payload is to become, written down without the decoder.
fn expected(received: &Received) -> Vec<Value> {
    let at = received.frame.received.unwrap().to_string();
    let event = |kind: &str, native: &str, timestamp: String, fields: Value| {
        let mut event = json!({"type": kind, "exchange": "binance", "symbol": INSTRUMENTS[native],
            "timestamp": timestamp, "received": at, "source": "binance"});
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        event
    };
    if let Some(url) = &received.frame.channel {
        return response(received, url, &event);
    }
    let data = &received.json["data"];
    let native = data["s"].as_str().unwrap();
    let stream = received.json["stream"].as_str().unwrap().split_once('@').unwrap().1;
    vec![match stream {
        "depth@100ms" => event(
            "book",
            native,
            millis(&data["E"]),
            json!({"kind": "delta", "sequence": data["u"], "bids": data["b"], "asks": data["a"]}),
        ),
        "bookTicker" => event(
            "quote",
            native,
            at.clone(),
            json!({"bid": data["b"], "bid_size": data["B"], "ask": data["a"], "ask_size": data["A"]}),
        ),
        "aggTrade" => {
            let side = if data["m"] == true { "sell" } else { "buy" };
            let fields = json!({"id": data["a"].to_string(), "side": side, "price": data["p"], "size": data["q"]});
            event("trade", native, millis(&data["T"]), fields)
        }
        "kline_1m" => {
            let bar = &data["k"];
            let fields = json!({"timeframe": "1m", "open": bar["o"], "high": bar["h"], "low": bar["l"],
                "close": bar["c"], "volume": bar["v"], "quote_volume": bar["q"], "trades": bar["n"], "closed": bar["x"],
                "metadata": {"source": "websocket", "quality": "high"}});
            event("candle", native, millis(&bar["t"]), fields)
        }
        other => panic!("{other}"),
    }]
}

fn response(received: &Received, url: &str, event: &dyn Fn(&str, &str, String, Value) -> Value) -> Vec<Value> {
    let body = &received.json;
    if let Some((_, query)) = url.split_once("/depth?symbol=") {
        let fields = json!({"kind": "snapshot", "sequence": body["lastUpdateId"], "bids": body["bids"],
            "asks": body["asks"]});
        let native = query.split('&').next().unwrap();
        return vec![event(
            "book",
            native,
            received.frame.received.unwrap().to_string(),
            fields,
        )];
    }
    let instruments = body["symbols"].as_array().unwrap().iter().map(|one| {
        let filter = |kind: &str, field: &str| {
            let filters = one["filters"].as_array().unwrap();
            filters.iter().find(|filter| filter["filterType"] == kind).unwrap()[field].clone()
        };
        let fields = json!({"native": one["symbol"], "base": one["baseAsset"], "quote": one["quoteAsset"],
            "kind": "spot", "active": one["status"] == "TRADING",
            "price_step": filter("PRICE_FILTER", "tickSize"), "size_step": filter("LOT_SIZE", "stepSize")});
        event(
            "instrument",
            one["symbol"].as_str().unwrap(),
            millis(&body["serverTime"]),
            fields,
        )
    });
    instruments.collect()
}

#[test]
fn every_value_of_the_recorded_session_is_the_venues() {
    let mut decoder = decoder();
    for received in SESSION.iter() {
        let events = all(&mut decoder, [&received.frame]);
        let decoded: Vec<_> = events
            .iter()
            .map(|event| serde_json::to_value(event).unwrap())
            .collect();
        assert_eq!(decoded, expected(received));
    }
}

#[test]
fn the_recorded_session_counts() {
    let events = all(&mut decoder(), SESSION.iter().map(|received| &received.frame));
    let streams = |name: &str| {
        let stream = |received: &&Received| {
            received.json["stream"]
                .as_str()
                .is_some_and(|stream| stream.ends_with(name))
        };
        SESSION.iter().filter(stream).count()
    };
    let snapshots = SESSION
        .iter()
        .filter(|received| received.json.get("lastUpdateId").is_some())
        .count();
    assert_eq!(
        (snapshots, streams("@depth@100ms"), streams("@bookTicker")),
        (4, 177, 84)
    );
    assert_eq!(count(&events, EventType::Book), snapshots + streams("@depth@100ms"));
    assert_eq!(count(&events, EventType::Quote), streams("@bookTicker"));
    assert_eq!(count(&events, EventType::Trade), streams("@aggTrade"));
    assert_eq!(count(&events, EventType::Candle), streams("@kline_1m"));
    assert_eq!(count(&events, EventType::Instrument), INSTRUMENTS.len());
    assert_eq!(
        count(&events, EventType::Gap),
        0,
        "the recording has every depth update"
    );
}

#[test]
fn the_side_is_the_takers() {
    // A taker who buys pays the ask. The quote before the trade is the one it met.
    let events = all(&mut decoder(), SESSION.iter().map(|received| &received.frame));
    let mut quotes = HashMap::new();
    let mut trades = 0;
    for event in &events {
        match &event.data {
            Data::Quote(quote) => drop(quotes.insert(event.symbol, quote)),
            Data::Trade(trade) => {
                let Some(quote) = quotes.get(&event.symbol) else {
                    continue;
                };
                match trade.side {
                    Some(Side::Buy) => assert!(trade.price >= quote.ask, "{trade:?} {quote:?}"),
                    Some(Side::Sell) => assert!(trade.price <= quote.bid, "{trade:?} {quote:?}"),
                    other => panic!("{other:?}"),
                }
                trades += 1;
            }
            _ => {}
        }
    }
    assert_eq!(trades, 2);
}

#[test]
fn without_the_list_names_are_split_as_the_list_would() {
    let us = fixture("binance", "rest_exchangeInfo/binance_us.json").remove(0);
    let us = all(&mut Decoder::new(&context("binance_us")), [&us]);
    let com = all(&mut decoder(), SESSION.iter().map(|received| &received.frame));
    let mut seen = 0;
    for (exchange, events) in [("binance", com), ("binance_us", us)] {
        let mut decoder = Decoder::new(&context(exchange));
        for event in events {
            let Data::Instrument(instrument) = &event.data else {
                continue;
            };
            let ticker = format!(
                r#"{{"u":1,"s":"{}","b":"1","B":"2","a":"3","A":"4"}}"#,
                instrument.native
            );
            let (_, events) = one(&mut decoder, ticker).unwrap();
            assert_eq!((events[0].symbol, events[0].exchange), (event.symbol, event.exchange));
            assert_eq!(instrument.kind, InstrumentKind::Spot);
            seen += 1;
        }
    }
    assert_eq!(seen, 1695 + 121);
}
