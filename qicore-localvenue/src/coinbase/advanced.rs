//! Advanced Trade's public REST, under `/api/v3/brokerage/`.

use super::{native, wire};
use crate::{
    market::{Level, Market, Series, Timeframe, decimal, times},
    server::{Answer, Core, Request, RowFault},
};

const SECOND: i64 = 1_000_000_000;
const MOST_CANDLES: i64 = 350;
const GRANULARITIES: [(&str, &str); 9] = [
    ("ONE_MINUTE", "1m"),
    ("FIVE_MINUTE", "5m"),
    ("FIFTEEN_MINUTE", "15m"),
    ("THIRTY_MINUTE", "30m"),
    ("ONE_HOUR", "1h"),
    ("TWO_HOUR", "2h"),
    ("FOUR_HOUR", "4h"),
    ("SIX_HOUR", "6h"),
    ("ONE_DAY", "1d"),
];

fn error(status: u16, name: &str, details: &str) -> Answer {
    Answer::with(
        status,
        format!(r#"{{"error":"{name}","error_details":"{details}","message":"{details}"}}"#),
    )
}

fn invalid(details: impl AsRef<str>) -> Answer {
    error(400, "INVALID_ARGUMENT", details.as_ref())
}

/// `None` for an endpoint that does not exist.
pub(super) fn answer(core: &Core, request: &Request<'_>, endpoint: &str) -> Option<Answer> {
    let now = core.market.now();
    match endpoint {
        "time" => {
            let (seconds, ms) = (now / SECOND, now / 1_000_000);
            let iso = times::micros(now);
            return Some(Answer::ok(format!(
                r#"{{"iso":"{iso}","epochSeconds":"{seconds}","epochMillis":"{ms}"}}"#
            )));
        }
        "market/products" => return Some(products(core, request)),
        "market/product_book" => {
            request.query.allow(
                core,
                request.path,
                &["product_id", "limit", "aggregation_price_increment"],
            );
            let product = request.query.get("product_id").unwrap_or_default();
            return Some(with(core, product, |series| book(core, request, series)));
        }
        _ => {}
    }
    let rest = endpoint.strip_prefix("market/products/")?;
    let (product, part) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed: &[&str] = match part {
        "candles" => &["start", "end", "granularity", "limit"],
        "ticker" => &["limit", "start", "end"],
        _ => &["get_tradability_status"],
    };
    request.query.allow(core, request.path, allowed);
    Some(match part {
        "" => with(core, product, |series| {
            Answer::ok(wire::advanced_product(
                &series.instrument,
                core.market.day(series, now).as_ref(),
            ))
        }),
        "candles" => with(core, product, |series| {
            candles(core, request, series).unwrap_or_else(invalid)
        }),
        "ticker" => with(core, product, |series| {
            trades(core, request, series).unwrap_or_else(invalid)
        }),
        _ => return None,
    })
}

fn with<'a>(core: &'a Core, product: &str, answer: impl FnOnce(&'a Series) -> Answer) -> Answer {
    core.market
        .find(product, native)
        .map_or_else(|| error(404, "NOT_FOUND", "valid product_id is required"), answer)
}

fn products(core: &Core, request: &Request<'_>) -> Answer {
    let allowed = [
        "limit",
        "offset",
        "product_type",
        "product_ids",
        "get_all_products",
        "contract_expiry_type",
    ];
    request.query.allow(core, request.path, &allowed);
    let number = |name| {
        request
            .query
            .number(name)
            .ok()
            .flatten()
            .map(|number| number.max(0) as usize)
    };
    let (skip, take) = (number("offset").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    let now = core.market.now();
    let rows = core.market.listed().skip(skip).take(take);
    let rows: Vec<_> = rows
        .map(|series| wire::advanced_product(&series.instrument, core.market.day(series, now).as_ref()))
        .collect();
    Answer::ok(format!(
        r#"{{"products":[{}],"num_products":{}}}"#,
        rows.join(","),
        rows.len()
    ))
}

/// A time parameter in UNIX seconds.
fn time(request: &Request<'_>, name: &str) -> Result<Option<i64>, String> {
    let seconds = request
        .query
        .number(name)
        .map_err(|_| format!("{name} argument is invalid"))?;
    Ok(seconds.map(|seconds| seconds.saturating_mul(SECOND)))
}

fn candles(core: &Core, request: &Request<'_>, series: &Series) -> Result<Answer, String> {
    let granularity = request.query.get("granularity").unwrap_or_default();
    let known = GRANULARITIES.iter().find(|(name, _)| *name == granularity);
    let timeframe = known
        .and_then(|(_, name)| Timeframe::of(name))
        .ok_or("granularity argument is invalid")?;
    let (Some(mut from), Some(to)) = (time(request, "start")?, time(request, "end")?) else {
        core.log.violation(None, "candles: start and end are required");
        return Err("start and end argument is invalid".to_owned());
    };
    if (to - from) / (timeframe.seconds() * SECOND) > MOST_CANDLES {
        core.log.violation(None, "candles: more than 350 asked for");
        return Err(format!(
            "start and end argument is invalid - number of candles requested should be less than {MOST_CANDLES} "
        ));
    }
    let limit = request
        .query
        .number("limit")
        .map_err(|_| "limit argument is invalid")?
        .unwrap_or(MOST_CANDLES + 1);
    match request.rows {
        Some(RowFault::Empty) => return Ok(Answer::ok(r#"{"candles":[]}"#)),
        Some(RowFault::Outside) => from = Market::back(timeframe, timeframe.floor(from), 3),
        None => {}
    }
    let bars = core
        .market
        .bars(series, timeframe, from, to + 1, core.market.now())
        .filter(|bar| bar.count > 0);
    let rows: Vec<_> = bars
        .map(|bar| wire::advanced_candle(&series.instrument, &bar, false))
        .collect();
    let newest: Vec<_> = rows.into_iter().rev().take(limit.max(1) as usize).collect();
    Ok(Answer::ok(format!(r#"{{"candles":[{}]}}"#, newest.join(","))))
}

/// `/ticker`: trades of `start..=end` (UNIX seconds), newest first, and the best bid and ask.
fn trades(core: &Core, request: &Request<'_>, series: &Series) -> Result<Answer, String> {
    let limit = request
        .query
        .number("limit")
        .map_err(|_| "limit argument is invalid")?
        .unwrap_or(100);
    if limit > 1_000 {
        core.log
            .violation(None, format!("ticker: limit {limit} is more than 1000"));
    }
    let now = core.market.now();
    let last = core.market.last(series, now);
    let newest = time(request, "end")?.map_or(last, |end| core.market.last(series, end.min(now)));
    let mut oldest = time(request, "start")?.map_or(1, |start| core.market.first_from(series, start));
    oldest = oldest
        .max((newest + 1).saturating_sub(limit.clamp(1, 1_000) as u64))
        .max(1);
    match request.rows {
        Some(RowFault::Empty) => oldest = newest + 1,
        Some(RowFault::Outside) => oldest = oldest.saturating_sub(3).max(1),
        None => {}
    }
    let fills = (oldest..=newest).rev().map(|id| core.market.fill(series, id));
    let rows: Vec<_> = fills
        .map(|fill| wire::advanced_trade(&series.instrument, &fill, true))
        .collect();
    let book = core.market.book_at(series, core.market.update_at(series, now));
    let best = |side: &[Level]| {
        side.first()
            .map_or_else(String::new, |level| wire::price(&series.instrument, level.0))
    };
    Ok(Answer::ok(format!(
        r#"{{"trades":[{}],"best_bid":"{}","best_ask":"{}"}}"#,
        rows.join(","),
        best(&book.bids),
        best(&book.asks)
    )))
}

fn book(core: &Core, request: &Request<'_>, series: &Series) -> Answer {
    let now = core.market.now();
    let book = core.market.book_at(series, core.market.update_at(series, now));
    let limit = request
        .query
        .number("limit")
        .ok()
        .flatten()
        .map_or(usize::MAX, |limit| limit.max(1) as usize);
    let limit = if request.rows == Some(RowFault::Empty) {
        0
    } else {
        limit
    };
    let instrument = &series.instrument;
    let cut = |side: &[Level]| wire::advanced_levels(instrument, &side[..side.len().min(limit)]);
    let last = core.market.last(series, now).max(1);
    let first = |side: &[Level]| side.first().map_or(0, |level| level.0);
    let (bid, ask) = (first(&book.bids), first(&book.asks));
    let middle = decimal::plain(i128::from(bid + ask) * 5, instrument.price_scale + 1);
    let basis_points = decimal::plain(
        decimal::ratio(i128::from(ask - bid) * 20_000, i128::from(ask + bid), 6),
        6,
    );
    Answer::ok(format!(
        concat!(
            r#"{{"pricebook":{{"product_id":"{}","bids":{},"asks":{},"time":"{}"}},"last":"{}","mid_market":"{}","#,
            r#""spread_bps":"{}","spread_absolute":"{}"}}"#
        ),
        native(instrument),
        cut(&book.bids),
        cut(&book.asks),
        times::micros(book.time),
        wire::price(instrument, core.market.fill(series, last).price),
        middle,
        basis_points,
        wire::price(instrument, ask - bid),
    ))
}
