//! Binance's payloads, as text. Prices and sizes have eight decimals everywhere.

use std::fmt::Write as _;

use super::native;
use crate::market::{Bar, Book, Changes, Day, Fill, Instrument, Level, Side, Timeframe, decimal};

/// A column of text.
pub(super) fn price(instrument: &Instrument, units: i64) -> String {
    decimal::padded(units.into(), instrument.price_scale, 8)
}

pub(super) fn size(instrument: &Instrument, units: i128) -> String {
    decimal::padded(units, instrument.size_scale, 8)
}

/// Quote amounts have eight decimals too; more are cut off only if the instrument's precision gives more.
pub(super) fn quote(instrument: &Instrument, units: i128) -> String {
    let scale = instrument.quote_scale();
    let units = if scale > 8 {
        decimal::ratio(units, 10i128.pow(scale - 8), 0)
    } else {
        units
    };
    decimal::padded(units, scale.min(8), 8)
}

fn ms(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

fn is_maker_buyer(fill: &Fill) -> bool {
    fill.side == Side::Sell
}

/// A row of `/trades` and `/historicalTrades`.
pub(super) fn trade_row(instrument: &Instrument, fill: &Fill) -> String {
    format!(
        r#"{{"id":{},"price":"{}","qty":"{}","quoteQty":"{}","time":{},"isBuyerMaker":{},"isBestMatch":true}}"#,
        fill.id,
        price(instrument, fill.price),
        size(instrument, fill.size.into()),
        quote(instrument, fill.quote()),
        ms(fill.time),
        is_maker_buyer(fill)
    )
}

/// A row of `/aggTrades`: one fill each.
pub(super) fn aggregate_row(instrument: &Instrument, fill: &Fill) -> String {
    format!(
        r#"{{"a":{id},"p":"{}","q":"{}","f":{id},"l":{id},"T":{},"m":{},"M":true}}"#,
        price(instrument, fill.price),
        size(instrument, fill.size.into()),
        ms(fill.time),
        is_maker_buyer(fill),
        id = fill.id,
    )
}

/// A row of `/klines`.
pub(super) fn kline_row(instrument: &Instrument, timeframe: Timeframe, bar: &Bar) -> String {
    let price = |units| price(instrument, units);
    format!(
        r#"[{},"{}","{}","{}","{}","{}",{},"{}",{},"{}","{}","0"]"#,
        ms(bar.open_time),
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        size(instrument, bar.volume),
        ms(timeframe.next(bar.open_time)) - 1,
        quote(instrument, bar.quote),
        bar.count,
        size(instrument, bar.buy_volume),
        quote(instrument, bar.buy_quote),
    )
}

/// `trade`.
pub(super) fn trade(instrument: &Instrument, fill: &Fill, now: i64) -> String {
    format!(
        r#"{{"e":"trade","E":{},"s":"{}","t":{},"p":"{}","q":"{}","T":{},"m":{},"M":true}}"#,
        ms(now),
        native(instrument),
        fill.id,
        price(instrument, fill.price),
        size(instrument, fill.size.into()),
        ms(fill.time),
        is_maker_buyer(fill)
    )
}

/// `aggTrade`.
pub(super) fn aggregate(instrument: &Instrument, fill: &Fill, now: i64) -> String {
    format!(
        r#"{{"e":"aggTrade","E":{},"s":"{}","a":{id},"p":"{}","q":"{}","f":{id},"l":{id},"T":{},"m":{},"M":true}}"#,
        ms(now),
        native(instrument),
        price(instrument, fill.price),
        size(instrument, fill.size.into()),
        ms(fill.time),
        is_maker_buyer(fill),
        id = fill.id,
    )
}

/// `kline`. A bar without trades has −1 as its trade ids.
pub(super) fn kline(instrument: &Instrument, timeframe: Timeframe, bar: &Bar, closed: bool, now: i64) -> String {
    let price = |units| price(instrument, units);
    let name = native(instrument);
    let (first, last) = if bar.count > 0 {
        (bar.first as i64, bar.last as i64)
    } else {
        (-1, -1)
    };
    format!(
        concat!(
            r#"{{"e":"kline","E":{},"s":"{name}","k":{{"t":{},"T":{},"s":"{name}","i":"{}","f":{},"L":{},"o":"{}","c":"{}","#,
            r#""h":"{}","l":"{}","v":"{}","n":{},"x":{},"q":"{}","V":"{}","Q":"{}","B":"0"}}}}"#
        ),
        ms(now),
        ms(bar.open_time),
        ms(timeframe.next(bar.open_time)) - 1,
        timeframe.name(),
        first,
        last,
        price(bar.open),
        price(bar.close),
        price(bar.high),
        price(bar.low),
        size(instrument, bar.volume),
        bar.count,
        closed,
        quote(instrument, bar.quote),
        size(instrument, bar.buy_volume),
        quote(instrument, bar.buy_quote),
        name = name,
    )
}

pub(super) fn levels(instrument: &Instrument, side: &[Level]) -> String {
    let mut text = String::from("[");
    for (index, (at, amount)) in side.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (price, size) = (price(instrument, *at), size(instrument, (*amount).into()));
        let _ = write!(text, r#"{comma}["{price}","{size}"]"#);
    }
    text.push(']');
    text
}

/// `/depth` and the partial depth streams.
pub(super) fn snapshot(instrument: &Instrument, book: &Book, limit: usize) -> String {
    let cut = |side: &[Level]| levels(instrument, &side[..side.len().min(limit)]);
    format!(
        r#"{{"lastUpdateId":{},"bids":{},"asks":{}}}"#,
        book.update,
        cut(&book.bids),
        cut(&book.asks)
    )
}

/// `depthUpdate` of the updates `first..=last`.
pub(super) fn depth(instrument: &Instrument, changes: &Changes, first: u64, last: u64, now: i64) -> String {
    format!(
        r#"{{"e":"depthUpdate","E":{},"s":"{}","U":{first},"u":{last},"b":{},"a":{}}}"#,
        ms(now),
        native(instrument),
        levels(instrument, &changes.bids),
        levels(instrument, &changes.asks),
    )
}

/// Best price and size, `"0.00000000"` of an empty side.
fn best(instrument: &Instrument, side: &[Level]) -> (String, String) {
    let (at, amount) = side.first().copied().unwrap_or_default();
    (price(instrument, at), size(instrument, amount.into()))
}

/// `bookTicker` of the stream, which has no `e`.
pub(super) fn book_ticker(instrument: &Instrument, book: &Book) -> String {
    let ((bid, bid_size), (ask, ask_size)) = (best(instrument, &book.bids), best(instrument, &book.asks));
    let name = native(instrument);
    format!(
        r#"{{"u":{},"s":"{name}","b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}"}}"#,
        book.update
    )
}

/// A row of `/ticker/bookTicker`.
pub(super) fn book_ticker_row(instrument: &Instrument, book: &Book) -> String {
    let ((bid, bid_size), (ask, ask_size)) = (best(instrument, &book.bids), best(instrument, &book.asks));
    let name = native(instrument);
    format!(
        r#"{{"symbol":"{name}","bidPrice":"{bid}","bidQty":"{bid_size}","askPrice":"{ask}","askQty":"{ask_size}"}}"#
    )
}

/// Change, change in percent (three decimals) and average price of a day.
fn moves(instrument: &Instrument, day: &Day) -> (String, String, String) {
    let change = i128::from(day.last.price - day.bar.open);
    let percent = decimal::ratio(change * 100, day.bar.open.into(), 3);
    let average = decimal::ratio(day.bar.quote, day.bar.volume, 8 - instrument.price_scale.min(8));
    (
        decimal::padded(change, instrument.price_scale, 8),
        decimal::fixed(percent, 3),
        decimal::padded(average, 8.max(instrument.price_scale), 8),
    )
}

/// A row of `/ticker/24hr`, or of its short form.
pub(super) fn day_row(instrument: &Instrument, day: &Day, book: &Book, now: i64, full: bool) -> String {
    let price = |units| price(instrument, units);
    let (change, percent, average) = moves(instrument, day);
    let ((bid, bid_size), (ask, ask_size)) = (best(instrument, &book.bids), best(instrument, &book.asks));
    let mut text = format!(r#"{{"symbol":"{}","#, native(instrument));
    if full {
        let _ = write!(
            text,
            concat!(
                r#""priceChange":"{}","priceChangePercent":"{}","weightedAvgPrice":"{}","prevClosePrice":"{}","lastPrice":"{}","#,
                r#""lastQty":"{}","bidPrice":"{bid}","bidQty":"{bid_size}","askPrice":"{ask}","askQty":"{ask_size}","#
            ),
            change,
            percent,
            average,
            price(day.before),
            price(day.last.price),
            size(instrument, day.last.size.into()),
            bid = bid,
            bid_size = bid_size,
            ask = ask,
            ask_size = ask_size,
        );
    }
    let _ = write!(
        text,
        r#""openPrice":"{}","highPrice":"{}","lowPrice":"{}","#,
        price(day.bar.open),
        price(day.bar.high),
        price(day.bar.low)
    );
    if !full {
        let _ = write!(text, r#""lastPrice":"{}","#, price(day.last.price));
    }
    let _ = write!(
        text,
        r#""volume":"{}","quoteVolume":"{}","openTime":{},"closeTime":{},"firstId":{},"lastId":{},"count":{}}}"#,
        size(instrument, day.bar.volume),
        quote(instrument, day.bar.quote),
        ms(day.bar.open_time),
        ms(now),
        day.bar.first,
        day.bar.last,
        day.bar.count,
    );
    text
}

/// `24hrTicker`.
pub(super) fn ticker(instrument: &Instrument, day: &Day, book: &Book, now: i64) -> String {
    let price = |units| price(instrument, units);
    let (change, percent, average) = moves(instrument, day);
    let ((bid, bid_size), (ask, ask_size)) = (best(instrument, &book.bids), best(instrument, &book.asks));
    format!(
        concat!(
            r#"{{"e":"24hrTicker","E":{},"s":"{}","p":"{}","P":"{}","w":"{}","x":"{}","c":"{}","Q":"{}","b":"{bid}","B":"{bid_size}","#,
            r#""a":"{ask}","A":"{ask_size}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}","O":{},"C":{},"F":{},"L":{},"n":{}}}"#
        ),
        ms(now),
        native(instrument),
        change,
        percent,
        average,
        price(day.before),
        price(day.last.price),
        size(instrument, day.last.size.into()),
        price(day.bar.open),
        price(day.bar.high),
        price(day.bar.low),
        size(instrument, day.bar.volume),
        quote(instrument, day.bar.quote),
        ms(day.bar.open_time),
        ms(now),
        day.bar.first,
        day.bar.last,
        day.bar.count,
        bid = bid,
        bid_size = bid_size,
        ask = ask,
        ask_size = ask_size,
    )
}

/// `24hrMiniTicker`.
pub(super) fn mini_ticker(instrument: &Instrument, day: &Day, now: i64) -> String {
    let price = |units| price(instrument, units);
    format!(
        r#"{{"e":"24hrMiniTicker","E":{},"s":"{}","c":"{}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}"}}"#,
        ms(now),
        native(instrument),
        price(day.last.price),
        price(day.bar.open),
        price(day.bar.high),
        price(day.bar.low),
        size(instrument, day.bar.volume),
        quote(instrument, day.bar.quote),
    )
}

/// A symbol of `/exchangeInfo`.
pub(super) fn symbol(instrument: &Instrument) -> String {
    let tick = decimal::fixed(1, instrument.price_scale);
    let step = decimal::fixed(1, instrument.size_scale);
    let pad = |text: &str| {
        format!(
            "{text}{}",
            "0".repeat(8 - text.split('.').nth(1).map_or(0, str::len).min(8))
        )
    };
    format!(
        concat!(
            r#"{{"symbol":"{}","status":"TRADING","baseAsset":"{}","baseAssetPrecision":8,"quoteAsset":"{}","quotePrecision":8,"#,
            r#""quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"#,
            r#""orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS_LIMIT","TAKE_PROFIT_LIMIT"],"icebergAllowed":true,"#,
            r#""ocoAllowed":true,"quoteOrderQtyMarketAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"#,
            r#""filters":[{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000.00000000","tickSize":"{tick}"}},"#,
            r#"{{"filterType":"LOT_SIZE","minQty":"{step}","maxQty":"9000.00000000","stepSize":"{step}"}}],"permissions":["SPOT"]}}"#
        ),
        native(instrument),
        instrument.base(),
        instrument.quote(),
        tick = pad(&tick),
        step = pad(&step),
    )
}

/// `serverShutdown`.
pub(super) fn shutdown(now: i64) -> String {
    format!(r#"{{"e":"serverShutdown","E":{}}}"#, ms(now))
}
