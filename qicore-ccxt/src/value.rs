//! CCXT's dynamic values as events' values.
//!
//! Read from CCXT's untyped answers: its typed ones make a zero of what is missing from a candle.

use ccxt::Value;
use qicore_data::{
    Candle, Decimal, Error, Origin, Result, Side, Ticker, Timeframe, Timestamp, Trade, TradeId, decimal,
};

/// A trade with its time, in milliseconds as CCXT counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Print {
    pub(crate) millis: i64,
    pub(crate) trade: Trade,
}

/// A bar of `fetchOHLCV`: `[open time, open, high, low, close, volume]`.
pub(crate) fn bar(row: &Value, timeframe: Timeframe) -> Result<(Timestamp, Candle)> {
    let fields = row.as_array().map(Vec::as_slice).unwrap_or_default();
    let [open_time, open, high, low, close, volume, ..] = fields else {
        return Err(wrong("a bar is no list of six values", row));
    };
    let open_time = millis(open_time).and_then(Timestamp::from_millis);
    let candle = Candle {
        timeframe,
        open: number(open, "open")?,
        high: number(high, "high")?,
        low: number(low, "low")?,
        close: number(close, "close")?,
        volume: number(volume, "volume")?,
        quote_volume: None,
        trades: None,
        closed: true,
        origin: Origin::Rest,
        revision: 0,
    };
    Ok((open_time.ok_or_else(|| wrong("a bar has no open time", row))?, candle))
}

/// A trade of `fetchTrades`. The side is the taker's.
pub(crate) fn print(row: &Value) -> Result<Print> {
    let id = match field(row, "id") {
        Value::Str(id) if !id.is_empty() => Some(TradeId::new(id)),
        Value::Int(id) => Some(TradeId::new(&id.to_string())),
        _ => None,
    };
    let trade = Trade {
        id,
        side: field(row, "side").as_str().and_then(|side| side.parse::<Side>().ok()),
        price: number(field(row, "price"), "price")?,
        size: number(field(row, "amount"), "amount")?,
    };
    let millis = millis(field(row, "timestamp")).ok_or_else(|| wrong("a trade has no time", row))?;
    Ok(Print { millis, trade })
}

/// A ticker of `fetchTicker`, with the exchange's time where it gives one.
pub(crate) fn ticker(row: &Value) -> Result<(Option<Timestamp>, Ticker)> {
    let get = |name: &'static str| optional(field(row, name), name);
    let last = match get("last")? {
        Some(last) => last,
        None => number(field(row, "close"), "last")?,
    };
    let ticker = Ticker {
        last,
        bid: get("bid")?,
        ask: get("ask")?,
        open: get("open")?,
        high: get("high")?,
        low: get("low")?,
        volume: get("baseVolume")?,
        quote_volume: get("quoteVolume")?,
    };
    Ok((millis(field(row, "timestamp")).and_then(Timestamp::from_millis), ticker))
}

/// The rows of an answer.
pub(crate) fn rows(answer: &Value) -> Result<&[Value]> {
    match answer {
        Value::Arr(rows) => Ok(rows),
        Value::Null => Ok(&[]),
        _ => Err(wrong("the answer is no list", answer)),
    }
}

/// A number that must be there. A float becomes the decimal of the fewest digits that name it.
pub(crate) fn number(value: &Value, name: &'static str) -> Result<Decimal> {
    optional(value, name)?.ok_or_else(|| wrong("a number is missing", value).with("field", name))
}

fn optional(value: &Value, name: &'static str) -> Result<Option<Decimal>> {
    let read = match value {
        Value::Null => return Ok(None),
        Value::Int(whole) => return Ok(Some(Decimal::from(*whole))),
        // Without exponents: Rust's shortest text that reads as the same float. NaN and infinity are refused as texts.
        Value::Float(float) => decimal::parse(&float.to_string()),
        Value::Str(text) if text.is_empty() => return Ok(None),
        Value::Str(text) => decimal::parse(text),
        _ => return Err(wrong("this is no number", value).with("field", name)),
    };
    read.map(Some)
        .map_err(|error| wrong(&error.to_string(), value).with("field", name))
}

