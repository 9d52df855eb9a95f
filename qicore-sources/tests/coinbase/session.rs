//! The recorded session against its own JSON.

use super::*;

/// The normalised JSON that a message is to become, written down without the decoder.
fn expected(received: &Received) -> Vec<Value> {
    let (json, at) = (&received.json, received.frame.received.unwrap().to_string());
    let event = |kind: &str, product: &Value, timestamp: String, fields: Value| {
        let symbol = product.as_str().unwrap().replace('-', "/");
        let mut event = json!({"type": kind, "exchange": "coinbase", "symbol": symbol,
            "timestamp": timestamp, "received": at, "source": "coinbase"});
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        event
    };
    let instruments = list(json, "products").iter().map(|one| {
        let active = one["status"] == "online" && one["is_disabled"] == false && one["trading_disabled"] == false;
        let fields = json!({"native": one["product_id"], "base": one["base_currency_id"],
            "quote": one["quote_currency_id"], "kind": "spot", "active": active,
            "price_step": one["price_increment"], "size_step": one["base_increment"]});
        event("instrument", &one["product_id"], at.clone(), fields)
    });
    let mut events: Vec<Value> = instruments.collect();
    for part in list(json, "events") {
        if json["channel"] == "l2_data" {
            events.push(book(json, part, &event));
        }
        for one in list(part, "trades").iter().rev() {
            let side = if one["side"] == "SELL" { "buy" } else { "sell" };
            let fields = json!({"id": one["trade_id"], "side": side, "price": one["price"], "size": one["size"]});
            events.push(event("trade", &one["product_id"], time(&one["time"]), fields));
        }
        for one in list(part, "tickers") {
            let at = time(&json["timestamp"]);
            let fields = json!({"last": one["price"], "bid": one["best_bid"], "ask": one["best_ask"],
                "high": one["high_24_h"], "low": one["low_24_h"], "volume": one["volume_24_h"]});
            events.push(event("ticker", &one["product_id"], at.clone(), fields));
            let fields = json!({"bid": one["best_bid"], "bid_size": one["best_bid_quantity"],
                "ask": one["best_ask"], "ask_size": one["best_ask_quantity"]});
            events.push(event("quote", &one["product_id"], at, fields));
        }
        for one in list(part, "candles") {
            let start = Timestamp::from_secs(one["start"].as_str().unwrap().parse().unwrap()).unwrap();
            let fields = json!({"timeframe": "5m", "open": one["open"], "high": one["high"], "low": one["low"],
                "close": one["close"], "volume": one["volume"], "closed": false,
                "metadata": {"source": "websocket", "quality": "high"}});
            events.push(event("candle", &one["product_id"], start.to_string(), fields));
        }
    }
    events
}

fn book(json: &Value, part: &Value, event: &dyn Fn(&str, &Value, String, Value) -> Value) -> Value {
    let updates = list(part, "updates");
    let side = |side: &str| {
        let side = updates.iter().filter(|update| update["side"] == side);
        side.map(|update| json!([update["price_level"], update["new_quantity"]]))
            .collect::<Vec<_>>()
    };
    // The session's times all have microseconds, so that their texts sort as they do.
    let latest = updates
        .iter()
        .max_by_key(|update| update["event_time"].as_str())
        .unwrap();
    let kind = if part["type"] == "snapshot" {
        "snapshot"
    } else {
        "delta"
    };
    let fields = json!({"kind": kind, "sequence": json["sequence_num"], "bids": side("bid"), "asks": side("offer")});
    event("book", &part["product_id"], time(&latest["event_time"]), fields)
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
        let expected = expected(received);
        assert_eq!(decoded.len(), expected.len());
        for (decoded, expected) in decoded.iter().zip(&expected) {
            assert!(
                decoded == expected,
                "{:.600}\n{:.600}",
                decoded.to_string(),
                expected.to_string()
            );
        }
    }
}

#[test]
fn the_recorded_session_counts() {
    let events = all(&mut decoder(), frames());
    let parts = || SESSION.iter().flat_map(|received| list(&received.json, "events"));
    let inner = |field: &str| parts().map(|part| list(part, field).len()).sum::<usize>();
    let books = parts().filter(|part| part.get("updates").is_some()).count();
    let products = list(&SESSION[0].json, "products").len();
    assert_eq!((products, books, inner("tickers")), (920, 452, 101));
    assert_eq!(count(&events, EventType::Instrument), products);
    assert_eq!(count(&events, EventType::Book), books);
    assert_eq!(count(&events, EventType::Trade), inner("trades"));
    assert_eq!(count(&events, EventType::Ticker), inner("tickers"));
    assert_eq!(count(&events, EventType::Quote), inner("tickers"));
    assert_eq!(count(&events, EventType::Candle), inner("candles"));
    assert_eq!(count(&events, EventType::Gap), 0, "the recording has every message");
}

#[test]
fn heartbeats_and_acknowledgements_are_control() {
    let mut decoder = decoder();
    let mut control = 0;
    for received in SESSION.iter() {
        let quiet = matches!(received.json["channel"].as_str(), Some("heartbeats" | "subscriptions"));
        let mut out = Vec::new();
        let decoded = decoder.decode(&received.frame, &mut out).unwrap();
        assert_eq!((decoded == Decoded::Control, out.is_empty()), (quiet, quiet));
        control += usize::from(quiet);
    }
    assert_eq!(control, 14 + 5);
}

#[test]
fn trades_go_out_oldest_first() {
    let mut decoder = decoder();
    let mut lists = 0;
    for received in SESSION.iter() {
        let events = all(&mut decoder, [&received.frame]);
        if received.json["channel"] != "market_trades" {
            continue;
        }
        let ids = |event: &Event| match &event.data {
            Data::Trade(trade) => trade.id.clone().unwrap().to_string().parse::<u64>().unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(events.is_sorted_by_key(|event| event.timestamp) && events.is_sorted_by_key(ids));
        lists += usize::from(events.len() > 1);
    }
    assert!(lists >= 10, "{lists}");
}
