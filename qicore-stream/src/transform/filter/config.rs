use std::fmt;
use std::str::FromStr;

use qicore_data::{Data, Event, EventType, Exchange, Quality, Symbol};
use serde::{Deserialize, Deserializer, de};

/// Symbols to match: `BTC/USD`, `BTC/*`, `*/USD` or `*`.
///
/// ```
/// use qicore_data::Symbol;
/// use qicore_stream::transform::filter::SymbolPattern;
/// let dollars: SymbolPattern = "*/USD".parse()?;
/// assert!(dollars.matches(Symbol::new("BTC/USD").unwrap()));
/// assert!(!dollars.matches(Symbol::new("BTC/USDT").unwrap()));
/// assert!("B*/USD".parse::<SymbolPattern>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Any,
    One(Symbol),
    Base(Box<str>),
    Quote(Box<str>),
}

impl SymbolPattern {
    /// Whether `symbol` is meant.
    pub fn matches(&self, symbol: Symbol) -> bool {
        match &self.0 {
            Pattern::Any => true,
            Pattern::One(one) => *one == symbol,
            Pattern::Base(base) => symbol.base() == &**base,
            Pattern::Quote(quote) => symbol.quote() == &**quote,
        }
    }
}

impl From<Symbol> for SymbolPattern {
    fn from(symbol: Symbol) -> Self {
        Self(Pattern::One(symbol))
    }
}

impl FromStr for SymbolPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str| !part.is_empty() && !part.contains('*');
        let pattern = match text.split_once('/') {
            None if text == "*" => Pattern::Any,
            Some(("*", "*")) => Pattern::Any,
            Some(("*", quote)) if plain(quote) => Pattern::Quote(quote.into()),
            Some((base, "*")) if plain(base) => Pattern::Base(base.into()),
            Some((base, quote)) if plain(base) && plain(quote) => {
                Pattern::One(Symbol::new(text).map_err(|error| error.to_string())?)
            }
            _ => return Err(format!("{text:?} is none of BASE/QUOTE, BASE/*, */QUOTE and *")),
        };
        Ok(Self(pattern))
    }
}

impl fmt::Display for SymbolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Any => f.write_str("*"),
            Pattern::One(symbol) => symbol.fmt(f),
            Pattern::Base(base) => write!(f, "{base}/*"),
            Pattern::Quote(quote) => write!(f, "*/{quote}"),
        }
    }
}

impl<'de> Deserialize<'de> for SymbolPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Events with certain properties. An empty list asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Selection {
    /// Kinds of events.
    pub types: Vec<EventType>,
    /// Venues.
    pub exchanges: Vec<Exchange>,
    /// Symbols.
    pub symbols: Vec<SymbolPattern>,
}

impl Selection {
    /// Adds a kind.
    #[must_use]
    pub fn event_type(mut self, kind: EventType) -> Self {
        self.types.push(kind);
        self
    }

    /// Adds a venue.
    #[must_use]
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.exchanges.push(exchange);
        self
    }

    /// Adds symbols.
    #[must_use]
    pub fn symbols(mut self, pattern: SymbolPattern) -> Self {
        self.symbols.push(pattern);
        self
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.exchanges.is_empty() && self.symbols.is_empty()
    }

    /// Whether `event` has a property of each list that is not empty.
    pub fn matches(&self, event: &Event) -> bool {
        let (types, exchanges, symbols) = (&self.types, &self.exchanges, &self.symbols);
        (types.is_empty() || types.contains(&event.event_type()))
            && (exchanges.is_empty() || exchanges.contains(&event.exchange))
            && (symbols.is_empty() || symbols.iter().any(|pattern| pattern.matches(event.symbol)))
    }
}

/// What `filter` passes on: what matches `keep`, but for what matches `exclude`.
///
/// ```
/// use qicore_data::{EventType, Settings};
/// use qicore_stream::transform::filter::{FilterConfig, Selection};
/// let file = Settings::parse(r#"
///     keep = { types = ["trade", "candle"], symbols = ["BTC/*"] }
///     exclude = { symbols = ["*/EUR"] }
///     min_quality = "medium"
/// "#)?;
/// let config: FilterConfig = file.read()?;
/// assert_eq!(config.keep.types, [EventType::Trade, EventType::Candle]);
/// assert_eq!(config.exclude, Selection::default().symbols("*/EUR".parse().unwrap()));
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FilterConfig {
    /// What to pass on; everything if empty.
    pub keep: Selection,
    /// What not to pass on; nothing if empty.
    pub exclude: Selection,
    /// The lowest quality to pass on.
    pub min_quality: Quality,
    /// Whether candles must be closed.
    pub closed_only: bool,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            keep: Selection::default(),
            exclude: Selection::default(),
            min_quality: Quality::Low,
            closed_only: false,
        }
    }
}

impl FilterConfig {
    /// Sets what to pass on.
    #[must_use]
    pub fn keep(mut self, selection: Selection) -> Self {
        self.keep = selection;
        self
    }

    /// Sets what not to pass on.
    #[must_use]
    pub fn exclude(mut self, selection: Selection) -> Self {
        self.exclude = selection;
        self
    }

    /// Sets the lowest quality to pass on.
    #[must_use]
    pub fn min_quality(mut self, quality: Quality) -> Self {
        self.min_quality = quality;
        self
    }

    /// Sets whether candles must be closed.
    #[must_use]
    pub fn closed_only(mut self, closed_only: bool) -> Self {
        self.closed_only = closed_only;
        self
    }

    /// Whether `event` is passed on.
    pub fn passes(&self, event: &Event) -> bool {
        let open = matches!(&event.data, Data::Candle(candle) if !candle.closed);
        // `Quality` is ordered from high to low.
        event.quality <= self.min_quality
            && !(open && self.closed_only)
            && self.keep.matches(event)
            && (self.exclude.is_empty() || !self.exclude.matches(event))
    }
}
