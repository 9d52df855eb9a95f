//! Clients of venues against the local venue.
#![cfg(all(feature = "binance", feature = "coinbase", feature = "kraken"))]

mod behind;
mod common;
mod joined;
