//! What a venue's protocol is, to the machinery that speaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use qicore_data::{Decoder, Error, Event, Symbol};

use super::seam::CandleRules;
use crate::net::{Request, Told, Window, without_secrets};
use crate::venue::{Mark, Range, Stream, VenueContext};

/// A venue's protocol. Pure: what to ask and how to read the answer, without I/O and without a clock.
pub(crate) trait Protocol: Send + Sync + fmt::Debug + 'static {
    /// What its decoders know.
    fn context(&self) -> &VenueContext;

    /// A decoder for one connection, or one answer.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// The hosts of its HTTP interface, by the number that an [`Ask`] has.
    fn hosts(&self) -> Vec<Host>;

    /// Its WebSocket.
    fn feed(&self) -> Feed;

    /// How it sends candles.
    fn candles(&self) -> Closing;

    /// How long after Monday, 00:00 UTC, its weeks begin.
    fn week(&self) -> Duration {
        Duration::ZERO
    }

    /// Another symbol that an instrument may have been asked for as, which the venue sends under this one.
    fn asked_as(&self, sent: Symbol) -> Option<Symbol> {
        let _ = sent;
        None
    }

    /// How its books are put right after a break.
    fn book_repair(&self) -> BookRepair;

    /// Whether, and how, it has a stream.
    fn offers(&self, stream: Stream) -> Offer;

    /// Streams that one message can subscribe to, in groups. By default all of them.
    fn together(&self, streams: &[Stream]) -> Vec<Vec<Stream>> {
        vec![streams.to_vec()]
    }

    /// The message that subscribes to streams of one group, or ends that. `id` is the request's, where the venue has such.
    fn subscription(&self, id: u64, streams: &[Stream], begin: bool) -> String;

    /// Reads a message that is no data, for what it says of subscriptions.
    fn control(&self, text: &str, pending: &mut Pending);

    /// The request for the beginning of a range.
    fn history(&self, range: &Range) -> Ask;

    /// What is left of a range, where [`Covers::Told`] says that only the answer tells it; `events` are those of the answer, oldest
    /// first.
    fn left(&self, range: &Range, events: &[Event], text: &str) -> Option<Range> {
        let _ = (range, events, text);
        None
    }

    /// The request for an order book, of a venue whose stream does not begin with one.
    fn book(&self, symbol: Symbol) -> Option<Ask> {
        let _ = symbol;
        None
    }

    /// The request for the description of these instruments; without any, of all.
    fn instruments(&self, symbols: &[Symbol]) -> Ask;
}

/// A URL as it is configured. What of it may be secret is not told.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.0))
    }
}

impl Address {
    /// The configured one, or else the venue's own.
    pub(crate) fn or(configured: Option<&String>, usual: &str) -> Self {
        Self(configured.map_or_else(|| usual.to_owned(), Clone::clone))
    }
}

/// A host of a venue's HTTP interface.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Where it is.
    pub(crate) base: Address,
    /// What may be asked of it.
    pub(crate) windows: Vec<Window>,
    /// The error that an answer's body is, if it is one.
    pub(crate) of_body: fn(&str) -> Option<Error>,
    /// How its headers tell what is used of the budget.
    pub(crate) told: Option<Told>,
}

/// A venue's WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// Where it is.
    pub(crate) url: Address,
    /// The path below that.
    pub(crate) path: &'static str,
    /// The most streams of a connection.
    pub(crate) per_connection: usize,
    /// What is said first.
    pub(crate) hello: Vec<String>,
    /// It says which stream of a request it refuses.
    pub(crate) names_refused: bool,
    /// The most streams of a message that subscribes.
    pub(crate) per_message: usize,
    /// The most messages that a connection may send.
    pub(crate) messages: Window,
    /// The most connections that may be made.
    pub(crate) connects: Window,
    /// A connection that says nothing for so long is dead: the venue sends heartbeats or pings more often.
    pub(crate) silence: Duration,
    /// What is sent so often, so that the venue keeps the connection.
    pub(crate) ping: Option<(Duration, &'static str)>,
    /// The venue ends a connection that has lasted for so long: another one takes its place before.
    pub(crate) lasts: Option<Duration>,
}

