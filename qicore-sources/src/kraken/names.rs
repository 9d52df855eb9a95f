//! Kraken's names of currencies and pairs.

use qicore_data::{NameError, Symbol};

/// Currencies that Kraken calls by names of its own, in REST and WebSocket v1.
const RENAMED: [(&str, &str); 2] = [("XBT", "BTC"), ("XDG", "DOGE")];

/// Currencies of states. A pair of two of them is foreign exchange, not a spot market in a coin.
const FIAT: [&str; 10] = ["AED", "AUD", "BRL", "CAD", "CHF", "EUR", "GBP", "JPY", "MXN", "USD"];

/// The usual name of a currency.
pub(super) fn currency(native: &str) -> &str {
    let renamed = RENAMED.iter().find(|(kraken, _)| *kraken == native);
    renamed.map_or(native, |(_, usual)| usual)
}

/// The usual name of an asset code: the oldest ones have four letters, `X` for a coin or `Z` for a state's currency and
/// then the name (`XXBT`, `ZUSD`). A newer code may begin alike, so whether that letter is a mark is told by `altname`,
/// the pair's name without marks.
pub(super) fn asset<'a>(code: &'a str, altname: &str) -> &'a str {
    let marked = code.len() == 4 && !altname.contains(code);
    let plain = code.strip_prefix(['X', 'Z']).filter(|_| marked);
    currency(plain.unwrap_or(code))
}

/// Whether a currency, by its usual name, is a state's.
pub(super) fn is_fiat(currency: &str) -> bool {
    FIAT.contains(&currency)
}

/// The symbol of a name as WebSocket v1 and `wsname` write it: `XBT/CHF` is `BTC/CHF`.
pub(super) fn symbol(native: &str) -> Result<Symbol, NameError> {
    match native.split_once('/') {
        Some((base, quote)) if [base, quote].iter().any(|name| currency(name) != *name) => {
            Symbol::pair(currency(base), currency(quote))
        }
        _ => Symbol::new(native),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_get_their_usual_names() {
        for (native, usual) in [
            ("XBT/CHF", "BTC/CHF"),
            ("XDG/USD", "DOGE/USD"),
            ("KSM/XBT", "KSM/BTC"),
            ("XDG/XBT", "DOGE/BTC"),
            ("ETH/EUR", "ETH/EUR"),
            ("XBTX/USD", "XBTX/USD"),
        ] {
            assert_eq!(symbol(native).unwrap().as_str(), usual);
        }
        for native in ["XBTUSD", "", "/", "XBT/", "A /B"] {
            assert!(symbol(native).is_err(), "{native:?}");
        }
    }

    #[test]
    fn marks_are_told_from_names() {
        assert_eq!(asset("XXBT", "XBTUSD.d"), "BTC");
        assert_eq!(asset("ZUSD", "XBTUSD.d"), "USD");
        assert_eq!(asset("XETH", "ETHXBT.d"), "ETH");
        assert_eq!(asset("ZEUS", "ZEUSUSD"), "ZEUS");
        assert_eq!(asset("XTZ", "XTZUSD"), "XTZ");
        assert_eq!(asset("USDT", "XBTUSDT"), "USDT");
    }
}
