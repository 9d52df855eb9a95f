//! Random trouble.

use std::{sync::Arc, time::Duration};

use super::{Faults, state::State};

/// Random trouble of a soak test. Probabilities are in 0..=1 and for one message or request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChaosConfig {
    /// Mean time between disconnections of all connections, if any.
    pub disconnect_every: Option<Duration>,
    /// A message is sent twice.
    pub duplicate: f64,
    /// A message changes places with the next.
    pub reorder: f64,
    /// A message is not sent.
    pub drop: f64,
    /// A message, and all behind it, waits.
    pub delay: f64,
    /// How long at most.
    pub max_delay: Duration,
    /// A request is answered 500 or not at all.
    pub http_error: f64,
}

impl Default for ChaosConfig {
    fn default() -> Self {
        Self {
            disconnect_every: Some(Duration::from_secs(10)),
            duplicate: 0.01,
            reorder: 0.01,
            drop: 0.005,
            delay: 0.002,
            max_delay: Duration::from_millis(300),
            http_error: 0.02,
        }
    }
}

/// Closes all connections again and again, in turn by reset, FIN and close frame, until chaos ends or another one begins.
pub(super) async fn disconnect(faults: Faults, mean: Duration, seed: u64) {
    let mut own = State {
        dice: seed.rotate_left(17) | 1,
        ..State::default()
    };
    for turn in 0u64.. {
        let wait = mean.mul_f64(0.2 + 1.6 * own.draw());
        tokio::time::sleep(wait).await;
        // Chaos always sets the dice, and clearing takes them away.
        if faults.state().dice == 0 || Arc::strong_count(&faults.state) == 1 {
            return;
        }
        match turn % 3 {
            0 => faults.reset_all(),
            1 => faults.drop_all(),
            _ => faults.close_all(1001, "going away"),
        }
    }
}
