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

/// What Kraken calls a currency over HTTP.
pub(super) fn native(usual: &str) -> &str {
    let renamed = RENAMED.iter().find(|(_, name)| *name == usual);
    renamed.map_or(usual, |(kraken, _)| kraken)
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

/// Coins whose codes carry an `X`, and states' currencies whose codes carry a `Z`, in the names of pairs that are made
/// of two such codes. Kraken marks no new ones.
const MARKED: [(&str, &[&str]); 2] = [
    (
        "X",
        &[
            "DAO", "ETC", "ETH", "ICN", "LTC", "MLN", "NMC", "REP", "XBT", "XDG", "XLM", "XMR", "XRP", "XVN", "ZEC",
        ],
    ),
    ("Z", &["AUD", "CAD", "EUR", "GBP", "JPY", "KRW", "USD"]),
];

/// What pairs are quoted in, longest first: `USDTUSD` is quoted in dollars, `XBTUSDT` is not quoted in `USDT` less one.
const QUOTES: [&str; 28] = [
    "EUROP", "PYUSD", "RLUSD", "EURC", "FIDD", "USD1", "USDC", "USDD", "USDG", "USDQ", "USDR", "USDT", "AED", "AUD",
    "BRL", "BTC", "CAD", "CHF", "DAI", "DOT", "ETH", "EUR", "GBP", "JPY", "POL", "SOL", "USD", "XBT",
];

/// What is quoted in `AUSD`. It is no quote beside any other base: `ADAUSD` is ADA in dollars.
const IN_AUSD: [&str; 2] = ["MON", "XBT"];

/// The symbol of a name as the REST interface writes it, without a list of pairs: two marked codes (`XXBTZUSD`,
/// `XETHXXBT`), else a base and a known quote (`XBTUSD`, `BCHEUR`, `USDTZUSD`), else a name with a stroke. `None` for
/// any other name, as those of dark pools (`XBTUSD.d`) are.
pub(super) fn rest(native: &str) -> Option<Symbol> {
    if native.contains('/') {
        return symbol(native).ok();
    }
    if !native.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
        return None;
    }
    let (base, quote) = match native.len() {
        // A quote has its mark only beside a base of four letters: `XTZUSD` and `TRXXBT` have none.
        8 => match (unmarked(&native[..4]), unmarked(&native[4..])) {
            (Some(base), Some(quote)) => (base, quote),
            (None, Some(quote)) if native.starts_with("USDT") => ("USDT", quote),
            _ => plain(native)?,
        },
        _ => plain(native)?,
    };
    Symbol::pair(currency(base), currency(quote)).ok()
}

/// A marked code without its mark.
fn unmarked(code: &str) -> Option<&str> {
    let unmarked = |(mark, codes): &(&str, &[&str])| code.strip_prefix(*mark).filter(|code| codes.contains(code));
    MARKED.iter().find_map(unmarked)
}

/// The base and quote of a name without marks.
fn plain(native: &str) -> Option<(&str, &str)> {
    let in_ausd = native.strip_suffix("AUSD").filter(|base| IN_AUSD.contains(base));
    if let Some(base) = in_ausd {
        return Some((base, "AUSD"));
    }
    let quoted_in = |quote: &&'static str| native.strip_suffix(*quote).map(|base| (base, *quote));
    QUOTES.iter().find_map(quoted_in).filter(|(base, _)| !base.is_empty())
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
    fn names_of_rest_are_split() {
        for (native, usual) in [
            ("XXBTZUSD", "BTC/USD"),
            ("XETHXXBT", "ETH/BTC"),
            ("XXDGXXBT", "DOGE/BTC"),
            ("ZEURZUSD", "EUR/USD"),
            ("USDTZUSD", "USDT/USD"),
            ("XBTUSD", "BTC/USD"),
            ("XBTUSDT", "BTC/USDT"),
            ("BCHEUR", "BCH/EUR"),
            ("XTZUSD", "XTZ/USD"),
            ("XTZETH", "XTZ/ETH"),
            ("TRXXBT", "TRX/BTC"),
            ("TRXETH", "TRX/ETH"),
            ("XDGUSD", "DOGE/USD"),
            ("XRPRLUSD", "XRP/RLUSD"),
            ("RLUSDUSD", "RLUSD/USD"),
            ("USDTUSD", "USDT/USD"),
            ("1INCHEUR", "1INCH/EUR"),
            ("ETH2.SETH", "ETH2.S/ETH"),
            ("XBT/USD", "BTC/USD"),
            ("XBTEURC", "BTC/EURC"),
            ("USDTEURC", "USDT/EURC"),
            ("EURCEUR", "EURC/EUR"),
            ("EUREUROP", "EUR/EUROP"),
            ("USDCFIDD", "USDC/FIDD"),
            ("SOLPOL", "SOL/POL"),
            ("JUPSOL", "JUP/SOL"),
            ("SOLUSD", "SOL/USD"),
            ("WLFIUSD1", "WLFI/USD1"),
            ("USD1USD", "USD1/USD"),
            ("TRXUSDD", "TRX/USDD"),
            ("SOLUSDG", "SOL/USDG"),
            ("XBTUSDQ", "BTC/USDQ"),
            ("XBTUSDR", "BTC/USDR"),
            ("USDTBRL", "USDT/BRL"),
        ] {
            assert_eq!(rest(native).map(|symbol| symbol.as_str()), Some(usual), "{native}");
        }
        for native in ["", "USD", "XBT", "XBTUSD.d", "XBTXYZ", "xbtusd", "BTC USD", "ÀÀÀÀ", "/"] {
            assert_eq!(rest(native), None, "{native:?}");
        }
    }

    #[test]
    fn coins_in_a_quoted_in_dollars_are_not_quoted_in_ausd() {
        for (native, usual) in [
            ("XBTAUSD", "BTC/AUSD"),
            ("MONAUSD", "MON/AUSD"),
            ("ADAUSD", "ADA/USD"),
            ("LUNAUSD", "LUNA/USD"),
            ("KAVAUSD", "KAVA/USD"),
            ("AUSDUSD", "AUSD/USD"),
            ("XBTAUD", "BTC/AUD"),
        ] {
            assert_eq!(rest(native).map(|symbol| symbol.as_str()), Some(usual), "{native}");
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
