//! The Exchange feed: a recorded connection of 2021, and what the feed sends besides.

use super::*;

const CONNECTION: &str = "coinbase_ws_28_0_half1.jsonl";

fn connection(channel: &str) -> Vec<(Frame, Value)> {
    let frames = fixture("coinbase", &format!("exchange_ws_{channel}/{CONNECTION}")).into_iter();
    frames
        .map(|frame| {
            let json = serde_json::from_slice(&frame.payload).unwrap();
            (frame, json)
        })
        .collect()
}

/// What a message of the connection is to become, written down without the decoder.
fn expected(json: &Value) -> Value {
    let rows = |rows: &Value, side: &str| {
        let rows = rows.as_array().unwrap().iter().filter(|row| row[0] == side);
        rows.map(|row| json!([row[1], row[2]])).collect::<Vec<_>>()
    };
    let (kind, fields) = match json["type"].as_str().unwrap() {
        "match" | "last_match" => {
            let side = if json["side"] == "sell" { "buy" } else { "sell" };
            let fields = json!({"id": json["trade_id"].to_string(), "side": side, "price": json["price"],
                "size": json["size"]});
            ("trade", fields)
        }
        "ticker" => {
            let fields = json!({"last": json["price"], "bid": json["best_bid"], "ask": json["best_ask"],
                "open": json["open_24h"], "high": json["high_24h"], "low": json["low_24h"], "volume": json["volume_24h"]});
            ("ticker", fields)
        }
        "snapshot" => (
            "book",
            json!({"kind": "snapshot", "bids": json["bids"], "asks": json["asks"]}),
        ),
        _ => {
            let (bids, asks) = (rows(&json["changes"], "buy"), rows(&json["changes"], "sell"));
            ("book", json!({"kind": "delta", "bids": bids, "asks": asks}))
        }
    };
    let at = match json["time"].is_null() {
        true => "1970-01-01T00:00:00Z".to_owned(),
        false => time(&json["time"]),
    };
    let mut event = json!({"type": kind, "exchange": "coinbase", "source": "coinbase", "timestamp": at,
        "symbol": json["product_id"].as_str().unwrap().replace('-', "/")});
    event
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    event
}

#[test]
fn every_value_of_the_recorded_connection_is_the_venues() {
    let mut decoder = decoder();
    for channel in ["snapshot", "l2update", "match", "ticker"] {
        for (frame, json) in connection(channel) {
            assert_eq!(normalised(&all(&mut decoder, [&frame])), [expected(&json)]);
        }
    }
}

#[test]
fn any_order_of_keys_and_any_white_space_say_the_same() {
    for channel in ["snapshot", "l2update", "match", "ticker"] {
        for (frame, json) in connection(channel).into_iter().take(100) {
            let odd = serde_json::to_string_pretty(&json).unwrap();
            assert_eq!(one(&mut decoder(), odd).unwrap().1, all(&mut decoder(), [&frame]));
        }
    }
}

