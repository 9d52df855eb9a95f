//! Binance spot: REST v3 and the market streams.

mod rest;
mod session;
mod streams;
mod wire;

use std::sync::Arc;

use crate::{
    market::Instrument,
    server::{Answer, Core, Query, Request, Session, Verdict},
};

/// `BTCUSDT` of `BTC/USDT`.
fn native(instrument: &Instrument) -> String {
    instrument.symbol.replace('/', "")
}

/// A REST request: budget first, then the endpoint.
pub(crate) fn rest(core: &Core, request: &Request<'_>) -> Answer {
    if request.method != "GET" {
        core.log.violation(None, format!("{} {}", request.method, request.path));
        return Answer::with(405, "");
    }
    let Some(weight) = rest::weight(request) else {
        core.log.violation(None, format!("unknown endpoint {}", request.path));
        return Answer::with(404, "<html><body><h2>404 Not found</h2></body></html>")
            .header("Content-Type", "text/html");
    };
    let (status, code, wait) = match core.budget.take(weight, std::time::Instant::now()) {
        Verdict::Granted(used) => {
            let answer = rest::answer(core, request).unwrap_or_else(|error| error.answer());
            return answer
                .header("X-MBX-USED-WEIGHT", used)
                .header("X-MBX-USED-WEIGHT-1M", used);
        }
        Verdict::Limited(wait) => (429, "Too many requests; current limit is exceeded.", wait),
        Verdict::Banned(wait) => (418, "Way too many requests; IP banned until later.", wait),
    };
    core.log.violation(
        None,
        format!("{}: over the request budget, answered {status}", request.path),
    );
    Answer::with(status, format!(r#"{{"code":-1003,"msg":"{code}"}}"#)).header("Retry-After", wait.as_secs().max(1))
}

/// The session of `/ws`, `/ws/<stream>[/<stream>]` (raw) and `/stream?streams=a/b` (combined).
pub(crate) fn session(core: Arc<Core>, path: &str, query: &Query) -> Option<Box<dyn Session>> {
    let (combined, names) = match path.strip_prefix("/ws") {
        Some("" | "/") => (false, ""),
        Some(names) => (false, names.strip_prefix('/')?),
        None if path == "/stream" => (true, query.get("streams").unwrap_or_default()),
        None => return None,
    };
    let names = names
        .split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Box::new(session::Binance::new(core, combined, names)))
}
