//! What some sinks have and others do not, when a live market goes on.
//!
//! A killed process leaves its sinks at different positions. What lies between two of them was live when the farther one got
//! it, and is history now: it is asked for, and given offsets between theirs and at last that of the farther position, so
//! that who has it passes over it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Batch, Checkpoint, Content, Error, ErrorKind, Event, Gap, GapReason, Lane, Offsets, Position, Progress, Result,
    Symbol, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Client;
use super::history::{Progressing, Reader, progress};
use super::seam::{Plan, Rules, Seam};
use crate::venue::{Mark, Range, Stream};

/// Reads what lies between the positions of sinks.
#[derive(Debug)]
pub(super) struct CatchUp {
    stretches: Vec<Progressing>,
    told: mpsc::Receiver<Told>,
    task: JoinSet<Result<()>>,
}

/// What has been read.
#[derive(Debug)]
struct Told {
    batch: Batch,
    /// How far the stretches are that it is of.
    at: Vec<(usize, Timestamp)>,
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
    pub(super) fn begin(behind: Behind, from_start: bool, held: &[Arc<Checkpoint>]) -> Result<Option<Self>> {
        let mut steps = Vec::new();
        if from_start && let Some(first) = held.first() {
            steps.push(behind.step(&behind.start(first)?, 0, first)?);
        }
        for pair in held.windows(2) {
            steps.push(behind.step(&behind.seam(&pair[0])?, pair[0].position.offset, &pair[1])?);
        }
        if steps.is_empty() {
            return Ok(None);
        }
        let mut stretches = Vec::new();
        for left in steps.iter_mut().flat_map(|step| &mut step.left) {
            left.number = stretches.len();
            stretches.extend(left.ranges().map(|range| Progressing {
                range,
                at: range.from.time,
            }));
        }
        let (sender, told) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            for step in steps {
                step.read(&behind, &sender).await?;
            }
            Ok(())
        });
        Ok(Some(Self { stretches, told, task }))
    }

    /// The next batch; `None` when all sinks are equally far. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>> {
        let Some(Told { batch, at }) = self.told.recv().await else {
            let failed = |message: String| Err(Error::new(ErrorKind::Internal, "market.catch_up", message));
            return match self.task.join_next().await {
                Some(Ok(ended)) => ended.map(|()| None),
                Some(Err(error)) => failed(error.to_string()),
                None => failed("what the sinks lack could not be read".to_owned()),
            };
        };
        for (stretch, at) in at {
            self.stretches[stretch].at = at;
        }
        Ok(Some(batch))
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        progress(self.stretches.iter())
    }
}

/// The way from one position to a higher one.
#[derive(Debug)]
struct Step {
    /// The offset that has been told.
    offset: u64,
    /// When something was last heard at the lower position.
    at: Timestamp,
    left: Vec<Left>,
    higher: Arc<Checkpoint>,
}

/// What a stream has put out between two positions and is not read yet.
#[derive(Debug)]
struct Left {
    plan: Plan,
    stretches: VecDeque<(Mark, Mark)>,
    /// Of the first stretch.
    number: usize,
}

impl Step {
    /// Tells page after page, with positions that another run can go on from: those streams that are read stand where they do
    /// at the higher position, and the others have holes before that. The last of it has the higher position itself.
    async fn read(mut self, behind: &Behind, told: &mpsc::Sender<Told>) -> Result<()> {
        let end = self.higher.position.offset;
        let (mut events, mut at) = (Vec::new(), Vec::new());
        for stream in 0..self.left.len() {
            while let Some(mut reader) = self.left[stream].reader(behind) {
                loop {
                    let (batch, time) = reader.next().await?;
                    let over = batch.end.is_some();
                    if let Content::Events(more, _) = batch.content {
                        events.extend(more);
                    }
                    at.push((self.left[stream].number, time));
                    self.left[stream].is_read_to(reader.at(), over);
                    // There are as many offsets as the lane had events. Where the venue tells more now, the last takes them.
                    if !events.is_empty() && self.offset + 1 < end {
                        self.offset += 1;
                        let detail = self.detail(behind)?;
                        let position = Position::at(self.offset).with_detail(detail);
                        let batch = behind.batch(std::mem::take(&mut events), position);
                        let at = std::mem::take(&mut at);
                        if told.send(Told { batch, at }).await.is_err() {
                            return Ok(());
                        }
                    }
                    if over {
                        break;
                    }
                }
            }
        }
        events.extend(self.lost(behind)?);
        let batch = behind.batch(events, self.higher.position.clone());
        let _ = told.send(Told { batch, at }).await;
        Ok(())
    }

    /// Where all streams stand.
    fn detail(&self, behind: &Behind) -> Result<Arc<str>> {
        let mut seam = behind.seam(&self.higher)?;
        for left in &self.left {
            seam.lacks(left.plan.stream, left.stretches.iter().copied().collect());
        }
        seam.heard(self.at);
        Ok(seam.detail())
    }

    /// Of what no venue keeps, that it is missing.
    fn lost(&self, behind: &Behind) -> Result<Vec<Event>> {
        let mut told: Vec<Symbol> = Vec::new();
        for plan in behind.plans.iter().filter(|plan| !plan.stream.channel.is_kept()) {
            if !told.contains(&plan.stream.symbol) {
                told.push(plan.stream.symbol);
            }
        }
        let gap = Gap {
            from: self.at,
            to: behind.seam(&self.higher)?.at(),
            reason: GapReason::Disconnect,
            missed: None,
        };
        let Rules { exchange, source, .. } = behind.rules;
        let event = |symbol| Event::new(exchange, symbol, gap.to, source, gap.clone());
        Ok(told.into_iter().map(event).collect())
    }
}

