//! Notes that containers changed: a set of names, so that it cannot grow beyond the number of containers there are and were.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How soon a change should be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Together with others, within a moment.
    Normal,
    /// At once.
    Urgent,
}

/// Where notes are left. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    notes: Arc<Notes>,
}

impl Handle {
    pub(super) fn new(notes: Arc<Notes>) -> Self {
        Self { notes }
    }

    /// Notes that a container changed or is gone. Never blocks.
    pub fn changed(&self, name: &str, urgency: Urgency) {
        self.notes.add(name, urgency);
    }
}

/// Notes that have not been acted upon.
#[derive(Debug, Default)]
pub(super) struct Notes {
    state: Mutex<State>,
    normal: Notify,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeSet<String>,
    /// Nobody will read them.
    closed: bool,
}

impl Notes {
    fn add(&self, name: &str, urgency: Urgency) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.names.insert(name.to_owned());
        drop(state);
        match urgency {
            Urgency::Normal => self.normal.notify_one(),
            Urgency::Urgent => self.urgent.notify_one(),
        }
    }

    pub(super) fn close(&self) {
        *self.lock() = State { names: BTreeSet::new(), closed: true };
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.lock().names.len()).unwrap_or(u32::MAX)
    }

    /// Takes all notes.
    pub(super) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().names)
    }

    /// Gives back notes that could not be acted upon.
    pub(super) fn give_back(&self, names: BTreeSet<String>) {
        self.lock().names.extend(names);
    }

    /// Waits for notes: for an urgent one not at all, for others `patience` longer, so that they go together. May be given up and begun
    /// again at any time: what counts is whether there are notes, not whether their arrival was seen.
    pub(super) async fn ready(&self, patience: std::time::Duration) {
        if self.count() == 0 {
            tokio::select! { biased;
                () = self.urgent.notified() => return,
                () = self.normal.notified() => {}
            }
        }
        // Whether the urgent one comes or the time is over does not matter.
        let _ = tokio::time::timeout(patience, self.urgent.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a holder cannot leave a set half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(250);

    fn notes() -> (Handle, Arc<Notes>) {
        let notes = Arc::new(Notes::default());
        (Handle::new(notes.clone()), notes)
    }

    #[tokio::test(start_paused = true)]
    async fn notes_of_one_container_are_one() {
        let (handle, notes) = notes();
        for _ in 0..1000 {
            handle.changed("a", Urgency::Normal);
        }
        handle.changed("b", Urgency::Normal);
        assert_eq!(notes.count(), 2);
        let began = Instant::now();
        notes.ready(PATIENCE).await;
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(notes.take().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(notes.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_urgent_note_does_not_wait_and_takes_the_others_along() {
        let (handle, notes) = notes();
        handle.changed("a", Urgency::Normal);
        handle.changed("b", Urgency::Urgent);
        let began = Instant::now();
        notes.ready(PATIENCE).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(notes.take().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_given_up_loses_nothing() {
        let (handle, notes) = notes();
        handle.changed("a", Urgency::Normal);
        assert!(tokio::time::timeout(PATIENCE / 2, notes.ready(PATIENCE)).await.is_err());
        assert!(tokio::time::timeout(PATIENCE * 2, notes.ready(PATIENCE)).await.is_ok());
        assert_eq!(notes.count(), 1);
    }

    #[test]
    fn without_a_reader_nothing_is_kept() {
        let (handle, notes) = notes();
        notes.close();
        handle.changed("a", Urgency::Urgent);
        assert_eq!(notes.count(), 0);
    }

    #[test]
    fn notes_given_back_are_there_again() {
        let (handle, notes) = notes();
        handle.changed("a", Urgency::Normal);
        let taken = notes.take();
        handle.changed("b", Urgency::Normal);
        notes.give_back(taken);
        assert_eq!(notes.count(), 2);
    }
}
