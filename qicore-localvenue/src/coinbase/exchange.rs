//! The Exchange's REST: `/products` and what is under it.

use super::{native, wire};
use crate::{
    market::{Market, Series, Timeframe, times},
    server::{Answer, Core, Request, RowFault},
};

const SECOND: i64 = 1_000_000_000;
const MOST_CANDLES: i64 = 300;

fn message(status: u16, text: &str) -> Answer {
    Answer::with(status, format!(r#"{{"message":"{text}"}}"#))
}

/// `None` for an endpoint that does not exist.
pub(super) fn answer(core: &Core, request: &Request<'_>) -> Option<Answer> {
    let now = core.market.now();
    if request.path == "/time" {
        let (whole, part) = (now / SECOND, now % SECOND / 1_000);
        return Some(Answer::ok(format!(
            r#"{{"iso":"{}","epoch":{whole}.{part:06}}}"#,
            times::micros(now)
        )));
    }
    if request.path == "/products" {
        request.query.allow(core, request.path, &[]);
        let rows: Vec<_> = core
            .market
            .listed()
            .map(|series| wire::exchange_product(&series.instrument))
            .collect();
        return Some(Answer::ok(format!("[{}]", rows.join(","))));
    }
    let rest = request.path.strip_prefix("/products/")?;
    let (product, endpoint) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(series) = core.market.find(product, native) else {
        return Some(message(404, "NotFound"));
    };
    let allowed: &[&str] = match endpoint {
        "candles" => &["granularity", "start", "end"],
        "trades" => &["limit", "before", "after"],
        "book" => &["level"],
        _ => &[],
    };
    request.query.allow(core, request.path, allowed);
    Some(match endpoint {
        "" => Answer::ok(wire::exchange_product(&series.instrument)),
        "candles" => candles(core, request, series).unwrap_or_else(|error| message(400, &error)),
        "trades" => trades(core, request, series).unwrap_or_else(|error| message(400, &error)),
        "book" => book(core, request, series),
        "ticker" => ticker(core, series),
        _ => return None,
    })
}

fn candles(core: &Core, request: &Request<'_>, series: &Series) -> Result<Answer, String> {
    let seconds = request
        .query
        .number("granularity")
        .map_err(|_| "Invalid granularity")?
        .unwrap_or(60);
    let name = match seconds {
        60 => "1m",
        300 => "5m",
        900 => "15m",
        3_600 => "1h",
        21_600 => "6h",
        86_400 => "1d",
        _ => return Err("Unsupported granularity".to_owned()),
    };
    let timeframe = Timeframe::of(name).ok_or("Unsupported granularity")?;
    let time = |name: &str| match request.query.get(name) {
        None => Ok(None),
        Some(text) => times::parse(text).map(Some).ok_or_else(|| format!("Invalid {name}")),
    };
    let now = core.market.now();
    let (mut from, to) = match (time("start")?, time("end")?) {
        (Some(from), Some(to)) => (from, to),
        (None, None) => (
            Market::back(timeframe, timeframe.floor(now), MOST_CANDLES as usize - 1),
            now,
        ),
        _ => {
            core.log.violation(None, "candles: start and end go together");
            (
                Market::back(timeframe, timeframe.floor(now), MOST_CANDLES as usize - 1),
                now,
            )
        }
    };
    if (to - from) / (seconds * SECOND) > MOST_CANDLES {
        core.log.violation(None, "candles: more than 300 asked for");
        return Err(format!(
            "granularity too small for the requested time range. Count of aggregations requested exceeds {MOST_CANDLES}"
        ));
    }
    match request.rows {
        Some(RowFault::Empty) => return Ok(Answer::ok("[]")),
        Some(RowFault::Outside) => from = Market::back(timeframe, timeframe.floor(from), 3),
        None => {}
    }
    let bars = core
        .market
        .bars(series, timeframe, from, to + 1, now)
        .filter(|bar| bar.count > 0);
    let mut rows: Vec<_> = bars
        .map(|bar| wire::exchange_candle(&series.instrument, &bar))
        .collect();
    rows.reverse();
    Ok(Answer::ok(format!("[{}]", rows.join(","))))
}

/// Trades, newest first. `after` gives older ones than its id, `before` the newest of those behind its id.
fn trades(core: &Core, request: &Request<'_>, series: &Series) -> Result<Answer, String> {
    let number = |name: &str| request.query.number(name).map_err(|_| format!("Invalid {name}"));
    let limit = number("limit")?.unwrap_or(1_000);
    if limit > 1_000 {
        core.log
            .violation(None, format!("trades: limit {limit} is more than 1000"));
    }
    let last = core.market.last(series, core.market.now()) as i64;
    let newest = number("after")?.map_or(last, |after| last.min(after - 1));
    let mut oldest = (newest - limit.clamp(1, 1_000) + 1)
        .max(number("before")?.map_or(1, |before| before + 1))
        .max(1);
    match request.rows {
        Some(RowFault::Empty) => oldest = newest + 1,
        Some(RowFault::Outside) => oldest = (oldest - 3).max(1),
        None => {}
    }
    let ids = (oldest..=newest).rev();
    let rows: Vec<_> = ids
        .map(|id| wire::exchange_trade(&series.instrument, &core.market.fill(series, id as u64)))
        .collect();
    let answer = Answer::ok(format!("[{}]", rows.join(",")));
    Ok(if rows.is_empty() {
        answer
    } else {
        answer.header("CB-BEFORE", newest).header("CB-AFTER", oldest)
    })
}

fn book(core: &Core, request: &Request<'_>, series: &Series) -> Answer {
    let book = core
        .market
        .book_at(series, core.market.update_at(series, core.market.now()));
    let depth = match request.query.get("level") {
        None | Some("1") => 1,
        _ if request.rows == Some(RowFault::Empty) => 0,
        _ => usize::MAX,
    };
    let cut = |side: &[_]| wire::exchange_levels(&series.instrument, &side[..side.len().min(depth)]);
    Answer::ok(format!(
        r#"{{"bids":{},"asks":{},"sequence":{},"auction_mode":false,"auction":null,"time":"{}"}}"#,
        cut(&book.bids),
        cut(&book.asks),
        book.update,
        times::micros(book.time),
    ))
}

fn ticker(core: &Core, series: &Series) -> Answer {
    let now = core.market.now();
    let Some(day) = core.market.day(series, now) else {
        return Answer::ok("{}");
    };
    let book = core.market.book_at(series, core.market.update_at(series, now));
    let instrument = &series.instrument;
    let best = |side: &[(i64, i64)]| {
        side.first()
            .map_or_else(String::new, |level| wire::price(instrument, level.0))
    };
    Answer::ok(format!(
        r#"{{"trade_id":{},"price":"{}","size":"{}","bid":"{}","ask":"{}","volume":"{}","time":"{}"}}"#,
        day.last.id,
        wire::price(instrument, day.last.price),
        wire::size(instrument, day.last.size.into()),
        best(&book.bids),
        best(&book.asks),
        wire::size(instrument, day.bar.volume),
        times::micros(day.last.time),
    ))
}