impl Left {
    fn ranges(&self) -> impl Iterator<Item = Range> {
        let stream = self.plan.stream;
        self.stretches.iter().map(move |(from, to)| Range {
            stream,
            from: *from,
            to: *to,
        })
    }

    /// Reads the first stretch.
    fn reader(&self, behind: &Behind) -> Option<Reader> {
        let range = self.ranges().next()?;
        let mut seam = Seam::new(&[self.plan], behind.rules, None);
        seam.start(range.stream, range.from);
        let (client, lane) = (behind.client.clone(), behind.lane.clone());
        Some(Reader::new(client, lane, (self.plan, range), seam, behind.parallel, 0))
    }

    /// The first stretch is read up to a mark, or over.
    fn is_read_to(&mut self, mark: Mark, over: bool) {
        if over {
            self.stretches.pop_front();
            self.number += 1;
        } else if let Some((from, _)) = self.stretches.front_mut() {
            *from = mark;
        }
    }
}

impl Behind {
    fn batch(&self, events: Vec<Event>, position: Position) -> Batch {
        let offsets = Offsets::Each(vec![position.offset; events.len()]);
        Batch::new(self.lane.clone(), Content::Events(events, offsets), position)
    }

    /// Where a sink stands that holds nothing. One that is new to an old pipeline is not given all of its life, but told so.
    fn start(&self, lowest: &Checkpoint) -> Result<Seam> {
        let after = self.seam(lowest)?;
        let asked = self.from.is_some() || after.at().since(after.since()) <= WITHIN;
        let mut start = Seam::new(&self.plans, self.rules, Some(after.since()));
        if !asked {
            for plan in &self.plans {
                let mark = after.mark(plan.stream);
                mark.into_iter().for_each(|mark| start.start(plan.stream, mark));
            }
        }
        start.heard(after.since());
        Ok(start)
    }

    fn step(&self, before: &Seam, offset: u64, higher: &Arc<Checkpoint>) -> Result<Step> {
        let after = self.seam(higher)?;
        let left = |plan: &Plan| Left {
            plan: *plan,
            stretches: stretches(before, &after, plan.stream).into(),
            number: 0,
        };
        Ok(Step {
            offset,
            at: before.at(),
            left: self.plans.iter().map(left).collect(),
            higher: Arc::clone(higher),
        })
    }

    fn seam(&self, checkpoint: &Checkpoint) -> Result<Seam> {
        let mut seam = Seam::new(&self.plans, self.rules, None);
        if let Some(detail) = &checkpoint.position.detail {
            seam.resume(detail).map_err(|error| error.with("lane", &self.lane))?;
        }
        Ok(seam)
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

    fn plan() -> Plan {
        let stream = Stream::new("BTC/USD".parse().unwrap(), Channel::Trades);
        Plan {
            stream,
            of: stream,
            sent: true,
        }
    }

    fn seam(detail: &str) -> Seam {
        let mut seam = Seam::new(&[plan()], super::super::seam::tests_rules(), None);
        seam.resume(detail).unwrap();
        seam
    }

    const BEFORE: &str = r#"{"at":5,"since":1,"streams":{"BTC/USD trades":{"time":1,"id":50,"holes":[[[10,1],[20,1]],[[30,1],[40,1]]]}}}"#;
    const AFTER: &str = r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":2,"id":90,"holes":[[[15,1],[20,1]],[[70,2],[80,2]]]}}}"#;

    #[test]
    fn what_one_position_has_and_another_has_not() {
        let between = |before, after| stretches(&seam(before), &seam(after), plan().stream);
        let ids = |stretches: Vec<(Mark, Mark)>| -> Vec<_> {
            stretches.into_iter().map(|(from, to)| (from.id, to.id)).collect()
        };
        let some = |from, to| (Some(from), Some(to));
        assert_eq!(
            ids(between(BEFORE, AFTER)),
            [some(10, 15), some(30, 40), some(50, 70), some(80, 90)]
        );
        let new = r#"{"at":5,"since":1,"streams":{}}"#;
        let found = between(
            new,
            r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":7,"id":3}}}"#,
        );
        let end = Mark::id(3, Timestamp::from_nanos(7));
        assert_eq!(found, [(Mark::at(Timestamp::from_nanos(5)), end)]);
    }

    /// Whoever goes on from a position in between is given what was left there; and if the farther sink is gone meanwhile,
    /// what that one lacks too.
    #[test]
    fn what_is_left_is_in_the_position() {
        let after = seam(AFTER);
        let mut left = Left {
            plan: plan(),
            stretches: stretches(&seam(BEFORE), &after, plan().stream).into(),
            number: 0,
        };
        let mut positions = 0;
        while let Some((from, to)) = left.stretches.front().copied() {
            let mut kept = seam(AFTER);
            kept.lacks(plan().stream, left.stretches.iter().copied().collect());
            let kept = seam(&kept.detail());
            assert_eq!(left.stretches, stretches(&kept, &after, plan().stream));
            let holes = kept.holes(plan().stream);
            assert!(after.holes(plan().stream).iter().all(|hole| holes.contains(hole)));
            let goes_on = kept.mark(plan().stream).unwrap();
            assert!(
                holes.iter().all(|(_, to)| !to.is_after(&goes_on)),
                "{holes:?} {goes_on:?}"
            );
            let next = from.id.unwrap() + 3;
            left.is_read_to(Mark::id(next, from.time), to.id <= Some(next));
            positions += 1;
        }
        assert_eq!((positions, left.number), (2 + 4 + 7 + 4, 4));
    }
}
