//! Dead letters of what a lane or a sink refuses.

use qicore_data::{
    DeadLetter, Delivery, Error, ErrorKind, Frame, Lane, Payload, RejectedEvent, RejectedRow, Result, StableHash,
    Timestamp,
};

use super::Shared;

/// Makes the dead letters of one pipeline.
pub(super) struct Rejects<'a> {
    shared: &'a Shared,
    stage: &'a str,
    lane: &'a Lane,
    letters: Vec<DeadLetter>,
}

/// A letter's place: a frame's offset, or the number of an event among those that the lane gave, or that the stage
/// refused, since the lane's first start. Where batches are cut changes from run to run; these numbers do not, and equal
/// rows have different ones.
#[derive(Debug, Clone, Copy)]
enum Place {
    Frame,
    Event(u64),
}

impl<'a> Rejects<'a> {
    fn new(shared: &'a Shared, stage: &'a str, lane: &'a Lane) -> Self {
        Self {
            shared,
            stage,
            lane,
            letters: Vec::new(),
        }
    }

    fn push(&mut self, (place, offset): (Place, u64), reason: &str, error: String, payload: Payload) {
        let Self {
            shared,
            stage,
            lane,
            letters,
        } = self;
        let id = match place {
            Place::Frame => format!("{}:{lane}@{offset}/{stage}", shared.name),
            Place::Event(number) => {
                let content = StableHash::of(&serde_json::to_vec(&payload).unwrap_or_default());
                format!("{}:{lane}/{stage}#{number}.{content:016x}", shared.name)
            }
        };
        letters.push(DeadLetter {
            id,
            at: Timestamp::now(),
            pipeline: shared.name.clone(),
            source: shared.source.clone(),
            stage: (*stage).to_owned(),
            reason: reason.to_owned(),
            error,
            lane: lane.clone(),
            offset,
            payload,
        });
    }

    /// Frames that could not be decoded.
    pub(super) fn of_frames(shared: &'a Shared, lane: &'a Lane, refused: &[(Frame, Error)]) -> Vec<DeadLetter> {
        let mut rejects = Self::new(shared, "decode", lane);
        for (frame, error) in refused {
            rejects.push(
                (Place::Frame, frame.offset),
                error.kind().as_str(),
                error.to_string(),
                Payload::of_frame(frame),
            );
        }
        rejects.letters
    }

    /// Events that a transform refused, of a batch that ends at `offset`; `before` others were refused there before.
    pub(super) fn of_events(
        shared: &'a Shared,
        stage: &'a str,
        lane: &'a Lane,
        offset: u64,
        before: u64,
        refused: Vec<RejectedEvent>,
    ) -> Vec<DeadLetter> {
        let mut rejects = Self::new(shared, stage, lane);
        for (number, RejectedEvent { event, rule, message }) in (before..).zip(refused) {
            let place = (Place::Event(number), offset);
            rejects.push(place, rule, message, Payload::Event { event: Box::new(event) });
        }
        rejects.letters
    }

    /// Rows that a sink refused; the delivery's first is the lane's `first`.
    pub(super) fn of_rows(
        shared: &Shared,
        sink: &str,
        delivery: &Delivery,
        first: u64,
        refused: &[RejectedRow],
    ) -> Result<Vec<DeadLetter>> {
        let stage = format!("sink:{sink}");
        let mut rejects = Rejects::new(shared, &stage, &delivery.lane);
        for RejectedRow { index, error } in refused {
            let event = delivery.get(*index).ok_or_else(|| {
                let message = format!("the receipt names row {index} of {}", delivery.len());
                Error::new(ErrorKind::Internal, "sink.write", message).with("sink", sink)
            })?;
            let payload = Payload::Event {
                event: Box::new(event.clone()),
            };
            let place = (Place::Event(first + *index as u64), delivery.offset);
            rejects.push(place, error.kind().as_str(), error.to_string(), payload);
        }
        Ok(rejects.letters)
    }
}
