//! How much may be asked of a host, in a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::shared::Registry;

/// So much weight in any stretch of so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Window {
    /// The most weight of the requests.
    pub limit: u32,
    /// In any stretch of this length.
    #[serde(with = "qicore_data::settings::duration")]
    pub period: Duration,
}

impl Window {
    /// So much in any stretch of so long.
    pub const fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period }
    }
}

/// What may be asked of a host, shared by all who ask it under one address or key.
///
/// Keeps to several windows at once, exactly: a request counts from when it is sent until a period after its answer has
/// come, since the host counts it at some time in between. So no stretch of a host's clock holds more than the limit,
/// whether its windows slide or begin with the minute, and none of the budget is left unused for more than the time of an
/// answer. A token bucket would either exceed the limit in the window after a burst or use half of it.
#[derive(Debug, Default)]
pub struct Budget {
    /// Whoever holds it is the next: requests go out in the order in which they were asked for.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    windows: Vec<Window>,
    /// Oldest first.
    spent: VecDeque<Spent>,
    /// The number of the next.
    next: u64,
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Spent {
    number: u64,
    weight: u32,
    /// When the answer came; `None` while it is awaited.
    answered: Option<Instant>,
}

/// A request under way. Dropped when its answer has come, or will not come.
#[derive(Debug)]
#[must_use = "the request counts as answered when this is dropped"]
pub struct Permit {
    budget: Arc<Budget>,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        if let Some(spent) = state.spent.iter_mut().rev().find(|spent| spent.number == self.number) {
            spent.answered = Some(Instant::now());
        }
    }
}

/// What hosts ask for is believed up to this.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

static SHARED: Registry<Budget> = Registry::new();

impl Budget {
    /// A budget of its own. Without windows there is no limit.
    pub fn new(windows: impl Into<Vec<Window>>) -> Arc<Self> {
        let budget = Self::default();
        budget.state().windows = windows.into();
        Arc::new(budget)
    }

    /// The budget of this name in this process, made if nobody has it. Its name says whose it is: the host, and the key if
    /// the host counts by key. The windows of all who have it are kept to; and what was asked, and a silence that the host wants,
    /// count when nobody has it any more.
    pub fn shared(name: &str, windows: impl Into<Vec<Window>>) -> Arc<Self> {
        let budget = SHARED.of(name, Self::counts, Self::default);
        let mut state = budget.state();
        for window in windows.into() {
            if !state.windows.contains(&window) {
                state.windows.push(window);
            }
        }
        drop(state);
        budget
    }

    /// Whether it would keep somebody from asking now.
    fn counts(&self) -> bool {
        let (mut state, now) = (self.state(), Instant::now());
        state.forget(now);
        !state.spent.is_empty() || state.paused(now).is_some()
    }

