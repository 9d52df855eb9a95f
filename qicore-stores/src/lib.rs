//! The databases that QiCore writes to and reads from: connections, schemas, row encodings, queries. And the messages
//! that brokers are given.
//!
//! A sink and a source of the same database share what is here; each is a plugin in its own crate. An application that
//! only asks for stored data needs nothing else. What is asked for, and how it comes, is the same for all of them.

/// What all stores share.
macro_rules! shared {
    ($($module:ident $($name:ident)*;)+) => {$(
        #[cfg(any(feature = "clickhouse", feature = "timescale"))]
        mod $module;
        $(
            #[cfg(any(feature = "clickhouse", feature = "timescale"))]
            pub use $module::$name;
        )*
    )+};
}

shared! {
    groups;
    missing Missing;
    newest;
    period Period;
    reading Cursor Foreign Page Reading;
    selection Selection;
    stored Stored;
}

#[cfg(any(feature = "clickhouse", feature = "kafka", feature = "timescale"))]
mod section;

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "messages")]
pub mod messages;
#[cfg(feature = "timescale")]
pub mod timescale;
