//! What became of a batch: every clone owes its verdict.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What became of a batch or of one copy of it. The worst of all copies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// Durable in the store.
    Delivered = 0,
    /// At least one row went to the dead letters, which have it durably; the rest is delivered.
    Rejected = 1,
    /// Lost on the way: dropped without a verdict, or by a panic. Fails the run; never counts as delivered.
    Abandoned = 2,
}

/// Follows a batch through fan-out, splits and merges until every copy has its [`Verdict`].
///
/// Each clone must be [settled](Lineage::settle). One that is dropped unsettled counts as [`Verdict::Abandoned`]. When
/// the last is gone, the function given at the start learns the worst verdict, exactly once.
///
/// ```
/// use qicore_data::{Lineage, Verdict};
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let lineage = Lineage::new(move |verdict| sender.send(verdict).unwrap());
/// let copy = lineage.clone();
/// lineage.settle(Verdict::Delivered);
/// drop(copy); // a defect: nobody said what became of it
/// assert_eq!(receiver.recv(), Ok(Verdict::Abandoned));
/// ```
pub struct Lineage {
    shared: Arc<Shared>,
    verdict: Verdict,
}

struct Shared {
    worst: AtomicU8,
    on_settled: Option<Box<dyn FnOnce(Verdict) + Send + Sync>>,
}

impl Lineage {
    /// A lineage that reports to `on_settled`.
    pub fn new(on_settled: impl FnOnce(Verdict) + Send + Sync + 'static) -> Self {
        let shared = Shared {
            worst: AtomicU8::new(0),
            on_settled: Some(Box::new(on_settled)),
        };
        Self {
            shared: Arc::new(shared),
            verdict: Verdict::Abandoned,
        }
    }

    /// Says what became of this copy.
    pub fn settle(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Clone for Lineage {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            verdict: Verdict::Abandoned,
        }
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        // Each copy's verdict is written before its reference is given up, so the last one out sees them all.
        self.shared.worst.fetch_max(self.verdict as u8, Ordering::AcqRel);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let verdict = match *self.worst.get_mut() {
            0 => Verdict::Delivered,
            1 => Verdict::Rejected,
            _ => Verdict::Abandoned,
        };
        if let Some(on_settled) = self.on_settled.take() {
            on_settled(verdict);
        }
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lineage")
            .field("copies", &Arc::strong_count(&self.shared))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::mpsc;

    fn watched() -> (Lineage, mpsc::Receiver<Verdict>) {
        let (sender, receiver) = mpsc::channel();
        (Lineage::new(move |verdict| sender.send(verdict).unwrap()), receiver)
    }

    #[test]
    fn a_panic_abandons() {
        let (lineage, verdict) = watched();
        let copy = lineage.clone();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = copy;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(verdict.try_recv().is_err(), "one copy is still out");
        lineage.settle(Verdict::Delivered);
        assert_eq!(verdict.recv(), Ok(Verdict::Abandoned));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Clone,
        Settle(Verdict),
        Drop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Clone),
            2 => Just(Step::Settle(Verdict::Delivered)),
            1 => Just(Step::Settle(Verdict::Rejected)),
            1 => Just(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn the_worst_verdict_counts_once_all_copies_are_gone(steps in prop::collection::vec((step(), any::<prop::sample::Index>()), 1..60)) {
            let (root, verdict) = watched();
            let mut copies = vec![root];
            let mut worst = Verdict::Delivered;
            for (step, index) in steps {
                if copies.is_empty() {
                    break;
                }
                prop_assert!(verdict.try_recv().is_err());
                let at = index.index(copies.len());
                match step {
                    Step::Clone => copies.push(copies[at].clone()),
                    Step::Settle(with) => {
                        worst = worst.max(with);
                        copies.swap_remove(at).settle(with);
                    }
                    Step::Drop => {
                        worst = Verdict::Abandoned;
                        drop(copies.swap_remove(at));
                    }
                }
            }
            for copy in copies.drain(..) {
                copy.settle(Verdict::Delivered);
            }
            prop_assert_eq!(verdict.try_recv(), Ok(worst));
            prop_assert!(verdict.try_recv().is_err());
        }
    }

    #[test]
    fn threads_settle_at_once() {
        let (root, verdict) = watched();
        std::thread::scope(|scope| {
            for at in 0..64 {
                let copy = root.clone();
                scope.spawn(move || {
                    copy.settle(if at == 40 {
                        Verdict::Rejected
                    } else {
                        Verdict::Delivered
                    })
                });
            }
            root.settle(Verdict::Delivered);
        });
        assert_eq!(verdict.recv(), Ok(Verdict::Rejected));
        assert!(verdict.recv().is_err());
    }
}
