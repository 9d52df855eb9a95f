//! Coinbase: Advanced Trade (REST and WebSocket) and the Exchange's REST.

mod advanced;
mod channels;
mod exchange;
mod session;
mod wire;

use std::{sync::Arc, time::Instant};

use crate::{
    market::Instrument,
    server::{Answer, Core, Request, Session, Verdict},
};

/// `BTC-USD` of `BTC/USD`.
fn native(instrument: &Instrument) -> String {
    instrument.symbol.replace('/', "-")
}

/// A REST request: budget first, then the endpoint of Advanced Trade or of the Exchange.
pub(crate) fn rest(core: &Core, request: &Request<'_>) -> Answer {
    if request.method != "GET" {
        core.log.violation(None, format!("{} {}", request.method, request.path));
        return Answer::with(405, "");
    }
    if !matches!(core.budget.take(1, Instant::now()), Verdict::Granted(_)) {
        core.log
            .violation(None, format!("{}: over the request budget, answered 429", request.path));
        return Answer::with(429, r#"{"message":"Public rate limit exceeded"}"#);
    }
    let answer = match request.path.strip_prefix("/api/v3/brokerage/") {
        Some(endpoint) => advanced::answer(core, request, endpoint),
        None => exchange::answer(core, request),
    };
    answer.unwrap_or_else(|| {
        core.log.violation(None, format!("unknown endpoint {}", request.path));
        Answer::with(404, r#"{"message":"Route not found"}"#)
    })
}

/// The session of `/`.
pub(crate) fn session(core: Arc<Core>, path: &str) -> Option<Box<dyn Session>> {
    (path == "/").then(|| Box::new(session::Coinbase::new(core)) as Box<dyn Session>)
}
