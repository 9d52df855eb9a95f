//! What all who talk to one host have together.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Things of this process, by the name of whose they are. One is there for as long as somebody has it.
pub(super) struct Registry<T>(LazyLock<Mutex<HashMap<String, Weak<T>>>>);

impl<T> Registry<T> {
    pub(super) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// The one of this name, made if nobody has it.
    pub(super) fn of(&self, name: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = all.get(name).and_then(Weak::upgrade) {
            return one;
        }
        let one = make();
        all.insert(name.to_owned(), Arc::downgrade(&one));
        one
    }
}