/// How a venue sends candles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    /// It says when a bar is over.
    pub(crate) closes: bool,
    /// It sends bars without a trade.
    pub(crate) sends_empty: bool,
}

impl Closing {
    pub(super) fn rules(self, week: Duration, grace: Duration, open: bool) -> CandleRules {
        CandleRules {
            closes: self.closes,
            sends_empty: self.sends_empty,
            week,
            grace,
            open,
        }
    }
}

/// How an order book is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BookRepair {
    /// By a snapshot over HTTP, which changes of the stream follow on.
    Request,
    /// By subscribing again: the stream begins with a snapshot.
    Resubscribe,
}

/// Whether a venue has a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is sent live.
    Sent,
    /// Only its history is there: each bar is asked for when it is over.
    Polled,
    /// Bars of this length are built of those of the venue's.
    Built(qicore_data::Timeframe),
    /// There is none, and why.
    None(&'static str),
}

/// A request, and how much of what is wanted its answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The number of the host.
    pub(crate) host: usize,
    pub(crate) request: Request,
    pub(crate) covers: Covers,
}

/// How much of a range an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Covers {
    /// All that there is of it.
    All,
    /// All that there is, but of no more than so many of the newest rows.
    Newest(usize),
    /// What lies before a mark: the rest can be asked for at the same time.
    Until(Mark),
    /// Only the answer tells.
    Told,
}

/// Subscriptions that have been asked for and not been answered.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    requests: BTreeMap<u64, Vec<Stream>>,
    streams: BTreeSet<Stream>,
    refused: Vec<(Stream, String)>,
    leaving: bool,
}

impl Pending {
    /// A request has gone out.
    pub(super) fn asked(&mut self, id: u64, streams: &[Stream]) {
        self.requests.insert(id, streams.to_vec());
        self.streams.extend(streams);
    }

    /// The venue has accepted all of a request.
    pub(crate) fn accept_request(&mut self, id: u64) {
        for stream in self.requests.remove(&id).unwrap_or_default() {
            self.streams.remove(&stream);
        }
    }

    /// The venue has refused a request, or all that are under way where it does not say which.
    pub(crate) fn refuse_request(&mut self, id: Option<u64>, message: &str) {
        let streams = match id {
            Some(id) => self.requests.remove(&id).unwrap_or_default(),
            None => {
                self.requests.clear();
                self.streams.iter().copied().collect()
            }
        };
        for stream in streams {
            self.refuse(stream, message);
        }
    }

    /// The venue has accepted a stream.
    pub(crate) fn accept(&mut self, stream: Stream) {
        self.streams.remove(&stream);
    }

    /// The venue has refused a stream.
    pub(crate) fn refuse(&mut self, stream: Stream, message: &str) {
        if self.streams.remove(&stream) {
            self.refused.push((stream, message.chars().take(300).collect()));
        }
    }

    /// The streams that are not answered.
    pub(crate) fn streams(&self) -> impl Iterator<Item = Stream> {
        self.streams.iter().copied()
    }

    /// The venue says that it is going to end the connection.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    pub(super) fn is_done(&self) -> bool {
        self.streams.is_empty()
    }

    pub(super) fn take_refused(&mut self) -> Vec<(Stream, String)> {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn take_leaving(&mut self) -> bool {
        std::mem::take(&mut self.leaving)
    }
}

/// Streams by their channel: for venues whose messages name one channel and several symbols.
pub(crate) fn by_channel(streams: &[Stream], same: impl Fn(&Stream, &Stream) -> bool) -> Vec<Vec<Stream>> {
    let mut groups: Vec<Vec<Stream>> = Vec::new();
    for stream in streams {
        match groups.iter_mut().find(|group| same(&group[0], stream)) {
            Some(group) => group.push(*stream),
            None => groups.push(vec![*stream]),
        }
    }
    groups
}

/// A venue that cannot be used as configured, by the setting that is mistaken.
pub(crate) fn unusable(setting: &str, message: impl Into<String>) -> Error {
    Error::config("market.config", message).with("setting", setting)
}
