//! What a live market asks for beside its stream.

use std::time::Duration;

use qicore_data::{Batch, Error, ErrorKind, Result, RetryAdvice};

use super::{Live, NEAR};
use crate::market::fetch::{Fetched, again};
use crate::market::merged::{Merged, Way};
use crate::venue::Range;

/// A history has what is so old.
const SETTLED: Duration = Duration::from_secs(2);
/// So many refusals in a row say that what was missed cannot be had.
const IN_VAIN: u32 = 5;
/// So many, that the venue does not serve this client at all. A firewall's refusals pass after minutes, in which what is live goes on.
const REFUSED: u32 = 60;

impl Live {
    /// What lies far behind, of all streams in one order; again, until what is left is little. Cancel-safe.
    pub(super) async fn history(&mut self) -> Result<Option<Batch>> {
        while self.history
            && let Some(connecting) = &self.connecting
        {
            let (client, plans, rules) = (&self.client, &connecting.plans, connecting.rules);
            let (merged, to) = self.merged.get_or_insert_with(|| {
                let to = client.clock.now().saturating_sub(SETTLED);
                let kept = plans.iter().filter(|plan| plan.stream.channel.is_kept());
                let ways = kept.map(|plan| Way::up_to(to, *plan, rules, &self.seam)).collect();
                (Merged::begin(client, rules, self.config.parallel, ways), to)
            });
            let Some(given) = merged.next().await? else {
                self.history = self.client.clock.now().since(*to) > NEAR;
                self.merged = None;
                continue;
            };
            for (stream, mark) in given.marks {
                self.seam.start(stream, mark);
            }
            let latest = given.events.last().map_or(*to, |event| event.timestamp);
            self.seam.heard(latest.max(self.seam.at()));
            self.out.events = given.events;
            return Ok(self.batch());
        }
        Ok(None)
    }

    pub(super) fn fetched(&mut self, fetched: Fetched) -> Result<()> {
        match fetched {
            Fetched::Page { range, events } => self.seam.page(&range, events, &mut self.out),
            Fetched::Told(range) => {
                self.in_vain.remove(&range.stream);
                self.seam.told(&range, &mut self.out);
            }
            Fetched::Failed(range, error) => self.not_had(range, error)?,
            Fetched::Book(symbol, Ok(book)) => {
                if !self.books.snapshot(book, &mut self.out.events) {
                    self.books.ask_later(symbol);
                }
            }
            Fetched::Book(symbol, Err(error)) => {
                tracing::warn!(%symbol, %error, "the order book could not be had: it is asked for again");
                self.books.ask_later(symbol);
            }
            Fetched::Broken(error) => return Err(error),
        }
        Ok(())
    }

    /// What was missed could not be had. Asked for in vain again and again, it counts as what the venue no longer has; but a
    /// venue that refuses this client altogether is told.
    fn not_had(&mut self, range: Range, error: Error) -> Result<()> {
        let hopeless = error.retry() == RetryAdvice::Never;
        let times = self.in_vain.entry(range.stream).or_default();
        *times = if hopeless { *times + 1 } else { 0 };
        let refused = matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Unsupported);
        if *times < if refused { REFUSED } else { IN_VAIN } {
            tracing::warn!(stream = %range.stream, %error, "what was missed could not be had: it is asked for again");
            self.seam.failed(&range, again(self.client.clock.now()));
            return Ok(());
        }
        self.in_vain.remove(&range.stream);
        if refused {
            return Err(error.with("stream", range.stream));
        }
        tracing::error!(stream = %range.stream, %error, "what was missed cannot be had: a gap tells of it");
        self.seam.give_up(&range, &mut self.out);
        Ok(())
    }
}
