//! Rows that are no events, on their way to the dead letters.

use qicore_data::{Decoded, Decoder, Error, Event, Frame, Result};
use qicore_stores::Foreign;

/// A frame that says which row it is, and in its channel what is wrong with it.
pub(super) fn frame(offset: u64, Foreign { row, reason, .. }: Foreign) -> Frame {
    Frame::new(offset, row).channel(reason.to_string())
}

/// Refuses such frames, with their reason.
pub(super) struct Refused;

impl Decoder for Refused {
    fn decode(&mut self, frame: &Frame, _: &mut Vec<Event>) -> Result<Decoded> {
        let reason = frame.channel.as_deref().unwrap_or("the row is no event");
        Err(Error::decode("stored.read", reason))
    }
}
