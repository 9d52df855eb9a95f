//! What a frame holds, told from its URL, its stream's name, its type of event, or its form.

use std::borrow::Cow;

use qicore_data::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::answer_error;
use super::request::Request;
use super::wire;

pub(super) const OPERATION: &str = "binance.decode";

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AggTrade,
    Trade,
    BookTicker,
    DepthUpdate,
    DepthSnapshot,
    Kline,
    Ticker,
    RollingTicker,
    AveragePrice,
    ReferencePrice,
    ExchangeInfo,
    /// Rows and objects of endpoints that streams have no message like.
    Rest(Rest),
    /// The answer of an endpoint that tells of no market.
    NoMarketData,
    Control,
}

/// What the answer of an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Klines,
    Trades,
    AggTrades,
    WindowTicker,
    TradingDay,
    LastPrice,
    BestPrices,
    AveragePrice,
}

impl Kind {
    /// By the type of event, the field `e`.
    fn of_event(event: &str) -> Option<Self> {
        Some(match event {
            "aggTrade" => Self::AggTrade,
            "trade" | "blockTrade" => Self::Trade,
            "bookTicker" => Self::BookTicker,
            "depthUpdate" => Self::DepthUpdate,
            "kline" => Self::Kline,
            "24hrTicker" | "24hrMiniTicker" | "1dTicker" => Self::Ticker,
            "1hTicker" | "4hTicker" => Self::RollingTicker,
            "avgPrice" => Self::AveragePrice,
            "referencePrice" => Self::ReferencePrice,
            "serverShutdown" => Self::Control,
            _ => return None,
        })
    }

    /// By a stream's name: `btcusdt@depth@100ms`, `!ticker@arr`.
    fn of_stream(stream: &str) -> Option<Self> {
        let kind = match stream.strip_prefix('!') {
            Some(all) => cut(all, b'@').map_or(all, |(kind, _)| kind),
            None => {
                let (_, rest) = cut(stream, b'@')?;
                cut(rest, b'@').map_or(rest, |(kind, _)| kind)
            }
        };
        Some(match kind {
            "aggTrade" => Self::AggTrade,
            "trade" | "blockTrade" => Self::Trade,
            "bookTicker" => Self::BookTicker,
            "depth" => Self::DepthUpdate,
            "depth5" | "depth10" | "depth20" => Self::DepthSnapshot,
            "ticker" | "miniTicker" | "ticker_1d" => Self::Ticker,
            "ticker_1h" | "ticker_4h" => Self::RollingTicker,
            "avgPrice" => Self::AveragePrice,
            "referencePrice" => Self::ReferencePrice,
            other if other.starts_with("kline_") => Self::Kline,
            _ => return None,
        })
    }

    /// By the end of a URL's path, or what stands for it in the name of a folder: `ticker/24hr`, `ticker_24hr`.
    fn of_endpoint(endpoint: &str) -> Result<Self> {
        Ok(match endpoint {
            "depth" => Self::DepthSnapshot,
            "exchangeInfo" => Self::ExchangeInfo,
            "klines" | "uiKlines" | "continuousKlines" => Self::Rest(Rest::Klines),
            "trades" | "historicalTrades" | "historicalBlockTrades" => Self::Rest(Rest::Trades),
            "aggTrades" => Self::Rest(Rest::AggTrades),
            "ticker" | "ticker/24hr" | "ticker_24hr" => Self::Rest(Rest::WindowTicker),
            "ticker/tradingDay" | "ticker_tradingDay" | "tradingDay" => Self::Rest(Rest::TradingDay),
            "ticker/price" | "ticker_price" => Self::Rest(Rest::LastPrice),
            "ticker/bookTicker" | "ticker_bookTicker" | "bookTicker" => Self::Rest(Rest::BestPrices),
            "avgPrice" => Self::Rest(Rest::AveragePrice),
            "referencePrice" => Self::ReferencePrice,
            "time" | "ping" | "executionRules" => Self::NoMarketData,
            _ => {
                let shown: String = endpoint.chars().take(60).collect();
                return Err(Error::decode(OPERATION, "bodies of this endpoint are not decoded").with("endpoint", shown));
            }
        })
    }

    /// By form, for what says nothing else.
    fn of_form(probe: &wire::Probe<'_>) -> Option<Self> {
        Some(match probe {
            _ if probe.result.0 || probe.error.0 || probe.msg.0 => Self::Control,
            _ if probe.last_update.0 => Self::DepthSnapshot,
            _ if probe.bid_size.0 => Self::BookTicker,
            _ if probe.symbols.0 => Self::ExchangeInfo,
            _ if probe.server_time.0 => Self::NoMarketData,
            _ => return None,
        })
    }
}

/// A frame, opened as far as needed to know what is in it.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    /// The native name that is not in the payload but in the URL or the stream's name.
    pub(super) native: Option<Cow<'a, str>>,
    /// What a REST answer is the answer to; `None` for a message of a WebSocket.
    pub(super) request: Option<Request<'a>>,
    text: &'a str,
    /// Where a combined stream's payload begins in `text`; 0 where `text` is the payload.
    from: usize,
}

impl<'a> Message<'a> {
    /// Opens a frame that came from `origin` (a URL) and, in the words of the context, from `channel`.
    pub(super) fn open(text: &'a str, origin: Option<&'a str>, channel: Option<&str>) -> Result<Self> {
        if let Some(request) = origin.and_then(Request::of_url) {
            return Self::answer(text, request, request.endpoint());
        }
        if channel == Some("error_envelopes") {
            let message = "not an error of the venue, which the channel says it is";
            return Err(answer_error(text).unwrap_or_else(|| Error::decode(OPERATION, message)));
        }
        if let Some(endpoint) = channel.and_then(|channel| channel.strip_prefix("rest_")) {
            return Self::answer(text, Request::default(), endpoint);
        }
        match Self::peek(text) {
            Some(message) => Ok(message),
            None => Self::probe(text),
        }
    }

