//! What some sinks have and others do not, when a live market goes on.
//!
//! A killed process leaves its sinks at different positions. What lies between two of them was live when the farther one got
//! it, and is history now: it is asked for, of all streams in one order, and given offsets between theirs and at last that of
//! the farther position, so that who has it passes over it.

use std::cmp::Ordering;
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
use super::history::progress;
use super::merged::{Merged, Way};
use super::seam::{Grid, Plan, Rules, Standing};
use crate::venue::{Channel, Mark, Stream};

/// Reads what lies between the positions of sinks.
#[derive(Debug)]
pub(super) struct CatchUp {
    progress: Progress,
    told: mpsc::Receiver<(Batch, Progress)>,
    task: JoinSet<Result<()>>,
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

/// How far this host's clock may be ahead of the venue's: what came live at a time of the one may have one before in the other.
const CLOCKS: Duration = Duration::from_secs(10);

impl CatchUp {
    /// Begins to read what lies between checkpoints, the lowest first; before the first what a sink that holds nothing is to
    /// have.
    pub(super) fn begin(behind: Behind, from_start: bool, held: &[Arc<Checkpoint>]) -> Result<Option<Self>> {
        let steps = behind.steps(from_start, held)?;
        if steps.is_empty() {
            return Ok(None);
        }
        let all = progress(steps.iter().flat_map(|step| &step.left).map(Way::progressing));
        let (sender, told) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut done = 0;
            for step in steps {
                done = step.read(&behind, Progress { done, ..all }, &sender).await?;
            }
            Ok(())
        });
        Ok(Some(Self {
            progress: all,
            told,
            task,
        }))
    }

    /// The next batch; `None` when all sinks are equally far. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>> {
        if let Some((batch, progress)) = self.told.recv().await {
            self.progress = progress;
            return Ok(Some(batch));
        }
        let failed = |message: String| Err(Error::new(ErrorKind::Internal, "market.catch_up", message));
        match self.task.join_next().await {
            Some(Ok(ended)) => ended.map(|()| None),
            Some(Err(error)) => failed(error.to_string()),
            None => failed("what the sinks lack could not be read".to_owned()),
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }
}

/// The way from one position to a higher one.
#[derive(Debug)]
struct Step {
    /// The offset that has been told.
    offset: u64,
    /// When something was last heard at the lower position.
    at: Timestamp,
    /// What is not read yet.
    left: Vec<Way>,
    /// Of what nothing is had, up to a time, and has to be told to be missing.
    lost: (Vec<Symbol>, Timestamp),
    higher: Arc<Checkpoint>,
    /// Where the wanted streams stand there, and the others at the lower position.
    standing: Standing,
}

impl Step {
    /// Tells page after page, with positions that another run can go on from: what is not read yet is missing there from where
    /// the streams stand at the higher position. The last of it has the higher position itself.
    async fn read(mut self, behind: &Behind, all: Progress, told: &mpsc::Sender<(Batch, Progress)>) -> Result<u64> {
        let end = self.higher.position.offset;
        let mut merged = Merged::begin(&behind.client, behind.rules, behind.parallel, self.left.clone());
        let mut events = Vec::new();
        let at = |merged: &Merged| Progress {
            done: all.done + merged.progress().done,
            ..all
        };
        while let Some(given) = merged.next().await? {
            events.extend(given.events);
            for (stream, mark) in given.marks {
                let left = self.left.iter_mut().filter(|left| left.plan.stream == stream);
                left.for_each(|left| left.is_read_to(mark));
            }
            // There are as many offsets as the lane had events. Where the venue tells more now, the last takes them.
            if self.offset + 1 < end {
                self.offset += 1;
                let position = Position::at(self.offset).with_detail(self.detail()?);
                let batch = behind.batch(std::mem::take(&mut events), position);
                // Who does not listen any more ends this task.
                let _ = told.send((batch, at(&merged))).await;
            }
        }
        events.extend(self.lost(behind.rules));
        let batch = behind.batch(events, self.higher.position.clone());
        let _ = told.send((batch, at(&merged))).await;
        Ok(at(&merged).done)
    }

