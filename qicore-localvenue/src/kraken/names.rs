//! Kraken's three names of a pair. WebSocket v2 uses the canonical one.

use crate::market::{Instrument, Timeframe};

/// An asset as REST calls it in names of pairs: BTC is XBT, DOGE is XDG.
pub(super) fn short(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    }
}

/// An asset's own name: X before old currencies, Z before state money.
pub(super) fn asset(name: &str) -> String {
    match name {
        "BTC" | "ETH" | "LTC" | "XRP" | "XMR" | "ETC" | "ZEC" | "DOGE" => format!("X{}", short(name)),
        "USD" | "EUR" | "GBP" | "JPY" | "CAD" | "AUD" => format!("Z{name}"),
        other => other.to_owned(),
    }
}

/// `XBTUSD`.
pub(super) fn alternative(instrument: &Instrument) -> String {
    format!("{}{}", short(instrument.base()), short(instrument.quote()))
}

/// `XBT/USD`, the name of WebSocket v1.
pub(super) fn websocket_v1(instrument: &Instrument) -> String {
    format!("{}/{}", short(instrument.base()), short(instrument.quote()))
}

/// The key of answers: `XXBTZUSD` where both assets have old names, else `XBTUSDT`.
pub(super) fn key(instrument: &Instrument) -> String {
    let (base, quote) = (asset(instrument.base()), asset(instrument.quote()));
    let old = base != instrument.base() && quote != instrument.quote() && instrument.base() != "DOGE";
    if old { base + &quote } else { alternative(instrument) }
}

/// Intervals of bars, in minutes.
const INTERVALS: [(i64, &str); 9] = [
    (1, "1m"),
    (5, "5m"),
    (15, "15m"),
    (30, "30m"),
    (60, "1h"),
    (240, "4h"),
    (1_440, "1d"),
    (10_080, "1w"),
    (21_600, "15d"),
];

/// The timeframe of so many minutes.
pub(super) fn timeframe(minutes: i64) -> Option<Timeframe> {
    let (_, name) = INTERVALS.iter().find(|(interval, _)| *interval == minutes)?;
    Timeframe::of_kraken(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VenueKind;

    #[test]
    fn pairs_have_the_recorded_names() {
        let names = |symbol| {
            let instrument = Instrument::named(VenueKind::Kraken, symbol);
            (key(&instrument), alternative(&instrument))
        };
        assert_eq!(names("BTC/USD"), ("XXBTZUSD".to_owned(), "XBTUSD".to_owned()));
        assert_eq!(names("BTC/USDT"), ("XBTUSDT".to_owned(), "XBTUSDT".to_owned()));
        assert_eq!(names("BCH/EUR"), ("BCHEUR".to_owned(), "BCHEUR".to_owned()));
        assert_eq!(names("ETH/BTC"), ("XETHXXBT".to_owned(), "ETHXBT".to_owned()));
    }
}
