//! Order books that are not told while they are broken.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use qicore_data::{BookKind, Checksum, Data, Event, Symbol};
use tokio::time::Instant;

use super::protocol::BookRepair;

/// The pause before a snapshot is asked for again.
const AGAIN: Duration = Duration::from_secs(2);
/// Changes of a book that wait for a snapshot, at most; then the snapshot is too old for them anyway.
const KEPT: usize = 20_000;

/// The books of a source: passes on snapshots, and changes that follow on one.
///
/// Invariant: between a break and the next snapshot nothing of a book is passed on, so that whoever applies the events has
/// either the venue's book or is told, by the gap before, that it is broken.
#[derive(Debug)]
pub(super) struct Books {
    repair: BookRepair,
    books: HashMap<Symbol, State, rustc_hash::FxBuildHasher>,
    /// Books whose snapshot is asked for, and when it is to be asked for again, if not at once.
    asked: HashMap<Symbol, Option<Instant>>,
    /// Sound books of which another connection goes on with the changes: the first of those must be known already.
    taken_over: HashSet<Symbol>,
    /// Since when broken books wait for a snapshot that the stream begins anew with.
    awaited: HashMap<Symbol, Instant>,
}

#[derive(Debug)]
enum State {
    /// Follows on a snapshot; with the number of the last change.
    Sound(Option<u64>),
    /// Waits for a snapshot, with the changes since.
    Broken(Vec<Event>),
}

/// What is to be done for a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// A snapshot over HTTP.
    Snapshot,
    /// The same, and that the book was sound until now and has a hole is to be told.
    SnapshotAfterGap,
}

impl Books {
    pub(super) fn new(repair: BookRepair) -> Self {
        Self {
            repair,
            books: HashMap::default(),
            asked: HashMap::new(),
            taken_over: HashSet::new(),
            awaited: HashMap::new(),
        }
    }

    /// A book event from the stream.
    pub(super) fn live(&mut self, event: Event, out: &mut Vec<Event>) -> Wanted {
        let Data::Book(book) = &event.data else {
            return Wanted::Nothing;
        };
        if book.checksum == Some(Checksum::Mismatch) {
            // Whoever applied it would have a book that is known to be wrong: the gap is told next.
            self.broken(event.symbol);
            return Wanted::Nothing;
        }
        let event_symbol = event.symbol;
        let (sequence, snapshot) = (book.sequence, book.kind == BookKind::Snapshot);
        if snapshot {
            self.awaited.remove(&event.symbol);
            self.taken_over.remove(&event.symbol);
            self.books.insert(event.symbol, State::Sound(sequence));
            out.push(event);
            return Wanted::Nothing;
        }
        match self
            .books
            .entry(event.symbol)
            .or_insert_with(|| State::Broken(Vec::new()))
        {
            State::Sound(last) => {
                let repeated = match self.repair {
                    // Two connections overlap while one takes the other's place.
                    BookRepair::Request => sequence.is_some() && sequence <= *last,
                    // Several changes may be of one message.
                    BookRepair::Resubscribe => sequence.is_some() && sequence < *last,
                };
                if !repeated && self.taken_over.remove(&event_symbol) {
                    // The connection before was too late: what lies between the two is lost.
                    self.books.insert(event_symbol, State::Broken(vec![event]));
                    self.asked.insert(event_symbol, None);
                    return Wanted::SnapshotAfterGap;
                }
                if !repeated {
                    *last = sequence;
                    out.push(event);
                }
                self.taken_over.remove(&event_symbol);
                Wanted::Nothing
            }
            State::Broken(_) if self.repair == BookRepair::Resubscribe => {
                self.awaited.entry(event.symbol).or_insert_with(Instant::now);
                Wanted::Nothing
            }
            State::Broken(kept) => {
                kept.push(event);
                if kept.len() > KEPT {
                    kept.clear();
                }
                match self.asked.contains_key(&event_symbol) {
                    true => Wanted::Nothing,
                    false => {
                        self.asked.insert(event_symbol, None);
                        Wanted::Snapshot
                    }
                }
            }
        }
    }

