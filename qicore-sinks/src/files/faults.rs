//! Faults for tests: a disk that fails at a chosen step, once or from there on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shared by the clones of a [`Disk`](super::disk::Disk).
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<State>);

#[derive(Debug)]
struct State {
    taken: AtomicUsize,
    fails_at: AtomicUsize,
    stays_down: AtomicBool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            fails_at: AtomicUsize::new(usize::MAX),
            stays_down: AtomicBool::new(false),
        }
    }
}

impl Faults {
    /// The process is killed before its step number `at`: that one and all later ones do nothing.
    pub(crate) fn kill_at(&self, at: usize) {
        self.0.stays_down.store(true, Ordering::SeqCst);
        self.0.fails_at.store(at, Ordering::SeqCst);
    }

    /// The disk is full at step number `at`, and has room again at the next.
    pub(crate) fn full_at(&self, at: usize) {
        self.0.fails_at.store(at, Ordering::SeqCst);
    }

    /// Steps so far.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn step(&self) -> io::Result<()> {
        let at = self.0.taken.fetch_add(1, Ordering::SeqCst);
        let fails_at = self.0.fails_at.load(Ordering::SeqCst);
        if at == fails_at || at > fails_at && self.0.stays_down.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}
