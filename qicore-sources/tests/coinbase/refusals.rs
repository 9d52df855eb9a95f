//! Answers that are errors of the venue, and payloads that are of no use.

use qicore_data::{ErrorKind, RetryAdvice};

use super::*;

#[test]
fn an_error_of_the_venue_is_that_error_whatever_was_asked() {
    let limited = r#"{"message":"Public rate limit exceeded"}"#;
    for channel in [
        "exchange_rest_candles",
        "exchange_rest_trades",
        "exchange_rest_book",
        "exchange_rest_products",
        "exchange_rest_ticker",
        "exchange_rest_stats",
        "advanced_rest_candles",
        "advanced_rest_ticker",
        "advanced_rest_product_book",
        "advanced_rest_products",
        "advanced_rest_best_bid_ask",
        "advanced_rest_market_candles",
        "advanced_rest_time",
        "exchange_rest_currencies",
        "v2_exchange_rates",
        "error_envelopes",
        "exchange_ws_match",
    ] {
        let error = one(&mut of_channel(channel), limited).unwrap_err();
        let told = (error.kind(), error.retry());
        assert_eq!(
            told,
            (ErrorKind::RateLimited, RetryAdvice::Backoff),
            "{channel}: {error}"
        );
    }
    let url = "https://api.exchange.coinbase.com/products/BTC-XYZ/ticker?key=secret";
    let error = answer(url, r#"{"message":"NotFound"}"#).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Config, RetryAdvice::Never));
    assert!(
        error.to_string().contains("NotFound") && !error.to_string().contains("secret"),
        "{error}"
    );
    let other = one(&mut of_channel("error_envelopes"), "{}").unwrap_err();
    assert!(other.to_string().contains("not an error"), "{other}");
}

#[test]
fn errors_say_what_is_wrong() {
    let l2 = |size: &str| {
        format!(
            r#"{{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"],["sell","3","{size}"]],"time":"2021-04-17T16:43:37.078325Z"}}"#
        )
    };
    for (channel, payload, said) in [
        ("", &*l2("0.-10000"), "malformed decimal: \"0.-10000\""),
        ("", &l2("1").replace("sell", "up"), "unknown variant `up`"),
        ("", &l2("1").replace("BTC-USD", "BTC"), "native=\"BTC\""),
        ("", &l2("1").replace(",\"time\"", ""), "expected"),
        (
            "",
            r#"{"type":"match","trade_id":"a1","price":"1","size":"1","time":"2021-04-17T16:43:37Z"}"#,
            "not a number",
        ),
        (
            "",
            r#"{"type":"ticker","product_id":"BTC-USD","price":1}"#,
            "a decimal in a string",
        ),
        ("", r#"{"type":"error","message":"x""#, "EOF"),
        ("exchange_rest_fees", "[]", "channel=exchange_rest_fees"),
        ("exchange_rest_ticker", "{}", "neither a price nor a volume"),
        ("", "[]", "name that in the context's channel"),
        ("", r#"[["1"]]"#, "name that in the context's channel"),
        ("", r#"["match","BTC-USD","1"]"#, "no row of `level3`"),
        (
            "",
            r#"["match","BTC-USD","1","a","b","400.2x","1","2014-11-07T08:19:27Z"]"#,
            "malformed decimal",
        ),
        ("exchange_rest_candles", "[[60,1,4,2,3]]", "invalid length 5"),
        ("exchange_rest_candles", "[[-60,1,4,2,3,1]]", "whole seconds"),
        ("exchange_rest_candles", "[[99999999999999,1,4,2,3,1]]", "whole seconds"),
        ("exchange_rest_candles", "[[60,1,4,2,3,null]]", "malformed decimal"),
        (
            "exchange_rest_book",
            r#"{"bids":[["1"]],"asks":[]}"#,
            "invalid length 1",
        ),
        (
            "exchange_rest_book",
            r#"{"bids":[["1","79228162514264337593543950335","a"],["1","1","b"]],"asks":[]}"#,
            "too large",
        ),
        ("exchange_rest_trades", r#"{"trades":[]}"#, "expected a sequence"),
        ("advanced_rest_ticker", "[]", "coinbase.decode"),
        (
            "v2_exchange_rates",
            r#"{"data":{"currency":"BTC","rates":{"A B":"1"}}}"#,
            "A B",
        ),
    ] {
        let error = one(&mut of_channel(channel), payload).unwrap_err().to_string();
        assert!(error.contains(said), "{payload}: {error}");
    }
    let nameless = r#"{"bids":[],"asks":[],"sequence":1}"#;
    let context = VenueContext::new("coinbase", "coinbase").unwrap();
    let mut decoder = Decoder::new(&context.channel(Some("exchange_rest_book")));
    let error = one(&mut decoder, nameless).unwrap_err().to_string();
    assert!(error.contains("does not name its product"), "{error}");
}