    /// How long nothing is to be sent, as the host has asked for.
    pub(crate) fn paused(&self) -> Option<Duration> {
        let now = Instant::now();
        self.state().paused(now).map(|until| until - now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request of this weight may be sent. One that is heavier than a whole window waits for an empty one.
    pub async fn take(self: &Arc<Self>, weight: u32) -> Permit {
        let _turn = self.turn.lock().await;
        loop {
            let wait = {
                let mut state = self.state();
                match state.wait(weight, Instant::now()) {
                    None => {
                        let number = state.next;
                        state.next += 1;
                        state.spent.push_back(Spent {
                            number,
                            weight,
                            answered: None,
                        });
                        return Permit {
                            budget: Arc::clone(self),
                            number,
                        };
                    }
                    Some(until) => until,
                }
            };
            sleep_until(wait).await;
        }
    }

    /// The host asks for silence (Retry-After, a ban): nothing is sent before it is over.
    pub fn pause(&self, length: Duration) {
        let until = Instant::now() + length.min(LONGEST_PAUSE);
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// The host says how much of the window of this length it counts as used. What is not ours was used by others, under
    /// the same address, and counts too.
    pub fn told(&self, period: Duration, used: u32) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.windows.iter().any(|window| window.period == period) {
            return;
        }
        let foreign = used.saturating_sub(state.used(period, now));
        if foreign > 0 {
            let number = state.next;
            state.next += 1;
            state.spent.push_back(Spent {
                number,
                weight: foreign,
                answered: Some(now),
            });
        }
    }
}

impl State {
    /// What no window holds any more.
    fn forget(&mut self, now: Instant) {
        let periods = self.windows.iter().map(|window| window.period);
        let longest = periods.max().unwrap_or_default();
        self.spent
            .retain(|spent| spent.answered.is_none_or(|at| at + longest > now));
    }

    fn paused(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// When to look again, if a request of this weight cannot be sent now.
    fn wait(&mut self, weight: u32, now: Instant) -> Option<Instant> {
        self.forget(now);
        let paused = self.paused(now);
        let full = self
            .windows
            .iter()
            .filter_map(|window| self.room_at(*window, weight, now));
        full.chain(paused).max()
    }

    /// When the window has room, if it has none now.
    fn room_at(&self, window: Window, weight: u32, now: Instant) -> Option<Instant> {
        let used = self.used(window.period, now).saturating_add(weight);
        let mut over = used.saturating_sub(window.limit.max(weight));
        if over == 0 {
            return None;
        }
        let mut leaves: Vec<_> = self
            .spent
            .iter()
            .filter_map(|spent| Some((spent.answered?, spent.weight)))
            .collect();
        leaves.sort_unstable();
        for (answered, weight) in leaves {
            let free = answered + window.period;
            if free <= now {
                continue;
            }
            over = over.saturating_sub(weight);
            if over == 0 {
                return Some(free);
            }
        }
        // It takes answers that have not come: they come in a while, or time out.
        Some(now + Duration::from_millis(1).max(window.period / 1_000))
    }

    fn used(&self, period: Duration, now: Instant) -> u32 {
        let counts = |spent: &&Spent| spent.answered.is_none_or(|at| at + period > now);
        let weights = self.spent.iter().filter(counts).map(|spent| spent.weight);
        weights.fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The times at which so many requests go out, each answered at once.
    async fn times(budget: &Arc<Budget>, weights: &[u32]) -> Vec<u128> {
        let start = Instant::now();
        let mut times = Vec::new();
        for weight in weights {
            drop(budget.take(*weight).await);
            times.push(start.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_stretch_holds_more_than_the_limit_and_nothing_is_left_unused() {
        let budget = Budget::new([Window::new(4, SECOND)]);
        assert_eq!(times(&budget, &[1, 1, 2, 1, 3, 4]).await, [0, 0, 0, 1000, 1000, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn several_windows_at_once() {
        let budget = Budget::new([Window::new(2, SECOND), Window::new(3, 10 * SECOND)]);
        assert_eq!(times(&budget, &[1; 5]).await, [0, 0, 1000, 10_000, 10_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_counts_until_a_period_after_its_answer() {
        let budget = Budget::new([Window::new(1, SECOND)]);
        let start = Instant::now();
        let permit = budget.take(1).await;
        let next = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.take(1).await }
        });
        tokio::time::sleep(5 * SECOND).await;
        drop(permit);
        let _permit = next.await.unwrap();
        assert!(start.elapsed() >= 6 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_have_used_counts() {
        let budget = Budget::new([Window::new(100, SECOND)]);
        drop(budget.take(10).await);
        budget.told(SECOND, 95);
        budget.told(60 * SECOND, 100_000);
        assert_eq!(times(&budget, &[5, 1]).await, [0, 1000]);
        budget.told(SECOND, u32::MAX);
        assert_eq!(times(&budget, &[1]).await, [1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_that_is_asked_for_is_kept_by_all_users() {
        let budget = Budget::shared("pause.test", [Window::new(100, SECOND)]);
        let other = Budget::shared("pause.test", []);
        assert!(Arc::ptr_eq(&budget, &other));
        budget.pause(30 * SECOND);
        budget.pause(SECOND);
        assert_eq!(times(&other, &[1]).await, [30_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_and_what_was_asked_outlive_who_asked() {
        let asked = |weight| async move {
            let budget = Budget::shared("outlives.test", [Window::new(2, SECOND)]);
            let start = Instant::now();
            drop(budget.take(weight).await);
            start.elapsed()
        };
        assert_eq!(asked(2).await, Duration::ZERO);
        assert_eq!(asked(1).await, SECOND);
        Budget::shared("outlives.test", []).pause(30 * SECOND);
        assert_eq!(asked(1).await, 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_shares_a_budget_keeps_to_the_limits_of_all() {
        let loose = Budget::shared("stricter.test", [Window::new(100, SECOND)]);
        let _strict = Budget::shared("stricter.test", [Window::new(2, SECOND)]);
        assert_eq!(times(&loose, &[1; 3]).await, [0, 0, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heavier_than_a_window_waits_for_an_empty_one() {
        let budget = Budget::new([Window::new(2, SECOND)]);
        assert_eq!(times(&budget, &[1, 50]).await, [0, 1000]);
    }
}
