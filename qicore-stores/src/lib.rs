//! The databases that QiCore writes to and reads from: connections, schemas, row encodings, queries.
//!
//! A sink and a source of the same database share what is here; each is a plugin in its own crate. An application that
//! only asks for stored data needs nothing else.

#[cfg(feature = "timescale")]
pub mod timescale;
