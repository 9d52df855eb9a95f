//! The serde form of [`Event`](super::Event): the project's normalised JSON.
//!
//! Written by hand because an internally tagged, flattened enum makes serde buffer each value before it reads it.

mod fields;
mod read;
mod scan;
mod write;
