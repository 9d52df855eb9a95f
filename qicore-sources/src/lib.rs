//! QiCore's sources: recorded and stored data, a synthetic market, and the venues.
//!
//! Each plugin is one folder behind one cargo feature, and one row in [`SOURCES`] or [`VENUES`].

#[cfg(feature = "binance")]
pub mod binance;
#[cfg(feature = "coinbase")]
pub mod coinbase;
#[cfg(feature = "generator")]
pub mod generator;
#[cfg(feature = "kraken")]
pub mod kraken;
#[cfg(feature = "replay")]
pub mod replay;
mod venue;

pub use venue::{NewDecoder, SymbolMap, VENUES, Venue, VenueContext, book};
