//! What a frame holds, told from its URL, its stream's name, its type of event, or its form.

use std::borrow::Cow;

use qicore_data::{Error, Result};
use serde::Deserialize;

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
    ExchangeInfo,
    Control,
}

impl Kind {
    /// By the type of event, the field `e`.
    fn of_event(event: &str) -> Option<Self> {
        Some(match event {
            "aggTrade" => Self::AggTrade,
            "trade" => Self::Trade,
            "bookTicker" => Self::BookTicker,
            "depthUpdate" => Self::DepthUpdate,
            "kline" => Self::Kline,
            "24hrTicker" | "24hrMiniTicker" => Self::Ticker,
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
            "trade" => Self::Trade,
            "bookTicker" => Self::BookTicker,
            "depth" => Self::DepthUpdate,
            "depth5" | "depth10" | "depth20" => Self::DepthSnapshot,
            "ticker" | "miniTicker" => Self::Ticker,
            other if other.starts_with("kline_") => Self::Kline,
            _ => return None,
        })
    }

    /// By a URL's path, or the folder name of an endpoint.
    fn of_endpoint(endpoint: &str) -> Result<Self> {
        match endpoint {
            "depth" => Ok(Self::DepthSnapshot),
            "exchangeInfo" => Ok(Self::ExchangeInfo),
            _ => Err(Error::decode(OPERATION, "bodies of this endpoint are not decoded").with("endpoint", endpoint)),
        }
    }

    /// By form, for what says nothing else.
    fn of_form(probe: &wire::Probe<'_>) -> Option<Self> {
        Some(match probe {
            _ if probe.result.0 || probe.error.0 || probe.msg.0 => Self::Control,
            _ if probe.last_update.0 => Self::DepthSnapshot,
            _ if probe.bid_size.0 => Self::BookTicker,
            _ if probe.symbols.0 => Self::ExchangeInfo,
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
    text: &'a str,
    /// Where a combined stream's payload begins in `text`; 0 where `text` is the payload.
    from: usize,
}

impl<'a> Message<'a> {
    /// Opens a frame that came from `origin` (a URL) and, in the words of the context, from `channel`.
    pub(super) fn open(text: &'a str, origin: Option<&'a str>, channel: Option<&str>) -> Result<Self> {
        if let Some((path, query)) = origin.and_then(url_parts) {
            let symbol = query.split('&').find_map(|pair| pair.strip_prefix("symbol="));
            let endpoint = path.rsplit('/').next().unwrap_or(path);
            return Ok(Self::plain(
                Kind::of_endpoint(endpoint)?,
                symbol.map(Cow::Borrowed),
                text,
            ));
        }
        match Self::peek(text) {
            Some(message) => Ok(message),
            None => Self::probe(text, channel),
        }
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
    fn probe(text: &'a str, channel: Option<&str>) -> Result<Self> {
        // Fails for an endpoint whose bodies might be taken for something else.
        let endpoint = channel.and_then(|channel| channel.strip_prefix("rest_"));
        endpoint.map(Kind::of_endpoint).transpose()?;
        if let Some(list) = text.trim_start().strip_prefix('[') {
            return Self::probe_list(text, list);
        }
        let probe: wire::Probe<'a> = read(text)?;
        if probe.method.0 {
            return Err(Error::decode(
                OPERATION,
                "a client's request, not a message of the venue",
            ));
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

    /// A list of events, as `!ticker@arr` sends them without a stream's name. Lists of anything else have no type.
    fn probe_list(text: &'a str, rest: &str) -> Result<Self> {
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
            text,
            from: 0,
        }
    }

    /// Whether the payload is a list of payloads.
    pub(super) fn is_list(&self) -> bool {
        self.text[self.from..].trim_start().starts_with('[')
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

/// The path and the query of a URL.
fn url_parts(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    Some(path.split_once('?').unwrap_or((path, "")))
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
