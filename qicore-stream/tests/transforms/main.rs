//! What the transforms promise, through their public interface.

mod candles;
mod common;
mod dedupe;
mod enrich;
mod registry;
mod replay;
mod select;
mod truth;
mod validate;