    /// Where all streams stand.
    fn detail(&self) -> Result<Arc<str>> {
        let mut standing = self.standing.clone().between(self.at);
        for left in &self.left {
            standing.lacks(left.plan.stream, left.stretches.iter().copied().collect());
        }
        standing.detail()
    }

    /// What is missing. A position on the way from the same lower one has its time: what is missing is told behind that.
    fn lost(&self, rules: Rules) -> impl Iterator<Item = Event> {
        let (symbols, to) = &self.lost;
        let gap = Gap {
            from: self.at.min(*to),
            to: *to,
            reason: GapReason::Disconnect,
            missed: None,
        };
        let is_told = !self.standing.is_between() || self.at < self.standing.at();
        let lost = symbols.iter().filter(move |_| is_told);
        lost.map(move |symbol| Event::new(rules.exchange, *symbol, gap.to, rules.source, gap.clone()))
    }
}

impl Behind {
    fn steps(&self, from_start: bool, held: &[Arc<Checkpoint>]) -> Result<Vec<Step>> {
        let standings: Result<Vec<_>> = held.iter().map(|checkpoint| self.standing(checkpoint)).collect();
        let standings = standings.map_err(|error| error.with("lane", &self.lane))?;
        let mut steps = Vec::new();
        if from_start && let (Some(first), Some(standing)) = (held.first(), standings.first()) {
            steps.push(self.first_step(first, standing));
        }
        for (held, standings) in held.windows(2).zip(standings.windows(2)) {
            self.check((&held[0], &standings[0]), (&held[1], &standings[1]))?;
            let mut step = self.step(&standings[0], standings[0].at(), &held[1], &standings[1]);
            step.offset = held[0].position.offset;
            steps.push(step);
        }
        Ok(steps)
    }

    /// For a sink that holds nothing. One that is new to an old pipeline is not given all of its life, but told so.
    fn first_step(&self, lowest: &Arc<Checkpoint>, standing: &Standing) -> Step {
        let since = standing.since();
        let asked = self.from.is_some() || standing.at().since(since) <= WITHIN;
        if asked {
            return self.step(&Standing::new(since), since, lowest, standing);
        }
        let mut lacks_all = standing.clone();
        lacks_all.heard(since);
        let mut step = self.step(&lacks_all, since, lowest, standing);
        let known = self
            .plans
            .iter()
            .map(|plan| plan.stream.symbol)
            .chain(standing.symbols());
        step.lost = (each_once(known), standing.latest());
        step
    }

    /// From one position to another. What the lower one does not know begins at a time, if no history is wanted.
    fn step(&self, lower: &Standing, at: Timestamp, higher: &Arc<Checkpoint>, standing: &Standing) -> Step {
        let way = |plan: &Plan| Way {
            plan: *plan,
            stretches: stretches(lower, standing, plan.stream, self.beginning(plan, at)),
        };
        let lost = self.plans.iter().filter(|plan| !plan.stream.channel.is_kept());
        let lost = lost.map(|plan| plan.stream.symbol);
        // What is not wanted now is not read: should it be wanted again, it goes on where the higher position has it.
        let mut on_the_way = standing.clone();
        let unwanted = on_the_way.others_stay(self.plans.iter().map(|plan| plan.stream), lower);
        Step {
            offset: 0,
            at: lower.at(),
            left: self.plans.iter().map(way).collect(),
            lost: (each_once(lost.chain(unwanted)), standing.at()),
            higher: Arc::clone(higher),
            standing: on_the_way,
        }
    }

    /// Where a stream begins of which there is nothing: where the history does that is wanted, or with what is live at a time.
    fn beginning(&self, plan: &Plan, at: Timestamp) -> Mark {
        let Channel::Candles(timeframe) = plan.stream.channel else {
            return Mark::at(self.from.unwrap_or(at.saturating_sub(CLOCKS)));
        };
        let grid = Grid::new(timeframe, self.rules.candles.week);
        Mark::at(self.from.map_or(grid.floor(at), |from| grid.ceil(from)))
    }

    fn batch(&self, events: Vec<Event>, position: Position) -> Batch {
        let offsets = Offsets::Each(vec![position.offset; events.len()]);
        Batch::new(self.lane.clone(), Content::Events(events, offsets), position)
    }

