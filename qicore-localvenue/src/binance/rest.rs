//! Binance REST v3.

use super::{native, wire};
use crate::{
    market::{Bar, Day, Market, Series, Timeframe},
    server::{Answer, Core, Request, RowFault},
};

/// Binance's error envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    code: i32,
    message: String,
}

impl Error {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn missing(name: &str) -> Self {
        Self::new(
            -1102,
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    }

    pub(super) fn answer(&self) -> Answer {
        let message = serde_json::Value::from(self.message.as_str());
        Answer::with(400, format!(r#"{{"code":{},"msg":{message}}}"#, self.code))
    }
}

/// The weight of a request; `None` of an endpoint that does not exist.
pub(super) fn weight(request: &Request<'_>) -> Option<u32> {
    let all = request.query.get("symbol").is_none();
    Some(match request.path.strip_prefix("/api/v3/")? {
        "ping" | "time" => 1,
        "exchangeInfo" => 20,
        "klines" => 2,
        "trades" | "historicalTrades" => 25,
        "aggTrades" => 4,
        "depth" => match request.query.number("limit") {
            Ok(Some(..=100) | None) | Err(_) => 5,
            Ok(Some(..=500)) => 25,
            Ok(Some(..=1_000)) => 50,
            Ok(Some(_)) => 250,
        },
        "ticker/24hr" => {
            if all {
                80
            } else {
                2
            }
        }
        "ticker/bookTicker" => {
            if all {
                4
            } else {
                2
            }
        }
        _ => return None,
    })
}

pub(super) fn answer(core: &Core, request: &Request<'_>) -> Result<Answer, Error> {
    let endpoint = request.path.strip_prefix("/api/v3/").unwrap_or_default();
    let parameters: &[&str] = match endpoint {
        "ping" | "time" => &[],
        "exchangeInfo" => &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"],
        "klines" => &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"],
        "aggTrades" => &["symbol", "fromId", "startTime", "endTime", "limit"],
        "historicalTrades" => &["symbol", "limit", "fromId"],
        "trades" | "depth" => &["symbol", "limit"],
        _ => &["symbol", "symbols", "type"],
    };
    request.query.allow(core, request.path, parameters);
    let body = match endpoint {
        "ping" => "{}".to_owned(),
        "time" => format!(r#"{{"serverTime":{}}}"#, core.market.now() / 1_000_000),
        "exchangeInfo" => exchange_info(core, request)?,
        "klines" => klines(core, request)?,
        "trades" => trades(core, request, false)?,
        "historicalTrades" => trades(core, request, true)?,
        "aggTrades" => aggregates(core, request)?,
        "depth" => depth(core, request)?,
        "ticker/24hr" => days(core, request)?,
        _ => tops(core, request)?,
    };
    Ok(Answer::ok(body))
}

fn symbol<'a>(core: &'a Core, request: &Request<'_>) -> Result<&'a Series, Error> {
    let name = request
        .query
        .get("symbol")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Error::missing("symbol"))?;
    one(core, name)
}

fn one<'a>(core: &'a Core, name: &str) -> Result<&'a Series, Error> {
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    {
        core.log
            .violation(None, format!("symbol {name:?} is not in upper case"));
        return Err(Error::new(
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ));
    }
    core.market
        .find(name, native)
        .ok_or_else(|| Error::new(-1121, "Invalid symbol."))
}

/// The symbol, the symbols of a JSON array, or all.
fn several<'a>(core: &'a Core, request: &Request<'_>) -> Result<(Vec<&'a Series>, bool), Error> {
    if request.query.get("symbol").is_some() {
        return Ok((vec![symbol(core, request)?], true));
    }
    let Some(names) = request.query.get("symbols") else {
        return Ok((core.market.listed().collect(), false));
    };
    let names: Vec<String> = serde_json::from_str(names)
        .map_err(|_| Error::new(-1100, "Illegal characters found in parameter 'symbols'."))?;
    Ok((
        names.iter().map(|name| one(core, name)).collect::<Result<_, _>>()?,
        false,
    ))
}

fn number(request: &Request<'_>, name: &str) -> Result<Option<i64>, Error> {
    request.query.number(name).map_err(|_| {
        Error::new(
            -1100,
            format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."),
        )
    })
}

fn limit(core: &Core, request: &Request<'_>, default: i64, most: i64) -> Result<usize, Error> {
    let limit = number(request, "limit")?.unwrap_or(default);
    if limit > most {
        core.log
            .violation(None, format!("{}: limit {limit} is more than {most}", request.path));
    }
    Ok(limit.clamp(1, most) as usize)
}

