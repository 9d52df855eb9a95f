//! Kraken's public REST.

use std::collections::BTreeSet;

use super::{names, wire};
use crate::{
    market::{Market, Series, times},
    server::{Core, Request, RowFault},
};

pub(super) const UNKNOWN_PAIR: &str = "EQuery:Unknown asset pair";
const INVALID: &str = "EGeneral:Invalid arguments";
const SECOND: i64 = 1_000_000_000;
/// Rows of `/OHLC`, whatever `since` says.
const MOST_BARS: usize = 720;
const MOST_TRADES: i64 = 1_000;
/// A `since` of `/Trades` below this is in seconds.
const LEAST_NANOSECONDS: i64 = 1_000_000_000_000;
/// Book updates that `/Spread` looks at.
const SPREADS: u64 = 200;

/// The result, or the error's text.
pub(super) fn answer(core: &Core, request: &Request<'_>, endpoint: &str) -> Result<String, &'static str> {
    let allowed: &[&str] = match endpoint {
        "Assets" => &["asset", "aclass", "assetVersion"],
        "AssetPairs" => &["pair", "info", "country_code", "assetVersion", "aclass_base"],
        "OHLC" => &["pair", "interval", "since", "asset_class"],
        "Trades" => &["pair", "since", "count", "asset_class"],
        "Depth" => &["pair", "count", "asset_class"],
        "Ticker" => &["pair", "asset_class"],
        "Spread" => &["pair", "since", "asset_class"],
        _ => &[],
    };
    request.query.allow(core, request.path, allowed);
    let now = core.market.now();
    match endpoint {
        "Time" => {
            let date = chrono::DateTime::from_timestamp_nanos(now).format("%a, %d %b %y %H:%M:%S %z");
            Ok(format!(r#"{{"unixtime":{},"rfc1123":"{date}"}}"#, now / SECOND))
        }
        "SystemStatus" => Ok(format!(r#"{{"status":"online","timestamp":"{}"}}"#, times::micros(now))),
        "Assets" => Ok(assets(core)),
        "AssetPairs" => {
            let rows: Vec<_> = several(core, request)?
                .iter()
                .map(|series| wire::pair(&series.instrument))
                .collect();
            Ok(format!("{{{}}}", rows.join(",")))
        }
        "OHLC" => ohlc(core, request, now),
        "Trades" => trades(core, request, now),
        "Depth" => depth(core, request, now),
        "Ticker" => ticker(core, request, now),
        "Spread" => spread(core, request, now),
        _ => Err("EGeneral:Unknown method"),
    }
}

/// The assets of all pairs, each once. Which ones are asked for is not looked at.
fn assets(core: &Core) -> String {
    let listed = core.market.listed().map(|series| &series.instrument);
    let rows: BTreeSet<_> = listed
        .flat_map(|instrument| [instrument.base(), instrument.quote()].map(wire::listed_asset))
        .collect();
    format!("{{{}}}", rows.into_iter().collect::<Vec<_>>().join(","))
}

fn find<'a>(core: &'a Core, name: &str) -> Result<&'a Series, &'static str> {
    let named = |series: &&Series| {
        let instrument = &series.instrument;
        [
            names::alternative(instrument),
            names::key(instrument),
            names::websocket_v1(instrument),
        ]
        .contains(&name.to_owned())
    };
    core.market.listed().find(named).ok_or(UNKNOWN_PAIR)
}

fn one<'a>(core: &'a Core, request: &Request<'_>) -> Result<&'a Series, &'static str> {
    find(core, request.query.get("pair").ok_or(INVALID)?)
}

fn several<'a>(core: &'a Core, request: &Request<'_>) -> Result<Vec<&'a Series>, &'static str> {
    match request.query.get("pair") {
        Some(pairs) => pairs.split(',').map(|name| find(core, name)).collect(),
        None => Ok(core.market.listed().collect()),
    }
}

fn number(request: &Request<'_>, name: &str) -> Result<Option<i64>, &'static str> {
    request.query.number(name).map_err(|_| INVALID)
}

/// The newest 720 bars of those behind `since`; bars without trades are filled in. `last` is the last committed one.
fn ohlc(core: &Core, request: &Request<'_>, now: i64) -> Result<String, &'static str> {
    let series = one(core, request)?;
    let timeframe = names::timeframe(number(request, "interval")?.unwrap_or(1)).ok_or(INVALID)?;
    let since = number(request, "since")?.unwrap_or(0).saturating_mul(SECOND);
    let open = timeframe.floor(now);
    let mut from = Market::back(timeframe, open, MOST_BARS - 1).max(since.saturating_add(1));
    let mut to = now + 1;
    match request.rows {
        Some(RowFault::Empty) => to = from,
        Some(RowFault::Outside) => from = Market::back(timeframe, timeframe.floor(from), 3),
        None => {}
    }
    let bars = core.market.bars(series, timeframe, from, to, now);
    let rows: Vec<_> = bars.map(|bar| wire::ohlc_row(&series.instrument, &bar)).collect();
    let last = Market::back(timeframe, open, 1) / SECOND;
    Ok(format!(
        r#"{{"{}":[{}],"last":{last}}}"#,
        names::key(&series.instrument),
        rows.join(",")
    ))
}

/// Trades behind `since` (nanoseconds, or seconds as in the example of Kraken's documentation), oldest first, or the newest. `last` is where the next page begins.
fn trades(core: &Core, request: &Request<'_>, now: i64) -> Result<String, &'static str> {
    let series = one(core, request)?;
    let count = number(request, "count")?.unwrap_or(MOST_TRADES);
    if count > MOST_TRADES {
        core.log
            .violation(None, format!("Trades: count {count} is more than 1000"));
    }
    let count = count.clamp(1, MOST_TRADES) as u64;
    let newest = core.market.last(series, now);
    let since = number(request, "since")?.map(|since| match since {
        ..LEAST_NANOSECONDS => since.saturating_mul(SECOND),
        _ => since,
    });
    let mut first = match since {
        Some(since) => core.market.first_behind(series, since),
        None => (newest + 1).saturating_sub(count).max(1),
    };
    let mut behind = (first + count).min(newest + 1);
    match request.rows {
        Some(RowFault::Empty) => behind = first,
        Some(RowFault::Outside) => first = first.saturating_sub(3).max(1),
        None => {}
    }
    let fills: Vec<_> = (first..behind).map(|id| core.market.fill(series, id)).collect();
    let last = fills
        .last()
        .map_or(since.unwrap_or(now), |fill| core.market.exact_time(series, fill.id));
    let rows: Vec<_> = fills
        .iter()
        .map(|fill| wire::trade_row(&series.instrument, fill))
        .collect();
    Ok(format!(
        r#"{{"{}":[{}],"last":"{last}"}}"#,
        names::key(&series.instrument),
        rows.join(",")
    ))
}

fn depth(core: &Core, request: &Request<'_>, now: i64) -> Result<String, &'static str> {
    let series = one(core, request)?;
    let count = number(request, "count")?.unwrap_or(100).clamp(1, 500) as usize;
    let count = if request.rows == Some(RowFault::Empty) {
        0
    } else {
        count
    };
    let book = core.market.book_at(series, core.market.update_at(series, now));
    let side = |side: &[_]| wire::depth_side(&series.instrument, &side[..side.len().min(count)], book.time);
    let key = names::key(&series.instrument);
    Ok(format!(
        r#"{{"{key}":{{"asks":{},"bids":{}}}}}"#,
        side(&book.asks),
        side(&book.bids)
    ))
}

fn ticker(core: &Core, request: &Request<'_>, now: i64) -> Result<String, &'static str> {
    let rows = several(core, request)?.into_iter().filter_map(|series| {
        let day = core.market.day(series, now)?;
        let book = core.market.book_at(series, core.market.update_at(series, now));
        let value = wire::ticker_value(&series.instrument, &day, &book);
        Some(format!(r#""{}":{value}"#, names::key(&series.instrument)))
    });
    Ok(format!("{{{}}}", rows.collect::<Vec<_>>().join(",")))
}

/// Changes of the best bid and ask in the latest book updates.
fn spread(core: &Core, request: &Request<'_>, now: i64) -> Result<String, &'static str> {
    let series = one(core, request)?;
    let since = number(request, "since")?.unwrap_or(0).saturating_mul(SECOND);
    let last = core.market.update_at(series, now);
    let (mut rows, mut before) = (Vec::new(), None);
    for update in last.saturating_sub(SPREADS).max(1)..=last {
        let book = core.market.book_at(series, update);
        let (Some(bid), Some(ask)) = (book.bids.first(), book.asks.first()) else {
            continue;
        };
        let top = Some((bid.0, ask.0));
        if before != top && book.time >= since {
            let price = |units| wire::price(&series.instrument, units);
            rows.push(format!(
                r#"[{},"{}","{}"]"#,
                book.time / SECOND,
                price(bid.0),
                price(ask.0)
            ));
        }
        before = top;
    }
    let key = names::key(&series.instrument);
    Ok(format!(r#"{{"{key}":[{}],"last":{}}}"#, rows.join(","), now / SECOND))
}