    /// A snapshot that was asked for. False if it is older than the changes that wait for it: another one is needed.
    pub(super) fn snapshot(&mut self, event: Event, out: &mut Vec<Event>) -> bool {
        self.asked.remove(&event.symbol);
        let Data::Book(book) = &event.data else { return true };
        let number = book.sequence.unwrap_or_default();
        let Some(State::Broken(kept)) = self.books.get_mut(&event.symbol) else {
            return true;
        };
        let sequence = |event: &Event| match &event.data {
            Data::Book(book) => book.sequence.unwrap_or_default(),
            _ => 0,
        };
        // Changes follow on each other, so that a snapshot that has the first of them joins with the next. The snapshot was
        // taken after the first came, unless the venue's answer is from a cache.
        let Some(first) = kept.first() else {
            // It broke once more in the meantime: the first change that comes will ask.
            return true;
        };
        if sequence(first) > number {
            return false;
        }
        let later: Vec<_> = std::mem::take(kept)
            .into_iter()
            .filter(|event| sequence(event) > number)
            .collect();
        let last = later.last().map_or(number, sequence);
        self.books.insert(event.symbol, State::Sound(Some(last)));
        out.push(event);
        out.extend(later);
        true
    }

    /// A snapshot could not be had, or not be used.
    pub(super) fn ask_later(&mut self, symbol: Symbol) {
        self.asked.insert(symbol, Some(Instant::now() + AGAIN));
    }

    /// The books whose snapshot is to be asked for again now.
    pub(super) fn due(&mut self) -> Vec<Symbol> {
        let now = Instant::now();
        let due = self.asked.iter().filter(|(_, at)| at.is_some_and(|at| at <= now));
        let due: Vec<_> = due.map(|(symbol, _)| *symbol).collect();
        self.asked.retain(|symbol, _| !due.contains(symbol));
        let books = &self.books;
        let wanted = |symbol: &Symbol| matches!(books.get(symbol), Some(State::Broken(kept)) if !kept.is_empty());
        let due: Vec<_> = due.into_iter().filter(wanted).collect();
        self.asked.extend(due.iter().map(|symbol| (*symbol, None)));
        due
    }

    /// Another connection goes on with the changes of these books, which have come on both for a while.
    pub(super) fn taken_over(&mut self, books: Vec<Symbol>) {
        if self.repair == BookRepair::Request {
            self.taken_over.extend(books);
        }
    }

    /// Changes were missed. True if the book was sound until now.
    pub(super) fn broken(&mut self, symbol: Symbol) -> bool {
        self.awaited.remove(&symbol);
        self.taken_over.remove(&symbol);
        let before = self.books.insert(symbol, State::Broken(Vec::new()));
        matches!(before, Some(State::Sound(_)))
    }

