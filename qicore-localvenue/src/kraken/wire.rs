//! Kraken's payloads, as text: strings in REST, JSON numbers in WebSocket v2.

use std::fmt::Write as _;

use super::names;
use crate::market::{Bar, Book, Changes, Day, Fill, Instrument, Level, Side, Timeframe, decimal, times};

const SECOND: i64 = 1_000_000_000;

/// At the instrument's precision.
pub(super) fn price(instrument: &Instrument, units: i64) -> String {
    decimal::fixed(units.into(), instrument.price_scale)
}

pub(super) fn size(instrument: &Instrument, units: i128) -> String {
    decimal::fixed(units, instrument.size_scale)
}

fn number(units: i128, scale: u32) -> String {
    decimal::float_like(units, scale)
}

/// The average price of a bar; zero without trades.
fn vwap(bar: &Bar) -> i128 {
    // Quote has the scales of price and size: over size it has the price's.
    decimal::ratio(bar.quote, bar.volume, 0)
}

/// Seconds as a JSON float with up to six decimals.
fn float_seconds(nanoseconds: i64) -> String {
    number(i128::from(nanoseconds / 1_000), 6)
}

/// A row of `/Trades`; prices have at least five decimals there.
pub(super) fn trade_row(instrument: &Instrument, fill: &Fill) -> String {
    format!(
        r#"["{}","{}",{},"{}","{}","",{}]"#,
        decimal::padded(fill.price.into(), instrument.price_scale, 5),
        size(instrument, fill.size.into()),
        float_seconds(fill.time),
        if fill.side == Side::Buy { "b" } else { "s" },
        if fill.id.is_multiple_of(3) { "m" } else { "l" },
        fill.id
    )
}

/// A row of `/OHLC`.
pub(super) fn ohlc_row(instrument: &Instrument, bar: &Bar) -> String {
    let price = |units| price(instrument, units);
    format!(
        r#"[{},"{}","{}","{}","{}","{}","{}",{}]"#,
        bar.open_time / SECOND,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        decimal::fixed(vwap(bar), instrument.price_scale),
        size(instrument, bar.volume),
        bar.count
    )
}

/// A side of `/Depth`: price, volume, time.
pub(super) fn depth_side(instrument: &Instrument, side: &[Level], time: i64) -> String {
    let row = |(at, amount): &Level| {
        let (price, size) = (
            decimal::padded((*at).into(), instrument.price_scale, 5),
            (*amount).into(),
        );
        format!(
            r#"["{price}","{}",{}]"#,
            decimal::fixed(size, instrument.size_scale),
            time / SECOND
        )
    };
    format!("[{}]", side.iter().map(row).collect::<Vec<_>>().join(","))
}

