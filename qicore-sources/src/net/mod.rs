//! What clients of venues and providers share: HTTP under a budget, WebSockets, one TLS configuration.

mod answer;
mod budget;
mod config;
mod http;
mod retry;
mod shared;
mod tls;
mod url;
pub(crate) mod ws;

pub use budget::{Budget, Window};
pub use config::NetConfig;

pub(crate) use answer::Answer;
pub(crate) use http::{Http, Request, Told};
pub(crate) use retry::{Pauses, retrying};
pub(crate) use url::{HTTP, WS, below, url, without_secrets};
