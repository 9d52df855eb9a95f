//! Dead letters of what a lane or a sink refuses.

use std::collections::HashMap;

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
    seen: Seen,
}

/// Numbers equal rows of one batch. An event's letter is known by its content: where batches are cut changes from run to
/// run, the rows do not.
#[derive(Default)]
struct Seen(HashMap<u64, u32>);

impl Seen {
    fn number(&mut self, payload: &Payload) -> (u64, u32) {
        let hash = StableHash::of(&serde_json::to_vec(payload).unwrap_or_default());
        let count = self.0.entry(hash).and_modify(|count| *count += 1).or_default();
        (hash, *count)
    }
}

impl<'a> Rejects<'a> {
    fn new(shared: &'a Shared, stage: &'a str, lane: &'a Lane) -> Self {
        Self {
            shared,
            stage,
            lane,
            letters: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn push(&mut self, offset: u64, reason: &str, error: String, payload: Payload) {
        let Self {
            shared,
            stage,
            lane,
            letters,
            seen,
        } = self;
        let (content, count) = seen.number(&payload);
        let id = match payload {
            Payload::Event { .. } => format!("{}:{lane}/{stage}#{content:016x}.{count}", shared.name),
            _ => format!("{}:{lane}@{offset}/{stage}", shared.name),
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
                frame.offset,
                error.kind().as_str(),
                error.to_string(),
                Payload::of_frame(frame),
            );
        }
        rejects.letters
    }

    /// Events that a transform refused, of a batch that ends at `offset`.
    pub(super) fn of_events(
        shared: &'a Shared,
        stage: &'a str,
        lane: &'a Lane,
        offset: u64,
        refused: Vec<RejectedEvent>,
    ) -> Vec<DeadLetter> {
        let mut rejects = Self::new(shared, stage, lane);
        for RejectedEvent { event, rule, message } in refused {
            rejects.push(offset, rule, message, Payload::Event { event: Box::new(event) });
        }
        rejects.letters
    }

    /// Rows that a sink refused.
    pub(super) fn of_rows(
        shared: &Shared,
        sink: &str,
        delivery: &Delivery,
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
            rejects.push(delivery.offset, error.kind().as_str(), error.to_string(), payload);
        }
        Ok(rejects.letters)
    }
}
