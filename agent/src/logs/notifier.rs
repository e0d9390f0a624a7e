//! Tells those who follow a log that it has changed.
//!
//! One inotify instance for all of them, because a user has few; one watch for each directory, however many follow it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tweendeck_runtime::log::{Changes, Watched, Watcher};

use crate::{pollable, tasks};

/// How often a log is looked at that nobody tells changes of.
const LOOK: Duration = Duration::from_secs(1);

/// Hears of changes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    /// Absent where the kernel has no more inotify instances for us.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    watcher: AsyncFd<Watcher>,
    /// Never locked across an await.
    directories: Mutex<HashMap<Watched, watch::Sender<()>>>,
}

/// The changes of one directory.
#[derive(Debug)]
pub struct Subscription {
    shared: Option<(Arc<Shared>, Watched)>,
    changes: Option<watch::Receiver<()>>,
}

impl Notifier {
    /// Begins to listen. Must be called inside the async runtime.
    #[must_use]
    pub fn start() -> Self {
        let watcher = Watcher::new().and_then(pollable::readable);
        match watcher {
            Ok(watcher) => {
                let shared = Arc::new(Shared { watcher, directories: Mutex::default() });
                let own = shared.clone();
                tasks::spawn("log watcher", async move {
                    if let Err(error) = own.run().await {
                        tracing::error!(%error, "changes of logs are not heard of any more");
                    }
                });
                Self { shared: Some(shared) }
            }
            Err(error) => {
                tracing::warn!(%error, "changes of logs are not heard of: who follows one is a second late");
                Self::default()
            }
        }
    }

    /// Listens to a directory.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn subscribe(&self, directory: &Path) -> io::Result<Subscription> {
        let Some(shared) = &self.shared else { return Ok(Subscription::looking()) };
        // Under the lock, so that nobody stops to listen to it in between.
        let mut directories = shared.directories();
        let watched = match shared.watcher.get_ref().add(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(error) => {
                tracing::warn!(%error, directory = %directory.display(), "changes of a log are not heard of: who follows it is a second late");
                return Ok(Subscription::looking());
            }
            Ok(watched) => watched,
        };
        let changes = directories.entry(watched).or_insert_with(|| watch::Sender::new(())).subscribe();
        Ok(Subscription { shared: Some((shared.clone(), watched)), changes: Some(changes) })
    }
}

impl Shared {
    async fn run(&self) -> io::Result<()> {
        loop {
            let mut ready = self.watcher.readable().await?;
            // What comes from now on makes it ready again.
            ready.clear_ready();
            let changes = self.watcher.get_ref().changes()?;
            let directories = self.directories();
            match changes {
                Changes::In(changed) => changed.iter().filter_map(|one| directories.get(one)).for_each(tell),
                Changes::Anywhere => directories.values().for_each(tell),
            }
        }
    }

    /// A panic of a holder cannot leave the map half changed, so poison is no reason to stop.
    fn directories(&self) -> MutexGuard<'_, HashMap<Watched, watch::Sender<()>>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(directory: &watch::Sender<()>) {
    directory.send_replace(());
}

impl Subscription {
    /// One of a directory that nobody tells changes of.
    fn looking() -> Self {
        Self { shared: None, changes: None }
    }

    /// What has changed so far is known.
    pub fn mark(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.mark_unchanged();
        }
    }

    /// Waits for a change since it was last marked.
    pub async fn changed(&mut self) {
        let told = match &mut self.changes {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !told {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.changes = None;
        if let Some((shared, watched)) = &self.shared {
            let mut directories = shared.directories();
            if directories.get(watched).is_some_and(|directory| directory.receiver_count() == 0) {
                directories.remove(watched);
                shared.watcher.get_ref().remove(*watched);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn every_follower_of_a_directory_hears_and_the_last_one_ends_it() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let notifier = Notifier::start();
        let mut followers = [one.path(), one.path(), other.path()].map(|path| notifier.subscribe(path).unwrap());
        let mut file = File::create(one.path().join("stdout.log")).unwrap();
        let [first, second, third] = &mut followers;
        first.changed().await;
        second.changed().await;
        assert!(tokio::time::timeout(Duration::from_millis(50), third.changed()).await.is_err());
        first.mark();
        file.write_all(b"x").unwrap();
        first.changed().await;
        first.mark();
        fs::rename(one.path().join("stdout.log"), one.path().join("y")).unwrap();
        first.changed().await;
        let shared = notifier.shared.clone().unwrap();
        let [first, second, third] = followers;
        drop((first, third));
        assert_eq!(shared.directories().len(), 1);
        drop(second);
        assert_eq!(shared.directories().len(), 0);
        let absent = notifier.subscribe(&one.path().join("nothing"));
        assert_eq!(absent.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