/// A trade takes from the side of the book where the maker's order rests: each trade has a change of the book at its
/// very time and price.
#[test]
fn the_side_is_the_takers_by_the_book() {
    let mut changed: HashMap<(String, String), Vec<(String, Decimal)>> = HashMap::new();
    for (_, json) in connection("l2update") {
        let place = (json["product_id"].to_string(), json["time"].to_string());
        for change in list(&json, "changes") {
            let price = change[1].as_str().unwrap().parse::<Decimal>().unwrap();
            let side = change[0].as_str().unwrap().to_owned();
            changed.entry(place.clone()).or_default().push((side, price));
        }
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (frame, json) in connection("match") {
        let place = (json["product_id"].to_string(), json["time"].to_string());
        let events = all(&mut decoder(), [&frame]);
        let Data::Trade(trade) = &events[0].data else {
            panic!("{events:?}")
        };
        for (rested, _) in changed
            .get(&place)
            .into_iter()
            .flatten()
            .filter(|(_, price)| *price == trade.price)
        {
            let takers = if rested == "sell" { Side::Buy } else { Side::Sell };
            assert_eq!(trade.side, Some(takers), "{json}");
            *seen.entry(takers.as_str()).or_default() += 1;
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("buy", 20), ("sell", 6)]);
}

#[test]
fn the_maintained_book_is_the_venues() {
    let mut decoder = decoder();
    let mut ours: HashMap<String, qicore_data::OrderBook> = HashMap::new();
    let mut raw: HashMap<String, [BTreeMap<Decimal, String>; 2]> = HashMap::new();
    let messages = connection("snapshot").into_iter().chain(connection("l2update"));
    for (frame, json) in messages {
        let sides = raw
            .entry(json["product_id"].as_str().unwrap().replace('-', "/"))
            .or_default();
        let whole = |side: &'static str, field| list(&json, field).iter().map(move |row| (side, &row[0], &row[1]));
        let changes = list(&json, "changes")
            .iter()
            .map(|row| (row[0].as_str().unwrap(), &row[1], &row[2]));
        for (side, price, size) in whole("buy", "bids").chain(whole("sell", "asks")).chain(changes) {
            let (price, size) = (price.as_str().unwrap().parse().unwrap(), size.as_str().unwrap());
            let side = &mut sides[usize::from(side == "sell")];
            match size.trim_matches(['0', '.']).is_empty() {
                true => side.remove(&price),
                false => side.insert(price, size.to_owned()),
            };
        }
        for event in all(&mut decoder, [&frame]) {
            let Data::Book(book) = &event.data else { panic!() };
            ours.entry(event.symbol.to_string()).or_default().apply(book);
        }
    }
    assert_eq!(raw.len(), 5);
    for (symbol, [bids, asks]) in &raw {
        let text = |level: &qicore_data::Level| (level.price, level.size.to_string());
        let ours = &ours[symbol];
        let (bids, asks) = (bids.clone().into_iter().rev(), asks.clone().into_iter());
        assert!(
            ours.bids().map(text).eq(bids) && ours.asks().map(text).eq(asks),
            "{symbol}"
        );
    }
}

#[test]
fn a_lost_match_is_a_gap_before_the_next_one() {
    let matches = connection("match");
    let products: Vec<_> = matches.iter().map(|(_, json)| &json["product_id"]).collect();
    let (lost, next) = (5..matches.len())
        .find_map(|at| {
            let rest = &products[at + 1..];
            let next = rest.iter().position(|product| *product == products[at])?;
            Some((at, at + 1 + next))
        })
        .unwrap();
    let frames = matches
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != lost)
        .map(|(_, (frame, _))| frame);
    let mut decoder = decoder();
    let events = all(&mut decoder, frames.clone());
    let gaps: Vec<_> = events
        .iter()
        .filter(|event| event.event_type() == EventType::Gap)
        .collect();
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    let Data::Gap(data) = &gap.data else { panic!() };
    assert_eq!((data.reason, data.missed), (GapReason::Sequence, Some(1)));
    assert_eq!(data.to.to_string(), time(&matches[next].1["time"]));
    let place = events.iter().position(|event| event == gap).unwrap();
    assert_eq!(
        serde_json::to_value(&events[place + 1]).unwrap(),
        expected(&matches[next].1)
    );

    // Cut anywhere, the rest of it is the same from the stored state.
    for cut in [0, 3, lost, next - 1] {
        let mut first = self::decoder();
        let mut parts = all(&mut first, frames.clone().take(cut));
        let mut second = self::decoder();
        second.restore(&first.snapshot().unwrap().unwrap()).unwrap();
        parts.extend(all(&mut second, frames.clone().skip(cut)));
        assert_eq!(parts, events, "cut at {cut}");
    }
}

