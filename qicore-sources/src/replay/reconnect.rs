//! A connection that was made again in the middle of a recording.
//!
//! Recorders write a `connect` record whenever they connect. One behind frames of the same connection says that the
//! connection was lost in between: it becomes a frame that tells the venue's decoder so.

use qicore_data::{Decoded, Decoder, Error, Event, Frame, Result, Timestamp};

/// In a frame's channel, where others have a URL.
const CHANNEL: &str = "connect";

/// The frame of a connection made again `back`, on which the last frame before was received at `lost`.
pub(super) fn frame(offset: u64, lost: Timestamp, back: Option<Timestamp>) -> Frame {
    let mut frame = Frame::new(offset, lost.nanos().to_string()).channel(CHANNEL);
    frame.received = back;
    frame
}

/// Tells a decoder of connections made again.
pub(super) struct Reconnects(pub(super) Box<dyn Decoder>);

impl Decoder for Reconnects {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        if frame.channel.as_deref() != Some(CHANNEL) {
            return self.0.decode(frame, out);
        }
        let lost = std::str::from_utf8(&frame.payload)
            .ok()
            .and_then(|text| text.parse().ok());
        let lost = lost.map(Timestamp::from_nanos);
        let lost =
            lost.ok_or_else(|| Error::decode("replay.connect", "a connection made again, but lost at no time"))?;
        self.0.reconnected(lost, frame.received.unwrap_or(lost), out)?;
        Ok(Decoded::Control)
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        self.0.snapshot()
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        self.0.restore(state)
    }
}
