//! The shared database code on real servers.

#[path = "../servers/mod.rs"]
mod servers;

mod policies;
mod schema;
