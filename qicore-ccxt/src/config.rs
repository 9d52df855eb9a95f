//! What is wanted of an exchange, and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use qicore_data::{Error, Result, RetryPolicy, Secret, Symbol, Timeframe, Timestamp, settings};
use serde::{Deserialize, Deserializer, de};

/// A kind of data. In configuration files `trades`, `tickers`, `candles:1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// Trade prints.
    Trades,
    /// Statistics of the last 24 hours. They have no history.
    Tickers,
    /// Candles that are over.
    Candles(Timeframe),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trades => f.pad("trades"),
            Self::Tickers => f.pad("tickers"),
            Self::Candles(timeframe) => write!(f, "candles:{timeframe}"),
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trades" => Ok(Self::Trades),
            "tickers" => Ok(Self::Tickers),
            _ => match text.strip_prefix("candles:").map(str::parse::<Timeframe>) {
                Some(Ok(timeframe)) => Ok(Self::Candles(timeframe)),
                Some(Err(error)) => Err(error.to_string()),
                None => Err(format!(
                    "unknown data {text:?}; known: trades, tickers, candles:TIMEFRAME"
                )),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The configuration of [`Ccxt`](crate::Ccxt).
///
/// With `from` and `to` it is history, and ends. With `from` alone it goes on asking; with neither it begins now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CcxtConfig {
    /// CCXT's id of the exchange (`kraken`, `okx`, `bitstamp`); events have it as their exchange. Its cargo feature must
    /// be on.
    pub exchange: String,
    /// The instruments, by CCXT's unified names (`BTC/USD`). Contracts (`BTC/USDT:USDT`) go through, but are not tried.
    pub symbols: Vec<Symbol>,
    /// What is wanted of each of them: `trades`, `tickers`, `candles:1m`.
    pub data: Vec<Wanted>,
    /// History from this time on.
    pub from: Option<Timestamp>,
    /// History up to this time (it is not in it), and nothing after.
    pub to: Option<Timestamp>,
    /// The pause between two questions for the same data, once everything there is has been read.
    #[serde(with = "settings::duration")]
    pub every: Duration,
    /// How a question that fails for now is asked again. `timeout` is CCXT's own affair.
    pub retry: RetryPolicy,
    /// The most rows of an answer. If absent, what CCXT or the exchange takes for it.
    pub page: Option<u32>,
    /// Base URLs in place of the exchange's own, by CCXT's name of the API: `urls.public` is its `urls.api.public`.
    pub urls: BTreeMap<String, String>,
    /// CCXT's `options`, as its manual has them: `options.fetchMarkets.types = ["spot"]` keeps most exchanges with
    /// several hosts to one.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The API key, for exchanges that want one even for market data.
    pub api_key: Option<Secret>,
    /// The API secret.
    pub api_secret: Option<Secret>,
    /// The API key's password, where the exchange has one.
    pub api_password: Option<Secret>,
}

impl Default for CcxtConfig {
    fn default() -> Self {
        Self {
            exchange: String::new(),
            symbols: Vec::new(),
            data: Vec::new(),
            from: None,
            to: None,
            every: Duration::from_secs(10),
            retry: RetryPolicy::default().pauses(Duration::from_secs(1), Duration::from_secs(60)),
            page: None,
            urls: BTreeMap::new(),
            options: BTreeMap::new(),
            api_key: None,
            api_secret: None,
            api_password: None,
        }
    }
}

