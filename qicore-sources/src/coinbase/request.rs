//! What a response answers: a body of the REST interfaces does not say itself.

use std::time::Duration;

use qicore_data::{Error, Result, Timeframe};

use super::decoder::OPERATION;

/// A request to one of the REST interfaces, as far as it matters to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    /// The product in the URL.
    pub(super) product: Option<String>,
    /// The granularity in the URL.
    pub(super) timeframe: Option<Timeframe>,
    /// It asked for a stretch of time, so that its answer need not be of now.
    pub(super) past: bool,
}

/// An endpoint whose answers are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    ExchangeCandles,
    ExchangeTrades,
    ExchangeBook,
    /// `…/ticker` and `…/stats`.
    ExchangeTicker,
    AdvancedCandles,
    /// `…/ticker`, which lists trades.
    AdvancedTrades,
    AdvancedBook,
    /// Lists of both interfaces.
    Products,
    /// One product of either.
    Product,
    ExchangeRates,
    /// Best prices of several products.
    BestBidAsk,
    /// What tells of no market.
    NoMarketData,
    /// Bodies that are known to be errors.
    Errors,
}

impl Endpoint {
    /// The endpoint of a context's channel: `None` where that is no endpoint but a channel of a feed.
    pub(super) fn of_channel(channel: &str) -> Result<Option<Self>> {
        // Advanced Trade answers without a key what is below `/market/`, in the same form.
        let public = channel.strip_prefix("advanced_rest_market_");
        let public = public.map(|endpoint| format!("advanced_rest_{endpoint}"));
        Ok(Some(match public.as_deref().unwrap_or(channel) {
            "exchange_rest_candles" => Self::ExchangeCandles,
            "exchange_rest_trades" => Self::ExchangeTrades,
            "exchange_rest_book" => Self::ExchangeBook,
            "exchange_rest_ticker" | "exchange_rest_stats" => Self::ExchangeTicker,
            "exchange_rest_products" | "advanced_rest_products" => Self::Products,
            "exchange_rest_product" | "advanced_rest_product" => Self::Product,
            "advanced_rest_candles" => Self::AdvancedCandles,
            "advanced_rest_ticker" => Self::AdvancedTrades,
            "advanced_rest_product_book" => Self::AdvancedBook,
            "advanced_rest_best_bid_ask" => Self::BestBidAsk,
            "advanced_rest_time" | "exchange_rest_time" | "exchange_rest_currencies" => Self::NoMarketData,
            "v2_exchange_rates" => Self::ExchangeRates,
            "error_envelopes" => Self::Errors,
            _ if channel.contains("_rest_") || channel.starts_with("v2_") => {
                return Err(
                    Error::decode(OPERATION, "answers of this endpoint are not decoded").with("channel", channel)
                );
            }
            _ => return Ok(None),
        }))
    }
}

impl From<Endpoint> for Request {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            product: None,
            timeframe: None,
            past: false,
        }
    }
}

impl Request {
    /// The request of a URL, whatever its host: the old names of Exchange (`api.gdax.com`, `api.pro.coinbase.com`) have the
    /// same paths. `None` where its path is that of no endpoint known here.
    pub(super) fn of_url(url: &str) -> Result<Option<Self>> {
        let Some((_, rest)) = url.split_once("://") else {
            return Ok(None);
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path: Vec<&str> = place.split('/').skip(1).filter(|part| !part.is_empty()).collect();
        let advanced = path.contains(&"brokerage");
        let (endpoint, product) = match *path.as_slice() {
            [.., "products", id, "candles"] if advanced => (Endpoint::AdvancedCandles, Some(id)),
            [.., "products", id, "ticker"] if advanced => (Endpoint::AdvancedTrades, Some(id)),
            [.., "product_book"] if advanced => (Endpoint::AdvancedBook, value(query, "product_id")),
            [.., "best_bid_ask"] if advanced => (Endpoint::BestBidAsk, None),
            [.., "time" | "currencies"] => (Endpoint::NoMarketData, None),
            [.., "products", id, "candles"] => (Endpoint::ExchangeCandles, Some(id)),
            [.., "products", id, "trades"] => (Endpoint::ExchangeTrades, Some(id)),
            [.., "products", id, "book"] => (Endpoint::ExchangeBook, Some(id)),
            [.., "products", id, "ticker" | "stats"] => (Endpoint::ExchangeTicker, Some(id)),
            [.., "products", id] => (Endpoint::Product, Some(id)),
            [.., "products"] => (Endpoint::Products, None),
            [.., "v2", "exchange-rates"] => (Endpoint::ExchangeRates, None),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            endpoint,
            product: product.map(str::to_ascii_uppercase),
            timeframe: value(query, "granularity").map(granularity).transpose()?,
            past: value(query, "start").or(value(query, "end")).is_some(),
        }))
    }
}

/// A value of a URL's query.
fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, value)| *key == name && !value.is_empty());
    values.next().map(|(_, value)| value)
}

