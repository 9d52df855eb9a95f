//! Kafka, Redpanda and other brokers of that protocol: connections, topics, producers, consumers, checkpoints.
//!
//! # Messages
//! One event a message, keyed by symbol, so that a symbol's events keep their order in one partition; instruments, which
//! are compacted, by venue and the venue's name. The message's
//! timestamp is the event time in milliseconds. What the value is, its [headers](Headers) tell:
//!
//! | header | value |
//! |---|---|
//! | `event-type` | `candle`, `trade`, … |
//! | `schema-version` | the version of the message's form, [`VERSION`](crate::messages::VERSION) |
//! | `content-type` | `application/json` or `application/x-protobuf` |
//! | `source` | the plugin that made the event |
//!
//! A message without headers is taken for JSON of version 1, so that any producer can write to a topic.
//!
//! # Exactly once
//! A lane's [checkpoint](CheckpointLog) is written to a compacted topic in the transaction that writes its rows, by a
//! producer whose transactional id is the lane's: whoever takes the lane up later ends what an earlier one has left
//! unfinished, and that one writes nothing more.

pub mod admin;
pub mod checkpoints;
mod client;
mod config;
mod consumer;
mod error;
mod headers;
mod producer;
mod topics;

pub use checkpoints::CheckpointLog;
pub use config::{Connection, SaslMechanism};
pub use consumer::{
    Begun, Consumer, ConsumerConfig, Message, Notice, Partition, Polled, Release, Start, Stored, TopicPartition,
};
pub use headers::Headers;
pub use producer::{Compression, Producer, ProducerConfig, Record};
pub use topics::{Limits, Topics, check_name, limits};
