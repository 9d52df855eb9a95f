//! What all venues share: the context of a decoder, the map from native names to symbols, and what can be asked of them.
//!
//! A venue is one folder: `wire.rs` (what it sends), `parse.rs` (pure functions from payload to events), `decoder.rs`
//! (the [`Decoder`] with its state), and one row in [`VENUES`].

#[cfg(any(feature = "coinbase", feature = "kraken"))]
mod append;
#[cfg(any(feature = "binance", feature = "coinbase"))]
mod names;
#[cfg(feature = "net")]
mod stream;
mod symbols;

use std::sync::Arc;

use qicore_data::{Decoder, Error, Exchange, Label, NameError, Symbol, Timeframe};

#[cfg(any(feature = "coinbase", feature = "kraken"))]
pub(crate) use append::Append;
#[cfg(any(feature = "binance", feature = "coinbase"))]
pub(crate) use names::{Names, NamesState};
#[cfg(feature = "net")]
pub use stream::{Channel, Stream};
#[cfg(feature = "net")]
pub(crate) use stream::{Mark, Range, in_groups};
pub use symbols::SymbolMap;

/// What a decoder knows besides the payload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VenueContext {
    /// The venue that the events are from (`binance_us` for Binance's separate venue).
    pub exchange: Exchange,
    /// The plugin's name.
    pub source: Label,
    /// Native names, shared by all lanes of a source; decoders of instrument lists add to it.
    pub symbols: Arc<SymbolMap>,
    /// The folder name of the endpoint or channel (`rest_klines`, `ws_trade`), for payloads that do not say.
    pub channel: Option<Arc<str>>,
    /// The symbol, for payloads that do not say.
    pub symbol: Option<Symbol>,
    /// The timeframe, for payloads that do not say.
    pub timeframe: Option<Timeframe>,
    /// Whether books are maintained and compared with the venue's checksums.
    pub verify_checksums: bool,
}

impl VenueContext {
    /// A context for payloads that say everything themselves.
    pub fn new(exchange: &str, source: &str) -> Result<Self, NameError> {
        Ok(Self {
            exchange: Exchange::new(exchange)?,
            source: Label::new(source)?,
            symbols: Arc::default(),
            channel: None,
            symbol: None,
            timeframe: None,
            verify_checksums: true,
        })
    }

    /// An event of a frame, at the venue's time or else at the time of receipt.
    #[cfg(any(feature = "binance", feature = "coinbase", feature = "kraken"))]
    #[inline]
    pub(crate) fn event(
        &self,
        frame: &qicore_data::Frame,
        symbol: Symbol,
        at: Option<qicore_data::Timestamp>,
        data: impl Into<qicore_data::Data>,
    ) -> qicore_data::Event {
        let at = at.or(frame.received).unwrap_or(qicore_data::Timestamp::UNKNOWN);
        qicore_data::Event {
            received: frame.received,
            ..qicore_data::Event::new(self.exchange, symbol, at, self.source, data)
        }
    }
}

impl VenueContext {
    /// The gaps that a lost connection leaves.
    #[cfg(any(feature = "binance", feature = "coinbase", feature = "kraken"))]
    pub(crate) fn disconnected(
        &self,
        symbols: impl IntoIterator<Item = Symbol>,
        (lost, back): (qicore_data::Timestamp, qicore_data::Timestamp),
        out: &mut Vec<qicore_data::Event>,
    ) {
        let gap = qicore_data::Gap {
            from: lost.min(back),
            to: back,
            reason: qicore_data::GapReason::Disconnect,
            missed: None,
        };
        out.extend(symbols.into_iter().map(|symbol| qicore_data::Event {
            received: Some(back),
            ..qicore_data::Event::new(self.exchange, symbol, back, self.source, gap.clone())
        }));
    }

    /// Sets the endpoint or channel of payloads that do not say.
    #[must_use]
    pub fn channel(mut self, channel: Option<&str>) -> Self {
        self.channel = channel.map(Into::into);
        self
    }

    /// Sets the symbol of payloads that do not say.
    #[must_use]
    pub fn symbol(mut self, symbol: Option<Symbol>) -> Self {
        self.symbol = symbol;
        self
    }

    /// Sets the timeframe of payloads that do not say.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Option<Timeframe>) -> Self {
        self.timeframe = timeframe;
        self
    }

    /// Sets whether books are maintained and compared with the venue's checksums.
    #[must_use]
    pub fn verify_checksums(mut self, verify: bool) -> Self {
        self.verify_checksums = verify;
        self
    }
}

/// Makes a lane's decoder.
pub type NewDecoder = fn(&VenueContext) -> Box<dyn Decoder>;

/// A venue whose payloads can be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Venue {
    /// The plugin's name, and its cargo feature.
    pub name: &'static str,
    /// Names of the venue in headers of recordings, with the exchange that events get.
    pub recorded_as: &'static [(&'static str, &'static str)],
    /// Makes a decoder; `None` where the feature is off.
    pub decoder: Option<NewDecoder>,
}

macro_rules! venue {
    ($name:ident, $feature:literal, $recorded_as:expr) => {
        Venue {
            name: $feature,
            recorded_as: $recorded_as,
            #[cfg(feature = $feature)]
            decoder: Some(|context| Box::new(crate::$name::Decoder::new(context))),
            #[cfg(not(feature = $feature))]
            decoder: None,
        }
    };
}

/// All venues, compiled in or not.
pub const VENUES: &[Venue] = &[
    venue!(
        binance,
        "binance",
        &[("BINANCE", "binance"), ("BINANCE_US", "binance_us")]
    ),
    venue!(coinbase, "coinbase", &[("COINBASE", "coinbase")]),
    venue!(kraken, "kraken", &[("KRAKEN", "kraken")]),
];

impl Venue {
    /// The venue of a plugin's name.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        VENUES
            .iter()
            .find(|venue| venue.name == name)
            .ok_or_else(|| unknown(name))
    }

    /// The venue and exchange of a plugin's name, or of the name of an exchange that it serves (`binance_us`).
    pub fn serving(name: &str) -> Result<(&'static Self, &'static str), Error> {
        let all = VENUES
            .iter()
            .flat_map(|venue| venue.recorded_as.iter().map(move |(_, exchange)| (venue, *exchange)));
        match all.into_iter().find(|(_, exchange)| *exchange == name) {
            Some(found) => Ok(found),
            None => Self::named(name).map(|venue| (venue, venue.name)),
        }
    }

    /// The venue and exchange of a recording's header.
    pub fn recorded_as(name: &str) -> Result<(&'static Self, &'static str), Error> {
        let all = VENUES.iter().flat_map(|venue| {
            venue
                .recorded_as
                .iter()
                .map(move |(as_, exchange)| (venue, as_, exchange))
        });
        let found = all.into_iter().find(|(_, as_, _)| as_.eq_ignore_ascii_case(name));
        found
            .map(|(venue, _, exchange)| (venue, *exchange))
            .ok_or_else(|| unknown(name))
    }

    /// A decoder for one lane.
    pub fn decoder(&self, context: &VenueContext) -> Result<Box<dyn Decoder>, Error> {
        let new = self.decoder.ok_or_else(|| {
            let message = format!(
                "{} is not compiled in: enable the cargo feature {:?}",
                self.name, self.name
            );
            Error::config("venue", message)
        })?;
        Ok(new(context))
    }
}

fn unknown(name: &str) -> Error {
    let names: Vec<_> = VENUES.iter().map(|venue| venue.name).collect();
    Error::config("venue", format!("unknown venue {name:?}; known: {}", names.join(", ")))
}