    fn standing(&self, checkpoint: &Checkpoint) -> Result<Standing> {
        match &checkpoint.position.detail {
            Some(detail) => Standing::read(detail),
            None => Ok(Standing::new(self.client.clock.now())),
        }
    }

    /// A sink that was left out while others caught up may have what one behind a higher offset has not.
    fn check(&self, (lower, has): (&Checkpoint, &Standing), (higher, lacks): (&Checkpoint, &Standing)) -> Result<()> {
        let ahead = |plan: &&Plan| is_ahead(has, lacks, plan.stream);
        let Some(plan) = self.plans.iter().find(ahead) else {
            return Ok(());
        };
        let (lower, higher) = (lower.position.offset, higher.position.offset);
        let message = format!(
            "the sink at position {lower} is ahead of the one at {higher}: what each of them lacks cannot be told"
        );
        let advice =
            "was a sink left out for some runs? Start one of them anew, with nothing, or under another pipeline's name";
        let error = Error::new(ErrorKind::Checkpoint, "market.catch_up", message).with("advice", advice);
        Err(error.with("lane", &self.lane).with("stream", plan.stream))
    }
}

fn each_once(symbols: impl Iterator<Item = Symbol>) -> Vec<Symbol> {
    let mut once = Vec::new();
    for symbol in symbols {
        if !once.contains(&symbol) {
            once.push(symbol);
        }
    }
    once
}

/// What of stretches lies outside of another.
fn without(stretches: Vec<(Mark, Mark)>, (hole, end): (Mark, Mark)) -> Vec<(Mark, Mark)> {
    let parts = |(from, to): (Mark, Mark)| {
        if !to.is_after(&hole) || !end.is_after(&from) {
            return vec![(from, to)];
        }
        let first = hole.is_after(&from).then_some((from, hole));
        let last = to.is_after(&end).then_some((end, to));
        first.into_iter().chain(last).collect()
    };
    stretches.into_iter().flat_map(parts).collect()
}

/// Whether a stream has something at the lower of two positions that it has not at the higher one.
fn is_ahead(lower: &Standing, higher: &Standing, stream: Stream) -> bool {
    let Some((has, wants)) = lower.mark(stream).zip(higher.mark(stream)) else {
        return false;
    };
    let lacked_too = |hole: (Mark, Mark)| {
        // Times alone do not tell.
        if has.id.is_none() || hole.0.id.is_none() {
            return true;
        }
        let behind = hole.1.is_after(&has).then_some((has, hole.1));
        let lacks = lower.holes(stream).chain(behind);
        lacks.fold(vec![hole], without).is_empty()
    };
    has.is_after(&wants) || !higher.holes(stream).all(lacked_too)
}