fn millis(value: &Value) -> Option<i64> {
    match value {
        Value::Int(millis) => Some(*millis),
        Value::Float(millis) if millis.is_finite() => Some(*millis as i64),
        _ => None,
    }
}

fn field<'a>(row: &'a Value, name: &str) -> &'a Value {
    row.as_map().and_then(|map| map.get(name)).unwrap_or(&Value::Null)
}

fn wrong(message: &str, found: &Value) -> Error {
    let found: String = found.to_json().to_string().chars().take(200).collect();
    Error::decode("ccxt.decode", message).with("found", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(json: serde_json::Value) -> Value {
        Value::from_json(&json)
    }

    fn dec(text: &str) -> Decimal {
        decimal::parse(text).unwrap()
    }

    #[test]
    fn floats_become_their_shortest_decimals() {
        for (float, expected) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (67_123.45, "67123.45"),
            (1e-8, "0.00000001"),
            (1.5e-7, "0.00000015"),
            (123_456_789.123_456_7, "123456789.1234567"),
            (1e21, "1000000000000000000000"),
            (-0.0, "0"),
        ] {
            assert_eq!(number(&Value::Float(float), "x").unwrap(), dec(expected), "{float}");
        }
        assert_eq!(number(&Value::Str("1.50".into()), "x").unwrap().to_string(), "1.50");
        assert_eq!(number(&Value::Int(7), "x").unwrap(), dec("7"));
        for wrong in [
            Value::Float(f64::NAN),
            Value::Float(f64::INFINITY),
            Value::Float(1e300),
            Value::Null,
        ] {
            assert!(number(&wrong, "x").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_bar() {
        let (at, candle) = bar(
            &value(json!([1_700_000_040_000i64, 1.5, 2, 1.25, 1.75, 10.5])),
            Timeframe::M1,
        )
        .unwrap();
        assert_eq!(at.millis(), 1_700_000_040_000);
        assert_eq!(
            (candle.open, candle.high, candle.low),
            (dec("1.5"), dec("2"), dec("1.25"))
        );
        assert_eq!(
            (candle.close, candle.volume, candle.closed),
            (dec("1.75"), dec("10.5"), true)
        );
    }

    #[test]
    fn what_is_missing_is_no_zero() {
        for row in [
            json!([1_700_000_040_000i64, 1.5, 2, null, 1.75, 10.5]),
            json!([1_700_000_040_000i64, 1.5, 2, 1, 1.75]),
            json!([null, 1.5, 2, 1, 1.75, 10.5]),
            json!({}),
        ] {
            assert!(bar(&value(row.clone()), Timeframe::M1).is_err(), "{row}");
        }
        assert!(print(&value(json!({ "timestamp": 1, "price": 1.5 }))).is_err());
        assert!(ticker(&value(json!({ "bid": 1.5 }))).is_err());
    }

    #[test]
    fn a_trade_and_a_ticker() {
        let row = json!({ "id": "0012", "timestamp": 5, "side": "sell", "price": 1.25, "amount": 3.0 });
        let read = print(&value(row)).unwrap();
        assert_eq!((read.millis, read.trade.side), (5, Some(Side::Sell)));
        assert_eq!(read.trade.id, Some(TradeId::new("0012")));
        assert_eq!((read.trade.price, read.trade.size), (dec("1.25"), dec("3")));
        let row = json!({ "timestamp": null, "close": 2.5, "bid": 2.25, "baseVolume": 7.5, "high": null });
        let (at, read) = ticker(&value(row)).unwrap();
        let expected = Ticker {
            bid: Some(dec("2.25")),
            volume: Some(dec("7.5")),
            ..Ticker::new(dec("2.5"))
        };
        assert_eq!((at, read), (None, expected));
    }
}
