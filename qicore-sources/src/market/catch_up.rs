//! What some sinks have and others do not, when a live market goes on.
//!
//! A killed process leaves its sinks at different positions. What lies between two of them was live when the farther one got
//! it, and is history now: it is asked for, and given the offset of the farther position, so that who has it passes over
//! it. It comes in one piece, since only at its end there is a position that all can go on from.

use std::sync::Arc;

use qicore_data::{Batch, Checkpoint, Content, Event, Gap, GapReason, Lane, Offsets, Position, Result, Symbol};
use tokio::task::JoinHandle;

use super::client::Client;
use super::history::Reader;
use super::seam::{Plan, Rules, Seam};
use crate::venue::Range;

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
}

impl CatchUp {
    /// Begins to read what lies between checkpoints, the lowest first.
    pub(super) fn begin(behind: Behind, held: Vec<Arc<Checkpoint>>) -> Option<Self> {
        if held.len() < 2 {
            return None;
        }
        Some(Self(tokio::spawn(async move {
            let mut batches = Vec::new();
            for pair in held.windows(2) {
                batches.push(behind.between(&pair[0], &pair[1]).await?);
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
    async fn between(&self, lower: &Checkpoint, higher: &Checkpoint) -> Result<Batch> {
        let (before, after) = (self.seam(lower)?, self.seam(higher)?);
        let mut events = self.lost(&before, &after);
        for plan in &self.plans {
            let (Some(from), Some(to)) = (before.mark(plan.stream), after.mark(plan.stream)) else {
                continue;
            };
            if !to.is_after(&from) {
                continue;
            }
            let range = Range {
                stream: plan.stream,
                from,
                to,
            };
            let mut reader = Reader::new(
                self.client.clone(),
                self.lane.clone(),
                (*plan, range),
                self.rules,
                self.parallel,
                Some(lower),
            )?;
            events.append(&mut reader.all().await?);
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
