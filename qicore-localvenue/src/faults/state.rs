//! What is switched on, and what the server asks about it.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{Fate, Faults, Handshake, HttpFault};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) http: Vec<Rule>,
    pub(super) last_pages: HashMap<String, String>,
    pub(super) handshake: Handshake,
    pub(super) down_until: Option<Instant>,
    pub(super) muted: Vec<(Option<String>, Option<String>)>,
    pub(super) half_open: bool,
    pub(super) drop_next: u64,
    pub(super) duplicate: f64,
    pub(super) reorder: f64,
    pub(super) reorder_next: u64,
    pub(super) drop: f64,
    pub(super) delay: Duration,
    pub(super) delay_probability: f64,
    pub(super) max_delay: Duration,
    pub(super) http_error: f64,
    pub(super) refused: BTreeSet<String>,
    pub(super) never_acknowledge: bool,
    pub(super) skip_book: u64,
    pub(super) corrupt_checksum: u64,
    pub(super) dice: u64,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) contains: String,
    pub(super) left: Option<u64>,
    pub(super) fault: HttpFault,
}

/// The server's questions.
impl Faults {
    pub(crate) fn take_http(&self, target: &str) -> Option<HttpFault> {
        let mut state = self.state();
        let found = state
            .http
            .iter()
            .position(|rule| rule.left != Some(0) && target.contains(&rule.contains));
        let Some(index) = found else {
            let chance = state.http_error;
            let (hit, lost) = (state.roll(chance), state.roll(0.5));
            let fault = if lost {
                HttpFault::Lost
            } else {
                HttpFault::status(500, "Internal Server Error")
            };
            return hit.then_some(fault);
        };
        let rule = &mut state.http[index];
        rule.left = rule.left.map(|left| left - 1);
        let fault = rule.fault.clone();
        state.http.retain(|rule| rule.left != Some(0));
        Some(fault)
    }

    /// Remembers the page of a path, and gives the one before.
    pub(crate) fn page(&self, path: &str, body: &str, same: bool) -> Option<String> {
        let mut state = self.state();
        if same {
            return Some(
                state
                    .last_pages
                    .entry(path.to_owned())
                    .or_insert_with(|| body.to_owned())
                    .clone(),
            );
        }
        state.last_pages.insert(path.to_owned(), body.to_owned());
        None
    }

    pub(crate) fn handshake(&self) -> Handshake {
        self.state().handshake
    }

    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.state()
            .down_until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }

    pub(crate) fn is_half_open(&self) -> bool {
        self.state().half_open
    }

    pub(crate) fn refuses(&self, symbol: &str) -> bool {
        self.state().refused.contains(symbol)
    }

    pub(crate) fn acknowledges(&self) -> bool {
        !self.state().never_acknowledge
    }

    pub(crate) fn takes_book_update(&self) -> bool {
        take(&mut self.state().skip_book)
    }

    pub(crate) fn takes_checksum(&self) -> bool {
        take(&mut self.state().corrupt_checksum)
    }

    pub(crate) fn fate(&self, symbol: &str, channel: &str) -> Fate {
        let mut state = self.state();
        let matches = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let muted = state
            .muted
            .iter()
            .any(|(s, c)| matches(s, symbol) && matches(c, channel));
        let (drop, duplicate, reorder, slow) = (state.drop, state.duplicate, state.reorder, state.delay_probability);
        let dropped = muted || take(&mut state.drop_next) || state.roll(drop);
        let mut delay = state.delay;
        if state.roll(slow) {
            delay += state.max_delay.mul_f64(state.draw());
        }
        Fate {
            dropped,
            twice: state.roll(duplicate),
            swapped: take(&mut state.reorder_next) || state.roll(reorder),
            delay,
        }
    }
}

pub(super) fn take(left: &mut u64) -> bool {
    let taken = *left > 0;
    *left = left.saturating_sub(1);
    taken
}

impl State {
    pub(super) fn draw(&mut self) -> f64 {
        self.dice = self
            .dice
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.dice >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn roll(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.draw() < probability
    }
}
