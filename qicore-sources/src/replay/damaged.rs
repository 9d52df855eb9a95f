//! What cannot be read still becomes a frame, so that it reaches the dead letters.

use qicore_data::{Decoded, Decoder, Error, Event, Frame, Lane, Result};

use super::lines::KEPT;

/// The end of the name of lanes that hold what could not be read. No exchange has a space in its name, and a connection
/// that ends so is refused.
const NAME: &str = "/damaged records";

/// The lane of what could not be read of `name`.
pub(crate) fn lane(name: &str) -> Lane {
    Lane::new(format!("{name}{NAME}"))
}

/// Whether this is such a lane.
pub(crate) fn is(lane: &Lane) -> bool {
    lane.as_str().ends_with(NAME)
}

/// Whether the lane of a connection of this name would be taken for such a lane.
pub(crate) fn is_reserved(connection: &str) -> bool {
    connection
        .strip_suffix(&NAME[1..])
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// A frame that its decoder rejects with `why`. The reason rides in the channel: that way it needs no state, and the
/// dead letter says it too.
pub(crate) fn frame(offset: u64, bytes: &[u8], why: impl Into<String>) -> Frame {
    let kept = &bytes[..bytes.len().min(KEPT)];
    Frame::new(offset, kept.to_vec()).channel(why.into())
}

/// Rejects every frame: with the reason given, else with the one that the frame carries.
pub(crate) struct Rejects(pub(crate) Option<&'static str>);

impl Decoder for Rejects {
    fn decode(&mut self, frame: &Frame, _: &mut Vec<Event>) -> Result<Decoded> {
        let why = self.0.or(frame.channel.as_deref()).unwrap_or("it could not be read");
        Err(Error::decode("replay.read", why).with("record", frame.offset))
    }
}