fn matched(kind: &str, id: u64) -> String {
    format!(
        r#"{{"type":"{kind}","trade_id":{id},"side":"buy","size":"1","price":"2","product_id":"BTC-USD","sequence":{id},"time":"2021-04-17T16:43:{id:02}Z"}}"#
    )
}

fn heartbeat(last_trade_id: u64) -> String {
    format!(
        r#"{{"type":"heartbeat","sequence":1,"last_trade_id":{last_trade_id},"product_id":"BTC-USD","time":"2021-04-17T16:43:50Z"}}"#
    )
}

#[test]
fn a_new_subscription_begins_the_count_and_a_lost_connection_ends_it() {
    let mut decoder = decoder();
    let mut gaps = |message: String| count(&one(&mut decoder, message).unwrap().1, EventType::Gap);
    assert_eq!([matched("last_match", 5), matched("match", 6)].map(&mut gaps), [0, 0]);
    assert_eq!([matched("last_match", 9), matched("match", 10)].map(&mut gaps), [0, 0]);
    assert_eq!([matched("match", 12), matched("match", 11)].map(&mut gaps), [1, 0]);
    let at = Timestamp::from_nanos(1);
    decoder.reconnected(at, at, &mut Vec::new()).unwrap();
    let (_, events) = one(&mut decoder, matched("match", 40)).unwrap();
    assert_eq!(count(&events, EventType::Gap), 0);
}

#[test]
fn a_heartbeat_that_shows_a_lost_trade_is_data() {
    let mut decoder = decoder();
    assert_eq!(one(&mut decoder, heartbeat(7)).unwrap(), (Decoded::Control, vec![]));
    one(&mut decoder, matched("last_match", 5)).unwrap();
    assert_eq!(
        one(&mut decoder, heartbeat(7)).unwrap().0,
        Decoded::Control,
        "they may still come"
    );
    let (decoded, events) = one(&mut decoder, heartbeat(7)).unwrap();
    assert_eq!((decoded, events.len()), (Decoded::Data, 1));
    let Data::Gap(gap) = &events[0].data else { panic!() };
    assert_eq!(
        (gap.missed, gap.from.to_string()),
        (Some(2), "2021-04-17T16:43:05Z".into())
    );
    assert_eq!(one(&mut decoder, heartbeat(7)).unwrap().0, Decoded::Control);
}

#[test]
fn a_match_that_cannot_be_decoded_leaves_a_gap() {
    let mut decoder = decoder();
    one(&mut decoder, matched("match", 5)).unwrap();
    assert!(one(&mut decoder, matched("match", 6).replace("\"2\"", "\"two\"")).is_err());
    let (_, events) = one(&mut decoder, matched("match", 7)).unwrap();
    assert_eq!((count(&events, EventType::Gap), events.len()), (1, 2));
}

#[test]
fn the_zero_time_is_no_time_and_size_0_deletes() {
    let mut frame = fixture("coinbase", "exchange_ws_l2update/bc_ws_level2_l2update.json").remove(0);
    frame.received = Some("2021-09-20T10:00:00.5Z".parse().unwrap());
    let events = all(&mut decoder(), [&frame]);
    assert_eq!(
        normalised(&events),
        [
            json!({"type": "book", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "2021-09-20T10:00:00.5Z", "received": "2021-09-20T10:00:00.5Z", "kind": "delta",
            "bids": [["46961.95", "0.00000000"]],
            "asks": [["47027.24", "0.04443115"], ["47004.34", "0.00000000"], ["47009.58", "0.09103628"],
                ["47014.82", "0.00000000"]]})
        ]
    );
}

#[test]
fn a_ticker_without_a_volume() {
    let ticker = r#"{"type":"ticker","trade_id":20153558,"sequence":3262786978,"time":"2017-09-02T17:05:49.25Z","product_id":"BTC-USD","price":"4388.01","side":"buy","last_size":"0.03","best_bid":"4388","best_ask":"4388.01"}"#;
    let (_, events) = one(&mut decoder(), ticker).unwrap();
    assert_eq!(
        normalised(&events),
        [
            json!({"type": "ticker", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "2017-09-02T17:05:49.25Z", "last": "4388.01", "bid": "4388", "ask": "4388.01"})
        ]
    );
}

