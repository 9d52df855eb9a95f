//! Dead letters of what a lane or a sink refuses.

use qicore_data::{
    DeadLetter, Delivery, Error, ErrorKind, Event, Frame, Lane, Payload, RejectedEvent, RejectedRow, Result,
    StableHash, Timestamp,
};

use super::Shared;

/// Makes the dead letters of one pipeline.
pub(super) struct Rejects<'a> {
    shared: &'a Shared,
    source: &'a str,
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

/// What an event's letter is known by: not the enrichment, which says when it was validated in this run.
fn content(payload: &Payload) -> Vec<u8> {
    let bare = match payload {
        Payload::Event { event } if event.enrichment.is_some() => Some(Payload::Event {
            event: Box::new(Event {
                enrichment: None,
                ..(**event).clone()
            }),
        }),
        _ => None,
    };
    serde_json::to_vec(bare.as_ref().unwrap_or(payload)).unwrap_or_default()
}

impl<'a> Rejects<'a> {
    fn new(shared: &'a Shared, stage: &'a str, lane: &'a Lane) -> Self {
        Self {
            shared,
            source: &shared.source,
            stage,
            lane,
            letters: Vec::new(),
        }
    }

    fn push(&mut self, (place, offset): (Place, u64), reason: &str, error: String, payload: Payload) {
        let Self {
            shared,
            source,
            stage,
            lane,
            letters,
        } = self;
        let id = match place {
            Place::Frame => format!("{}:{lane}@{offset}/{stage}", shared.name),
            Place::Event(number) => {
                let content = StableHash::of(&content(&payload));
                format!("{}:{lane}/{stage}#{number}.{content:016x}", shared.name)
            }
        };
        letters.push(DeadLetter {
            id,
            at: Timestamp::now(),
            pipeline: shared.name.clone(),
            source: (*source).to_owned(),
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
        Self::new(shared, "decode", lane).frames(refused)
    }

    /// Frames of a table's source that could not be decoded.
    pub(super) fn of_table(
        shared: &'a Shared,
        (source, stage): (&'a str, &'a str),
        lane: &'a Lane,
        refused: &[(Frame, Error)],
    ) -> Vec<DeadLetter> {
        let rejects = Self {
            source,
            ..Self::new(shared, stage, lane)
        };
        rejects.frames(refused)
    }

    fn frames(mut self, refused: &[(Frame, Error)]) -> Vec<DeadLetter> {
        for (frame, error) in refused {
            self.push(
                (Place::Frame, frame.offset),
                error.kind().as_str(),
                error.to_string(),
                Payload::of_frame(frame),
            );
        }
        self.letters
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
