//! Decoders, which a source may bring along.

use crate::batch::Frame;
use crate::error::Result;
use crate::event::Event;
use crate::time::Timestamp;

/// What decoding a frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// It was data; the events are in the output (there may be none: an empty update).
    Data,
    /// It was an acknowledgement, a heartbeat, a status.
    Control,
}

/// Makes events of one lane's frames. Pure: no clock, no I/O; time comes from the frame.
pub trait Decoder: Send {
    /// Decodes a frame and appends its events to `out`. On an error the whole frame is rejected, and what was
    /// appended for it is taken back.
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded>;

    /// The lane's connection was lost, with the last frame received at `lost`, and is made again at `back`: what came
    /// between is missing. Appends a `gap` of reason `disconnect` for each symbol seen, and forgets what held for the
    /// connection that is gone: maintained books, sequence numbers.
    fn reconnected(&mut self, lost: Timestamp, back: Timestamp, out: &mut Vec<Event>) -> Result<()> {
        let _ = (lost, back, out);
        Ok(())
    }

    /// The state to go on from (maintained books, sequence numbers).
    fn snapshot(&self) -> Result<Option<Box<str>>> {
        Ok(None)
    }

    /// Takes up a state that [`snapshot`](Decoder::snapshot) gave.
    fn restore(&mut self, state: &str) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