#[test]
fn a_trade_of_a_quote_on_request_is_a_trade_and_does_not_count() {
    let mut decoder = decoder();
    one(&mut decoder, matched("match", 5)).unwrap();
    let (_, requested) = one(&mut decoder, matched("rfq_match", 30)).unwrap();
    let (_, expected) = one(&mut self::decoder(), matched("match", 30)).unwrap();
    assert_eq!(requested, expected);
    let (_, next) = one(&mut decoder, matched("match", 6)).unwrap();
    assert_eq!((count(&next, EventType::Gap), next.len()), (0, 1));
}

#[test]
fn rows_of_single_orders() {
    for payload in [
        r#"{"type":"level3","schema":{"noop":["type","product_id","sequence","time"]}}"#,
        r#"["open","BTC-USD","1","d50ec984","sell","200.2","1.00","2014-11-07T08:19:27.028459Z"]"#,
        r#"["change","BTC-USD","2","d50ec984","200.2","0.50","2014-11-07T08:19:27.028459Z"]"#,
        r#"["done","BTC-USD","3","d50ec984","2014-11-07T08:19:27.028459Z"]"#,
        r#"["noop","BTC-USD","4","2014-11-07T08:19:27.028459Z"]"#,
    ] {
        assert_eq!(
            one(&mut decoder(), payload).unwrap(),
            (Decoded::Control, vec![]),
            "{payload}"
        );
    }
    let trade = r#"["match","BTC-USD","5","ac928c66","132fb6ae","400.23","5.23512","2014-11-07T08:19:27.028459Z"]"#;
    assert_eq!(
        normalised(&one(&mut decoder(), trade).unwrap().1),
        [
            json!({"type": "trade", "exchange": "coinbase", "symbol": "BTC/USD", "source": "coinbase",
            "timestamp": "2014-11-07T08:19:27.028459Z", "price": "400.23", "size": "5.23512"})
        ]
    );
}

#[test]
fn a_ticker_with_sizes_is_a_quote_too() {
    let ticker = r#"{"type":"ticker","sequence":1,"product_id":"BTC-USD","price":"3","open_24h":"2","volume_24h":"9","low_24h":"1","high_24h":"4","volume_30d":"99","best_bid":"2.9","best_bid_size":"0.1","best_ask":"3.1","best_ask_size":"0.2","side":"buy","time":"2022-06-01T08:32:21.469151Z","trade_id":7,"last_size":"1"}"#;
    let (_, events) = one(&mut decoder(), ticker).unwrap();
    let [ticker, quote] = &normalised(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&ticker["last"], &ticker["open"]), (&json!("3"), &json!("2")));
    assert_eq!(
        (&quote["bid_size"], &quote["ask_size"], &quote["timestamp"]),
        (&json!("0.1"), &json!("0.2"), &json!("2022-06-01T08:32:21.469151Z"))
    );
}

#[test]
fn status_describes_instruments_and_teaches_their_names() {
    let status = r#"{"type":"status","products":[{"id":"A-B-C","base_currency":"A","quote_currency":"C","base_increment":"0.1","quote_increment":"0.01","display_name":"x","status":"delisted","type":"spot"}],"currencies":[{"id":"A"}]}"#;
    let mut decoder = decoder();
    let (decoded, events) = one(&mut decoder, status).unwrap();
    let json = &normalised(&events)[0];
    assert_eq!(
        (decoded, &json["symbol"], &json["active"]),
        (Decoded::Data, &json!("A-B-C/C"), &json!(false))
    );
    let (_, events) = one(&mut decoder, matched("match", 1).replace("BTC-USD", "A-B-C")).unwrap();
    assert_eq!(events[0].symbol.as_str(), "A-B-C/C");
}
