//! Coinbase.
use crate::server::{Answer, Core, Request, Session};
use std::sync::Arc;
pub(crate) fn rest(_core: &Core, _request: &Request<'_>) -> Answer {
    Answer::with(404, "")
}
pub(crate) fn session(_core: Arc<Core>, _path: &str) -> Option<Box<dyn Session>> {
    None
}
