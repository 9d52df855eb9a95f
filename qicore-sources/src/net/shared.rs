//! What all who talk to one host have together.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Things of this process, by the name of whose they are.
pub(super) struct Registry<T>(LazyLock<Mutex<HashMap<String, Arc<T>>>>);

impl<T> Registry<T> {
    pub(super) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// The one of this name, made if there is none. One is there for as long as somebody has it, or it still `counts`.
    pub(super) fn of(&self, name: &str, counts: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| Arc::strong_count(one) > 1 || counts(one));
        Arc::clone(all.entry(name.to_owned()).or_insert_with(|| Arc::new(make())))
    }
}
