//! Counts allocations.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The system's allocator, which counts while it is told to. To be a program's `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting {
    on: AtomicBool,
    calls: AtomicU64,
    bytes: AtomicU64,
}

/// Allocations and growths of all threads, and the bytes asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How many.
    pub calls: u64,
    /// How much.
    pub bytes: u64,
}

impl Counting {
    /// An allocator that does not count yet.
    pub const fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// What `work` allocates.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Allocations) {
        self.calls.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.on.store(true, Relaxed);
        let result = work();
        self.on.store(false, Relaxed);
        let (calls, bytes) = (self.calls.load(Relaxed), self.bytes.load(Relaxed));
        (result, Allocations { calls, bytes })
    }

    #[inline]
    fn count(&self, bytes: usize) {
        // Off, which is all the time that anything is measured by the clock, it costs one load.
        if self.on.load(Relaxed) {
            self.calls.fetch_add(1, Relaxed);
            self.bytes.fetch_add(bytes as u64, Relaxed);
        }
    }
}

impl Default for Counting {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call goes to `System` with the arguments unchanged, and its result is returned as it is; counting
// touches atomics only, allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}
