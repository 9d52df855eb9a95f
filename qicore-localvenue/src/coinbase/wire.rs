//! Coinbase's payloads, as text. Numbers are strings, except in candles of the Exchange.

use super::native;
use crate::market::{Bar, Book, Changes, Day, Fill, Instrument, Level, Side, decimal, times};

/// At the instrument's precision.
pub(super) fn price(instrument: &Instrument, units: i64) -> String {
    decimal::fixed(units.into(), instrument.price_scale)
}

pub(super) fn size(instrument: &Instrument, units: i128) -> String {
    decimal::plain(units, instrument.size_scale)
}

fn seconds(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000_000)
}

/// The maker's side, which is what Coinbase names.
fn maker(fill: &Fill, buy: &'static str, sell: &'static str) -> &'static str {
    match fill.side.opposite() {
        Side::Buy => buy,
        Side::Sell => sell,
    }
}

/// A trade of Advanced Trade's REST, which has empty bid and ask.
pub(super) fn advanced_trade(instrument: &Instrument, fill: &Fill, rest: bool) -> String {
    format!(
        r#"{{"trade_id":"{}","product_id":"{}","price":"{}","size":"{}","time":"{}","side":"{}"{}}}"#,
        fill.id,
        native(instrument),
        price(instrument, fill.price),
        size(instrument, fill.size.into()),
        times::micros(fill.time),
        maker(fill, "BUY", "SELL"),
        if rest { r#","bid":"","ask":"""# } else { "" },
    )
}

/// A trade of the Exchange: eight decimals.
pub(super) fn exchange_trade(instrument: &Instrument, fill: &Fill) -> String {
    format!(
        r#"{{"time":"{}","trade_id":{},"price":"{}","size":"{}","side":"{}"}}"#,
        times::micros(fill.time),
        fill.id,
        decimal::padded(fill.price.into(), instrument.price_scale, 8),
        decimal::padded(fill.size.into(), instrument.size_scale, 8),
        maker(fill, "buy", "sell"),
    )
}

/// A candle of Advanced Trade; over WebSocket it names its product.
pub(super) fn advanced_candle(instrument: &Instrument, bar: &Bar, named: bool) -> String {
    let price = |units| price(instrument, units);
    let product = if named {
        format!(r#","product_id":"{}""#, native(instrument))
    } else {
        String::new()
    };
    format!(
        r#"{{"start":"{}","low":"{}","high":"{}","open":"{}","close":"{}","volume":"{}"{product}}}"#,
        seconds(bar.open_time),
        price(bar.low),
        price(bar.high),
        price(bar.open),
        price(bar.close),
        size(instrument, bar.volume),
    )
}

/// A candle of the Exchange: `[time, low, high, open, close, volume]`, JSON numbers.
pub(super) fn exchange_candle(instrument: &Instrument, bar: &Bar) -> String {
    let price = |units: i64| decimal::plain(units.into(), instrument.price_scale);
    format!(
        "[{},{},{},{},{},{}]",
        seconds(bar.open_time),
        price(bar.low),
        price(bar.high),
        price(bar.open),
        price(bar.close),
        size(instrument, bar.volume),
    )
}

/// A side of the Exchange's book: `[price, size, orders]`.
pub(super) fn exchange_levels(instrument: &Instrument, side: &[Level]) -> String {
    let level = |(at, amount): &Level| {
        format!(
            r#"["{}","{}",1]"#,
            price(instrument, *at),
            size(instrument, (*amount).into())
        )
    };
    format!("[{}]", side.iter().map(level).collect::<Vec<_>>().join(","))
}

/// A side of Advanced Trade's book: objects.
pub(super) fn advanced_levels(instrument: &Instrument, side: &[Level]) -> String {
    let level = |(at, amount): &Level| {
        format!(
            r#"{{"price":"{}","size":"{}"}}"#,
            price(instrument, *at),
            size(instrument, (*amount).into())
        )
    };
    format!("[{}]", side.iter().map(level).collect::<Vec<_>>().join(","))
}

/// `updates` of `l2_data`. Snapshots carry 1970 as event time.
pub(super) fn l2_updates(instrument: &Instrument, changes: &Changes, time: i64) -> String {
    let time = if time == 0 {
        "1970-01-01T00:00:00Z".to_owned()
    } else {
        times::micros(time)
    };
    let row = |side: &str, (at, amount): &Level| {
        format!(
            r#"{{"side":"{side}","event_time":"{time}","price_level":"{}","new_quantity":"{}"}}"#,
            price(instrument, *at),
            size(instrument, (*amount).into())
        )
    };
    let bids = changes.bids.iter().map(|level| row("bid", level));
    let asks = changes.asks.iter().map(|level| row("offer", level));
    bids.chain(asks).collect::<Vec<_>>().join(",")
}

fn best(instrument: &Instrument, side: &[Level]) -> (String, String) {
    let (at, amount) = side.first().copied().unwrap_or_default();
    (price(instrument, at), size(instrument, amount.into()))
}

/// Change of a day in percent, as a long decimal.
fn percent(day: &Day) -> String {
    decimal::plain(
        decimal::ratio(i128::from(day.last.price - day.bar.open) * 100, day.bar.open.into(), 14),
        14,
    )
}

/// A ticker of `ticker` and `ticker_batch`.
pub(super) fn ticker(instrument: &Instrument, day: &Day, book: &Book) -> String {
    let price = |units| price(instrument, units);
    let ((bid, bid_size), (ask, ask_size)) = (best(instrument, &book.bids), best(instrument, &book.asks));
    format!(
        concat!(
            r#"{{"type":"ticker","product_id":"{}","price":"{}","volume_24_h":"{}","low_24_h":"{low}","high_24_h":"{high}","#,
            r#""low_52_w":"{low}","high_52_w":"{high}","price_percent_chg_24_h":"{}","best_bid":"{bid}","best_bid_quantity":"{bid_size}","#,
            r#""best_ask":"{ask}","best_ask_quantity":"{ask_size}"}}"#
        ),
        native(instrument),
        price(day.last.price),
        size(instrument, day.bar.volume),
        percent(day),
        low = price(day.bar.low),
        high = price(day.bar.high),
        bid = bid,
        bid_size = bid_size,
        ask = ask,
        ask_size = ask_size,
    )
}

/// A product of `status`.
pub(super) fn status(instrument: &Instrument) -> String {
    format!(
        concat!(
            r#"{{"product_type":"SPOT","id":"{}","base_currency":"{base}","quote_currency":"{quote}","base_increment":"{}","#,
            r#""quote_increment":"{}","display_name":"{base}/{quote}","status":"online","status_message":"","min_market_funds":"1"}}"#
        ),
        native(instrument),
        decimal::fixed(1, instrument.size_scale),
        decimal::fixed(1, instrument.price_scale),
        base = instrument.base(),
        quote = instrument.quote(),
    )
}

/// A product of the Exchange.
pub(super) fn exchange_product(instrument: &Instrument) -> String {
    format!(
        concat!(
            r#"{{"id":"{}","base_currency":"{base}","quote_currency":"{quote}","base_min_size":"{step}","base_max_size":"10000","#,
            r#""quote_increment":"{tick}","base_increment":"{step}","display_name":"{base}/{quote}","min_market_funds":"1","#,
            r#""max_market_funds":"1000000","margin_enabled":false,"post_only":false,"limit_only":false,"cancel_only":false,"#,
            r#""trading_disabled":false,"status":"online","status_message":""}}"#
        ),
        native(instrument),
        base = instrument.base(),
        quote = instrument.quote(),
        step = decimal::fixed(1, instrument.size_scale),
        tick = decimal::fixed(1, instrument.price_scale),
    )
}

/// A product of Advanced Trade.
pub(super) fn advanced_product(instrument: &Instrument, day: Option<&Day>) -> String {
    let last = day.map_or_else(String::new, |day| price(instrument, day.last.price));
    let change = day.map_or_else(String::new, percent);
    let volume = day.map_or_else(String::new, |day| size(instrument, day.bar.volume));
    let quote_volume = day.map_or_else(String::new, |day| {
        decimal::plain(day.bar.quote, instrument.quote_scale())
    });
    format!(
        concat!(
            r#"{{"product_id":"{id}","price":"{last}","price_percentage_change_24h":"{change}","volume_24h":"{volume}","#,
            r#""volume_percentage_change_24h":"0","base_increment":"{step}","quote_increment":"{tick}","quote_min_size":"1","#,
            r#""quote_max_size":"10000000","base_min_size":"{step}","base_max_size":"10000","base_name":"{base}","quote_name":"{quote}","#,
            r#""watched":false,"is_disabled":false,"new":false,"status":"online","cancel_only":false,"limit_only":false,"#,
            r#""post_only":false,"trading_disabled":false,"auction_mode":false,"product_type":"SPOT","quote_currency_id":"{quote}","#,
            r#""base_currency_id":"{base}","fcm_trading_session_details":null,"mid_market_price":"","alias":"","alias_to":[],"#,
            r#""base_display_symbol":"{base}","quote_display_symbol":"{quote}","view_only":false,"price_increment":"{tick}","#,
            r#""display_name":"{id}","product_venue":"CBE","approximate_quote_24h_volume":"{quote_volume}"}}"#
        ),
        id = native(instrument),
        base = instrument.base(),
        quote = instrument.quote(),
        step = decimal::fixed(1, instrument.size_scale),
        tick = decimal::fixed(1, instrument.price_scale),
        last = last,
        change = change,
        volume = volume,
        quote_volume = quote_volume,
    )
}