    /// Whether changes come of a broken book and its snapshot has not for so long: the snapshot may have been the very message
    /// that was lost. True once in that time.
    pub(super) fn is_overdue(&mut self, symbol: Symbol, after: Duration) -> bool {
        match self.awaited.get_mut(&symbol) {
            Some(since) if since.elapsed() >= after => {
                *since = Instant::now();
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use qicore_data::{Book, Exchange, Label, Levels, Timestamp};

    use super::*;

    fn event(kind: BookKind, sequence: u64) -> Event {
        let book = Book {
            kind,
            sequence: Some(sequence),
            levels: Levels::new(&[], &[]),
            checksum: None,
        };
        let (exchange, symbol) = (Exchange::new("x").unwrap(), Symbol::new("A/B").unwrap());
        Event::new(exchange, symbol, Timestamp::UNKNOWN, Label::new("x").unwrap(), book)
    }

    fn told(out: &[Event]) -> Vec<(bool, u64)> {
        let of = |event: &Event| match &event.data {
            Data::Book(book) => (book.kind == BookKind::Snapshot, book.sequence.unwrap()),
            _ => unreachable!(),
        };
        out.iter().map(of).collect()
    }

    #[test]
    fn changes_wait_for_a_snapshot_that_has_the_first_of_them() {
        let (mut books, mut out) = (Books::new(BookRepair::Request), Vec::new());
        let wanted: Vec<_> = (5..9)
            .map(|number| books.live(event(BookKind::Delta, number), &mut out))
            .collect();
        assert_eq!(
            wanted,
            [Wanted::Snapshot, Wanted::Nothing, Wanted::Nothing, Wanted::Nothing]
        );
        assert!(!books.snapshot(event(BookKind::Snapshot, 4), &mut out));
        assert!(out.is_empty());
        assert!(books.snapshot(event(BookKind::Snapshot, 6), &mut out));
        books.live(event(BookKind::Delta, 8), &mut out);
        books.live(event(BookKind::Delta, 9), &mut out);
        assert_eq!(told(&out), [(true, 6), (false, 7), (false, 8), (false, 9)]);
    }

    #[test]
    fn a_connection_that_takes_over_must_reach_back_to_what_is_known() {
        let (mut books, mut out) = (Books::new(BookRepair::Request), Vec::new());
        let symbol = event(BookKind::Delta, 0).symbol;
        books.live(event(BookKind::Delta, 5), &mut out);
        books.snapshot(event(BookKind::Snapshot, 6), &mut out);
        for (first, expected) in [(6, Wanted::Nothing), (9, Wanted::SnapshotAfterGap)] {
            books.taken_over(vec![symbol]);
            assert_eq!(books.live(event(BookKind::Delta, first), &mut out), expected);
            assert_eq!(books.live(event(BookKind::Delta, first + 1), &mut out), Wanted::Nothing);
        }
        assert!(books.snapshot(event(BookKind::Snapshot, 9), &mut out));
        assert_eq!(told(&out), [(true, 6), (false, 7), (true, 9), (false, 10)]);
    }

    #[test]
    fn an_old_change_is_not_applied_again() {
        let (mut books, mut out) = (Books::new(BookRepair::Resubscribe), Vec::new());
        books.live(event(BookKind::Snapshot, 5), &mut out);
        for number in [6, 7, 7, 6, 8] {
            books.live(event(BookKind::Delta, number), &mut out);
        }
        // Of one message may be several changes: a second one of the same number says nothing that is not so.
        assert_eq!(told(&out), [(true, 5), (false, 6), (false, 7), (false, 7), (false, 8)]);
    }

    #[test]
    fn a_book_that_breaks_while_its_snapshot_comes_asks_with_its_next_change() {
        let (mut books, mut out) = (Books::new(BookRepair::Request), Vec::new());
        books.live(event(BookKind::Delta, 5), &mut out);
        books.broken(event(BookKind::Delta, 0).symbol);
        // Nothing has come since: to ask at once would be to ask again and again, as long as nothing comes.
        assert!(books.snapshot(event(BookKind::Snapshot, 7), &mut out));
        assert!(out.is_empty());
        assert_eq!(books.live(event(BookKind::Delta, 9), &mut out), Wanted::Snapshot);
    }

    #[test]
    fn a_snapshot_that_does_not_come_is_asked_for_again() {
        let (mut books, mut out) = (Books::new(BookRepair::Resubscribe), Vec::new());
        let change = || event(BookKind::Delta, 3);
        books.broken(change().symbol);
        // Nothing comes at all: that is a silent stream, which is seen to elsewhere.
        assert!(!books.is_overdue(change().symbol, Duration::ZERO));
        books.live(change(), &mut out);
        assert!(!books.is_overdue(change().symbol, Duration::from_secs(60)));
        assert!(books.is_overdue(change().symbol, Duration::ZERO));
        books.live(event(BookKind::Snapshot, 4), &mut out);
        assert!(!books.is_overdue(change().symbol, Duration::ZERO));
    }

    #[test]
    fn nothing_of_a_broken_book_is_told() {
        let (mut books, mut out) = (Books::new(BookRepair::Resubscribe), Vec::new());
        books.live(event(BookKind::Snapshot, 1), &mut out);
        assert!(books.broken(event(BookKind::Delta, 0).symbol));
        books.live(event(BookKind::Delta, 3), &mut out);
        books.live(event(BookKind::Snapshot, 4), &mut out);
        books.live(event(BookKind::Delta, 5), &mut out);
        assert_eq!(told(&out), [(true, 1), (true, 4), (false, 5)]);
    }
}