/// What a stream has put out between two positions: what was missing before the lower one, and what came from there on to
/// the higher one, without what is still missing there. A stream that had nothing at the lower one begins at `new`.
fn stretches(before: &Standing, after: &Standing, stream: Stream, new: Mark) -> VecDeque<(Mark, Mark)> {
    let Some(to) = after.mark(stream) else {
        return VecDeque::new();
    };
    let from = before.mark(stream).unwrap_or(new);
    let mut stretches: Vec<_> = before.holes(stream).collect();
    stretches.push((from, to));
    for hole in after.holes(stream) {
        stretches = without(stretches, hole);
    }
    stretches.retain(|(from, to)| to.is_after(from));
    stretches.sort_by(
        |(one, _), (other, _)| match (one.is_after(other), other.is_after(one)) {
            (true, _) => Ordering::Greater,
            (_, true) => Ordering::Less,
            _ => Ordering::Equal,
        },
    );
    stretches.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trades() -> Stream {
        Stream::new("BTC/USD".parse().unwrap(), Channel::Trades)
    }

    const BEFORE: &str = r#"{"at":5,"since":1,"streams":{"BTC/USD trades":{"time":1,"id":50,"holes":[[[30,1],[40,1]],[[10,1],[20,1]]]}}}"#;
    const AFTER: &str = r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":2,"id":90,"holes":[[[15,1],[20,1]],[[70,2],[80,2]]]}}}"#;

    const NEW: Mark = Mark::at(Timestamp::from_nanos(3));

    fn standing(detail: &str) -> Standing {
        Standing::read(detail).unwrap()
    }

    #[test]
    fn what_one_position_has_and_another_has_not() {
        let between = |before, after| stretches(&standing(before), &standing(after), trades(), NEW);
        let found: Vec<_> = between(BEFORE, AFTER)
            .into_iter()
            .map(|(from, to)| (from.id.unwrap(), to.id.unwrap()))
            .collect();
        assert_eq!(found, [(10, 15), (30, 40), (50, 70), (80, 90)]);
        let nothing = r#"{"at":5,"since":1,"streams":{}}"#;
        let found = between(
            nothing,
            r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":7,"id":3}}}"#,
        );
        assert_eq!(found, [(NEW, Mark::id(3, Timestamp::from_nanos(7)))]);
        assert!(between(BEFORE, nothing).is_empty());
    }

    /// Whoever goes on from a position in between is given what was left there; and if the farther sink is gone meanwhile,
    /// what that one lacks too.
    #[test]
    fn what_is_left_is_in_the_position() {
        let (before, after, stream) = (standing(BEFORE), standing(AFTER), trades());
        let plan = Plan {
            stream,
            of: stream,
            sent: true,
        };
        let mut left = Way {
            plan,
            stretches: stretches(&before, &after, stream, NEW),
        };
        let mut positions = 0;
        while let Some((from, _)) = left.stretches.front().copied() {
            let mut kept = after.clone();
            kept.lacks(stream, left.stretches.iter().copied().collect());
            let kept = standing(&kept.detail().unwrap());
            assert_eq!(left.stretches, stretches(&kept, &after, stream, NEW));
            let holes: Vec<_> = kept.holes(stream).collect();
            assert!(after.holes(stream).all(|hole| holes.contains(&hole)));
            let goes_on = kept.mark(stream).unwrap();
            assert!(
                holes.iter().all(|(_, to)| !to.is_after(&goes_on)),
                "{holes:?} {goes_on:?}"
            );
            left.is_read_to(Mark::id(from.id.unwrap() + 3, from.time));
            positions += 1;
        }
        assert_eq!(positions, 2 + 4 + 7 + 4);
    }

    #[test]
    fn what_a_lower_position_must_not_have() {
        let position = |id, holes| {
            standing(&format!(
                r#"{{"at":5,"since":1,"streams":{{"BTC/USD trades":{{"time":1,"id":{id},"holes":{holes}}}}}}}"#
            ))
        };
        let higher = position(90, "[[[50,1],[80,1]]]");
        let ahead = |id, holes| is_ahead(&position(id, holes), &higher, trades());
        assert!(!ahead(50, "[]") && !ahead(20, "[]") && !ahead(70, "[[[30,1],[70,1]]]"));
        assert!(!ahead(90, "[[[20,1],[80,1]]]") && !ahead(70, "[[[40,1],[60,1]],[[60,1],[70,1]]]"));
        assert!(ahead(51, "[]") && ahead(70, "[[[30,1],[69,1]]]") && ahead(90, "[[[51,1],[80,1]]]"));
        assert!(ahead(91, "[[[20,1],[80,1]]]"));
    }

    /// On the way to where a stream stands that nobody wants now, it stays where it was.
    #[test]
    fn what_is_not_wanted_stays() {
        let lower = standing(r#"{"at":5,"since":1,"streams":{"ETH/USD trades":{"time":1,"id":50}}}"#);
        let with_bars = r#"{"at":9,"since":1,"streams":{"BTC/USD trades":{"time":2,"id":90},"ETH/USD trades":{"time":2,"id":60},"XRP/USD candles:1m":{"time":2}}}"#;
        let mut on_the_way = standing(with_bars);
        let lacks = on_the_way.others_stay([trades()], &lower);
        assert_eq!(
            lacks.iter().map(|symbol| symbol.as_str()).collect::<Vec<_>>(),
            ["ETH/USD", "XRP/USD"]
        );
        let eth = Stream::new("ETH/USD".parse().unwrap(), Channel::Trades);
        assert_eq!(on_the_way.mark(eth), lower.mark(eth));
        assert_eq!(on_the_way.mark(trades()), standing(with_bars).mark(trades()));
        assert_eq!(on_the_way.symbols().count(), 2);
        assert!(on_the_way.others_stay([trades()], &lower).is_empty());
    }
}
