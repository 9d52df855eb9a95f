//! Clients of venues against the local venue.
#![cfg(all(feature = "binance", feature = "coinbase", feature = "kraken"))]

mod behind;
mod books;
mod capture;
mod common;
mod connections;
mod history;
mod http;
mod joined;
mod logs;
mod secrets;
mod streams;
