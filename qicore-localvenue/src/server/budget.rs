//! Budgets of requests.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A budget: a fixed window with a ban for those who go on (Binance), or a bucket that fills again (others).
#[derive(Debug)]
pub(crate) struct Budget {
    rule: Rule,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Rule {
    Window {
        budget: u32,
        window: Duration,
        ban: Duration,
    },
    Bucket {
        burst: u32,
        earn: Duration,
    },
}

#[derive(Debug)]
struct State {
    since: Instant,
    used: u32,
    limited: bool,
    banned_until: Option<Instant>,
}

/// What a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the budget; so much is used.
    Granted(u32),
    /// Over it, for so long.
    Limited(Duration),
    /// It went on.
    Banned(Duration),
}

impl Budget {
    pub(crate) fn window(budget: u32, window: Duration, ban: Duration, now: Instant) -> Self {
        Self {
            rule: Rule::Window { budget, window, ban },
            state: Mutex::new(State::new(now)),
        }
    }

    pub(crate) fn bucket(burst: u32, earn: Duration, now: Instant) -> Self {
        Self {
            rule: Rule::Bucket { burst, earn },
            state: Mutex::new(State::new(now)),
        }
    }

    /// Takes `weight` out of the budget at `now`.
    pub(crate) fn take(&self, weight: u32, now: Instant) -> Verdict {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.rule {
            Rule::Window { budget, window, ban } => state.window(weight, now, budget, window, ban),
            Rule::Bucket { burst, earn } => state.bucket(weight, now, burst, earn),
        }
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            used: 0,
            limited: false,
            banned_until: None,
        }
    }

    fn window(&mut self, weight: u32, now: Instant, budget: u32, window: Duration, ban: Duration) -> Verdict {
        if let Some(until) = self.banned_until.filter(|until| *until > now) {
            return Verdict::Banned(until - now);
        }
        self.banned_until = None;
        let passed = now.saturating_duration_since(self.since);
        if passed >= window {
            *self = Self::new(now);
        }
        if self.used.saturating_add(weight) <= budget {
            self.used += weight;
            return Verdict::Granted(self.used);
        }
        if self.limited && !ban.is_zero() {
            self.banned_until = Some(now + ban);
            return Verdict::Banned(ban);
        }
        self.limited = true;
        Verdict::Limited(window.saturating_sub(now.saturating_duration_since(self.since)))
    }

    fn bucket(&mut self, weight: u32, now: Instant, burst: u32, earn: Duration) -> Verdict {
        let earned = now.saturating_duration_since(self.since).as_nanos() / earn.as_nanos().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.used = self.used.saturating_sub(earned);
            self.since = if self.used == 0 {
                now
            } else {
                self.since + earn * earned
            };
        }
        if self.used.saturating_add(weight) > burst {
            return Verdict::Limited(earn * weight);
        }
        self.used += weight;
        Verdict::Granted(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_limits_then_bans_then_forgets() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let budget = Budget::window(10, 2 * second, 5 * second, start);
        assert_eq!(budget.take(6, start), Verdict::Granted(6));
        assert_eq!(budget.take(6, start + second), Verdict::Limited(second));
        assert_eq!(budget.take(6, start + second), Verdict::Banned(5 * second));
        assert_eq!(budget.take(1, start + 3 * second), Verdict::Banned(3 * second));
        assert_eq!(budget.take(1, start + 7 * second), Verdict::Granted(1));
    }

    #[test]
    fn a_bucket_earns_back() {
        let start = Instant::now();
        let tenth = Duration::from_millis(100);
        let budget = Budget::bucket(2, tenth, start);
        assert_eq!(budget.take(1, start), Verdict::Granted(1));
        assert_eq!(budget.take(1, start), Verdict::Granted(2));
        assert_eq!(budget.take(1, start), Verdict::Limited(tenth));
        assert_eq!(budget.take(1, start + tenth), Verdict::Granted(2));
    }
}
