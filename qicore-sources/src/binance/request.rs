//! What a REST answer's URL tells that its body does not.

use std::borrow::Cow;

/// The request that a body answers. Empty where only the endpoint's name is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request<'a> {
    path: &'a str,
    query: &'a str,
}

impl<'a> Request<'a> {
    /// The request of an HTTP URL. The URL of a WebSocket says nothing about a message.
    pub(super) fn of_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !matches!(scheme, "https" | "http") {
            return None;
        }
        let path = &rest[rest.find('/')?..];
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Some(Self { path, query })
    }

    /// The endpoint's name: the last segment of the path, and the one before where it is `ticker`.
    pub(super) fn endpoint(&self) -> &'a str {
        let path = self.path.trim_end_matches('/');
        let from = path.rfind("/ticker/").or_else(|| path.rfind('/'));
        from.map_or(path, |from| &path[from + 1..])
    }

    /// The native name that was asked for.
    ///
    /// `/continuousKlines` asks for a pair and a type of contract, which together name an instrument only where it is the
    /// perpetual one: of dated contracts the series goes through several.
    pub(super) fn symbol(&self) -> Option<Cow<'a, str>> {
        if let Some(symbol) = self.parameter("symbol") {
            return Some(symbol.into());
        }
        let pair = self.parameter("pair")?;
        match self.parameter("contractType")? {
            "PERPETUAL" if self.is_coin_margined() => Some(format!("{pair}_PERP").into()),
            "PERPETUAL" => Some(pair.into()),
            _ => None,
        }
    }

    /// The interval that was asked for.
    pub(super) fn interval(&self) -> Option<&'a str> {
        self.parameter("interval")
    }

    /// Whether it was asked of COIN-M futures, whose sizes are numbers of contracts.
    pub(super) fn is_coin_margined(&self) -> bool {
        self.path.starts_with("/dapi/")
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (url, endpoint) in [
            ("https://api.binance.com/api/v3/klines?symbol=A/B", "klines"),
            ("https://api.binance.com/api/v3/ticker?symbols=[]", "ticker"),
            ("https://api.binance.com/api/v3/ticker/24hr", "ticker/24hr"),
            (
                "https://dapi.binance.com/dapi/v1/ticker/bookTicker/?a",
                "ticker/bookTicker",
            ),
            ("http://localhost:1/", ""),
        ] {
            assert_eq!(Request::of_url(url).unwrap().endpoint(), endpoint, "{url}");
        }
        for url in ["wss://stream.binance.com:9443/ws", "rest_klines", "https://host", ""] {
            assert!(Request::of_url(url).is_none(), "{url}");
        }
    }

    #[test]
    fn instruments() {
        for (url, symbol) in [
            ("https://h/api/v3/klines?interval=1m&symbol=BTCUSDT", Some("BTCUSDT")),
            (
                "https://h/fapi/v1/continuousKlines?pair=BTCUSDT&contractType=PERPETUAL",
                Some("BTCUSDT"),
            ),
            (
                "https://h/dapi/v1/continuousKlines?pair=BTCUSD&contractType=PERPETUAL",
                Some("BTCUSD_PERP"),
            ),
            (
                "https://h/fapi/v1/continuousKlines?pair=BTCUSDT&contractType=CURRENT_QUARTER",
                None,
            ),
            ("https://h/api/v3/trades?xsymbol=BTCUSDT&symbol", None),
            ("https://h/api/v3/trades", None),
        ] {
            assert_eq!(Request::of_url(url).unwrap().symbol().as_deref(), symbol, "{url}");
        }
    }
}
