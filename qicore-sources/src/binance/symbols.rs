//! Binance's names: base and quote run together (`BTCUSDT`), upper case except in the names of streams.

use qicore_data::Symbol;

/// Quote currencies of binance.com, longest first.
///
/// The union of the quote currencies of the instrument lists of 2021 to 2026. Left out is what ends another pair's name
/// more often than it is a quote currency itself: `AEUR` (`ADAEUR` is ADA/EUR). `U`, of one letter, is last.
const COM: &[&str] = &[
    "FDUSD", "RLUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDS", "USD1", "EURI", "DOGE", "GYEN", "BIDR", "BKRW",
    "BVND", "IDRT", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "AUD", "GBP", "RUB", "UAH", "NGN", "ZAR", "JPY", "PLN",
    "RON", "ARS", "MXN", "CZK", "COP", "DAI", "PAX", "UST", "VAI", "TRX", "XRP", "SOL", "DOT", "U",
];

/// Quote currencies of binance.us, longest first. It quotes in dollars, which binance.com does not: `BATUSD` is BAT/USD
/// and not BA/TUSD.
const US: &[&str] = &["USDT", "USDC", "BUSD", "USD", "BTC", "ETH", "BNB", "DAI"];

/// Base currencies of binance.us that end in B, which is not the beginning of `BUSD`.
const US_ENDING_IN_B: &[&str] = &["BNB", "SHIB", "ARB"];

/// The symbol of a native name on binance.com.
pub(super) fn com(native: &str) -> Option<Symbol> {
    split(native, COM)
}

/// The symbol of a native name on binance.us.
pub(super) fn us(native: &str) -> Option<Symbol> {
    match native.strip_suffix("USD") {
        Some(base) if US_ENDING_IN_B.contains(&base) => Symbol::pair(base, "USD").ok(),
        _ => split(native, US),
    }
}

fn split(native: &str, quotes: &[&str]) -> Option<Symbol> {
    let quote = quotes.iter().find(|quote| native.ends_with(**quote))?;
    // A name that is all quote has no base, and is refused as a symbol.
    Symbol::pair(&native[..native.len() - quote.len()], quote).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_quote_currency_comes_first() {
        for quotes in [COM, US] {
            assert!(quotes.is_sorted_by_key(|quote| std::cmp::Reverse(quote.len())));
        }
        assert_eq!(com("BTCFDUSD").unwrap().as_str(), "BTC/FDUSD");
        assert_eq!(com("USDTTRY").unwrap().as_str(), "USDT/TRY");
        assert_eq!(com("1000SATSUSDT").unwrap().as_str(), "1000SATS/USDT");
        assert_eq!(com("XRPRLUSD").unwrap().as_str(), "XRP/RLUSD");
        assert_eq!(com("RLUSDUSDT").unwrap().as_str(), "RLUSD/USDT");
    }

    #[test]
    fn a_quote_currency_of_one_letter_is_the_last_choice() {
        for (native, symbol) in [
            ("BTCU", "BTC/U"),
            ("BNBU", "BNB/U"),
            ("USDTU", "USDT/U"),
            ("UUSDT", "U/USDT"),
            ("BTCRUB", "BTC/RUB"),
            ("BTCEUR", "BTC/EUR"),
        ] {
            assert_eq!(com(native).unwrap().as_str(), symbol);
        }
        assert_eq!(us("BTCU"), None);
    }

    #[test]
    fn dollars_on_binance_us() {
        for (native, symbol) in [
            ("BATUSD", "BAT/USD"),
            ("USDTUSD", "USDT/USD"),
            ("BNBUSD", "BNB/USD"),
            ("SHIBUSD", "SHIB/USD"),
            ("BTCBUSD", "BTC/BUSD"),
        ] {
            assert_eq!(us(native).unwrap().as_str(), symbol);
        }
    }

    #[test]
    fn what_is_no_pair_has_no_symbol() {
        for native in ["", "U", "USDT", "BTCUSDT_250328", "btcusdt", "币", "B USDT"] {
            assert_eq!(com(native), None, "{native}");
        }
    }
}
