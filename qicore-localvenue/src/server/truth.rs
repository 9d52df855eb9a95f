//! `/_truth/…`: the market's truth as JSON lines, for programs that compare.

use serde::Serialize;

use super::{Answer, Core, Query};

/// Rows in one answer.
const MOST: i64 = 1_000_000;

pub(super) fn answer(core: &Core, path: &str, query: &Query) -> Answer {
    let body = match path {
        "/_truth/now" => now(core),
        "/_truth/trades" => trades(core, query),
        "/_truth/candles" => candles(core, query),
        "/_truth/log" => log(core),
        _ => Err("unknown: now, trades, candles or log".to_owned()),
    };
    match body {
        Ok(body) => Answer::ok(body).header("Content-Type", "application/x-ndjson"),
        Err(error) => Answer::with(400, format!("{error}\n")).header("Content-Type", "text/plain"),
    }
}

fn required<'a>(query: &'a Query, name: &str) -> Result<&'a str, String> {
    query.get(name).ok_or_else(|| format!("missing parameter {name}"))
}

fn number(query: &Query, name: &str) -> Result<i64, String> {
    required(query, name)?
        .parse()
        .map_err(|_| format!("{name} is no number"))
}

fn lines<T: Serialize>(rows: &[T]) -> Result<String, String> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(row).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    Ok(text)
}

/// What clients did, in numbers.
#[derive(Serialize)]
struct Seen {
    requests: usize,
    /// Answered 429 or 418.
    limited: usize,
    connections: usize,
    /// Ended by a fault that was asked for.
    faults: usize,
    /// Data messages sent.
    sent: u64,
    violations: Vec<String>,
}

fn log(core: &Core) -> Result<String, String> {
    let requests = core.log.requests();
    let connections = core.log.connections();
    let by_fault = |reason: &str| reason == "fault" || reason == "going away";
    lines(&[Seen {
        requests: requests.len(),
        limited: requests
            .iter()
            .filter(|request| matches!(request.status, 418 | 429))
            .count(),
        connections: connections.len(),
        faults: connections
            .iter()
            .filter(|connection| by_fault(&connection.reason))
            .count(),
        sent: connections.iter().map(|connection| connection.sent).sum(),
        violations: core
            .log
            .violations()
            .into_iter()
            .map(|violation| violation.what)
            .collect(),
    }])
}

#[derive(Serialize)]
struct Now {
    symbol: String,
    now: i64,
    start: i64,
    last_id: u64,
    last_update: u64,
    listed: bool,
}

fn now(core: &Core) -> Result<String, String> {
    let (market, now) = (&core.market, core.market.now());
    let rows = market.symbols().into_iter().map(|symbol| Now {
        now,
        start: market.start(),
        last_id: market.last_id(&symbol, now),
        last_update: market.last_update(&symbol, now),
        listed: market.is_listed(&symbol),
        symbol,
    });
    lines(&rows.collect::<Vec<_>>())
}

fn trades(core: &Core, query: &Query) -> Result<String, String> {
    let (from, to) = (number(query, "from_id")?.max(1), number(query, "to_id")?);
    if to - from >= MOST {
        return Err(format!("more than {MOST} rows"));
    }
    lines(
        &core
            .market
            .trades(required(query, "symbol")?, from as u64..=to.max(0) as u64),
    )
}

fn candles(core: &Core, query: &Query) -> Result<String, String> {
    let (symbol, timeframe) = (required(query, "symbol")?, required(query, "timeframe")?);
    let (from, to) = (number(query, "from")?, number(query, "to")?);
    let step = core.market.timeframe(timeframe).ok_or("unknown timeframe")?;
    if (to - from) / (step.seconds() * 1_000_000_000) >= MOST {
        return Err(format!("more than {MOST} rows"));
    }
    lines(&core.market.candles(symbol, timeframe, from, to))
}