fn rows(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn exchange_info(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let (series, _) = several(core, request)?;
    Ok(format!(
        concat!(
            r#"{{"timezone":"UTC","serverTime":{},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"#,
            r#""limit":{}}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}}],"#,
            r#""exchangeFilters":[],"symbols":{}}}"#
        ),
        core.market.now() / 1_000_000,
        core.limits.rest_budget,
        rows(series.iter().map(|series| wire::symbol(&series.instrument))),
    ))
}

/// Nanoseconds of a parameter in milliseconds.
fn time(request: &Request<'_>, name: &str) -> Result<Option<i64>, Error> {
    Ok(number(request, name)?.map(|milliseconds| milliseconds.saturating_mul(1_000_000)))
}

fn klines(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let series = symbol(core, request)?;
    let name = request
        .query
        .get("interval")
        .ok_or_else(|| Error::missing("interval"))?;
    let timeframe = Timeframe::of(name)
        .filter(|timeframe| timeframe.name() != "15d")
        .ok_or_else(|| Error::new(-1120, "Invalid interval."))?;
    let limit = limit(core, request, 500, 1_000)?;
    let now = core.market.now();
    let (start, end) = (time(request, "startTime")?, time(request, "endTime")?);
    let end = end.unwrap_or(i64::MAX - 1);
    let mut from = start.unwrap_or_else(|| Market::back(timeframe, timeframe.floor(end.min(now)), limit - 1));
    match request.rows {
        Some(RowFault::Empty) => return Ok("[]".to_owned()),
        Some(RowFault::Outside) => from = Market::back(timeframe, timeframe.floor(from), 3),
        None => {}
    }
    let bars = core.market.bars(series, timeframe, from, end + 1, now);
    Ok(rows(
        bars.take(limit)
            .map(|bar: Bar| wire::kline_row(&series.instrument, timeframe, &bar)),
    ))
}

/// The ids of a page that begins at `from`, or is the latest.
fn ids(core: &Core, request: &Request<'_>, series: &Series, from: Option<u64>, limit: usize) -> std::ops::Range<u64> {
    let last = core.market.last(series, core.market.now());
    let first = from.unwrap_or((last + 1).saturating_sub(limit as u64)).max(1);
    match request.rows {
        Some(RowFault::Empty) => 1..1,
        Some(RowFault::Outside) => first.saturating_sub(3).max(1)..(first + limit as u64).min(last + 1),
        None => first..(first + limit as u64).min(last + 1),
    }
}

fn trades(core: &Core, request: &Request<'_>, historical: bool) -> Result<String, Error> {
    let series = symbol(core, request)?;
    let limit = limit(core, request, 500, 1_000)?;
    let from = if historical {
        number(request, "fromId")?.map(|id| id.max(0) as u64)
    } else {
        None
    };
    let ids = ids(core, request, series, from, limit);
    Ok(rows(ids.map(|id| {
        wire::trade_row(&series.instrument, &core.market.fill(series, id))
    })))
}

fn aggregates(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let series = symbol(core, request)?;
    let limit = limit(core, request, 500, 1_000)?;
    let (from_id, start, end) = (
        number(request, "fromId")?,
        time(request, "startTime")?,
        time(request, "endTime")?,
    );
    if from_id.is_some() && (start.is_some() || end.is_some()) {
        return Err(Error::new(-1128, "Combination of optional parameters invalid."));
    }
    let behind = end.map_or(u64::MAX, |end| core.market.first_from(series, end.saturating_add(1)));
    let from = match (from_id, start) {
        (Some(id), _) => Some(id.max(0) as u64),
        (None, Some(start)) => Some(core.market.first_from(series, start)),
        (None, None) => end.map(|_| behind.saturating_sub(limit as u64)),
    };
    let ids = ids(core, request, series, from, limit);
    let ids = ids.start..ids.end.min(behind);
    Ok(rows(ids.map(|id| {
        wire::aggregate_row(&series.instrument, &core.market.fill(series, id))
    })))
}

fn depth(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let series = symbol(core, request)?;
    let limit = limit(core, request, 100, 5_000)?;
    let book = core
        .market
        .book_at(series, core.market.update_at(series, core.market.now()));
    let limit = if request.rows == Some(RowFault::Empty) {
        0
    } else {
        limit
    };
    Ok(wire::snapshot(&series.instrument, &book, limit))
}

fn days(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let (series, single) = several(core, request)?;
    let full = request.query.get("type") != Some("MINI");
    let now = core.market.now();
    let row = |series: &&Series| {
        let day: Day = core.market.day(series, now)?;
        let book = core.market.book_at(series, core.market.update_at(series, now));
        Some(wire::day_row(&series.instrument, &day, &book, now, full))
    };
    Ok(one_or_all(series.iter().filter_map(row), single))
}

fn tops(core: &Core, request: &Request<'_>) -> Result<String, Error> {
    let (series, single) = several(core, request)?;
    let now = core.market.now();
    let row = |series: &&Series| {
        let book = core.market.book_at(series, core.market.update_at(series, now));
        wire::book_ticker_row(&series.instrument, &book)
    };
    Ok(one_or_all(series.iter().map(row), single))
}

fn one_or_all(mut texts: impl Iterator<Item = String>, single: bool) -> String {
    if single {
        texts.next().unwrap_or_else(|| "{}".to_owned())
    } else {
        rows(texts)
    }
}