/// The value of `/Ticker`. Today and the last 24 hours are the same here.
pub(super) fn ticker_value(instrument: &Instrument, day: &Day, book: &Book) -> String {
    let price = |units| price(instrument, units);
    let best = |side: &[Level]| {
        let (at, amount) = side.first().copied().unwrap_or_default();
        format!(
            r#"["{}","1","{}"]"#,
            price(at),
            decimal::fixed(amount.into(), 3.min(instrument.size_scale))
        )
    };
    let twice = |text: String| format!(r#"["{text}","{text}"]"#);
    format!(
        r#"{{"a":{},"b":{},"c":["{}","{}"],"v":{},"p":{},"t":[{count},{count}],"l":{},"h":{},"o":"{}"}}"#,
        best(&book.asks),
        best(&book.bids),
        price(day.last.price),
        size(instrument, day.last.size.into()),
        twice(size(instrument, day.bar.volume)),
        twice(decimal::fixed(vwap(&day.bar), instrument.price_scale)),
        twice(price(day.bar.low)),
        twice(price(day.bar.high)),
        price(day.bar.open),
        count = day.bar.count,
    )
}

/// An entry of `/Assets`.
pub(super) fn listed_asset(name: &str) -> String {
    format!(
        r#""{}":{{"aclass":"currency","altname":"{}","decimals":10,"display_decimals":5,"status":"enabled"}}"#,
        names::asset(name),
        names::short(name),
    )
}

/// A pair of `/AssetPairs`.
pub(super) fn pair(instrument: &Instrument) -> String {
    format!(
        concat!(
            r#""{}":{{"altname":"{}","wsname":"{}","aclass_base":"currency","base":"{}","aclass_quote":"currency","quote":"{}","#,
            r#""lot":"unit","pair_decimals":{},"lot_decimals":{},"lot_multiplier":1,"leverage_buy":[2,3],"leverage_sell":[2,3],"#,
            r#""fees":[[0,0.26],[50000,0.24]],"fees_maker":[[0,0.16],[50000,0.14]],"fee_volume_currency":"ZUSD","margin_call":80,"#,
            r#""margin_stop":40,"ordermin":"0.0002","costmin":"0.5","tick_size":"{}","status":"online"}}"#
        ),
        names::key(instrument),
        names::alternative(instrument),
        names::websocket_v1(instrument),
        names::asset(instrument.base()),
        names::asset(instrument.quote()),
        instrument.price_scale,
        instrument.size_scale,
        decimal::fixed(1, instrument.price_scale),
    )
}

/// A trade of the `trade` channel.
pub(super) fn trade(instrument: &Instrument, fill: &Fill) -> String {
    format!(
        r#"{{"symbol":"{}","side":"{}","price":{},"qty":{},"ord_type":"{}","trade_id":{},"timestamp":"{}"}}"#,
        instrument.symbol,
        if fill.side == Side::Buy { "buy" } else { "sell" },
        number(fill.price.into(), instrument.price_scale),
        number(fill.size.into(), instrument.size_scale),
        if fill.id.is_multiple_of(3) { "market" } else { "limit" },
        fill.id,
        times::micros(fill.time)
    )
}

/// A ticker of the `ticker` channel.
pub(super) fn ticker(instrument: &Instrument, day: &Day, book: &Book, now: i64) -> String {
    let price = |units: i64| number(units.into(), instrument.price_scale);
    let volume = |units: i128| number(units, instrument.size_scale);
    let best = |side: &[Level]| side.first().copied().unwrap_or_default();
    let (bid, ask) = (best(&book.bids), best(&book.asks));
    let change = day.last.price - day.bar.open;
    format!(
        concat!(
            r#"{{"symbol":"{}","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"last":{},"volume":{},"vwap":{},"low":{},"high":{},"#,
            r#""change":{},"change_pct":{},"timestamp":"{}"}}"#
        ),
        instrument.symbol,
        price(bid.0),
        volume(bid.1.into()),
        price(ask.0),
        volume(ask.1.into()),
        price(day.last.price),
        volume(day.bar.volume),
        number(vwap(&day.bar), instrument.price_scale),
        price(day.bar.low),
        price(day.bar.high),
        price(change),
        number(decimal::ratio(i128::from(change) * 100, day.bar.open.into(), 2), 2),
        times::micros(now),
    )
}

/// A bar of the `ohlc` channel. `timestamp` is the bar's end.
pub(super) fn ohlc(instrument: &Instrument, timeframe: Timeframe, bar: &Bar) -> String {
    let price = |units: i64| number(units.into(), instrument.price_scale);
    format!(
        concat!(
            r#"{{"symbol":"{}","open":{},"high":{},"low":{},"close":{},"trades":{},"volume":{},"vwap":{},"interval_begin":"{}","#,
            r#""interval":{},"timestamp":"{}"}}"#
        ),
        instrument.symbol,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        bar.count,
        number(bar.volume, instrument.size_scale),
        number(vwap(bar), instrument.price_scale),
        times::nanos(bar.open_time),
        timeframe.seconds() / 60,
        times::micros(timeframe.next(bar.open_time)),
    )
}

fn levels(instrument: &Instrument, side: &[Level]) -> String {
    let row = |(at, amount): &Level| {
        let (price, size) = (i128::from(*at), i128::from(*amount));
        format!(
            r#"{{"price":{},"qty":{}}}"#,
            number(price, instrument.price_scale),
            number(size, instrument.size_scale)
        )
    };
    format!("[{}]", side.iter().map(row).collect::<Vec<_>>().join(","))
}

/// The message of the `book` channel; updates name their time.
pub(super) fn book(instrument: &Instrument, changes: &Changes, checksum: u32, time: Option<i64>) -> String {
    let kind = if time.is_some() { "update" } else { "snapshot" };
    let stamp = time.map_or_else(String::new, |time| format!(r#","timestamp":"{}""#, times::micros(time)));
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{}","bids":{},"asks":{},"checksum":{checksum}{stamp}}}]}}"#,
        instrument.symbol,
        levels(instrument, &changes.bids),
        levels(instrument, &changes.asks),
    )
}

/// CRC32 of the ten best asks, then the ten best bids: price and size at the instrument's precision, without dot and leading
/// zeros, which are the digits of their units.
pub(super) fn checksum(book: &Book) -> u32 {
    let mut text = String::new();
    for (at, amount) in book.asks.iter().take(10).chain(book.bids.iter().take(10)) {
        let _ = write!(text, "{at}{amount}");
    }
    crc32fast::hash(text.as_bytes())
}

/// A pair of the `instrument` channel.
pub(super) fn instrument(instrument: &Instrument) -> String {
    format!(
        concat!(
            r#"{{"symbol":"{}","base":"{}","quote":"{}","status":"online","qty_precision":{},"qty_increment":{step},"#,
            r#""price_precision":{},"cost_precision":5,"marginable":false,"has_index":true,"cost_min":0.5,"tick_size":{tick},"#,
            r#""price_increment":{tick},"qty_min":{step}}}"#
        ),
        instrument.symbol,
        instrument.base(),
        instrument.quote(),
        instrument.size_scale,
        instrument.price_scale,
        step = decimal::fixed(1, instrument.size_scale),
        tick = decimal::fixed(1, instrument.price_scale),
    )
}

/// An asset of the `instrument` channel.
pub(super) fn asset(name: &str) -> String {
    format!(
        r#"{{"id":"{name}","status":"enabled","precision":10,"precision_display":5,"borrowable":false,"collateral_value":1.0,"margin_rate":0.0}}"#
    )
}
