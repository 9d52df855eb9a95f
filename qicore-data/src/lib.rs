//! The vocabulary of QiCore: what market data is, how it flows, and what a plugin implements.
//!
//! A leaf crate without I/O. Programs use it through the facade crate `qicore`; plugin authors implement
//! [`Source`], [`Transform`] and [`Sink`].

mod batch;
mod book;
mod civil;
pub mod columns;
mod dead_letter;
pub mod decimal;
mod delivery;
mod error;
mod event;
mod intern;
mod lane;
mod lineage;
mod registry;
mod retry;
mod secret;
pub mod settings;
mod stable_hash;
mod tables;
mod time;
mod timeframe;
mod traits;

pub use batch::{Batch, BatchLimit, Content, Frame, LaneEnd, Offsets};
pub use book::{OrderBook, Touched};
pub use dead_letter::{DeadLetter, DeadLetters, Payload};
pub use decimal::Decimal;
pub use delivery::{Delivery, Receipt, RejectedRow};
pub use error::{Error, ErrorKind, Result, RetryAdvice};
pub use event::{
    Alert, Book, BookKind, Candle, Checksum, Data, Enrichment, Event, EventType, Gap, GapReason, Instrument,
    InstrumentKind, Level, Levels, Origin, Price, Quality, Quote, Series, Severity, Side, Ticker, Trade, TradeId,
    UnknownEventType,
};
pub use intern::{Exchange, Label, NameError, Symbol};
pub use lane::{Checkpoint, Lane, Position, Snapshot};
pub use lineage::{Lineage, Verdict};
pub use registry::{Build, NewTransform, Plugin, Registry};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use settings::{Mistake, Mistakes, Settings};
pub use stable_hash::StableHash;
pub use tables::{Instruments, Listing, Tables, Update};
pub use time::{Timestamp, TimestampError, TimestampText};
pub use timeframe::{Timeframe, UnknownTimeframe};
pub use traits::{
    BatchPolicy, Decoded, Decoder, FromStart, Output, Progress, RejectedEvent, Resume, Sink, SinkCapabilities, Source,
    SourceCapabilities, Transform, WriterId,
};
