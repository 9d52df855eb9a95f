//! Answers of the REST interface.

use qicore_data::{Data, Decoded, ErrorKind, Event, Frame, Result, RetryAdvice, Symbol, Timeframe};
use qicore_sources::VenueContext;
use qicore_sources::kraken::Decoder;

use crate::{context, decode, read_fixture, whole_recording};

fn named(endpoint: &str) -> VenueContext {
    context().channel(Some(&format!("rest_{endpoint}")))
}

fn answer(context: &VenueContext, body: &str) -> Result<Vec<Event>> {
    decode(&mut Decoder::new(context), &Frame::new(0, body.to_owned())).map(|(_, events)| events)
}

fn asked(path: &str, body: &str) -> Result<Vec<Event>> {
    let frame = Frame::new(0, body.to_owned()).channel(format!("https://api.kraken.com/0/public/{path}"));
    decode(&mut Decoder::new(&context()), &frame).map(|(_, events)| events)
}

fn json(events: &[Event]) -> Vec<String> {
    let json = events.iter().map(|event| serde_json::to_string(event).unwrap());
    let json = json.map(|json| json.replace(r#""exchange":"kraken","#, ""));
    json.map(|json| json.replace(r#""source":"kraken","#, "")).collect()
}

const BARS: &str = r#"{"error":[],"result":{"XBTUSDT":[[1688671200,"30306.1","30306.2","30305.7","30305.7","30306.1","3.39243896",23],[1688671500,"30305.7","30305.7","30305.7","30305.7","0","0.00000000",0],[1688671800,"30304.5","30304.5","30300.0","30300.0","30300.0","4.42996871",18]],"last":1688671500}}"#;

#[test]
fn bars_are_closed_up_to_the_last_committed() {
    let events = answer(&named("OHLC"), BARS).unwrap();
    let tail = r#""metadata":{"source":"rest","quality":"high"}}"#;
    assert_eq!(
        json(&events),
        [
            format!(
                r#"{{"type":"candle","symbol":"BTC/USDT","timestamp":"2023-07-06T19:20:00Z","timeframe":"5m","open":"30306.1","high":"30306.2","low":"30305.7","close":"30305.7","volume":"3.39243896","trades":23,"closed":true,{tail}"#
            ),
            format!(
                r#"{{"type":"candle","symbol":"BTC/USDT","timestamp":"2023-07-06T19:25:00Z","timeframe":"5m","open":"30305.7","high":"30305.7","low":"30305.7","close":"30305.7","volume":"0.00000000","trades":0,"closed":true,{tail}"#
            ),
            format!(
                r#"{{"type":"candle","symbol":"BTC/USDT","timestamp":"2023-07-06T19:30:00Z","timeframe":"5m","open":"30304.5","high":"30304.5","low":"30300.0","close":"30300.0","volume":"4.42996871","trades":18,"closed":false,{tail}"#
            ),
        ]
    );
    let without = BARS.replace(r#","last":1688671500"#, "");
    let closed = |event: &Event| matches!(&event.data, Data::Candle(candle) if candle.closed);
    assert!(!answer(&named("OHLC"), &without).unwrap().iter().any(closed));
}

#[test]
fn the_length_of_bars_is_told_by_the_question_the_context_or_their_distance() {
    let timeframe = |events: Vec<Event>| match &events[0].data {
        Data::Candle(candle) => candle.timeframe,
        other => panic!("{other:?}"),
    };
    let one = r#"{"error":[],"result":{"XBTUSDT":[[1688671200,"1","1","1","1","1","1",1]],"last":1}}"#;
    assert_eq!(
        timeframe(asked("OHLC?pair=XBTUSDT&interval=1440", BARS).unwrap()),
        Timeframe::D1
    );
    assert_eq!(timeframe(asked("OHLC?pair=XBTUSDT", BARS).unwrap()), Timeframe::M1);
    assert_eq!(timeframe(answer(&named("OHLC"), BARS).unwrap()), Timeframe::M5);
    let hour = named("OHLC").timeframe(Some(Timeframe::H1));
    assert_eq!(timeframe(answer(&hour, one).unwrap()), Timeframe::H1);
    assert_eq!(
        answer(&named("OHLC"), r#"{"error":[],"result":{"XBTUSDT":[],"last":1}}"#).unwrap(),
        []
    );
    for (result, why) in [
        (answer(&named("OHLC"), one), "one alone does not show it"),
        (
            answer(&named("OHLC"), &BARS.replace("1688671500,", "1688671207,")),
            "no interval of Kraken's",
        ),
        (asked("OHLC?interval=21600", BARS), "no timeframe is 21600 minutes"),
        (asked("OHLC?interval=x", BARS), "no number of minutes"),
    ] {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn trades_of_six_fields_and_of_seven() {
    let events = answer(&named("Trades"), &read_fixture("rest_Trades/jk_GetTradeHistory.json")).unwrap();
    assert_eq!(
        json(&events)[..2],
        [
            r#"{"type":"trade","symbol":"BTC/USD","timestamp":"2023-07-06T18:53:17.8277369Z","id":"61044952","side":"buy","price":"30243.40000","size":"0.34507674"}"#,
            r#"{"type":"trade","symbol":"BTC/USD","timestamp":"2023-07-06T18:53:18.2804112Z","id":"61044953","side":"sell","price":"30243.30000","size":"0.00376960"}"#,
        ]
    );
    let events = answer(&named("Trades"), &read_fixture("rest_Trades/xc_trades-data.json")).unwrap();
    assert_eq!(
        json(&events)[0],
        r#"{"type":"trade","symbol":"BTC/USD","timestamp":"2013-11-27T19:17:21.7774Z","side":"sell","price":"1023.82219","size":"0.00435995"}"#
    );
    // All nine digits count, which a double does not hold.
    let nine = r#"{"error":[],"result":{"XDGEUR":[["1","2",1688669597.123456789,"b","m","",1],["1","2",1.6886695975e9,"s","l","",2]],"last":"1"}}"#;
    let times: Vec<_> = answer(&named("Trades"), nine).unwrap();
    let times: Vec<_> = times.iter().map(|event| event.timestamp.to_string()).collect();
    assert_eq!(times, ["2023-07-06T18:53:17.123456789Z", "2023-07-06T18:53:17.5Z"]);
}

#[test]
fn a_book_is_of_its_latest_change() {
    let events = answer(&named("Depth"), &read_fixture("rest_Depth/xc_depth-data.json")).unwrap();
    assert_eq!(
        json(&events),
        [
            r#"{"type":"book","symbol":"BTC/EUR","timestamp":"2014-02-08T02:09:03Z","kind":"snapshot","bids":[["526.26000","0.500"],["526.25000","5.562"],["526.10000","0.200"]],"asks":[["530.75513","0.248"],["530.76113","1.014"],["530.78014","1.003"]]}"#
        ]
    );
    let events = asked("Depth?pair=BCHEUR", &read_fixture("rest_Depth/fetch_order_book.json")).unwrap();
    let Data::Book(book) = &events[0].data else { panic!() };
    assert_eq!(
        (
            events[0].symbol.as_str(),
            book.levels.bids().len(),
            book.levels.asks().len()
        ),
        ("BCH/EUR", 100, 100)
    );
}

#[test]
fn a_grouped_book_is_a_snapshot() {
    let body = r#"{"error":[],"result":{"pair":"BTC/USD","grouping":1000,"bids":[{"price":"90300","qty":"1.5"}],"asks":[{"price":"90400","qty":"4.88"},{"price":"91400","qty":"30"}]}}"#;
    let events = answer(&named("GroupedBook"), body).unwrap();
    assert_eq!(
        json(&events),
        [
            r#"{"type":"book","symbol":"BTC/USD","timestamp":"1970-01-01T00:00:00Z","kind":"snapshot","bids":[["90300","1.5"]],"asks":[["90400","4.88"],["91400","30"]]}"#
        ]
    );
    assert_eq!(asked("GroupedBook?pair=XBTUSD&grouping=1000", body).unwrap(), events);
}

#[test]
fn answers_that_tell_of_no_market_are_control() {
    for (endpoint, result) in [
        (
            "Time",
            r#"{"unixtime":1688669448,"rfc1123":"Thu, 06 Jul 23 18:50:48 +0000"}"#,
        ),
        (
            "SystemStatus",
            r#"{"status":"online","timestamp":"2023-07-06T18:52:00Z"}"#,
        ),
        (
            "Assets",
            r#"{"XXBT":{"aclass":"currency","altname":"XBT","decimals":10,"status":"enabled"}}"#,
        ),
    ] {
        let body = format!(r#"{{"error":[],"result":{result}}}"#);
        let frame = Frame::new(0, body.clone()).channel(format!("https://api.kraken.com/0/public/{endpoint}"));
        for (context, frame) in [(named(endpoint), Frame::new(0, body)), (context(), frame)] {
            assert_eq!(
                decode(&mut Decoder::new(&context), &frame).unwrap(),
                (Decoded::Control, vec![])
            );
        }
        let error = answer(&named(endpoint), r#"{"error":[]}"#).unwrap_err();
        assert!(error.to_string().contains("neither an error nor a result"), "{error}");
    }
}

#[test]
fn best_prices_without_sizes_are_two_series() {
    let events = answer(&named("Spread"), &read_fixture("rest_Spread/xc_spreads-data.json")).unwrap();
    assert_eq!(events.len(), 8);
    assert_eq!(
        json(&events)[..2],
        [
            r#"{"type":"series","symbol":"BTC/USD","timestamp":"2014-02-08T05:17:19Z","name":"best_bid","value":"709.17169"}"#,
            r#"{"type":"series","symbol":"BTC/USD","timestamp":"2014-02-08T05:17:19Z","name":"best_ask","value":"720.00000"}"#,
        ]
    );
}

#[test]
fn a_ticker_for_each_pair() {
    let one = read_fixture("rest_Ticker/fetch_ticker.json");
    let expected = r#"{"type":"ticker","symbol":"BCH/EUR","timestamp":"1970-01-01T00:00:00Z","last":"355.400000","bid":"354.300000","ask":"355.400000","high":"369.000000","low":"346.000000","volume":"4433.77288826"}"#;
    assert_eq!(json(&answer(&named("Ticker"), &one).unwrap()), [expected]);

    let body = one
        .strip_prefix(r#"{"error":[],"result":{"BCHEUR":"#)
        .unwrap()
        .trim_end()
        .strip_suffix("}}")
        .unwrap();
    let idle = body.replace(r#"["355.400000","0.60250000"]"#, r#"["0.00000","0"]"#);
    let many = format!(r#"{{"error":[],"result":{{"BCHEUR":{body},"XXBTZUSD":{idle},"XDGEUR":{body}}}}}"#);
    // What was asked for names none of several.
    let context = named("Ticker").symbol(Some(Symbol::new("ETH/USD").unwrap()));
    let symbols = |events: Vec<Event>| events.iter().map(|event| event.symbol.as_str()).collect::<Vec<_>>();
    assert_eq!(symbols(answer(&context, &many).unwrap()), ["BCH/EUR", "DOGE/EUR"]);
    let nameless = many.replace("XDGEUR", "NOBODY");
    let error = answer(&context, &nameless).unwrap_err();
    assert!(error.to_string().contains("pair=NOBODY"), "{error}");
}

#[test]
fn a_pair_is_named_by_lists_the_question_the_context_and_rules_in_that_order() {
    let body = BARS.replace("XBTUSDT", "NOBODY");
    let symbol = |events: Result<Vec<Event>>| events.unwrap()[0].symbol;
    let [listed, given] = ["A/B", "C/D"].map(|name| Symbol::new(name).unwrap());
    assert!(
        answer(&named("OHLC"), &body)
            .unwrap_err()
            .to_string()
            .contains("pair=NOBODY")
    );
    assert_eq!(symbol(asked("OHLC?interval=5&pair=ADAUSD", &body)).as_str(), "ADA/USD");
    let context = named("OHLC").symbol(Some(given));
    assert_eq!(symbol(answer(&context, &body)), given);
    context.symbols.insert("NOBODY", listed);
    assert_eq!(symbol(answer(&context, &body)), listed);
}

/// The rules of names against a whole list of pairs.
#[test]
fn the_rules_name_every_pair_as_the_list_does() {
    let records = whole_recording();
    let listing = &records
        .iter()
        .find(|record| record.conn.contains("http"))
        .unwrap()
        .frame;
    let (_, pairs) = decode(&mut Decoder::new(&context()), listing).unwrap();
    let mut seen = 0;
    for pair in pairs {
        let Data::Instrument(instrument) = &pair.data else {
            panic!()
        };
        if instrument.native.as_str().ends_with(".d") {
            continue;
        }
        let body = BARS.replace("XBTUSDT", instrument.native.as_str());
        assert_eq!(
            answer(&named("OHLC"), &body).unwrap()[0].symbol,
            pair.symbol,
            "{}",
            instrument.native
        );
        seen += 1;
    }
    assert_eq!(seen, 293);
}

#[test]
fn the_venues_errors_are_told_wherever_they_come() {
    let body = r#"{"error":["EAPI:Rate limit exceeded"]}"#;
    let endpoints = [
        "AssetPairs",
        "Depth",
        "OHLC",
        "Spread",
        "Ticker",
        "Time",
        "Trades",
        "Unheard",
    ]
    .map(named);
    let others = [context().channel(Some("error_envelopes")), context()];
    for context in endpoints.iter().chain(&others) {
        let error = answer(context, body).unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::RateLimited, RetryAdvice::Backoff),
            "{error}"
        );
        assert!(error.to_string().contains("EAPI:Rate limit exceeded"), "{error}");
    }
    let error = answer(&context(), BARS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("name its endpoint"), "{error}");
}

#[test]
fn malformed_answers_say_what_is_wrong() {
    for (endpoint, body, why) in [
        (
            "OHLC",
            BARS.replace("\"30306.1\"", "30306.1"),
            "expected a decimal in a string",
        ),
        ("OHLC", BARS.replace("1688671200,", "-1,"), "seconds since 1970"),
        ("OHLC", BARS.replace("1688671200,", "1e300,"), "seconds since 1970"),
        ("OHLC", BARS.replace(",23]", "]"), "missing field `count`"),
        ("OHLC", BARS.replace(r#""last""#, r#""XBTUSD""#), "several pairs"),
        ("OHLC", BARS.replace(":1688671500}", ":1.5}"), "no whole number"),
        ("OHLC", r#"{"error":[],"result":{"last":1}}"#.into(), "names no pair"),
        ("Trades", r#"{"error":[]}"#.into(), "neither an error nor a result"),
        ("Trades", r#"{"result":{}}"#.into(), "missing field `error`"),
        (
            "Depth",
            r#"{"error":[],"result":{"XBTUSD":{"asks":[]}}}"#.into(),
            "missing field `bids`",
        ),
        (
            "Spread",
            r#"{"error":[],"result":{"XBTUSD":[[1]]}}"#.into(),
            "missing field `bid`",
        ),
        ("Ticker", r#"{"error":[],"result":[]}"#.into(), "an object"),
    ] {
        let error = answer(&named(endpoint), &body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
