//! Instruments: names, precision and the price a market moves around.

use crate::VenueKind;

/// One traded pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The canonical name, `BTC/USDT`.
    pub symbol: String,
    /// Decimals of prices; the tick is one unit of the last.
    pub price_scale: u32,
    /// Decimals of sizes.
    pub size_scale: u32,
    /// The price around which the market moves, in units of `price_scale`.
    pub base_price: i64,
}

impl Instrument {
    /// The instrument of a canonical name with precision as the venue lists it for well-known bases, and something plausible
    /// for others.
    pub fn named(kind: VenueKind, symbol: &str) -> Self {
        let base = symbol.split('/').next().unwrap_or(symbol);
        let (price_scale, base_price) = match base {
            "BTC" if kind == VenueKind::Kraken => (1, 671_234),
            "BTC" => (2, 6_712_345),
            "ETH" => (2, 350_123),
            "SOL" => (2, 15_012),
            "XRP" => (4, 5_234),
            "DOGE" => (5, 12_345),
            "PEPE" => (8, 1_234),
            other => {
                let spread = other
                    .bytes()
                    .fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
                (4, 1_000 + (spread % 900_000) as i64)
            }
        };
        let size_scale = if kind == VenueKind::Binance { 5 } else { 8 };
        Self {
            symbol: symbol.to_owned(),
            price_scale,
            size_scale,
            base_price,
        }
    }

    /// `BTC` of `BTC/USDT`.
    pub fn base(&self) -> &str {
        self.symbol.split('/').next().unwrap_or_default()
    }

    /// `USDT` of `BTC/USDT`.
    pub fn quote(&self) -> &str {
        self.symbol.split('/').nth(1).unwrap_or_default()
    }

    /// Decimals of price × size.
    pub(crate) fn quote_scale(&self) -> u32 {
        self.price_scale + self.size_scale
    }

    /// Ticks between neighbouring book levels.
    pub(crate) fn step(&self) -> i64 {
        (self.base_price / 100_000).max(1)
    }
}
