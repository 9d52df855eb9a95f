//! Kraken spot: REST and WebSocket v2.

mod channels;
mod names;
mod rest;
mod session;
mod wire;

use std::{sync::Arc, time::Instant};

use crate::server::{Answer, Core, Request, Session, Verdict};

/// A REST request: budget first, then the endpoint. Failures are answered with status 200.
pub(crate) fn rest(core: &Core, request: &Request<'_>) -> Answer {
    let Some(endpoint) = request.path.strip_prefix("/0/public/") else {
        core.log.violation(None, format!("unknown endpoint {}", request.path));
        return Answer::with(404, r#"{"error":["EGeneral:Unknown method"]}"#);
    };
    if !matches!(core.budget.take(1, Instant::now()), Verdict::Granted(_)) {
        core.log
            .violation(None, format!("{}: over the request budget", request.path));
        return Answer::ok(r#"{"error":["EAPI:Rate limit exceeded"]}"#);
    }
    match rest::answer(core, request, endpoint) {
        Ok(result) => Answer::ok(format!(r#"{{"error":[],"result":{result}}}"#)),
        Err(error) => {
            if error != rest::UNKNOWN_PAIR {
                core.log.violation(None, format!("{}: {error}", request.path));
            }
            Answer::ok(format!(r#"{{"error":["{error}"]}}"#))
        }
    }
}

/// The session of `/v2`.
pub(crate) fn session(core: Arc<Core>, path: &str) -> Option<Box<dyn Session>> {
    (path == "/v2").then(|| Box::new(session::Kraken::new(core)) as Box<dyn Session>)
}
