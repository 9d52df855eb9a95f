//! What some sinks have and others do not, when a live market goes on.
//!
//! A killed process leaves its sinks at different positions. What lies between two of them was live when the farther one got
//! it, and is history now: it is asked for, and given the offset of the farther position, so that who has it passes over
//! it. It comes in one piece, since only at its end there is a position that all can go on from.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Batch, Checkpoint, Content, Event, Gap, GapReason, Lane, Offsets, Position, Result, Symbol, Timestamp,
};
use tokio::task::JoinHandle;

use super::client::Client;
use super::history::Reader;
use super::seam::{Plan, Rules, Seam};
use crate::venue::{Mark, Range, Stream};

/// Reads what lies between the positions of sinks.
#[derive(Debug)]
pub(super) struct CatchUp(JoinHandle<Result<Vec<Batch>>>);

impl Drop for CatchUp {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What catching up needs to know.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    pub(super) client: Client,
    pub(super) lane: Lane,
    pub(super) plans: Vec<Plan>,
    pub(super) rules: Rules,
    pub(super) parallel: usize,
    /// A history is wanted from this time on.
    pub(super) from: Option<Timestamp>,
}

/// A pipeline that nobody has asked for a history is taken for young for so long: what a sink of it lacks is what a kill has
/// cost.
const WITHIN: Duration = Duration::from_secs(3600);

impl CatchUp {
    /// Begins to read what lies between checkpoints, the lowest first; before the first what a sink that holds nothing is to
    /// have.
    pub(super) fn begin(behind: Behind, from_start: bool, held: Vec<Arc<Checkpoint>>) -> Option<Self> {
        if held.is_empty() || held.len() == 1 && !from_start {
            return None;
        }
        Some(Self(tokio::spawn(async move {
            let mut batches = Vec::new();
            if from_start && let Some(first) = held.first() {
                batches.push(behind.before(first).await?);
            }
            for pair in held.windows(2) {
                batches.push(behind.between(&behind.seam(&pair[0])?, &pair[1]).await?);
            }
            Ok(batches)
        })))
    }

    /// A batch for each step, in order. Cancel-safe.
    pub(super) async fn done(&mut self) -> Result<Vec<Batch>> {
        (&mut self.0).await.unwrap_or_else(|error| {
            Err(qicore_data::Error::new(
                qicore_data::ErrorKind::Internal,
                "market.catch_up",
                error.to_string(),
            ))
        })
    }
}

impl Behind {
    /// What came before the lowest position. A sink that is new to an old pipeline is not given all of its life, but told so.
    async fn before(&self, lowest: &Checkpoint) -> Result<Batch> {
        let after = self.seam(lowest)?;
        let asked = self.from.is_some() || after.at().since(after.since()) <= WITHIN;
        let mut before = Seam::new(&self.plans, self.rules, Some(after.since()));
        if !asked {
            for plan in &self.plans {
                after
                    .mark(plan.stream)
                    .into_iter()
                    .for_each(|mark| before.start(plan.stream, mark));
            }
        }
        before.heard(after.since());
        self.between(&before, lowest).await
    }

    async fn between(&self, before: &Seam, higher: &Checkpoint) -> Result<Batch> {
        let after = self.seam(higher)?;
        let mut events = self.lost(before, &after);
        for plan in &self.plans {
            for (from, to) in stretches(before, &after, plan.stream) {
                let stream = plan.stream;
                let range = Range { stream, from, to };
                let mut seam = Seam::new(&[*plan], self.rules, None);
                seam.start(stream, from);
                let (client, lane) = (self.client.clone(), self.lane.clone());
                let mut reader = Reader::new(client, lane, (*plan, range), seam, self.parallel, 0);
                events.append(&mut reader.all().await?);
            }
        }
        let offset = higher.position.offset;
        let offsets = Offsets::Each(vec![offset; events.len()]);
        let mut position = Position::at(offset);
        position.detail.clone_from(&higher.position.detail);
        Ok(Batch::new(
            self.lane.clone(),
            Content::Events(events, offsets),
            position,
        ))
    }

    fn seam(&self, checkpoint: &Checkpoint) -> Result<Seam> {
        let mut seam = Seam::new(&self.plans, self.rules, None);
        if let Some(detail) = &checkpoint.position.detail {
            seam.resume(detail).map_err(|error| error.with("lane", &self.lane))?;
        }
        Ok(seam)
    }

    /// Of what no venue keeps, that it is missing.
    fn lost(&self, before: &Seam, after: &Seam) -> Vec<Event> {
        let mut told: Vec<Symbol> = Vec::new();
        for plan in self.plans.iter().filter(|plan| !plan.stream.channel.is_kept()) {
            if !told.contains(&plan.stream.symbol) {
                told.push(plan.stream.symbol);
            }
        }
        let gap = Gap {
            from: before.at(),
            to: after.at(),
            reason: GapReason::Disconnect,
            missed: None,
        };
        let event = |symbol| Event::new(self.rules.exchange, symbol, gap.to, self.rules.source, gap.clone());
        told.into_iter().map(event).collect()
    }
}

/// What a stream has put out between two positions: what was missing before the lower one, and what came from there on to
/// the higher one, without what is still missing there. A stream that had nothing at the lower one begins at its time.
fn stretches(before: &Seam, after: &Seam, stream: Stream) -> Vec<(Mark, Mark)> {
    let Some(to) = after.mark(stream) else {
        return Vec::new();
    };
    let from = before.mark(stream).unwrap_or(Mark::at(before.at()));
    let mut stretches = before.holes(stream);
    stretches.push((from, to));
    for (hole, end) in after.holes(stream) {
        let without = |(from, to): (Mark, Mark)| {
            if !to.is_after(&hole) || !end.is_after(&from) {
                return vec![(from, to)];
            }
            let first = hole.is_after(&from).then_some((from, hole));
            let last = to.is_after(&end).then_some((end, to));
            first.into_iter().chain(last).collect()
        };
        stretches = stretches.into_iter().flat_map(without).collect();
    }
    stretches.retain(|(from, to)| to.is_after(from));
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::Channel;

    #[test]
    fn what_one_position_has_and_another_has_not() {
        let stream = Stream::new("BTC/USD".parse().unwrap(), Channel::Trades);
        let plan = Plan {
            stream,
            of: stream,
            sent: true,
        };
        let seam = |detail: &str| {
            let mut seam = Seam::new(&[plan], super::super::seam::tests_rules(), None);
            seam.resume(detail).unwrap();
            seam
        };
        let before = seam(
            r#"{"at":5,"since":1,"streams":{"BTC/USD trades":{"time":1,"id":50,"holes":[[[10,1],[20,1]],[[30,1],[40,1]]]}}}"#,
        );
        let after = seam(
            r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":2,"id":90,"holes":[[[15,1],[20,1]],[[70,2],[80,2]]]}}}"#,
        );
        let ids = |stretches: Vec<(Mark, Mark)>| -> Vec<_> {
            stretches.into_iter().map(|(from, to)| (from.id, to.id)).collect()
        };
        let some = |from, to| (Some(from), Some(to));
        assert_eq!(
            ids(stretches(&before, &after, stream)),
            [some(10, 15), some(30, 40), some(50, 70), some(80, 90)]
        );
        let new = seam(r#"{"at":5,"since":1,"streams":{}}"#);
        let found = stretches(
            &new,
            &seam(r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":7,"id":3}}}"#),
            stream,
        );
        assert_eq!(
            found,
            [(
                Mark::at(Timestamp::from_nanos(5)),
                Mark::id(3, Timestamp::from_nanos(7))
            )]
        );
    }
}