    /// A REST answer. An error may come from any endpoint, one whose bodies are not decoded too.
    fn answer(text: &'a str, request: Request<'a>, endpoint: &str) -> Result<Self> {
        let kind = Kind::of_endpoint(endpoint).map_err(|error| answer_error(text).unwrap_or(error))?;
        Ok(Self {
            request: Some(request),
            ..Self::plain(kind, request.symbol(), text)
        })
    }

    /// The forms in which Binance writes its messages, without reading them twice.
    #[inline]
    fn peek(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("{\"stream\":\"") {
            let (stream, rest) = cut(rest, b'"')?;
            let data = rest.strip_prefix(",\"data\":")?;
            return Some(Self {
                kind: Kind::of_stream(stream)?,
                native: stream_symbol(stream),
                request: None,
                text,
                from: text.len() - data.len(),
            });
        }
        let first = text.strip_prefix('[').unwrap_or(text);
        let (event, _) = cut(first.strip_prefix("{\"e\":\"")?, b'"')?;
        Some(Self::plain(Kind::of_event(event)?, None, text))
    }

    /// Any other order of keys, white space, and what has no type of event.
    #[cold]
    fn probe(text: &'a str) -> Result<Self> {
        if let Some(list) = text.trim_start().strip_prefix('[') {
            return Self::probe_list(text, list);
        }
        let probe: wire::Probe<'a> = read(text)?;
        if probe.method.0 {
            // A client's own request, in a recording of both directions.
            return Ok(Self::plain(Kind::Control, None, text));
        }
        if let (Some(stream), Some(data)) = (&probe.stream, probe.data) {
            let kind = Kind::of_stream(stream).ok_or_else(|| unknown("stream", stream))?;
            let native = stream_symbol(stream).map(|name| Cow::Owned(name.into_owned()));
            return Ok(Self::plain(kind, native, data.get()));
        }
        if let Some(event) = &probe.event {
            let kind = Kind::of_event(event).ok_or_else(|| unknown("event", event))?;
            return Ok(Self::plain(kind, None, text));
        }
        let kind = Kind::of_form(&probe).ok_or_else(|| {
            let message = "neither a stream's name nor a type of event, and of no known form";
            Error::decode(OPERATION, message)
        })?;
        Ok(Self::plain(kind, None, text))
    }

    /// A list of events, as `!ticker@arr` sends them without a stream's name. Lists of anything else have no type; one of
    /// nothing says nothing.
    fn probe_list(text: &'a str, rest: &str) -> Result<Self> {
        if rest.trim() == "]" {
            return Ok(Self::plain(Kind::Control, None, text));
        }
        let event = if rest.trim_start().starts_with('{') {
            let list: Vec<wire::Probe<'a>> = read(text)?;
            list.into_iter().next().and_then(|first| first.event)
        } else {
            None
        };
        let event = event.ok_or_else(|| Error::decode(OPERATION, "a list, but not of events"))?;
        let kind = Kind::of_event(&event).ok_or_else(|| unknown("event", &event))?;
        Ok(Self::plain(kind, None, text))
    }

    fn plain(kind: Kind, native: Option<Cow<'a, str>>, text: &'a str) -> Self {
        Self {
            kind,
            native,
            request: None,
            text,
            from: 0,
        }
    }

    /// Whether the payload is a list of payloads.
    #[inline]
    fn is_list(&self) -> bool {
        self.text.as_bytes()[self.from..].trim_ascii_start().starts_with(b"[")
    }

    /// Whether it is an answer about one instrument.
    pub(super) fn answers_for_one(&self) -> bool {
        self.request.is_some() && !self.is_list()
    }

    /// Reads one payload, or each of a list of them.
    #[inline]
    pub(super) fn each<T: Deserialize<'a>>(&self, mut take: impl FnMut(&T) -> Result<()>) -> Result<()> {
        match self.is_list() {
            false => take(&self.read()?),
            true => self.read::<Vec<T>>()?.iter().try_for_each(take),
        }
    }

    /// Reads a payload that says nothing, unless it is an error.
    pub(super) fn pass_over(&self) -> Result<()> {
        self.read::<IgnoredAny>()?;
        answer_error(self.text).map_or(Ok(()), Err)
    }

    /// Reads the payload.
    #[inline]
    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T> {
        if self.from == 0 {
            return read(self.text);
        }
        let rest = &self.text[self.from..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        if let Some(Ok(value)) = values.next()
            && rest[values.byte_offset()..].trim_ascii() == "}"
        {
            return Ok(value);
        }
        // Keys after `data`, or an error, which is then told with its place in the frame.
        read::<wire::Combined<T>>(self.text).map(|combined| combined.data)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))
}

#[cold]
fn unknown(what: &'static str, name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    Error::decode(OPERATION, format!("{what}s of this name are not decoded")).with(what, format_args!("{shown:?}"))
}

/// The native name in a stream's name; a stream of all symbols (`!ticker@arr`) has none.
fn stream_symbol(stream: &str) -> Option<Cow<'_, str>> {
    let (name, _) = cut(stream, b'@')?;
    (!name.starts_with('!')).then_some(Cow::Borrowed(name))
}

/// What stands before and after the first such byte, of ASCII. In short texts faster than `split_once`, which searches
/// by the block.
#[inline]
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}
