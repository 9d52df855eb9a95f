//! The three traits that every plugin implements, and the decoder that a source may bring along.

mod decoder;
mod sink;
mod source;
mod transform;

pub use decoder::{Decoded, Decoder};
pub use sink::{BatchPolicy, Sink, SinkCapabilities, WriterId};
pub use source::{FromStart, Progress, Resume, Source, SourceCapabilities};
pub use transform::{Output, RejectedEvent, Transform};