impl CcxtConfig {
    /// Whether it can be carried out, as far as can be told without asking the exchange. The error's context names the
    /// setting.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |setting: &str, message: &str| Err(unusable(setting, message));
        if self.exchange.is_empty() {
            return wrong("exchange", "exchange is missing: CCXT's id of it, such as \"bitstamp\"");
        }
        if self.symbols.is_empty() {
            return wrong("symbols", "symbols is empty: name instruments, such as \"BTC/USD\"");
        }
        if self.data.is_empty() {
            return wrong("data", "data is empty: name some of trades, tickers, candles:1m");
        }
        for (setting, twice) in [("symbols", has_twice(&self.symbols)), ("data", has_twice(&self.data))] {
            if let Some(twice) = twice {
                return wrong(setting, &format!("{twice} is named twice"));
            }
        }
        match (self.from, self.to) {
            (None, Some(_)) => return wrong("to", "to is the end of a history: say in from where it begins"),
            (Some(from), Some(to)) if from >= to => return wrong("to", "to must be after from"),
            (Some(_), Some(_)) if self.data.contains(&Wanted::Tickers) => {
                return wrong("data", "tickers have no history: leave them out, or leave out to");
            }
            _ => {}
        }
        if self.every < Duration::from_millis(100) {
            return wrong("every", "every must be at least 100ms");
        }
        if self.page == Some(0) {
            return wrong("page", "page must be at least 1");
        }
        Ok(())
    }

    /// It as CCXT takes it: the argument of its constructors.
    pub(crate) fn to_ccxt(&self) -> ccxt::Value {
        let mut whole = serde_json::Map::new();
        let keys = [
            ("apiKey", &self.api_key),
            ("secret", &self.api_secret),
            ("password", &self.api_password),
        ];
        for (name, secret) in keys {
            if let Some(secret) = secret {
                whole.insert(name.into(), secret.expose().into());
            }
        }
        // Merged with what CCXT has: only what is told here is replaced.
        if !self.urls.is_empty() {
            whole.insert("urls".into(), serde_json::json!({ "api": self.urls }));
        }
        if !self.options.is_empty() {
            whole.insert("options".into(), serde_json::json!(self.options));
        }
        ccxt::Value::from_json(&whole.into())
    }
}

/// A configuration error at a setting.
pub(crate) fn unusable(setting: &str, message: &str) -> Error {
    Error::config("ccxt", message).with("setting", setting)
}

fn has_twice<T: PartialEq + fmt::Display>(all: &[T]) -> Option<String> {
    let mut all_before = all.iter().enumerate().map(|(at, one)| (&all[..at], one));
    all_before
        .find(|(before, one)| before.contains(one))
        .map(|(_, one)| one.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qicore_data::Settings;

    const FILE: &str = r#"
        exchange = "kraken"
        symbols = ["BTC/USD"]
        data = ["candles:1m", "trades"]
        from = "2026-11-01T00:00:00Z"
        every = "5s"
        urls.public = "http://127.0.0.1:1"
        options.fetchMarkets.types = ["spot"]
        api_key = "hunter2"
    "#;

    fn read(text: &str) -> CcxtConfig {
        Settings::parse(text).unwrap().read().unwrap()
    }

    #[test]
    fn what_ccxt_is_given() {
        let config = read(FILE);
        config.check().unwrap();
        assert_eq!(config.data, [Wanted::Candles(Timeframe::M1), Wanted::Trades]);
        assert_eq!(config.every, Duration::from_secs(5));
        let told = config.to_ccxt().to_json();
        let expected = serde_json::json!({
            "apiKey": "hunter2",
            "urls": { "api": { "public": "http://127.0.0.1:1" } },
            "options": { "fetchMarkets": { "types": ["spot"] } },
        });
        assert_eq!(told, expected);
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn mistakes_are_told_at_their_setting() {
        let cases = [
            ("exchange", "exchange = \"\""),
            ("symbols", "symbols = []"),
            ("symbols", "symbols = [\"A/B\", \"A/B\"]"),
            ("data", "data = []"),
            ("to", "from = \"2026-11-01T00:00:00Z\"\nto = \"2026-11-01T00:00:00Z\""),
            ("to", "to = \"2026-11-01T00:00:00Z\""),
            (
                "data",
                "data = [\"tickers\"]\nfrom = \"2026-11-01T00:00:00Z\"\nto = \"2026-11-02T00:00:00Z\"",
            ),
            ("every", "every = \"1ms\""),
            ("page", "page = 0"),
        ];
        for (setting, line) in cases {
            let mut text = line.to_owned();
            for (name, rest) in [
                ("exchange", "exchange = \"x\""),
                ("symbols", "symbols = [\"A/B\"]"),
                ("data", "data = [\"trades\"]"),
            ] {
                if !line.starts_with(name) {
                    text = format!("{rest}\n{text}");
                }
            }
            let error = read(&text).check().unwrap_err();
            assert!(error.context().contains(&("setting", setting.to_owned())), "{error}");
        }
    }

    #[test]
    fn unknown_settings_and_data_are_refused() {
        let told = |text: &str| {
            let settings = Settings::parse(text).unwrap();
            settings.read::<CcxtConfig>().unwrap_err().to_string()
        };
        assert!(told("symbol = []").contains("unknown field `symbol`"));
        assert!(told("data = [\"book\"]").contains("known: trades, tickers"));
        assert!(told("data = [\"candles:7m\"]").contains("7m"));
    }
}