/// The granularities of Advanced Trade; Exchange has some of them, and tells them in seconds.
const GRANULARITIES: &[(&str, Timeframe)] = &[
    ("ONE_MINUTE", Timeframe::M1),
    ("FIVE_MINUTE", Timeframe::M5),
    ("FIFTEEN_MINUTE", Timeframe::M15),
    ("THIRTY_MINUTE", Timeframe::M30),
    ("ONE_HOUR", Timeframe::H1),
    ("TWO_HOUR", Timeframe::H2),
    ("FOUR_HOUR", Timeframe::H4),
    ("SIX_HOUR", Timeframe::H6),
    ("ONE_DAY", Timeframe::D1),
];

fn granularity(text: &str) -> Result<Timeframe> {
    let named = GRANULARITIES.iter().find(|(name, _)| *name == text);
    let timeframe = match named {
        Some((_, timeframe)) => Some(*timeframe),
        None => text.parse().ok().map(Duration::from_secs).and_then(of_length),
    };
    timeframe.ok_or_else(|| {
        let shown = format!("{text:.40?}");
        Error::decode(OPERATION, "a granularity that is not known").with("granularity", shown)
    })
}

/// The timeframe of the venue's candles as long as that. It has no others: two candles three minutes apart are of one
/// minute each.
pub(super) fn of_length(length: Duration) -> Option<Timeframe> {
    let mut known = GRANULARITIES.iter().map(|(_, timeframe)| *timeframe);
    known.find(|timeframe| timeframe.length() == Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn request(url: &str) -> Option<(Endpoint, Option<String>, Option<Timeframe>, bool)> {
        let request = Request::of_url(url).unwrap()?;
        Some((request.endpoint, request.product, request.timeframe, request.past))
    }

    #[test]
    fn urls_tell_endpoint_product_and_granularity() {
        let btc = || Some("BTC-USD".to_owned());
        for (url, expected) in [
            (
                "https://api.exchange.coinbase.com/products/BTC-USD/candles?granularity=60&start=2020-01-01T00:00:00Z&end=x",
                Some((Endpoint::ExchangeCandles, btc(), Some(Timeframe::M1), true)),
            ),
            (
                "https://api.gdax.com/products/btc-usd/trades/?after=10",
                Some((Endpoint::ExchangeTrades, btc(), None, false)),
            ),
            (
                "https://api.pro.coinbase.com/products/BTC-USD/book?level=3",
                Some((Endpoint::ExchangeBook, btc(), None, false)),
            ),
            (
                "http://127.0.0.1:80/exchange/products/BTC-USD/stats",
                Some((Endpoint::ExchangeTicker, btc(), None, false)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USD/candles?granularity=SIX_HOUR&limit=3",
                Some((Endpoint::AdvancedCandles, btc(), Some(Timeframe::H6), false)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/products/BTC-USD/ticker?limit=3&end=1",
                Some((Endpoint::AdvancedTrades, btc(), None, true)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/market/product_book?limit=1&product_id=BTC-USD",
                Some((Endpoint::AdvancedBook, btc(), None, false)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/market/products",
                Some((Endpoint::Products, None, None, false)),
            ),
            (
                "https://api.exchange.coinbase.com/products/BTC-USD",
                Some((Endpoint::Product, btc(), None, false)),
            ),
            (
                "https://api.coinbase.com/v2/exchange-rates?currency=BTC",
                Some((Endpoint::ExchangeRates, None, None, false)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/best_bid_ask?product_ids=BTC-USD&product_ids=ETH-USD",
                Some((Endpoint::BestBidAsk, None, None, false)),
            ),
            (
                "https://api.exchange.coinbase.com/currencies",
                Some((Endpoint::NoMarketData, None, None, false)),
            ),
            (
                "https://api.coinbase.com/api/v3/brokerage/time",
                Some((Endpoint::NoMarketData, None, None, false)),
            ),
            ("https://api.exchange.coinbase.com/fees", None),
            ("wss://ws-feed.exchange.coinbase.com", None),
            ("no url", None),
        ] {
            assert_eq!(request(url), expected, "{url}");
        }
    }

    #[test]
    fn the_public_paths_of_advanced_trade_have_the_answers_of_the_others() {
        for endpoint in ["products", "product", "candles", "ticker", "product_book"] {
            let [public, private] = ["advanced_rest_market_", "advanced_rest_"]
                .map(|interface| Endpoint::of_channel(&format!("{interface}{endpoint}")).unwrap());
            assert!(public.is_some() && public == private, "{endpoint}");
        }
        let error = Endpoint::of_channel("advanced_rest_market_unheard").unwrap_err();
        assert!(error.to_string().contains("advanced_rest_market_unheard"), "{error}");
    }

    #[test]
    fn a_granularity_that_is_not_known_is_an_error() {
        for text in ["61", "-60", "NEXT_WEEK", "99999999999999999999"] {
            let url = format!("https://api.exchange.coinbase.com/products/BTC-USD/candles?granularity={text}");
            let error = Request::of_url(&url).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
