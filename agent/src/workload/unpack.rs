//! A root file system from an archive, before the first start by it.
//!
//! It may take minutes, so it goes on in a task of its own, and the actor hears signals and stops meanwhile. Nothing about it is written down: whether a root is
//! there is what the disk says (`tweendeck_runtime::unpack`), and an agent that finds a promised start goes on with it, from the beginning if it was not whole.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use tweendeck_proto::v1::{self, root_filesystem::Source};
use tweendeck_runtime::unpack::{self, Archive, Bounds, Done, Owner, Stop, UnpackError};

use super::actor::{Actor, ShuttingDown};
use super::namespaces::Namespaces;
use crate::causes::causes;
use crate::host::IdRanges;
use crate::lifecycle::Phase;
use crate::{blocking, tasks};

/// What an archive may contain when the caller says nothing.
const DEFAULT_BYTES: u64 = 10 << 30;
const DEFAULT_ENTRIES: u64 = 1_000_000;
/// How many are unpacked at once on a node; the others wait for their turn. It is the disk that is slow.
static ROOM: Semaphore = Semaphore::const_new(2);

/// An archive that is being unpacked, or waits for its turn.
pub(super) struct Unpacking {
    outcome: oneshot::Receiver<Outcome>,
    stop: Arc<Stop>,
    /// Dropped to end the waiting.
    turn: Option<oneshot::Sender<()>>,
}

/// What came of it, or why there is no root.
pub(super) type Outcome = Result<Done, String>;

impl Unpacking {
    /// Ends it. The outcome still comes.
    pub(super) fn stop(&mut self) {
        self.turn = None;
        self.stop.ask();
    }
}

/// An actor that ends does not wait for it, and nobody else would.
impl Drop for Unpacking {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for the outcome of what is under way; for ever when nothing is.
pub(super) async fn outcome(unpacking: &mut Option<Unpacking>) -> Outcome {
    match unpacking {
        Some(unpacking) => (&mut unpacking.outcome).await.unwrap_or_else(|_| Err("its task has ended".to_owned())),
        None => std::future::pending().await,
    }
}

/// The archive that a container's root comes from, if it does.
pub(super) fn archive(spec: &v1::ContainerSpec) -> Option<Archive> {
    let source = spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref());
    let Some(Source::Archive(given)) = source else { return None };
    let v1::ArchiveRootfs { path, sha256, readonly: _, max_unpacked_bytes, max_entries } = given;
    // With the host's user namespace every id but the one that means "none" (chown(2)) is the container's.
    let id = if Namespaces::of(spec).user.is_host() { u32::MAX - 1 } else { IdRanges::SIZE - 1 };
    let bytes = max_unpacked_bytes.unwrap_or(DEFAULT_BYTES);
    let bounds = Bounds { bytes, entries: max_entries.unwrap_or(DEFAULT_ENTRIES), id };
    Some(Archive {
        path: PathBuf::from(path),
        sha256: Some(sha256.clone()).filter(|digits| !digits.is_empty()),
        bounds,
    })
}

impl Actor {
    /// Whose a root may be that was unpacked before the container was given another kind of root.
    pub(super) fn earlier_root(&self) -> Option<Owner> {
        let none_now = archive(&self.record.spec()).is_none();
        (none_now && self.record.root > 0).then(|| self.record.root_owner())
    }

    /// Begins. The launch follows when the root is there, which it is at once in all starts but the first, and the first by another archive.
    pub(super) fn unpack(&mut self, archive: Archive) {
        let (sender, outcome) = oneshot::channel();
        let (turn, given_up) = oneshot::channel::<()>();
        let stop = Arc::new(Stop::default());
        self.unpacking = Some(Unpacking { outcome, stop: stop.clone(), turn: Some(turn) });
        let host = self.around.host.clone();
        let (name, owner) = (self.record.name().to_owned(), self.record.root_owner());
        tasks::spawn("unpack", async move {
            // Being given up comes first: nothing is begun then.
            let turn = tokio::select! { biased;
                _ = given_up => None,
                turn = ROOM.acquire() => turn.ok(),
            };
            let done = match turn {
                Some(_turn) => {
                    let paths = host.paths(&name);
                    let work = move || unpack::unpack(&host.runtime, &archive, &owner, &paths, &stop);
                    blocking::run(work).await.map_err(|error| error.to_string())
                }
                None => Ok(Err(UnpackError::Stopped)),
            };
            // Nobody is there any more when the agent goes down; the next one begins anew.
            let _ = sender.send(done.and_then(|done| done.map_err(|error| causes(&error))));
        });
    }

    /// The root is there, or will not be.
    pub(super) async fn unpacked(&mut self, outcome: Outcome) -> Result<(), ShuttingDown> {
        self.unpacking = None;
        match outcome {
            Ok(done) => {
                let container = self.record.name();
                if let Some(place) = done.set_aside {
                    let place = place.display();
                    tracing::warn!(container, %place, "the root of an earlier container of this name was moved aside");
                }
                if let Some(done) = done.unpacked {
                    let unpack::Unpacked { entries, bytes, devices, attributes } = done;
                    tracing::info!(
                        container,
                        entries,
                        bytes,
                        devices,
                        attributes,
                        "its root was unpacked; so many devices and attributes left out"
                    );
                }
            }
            Err(why) => return self.never_ran(format!("unpack spec.rootfs.archive: {why}")).await,
        }
        if self.record.state.phase == Phase::Starting {
            // Boxed: it holds a plan and a record, which are large.
            return Box::pin(self.launch_after_hooks()).await;
        }
        self.never_ran("it was stopped before it was launched".to_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(archive: v1::ArchiveRootfs, user: v1::NamespaceMode) -> v1::ContainerSpec {
        let source = Some(Source::Archive(archive));
        let user = Some(v1::Namespace { source: Some(v1::namespace::Source::Mode(user.into())) });
        v1::ContainerSpec {
            rootfs: Some(v1::RootFilesystem { source }),
            namespaces: Some(v1::NamespaceOptions { user, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn bounds_have_defaults_and_ids_are_those_of_the_user_namespace() {
        let plain = v1::ArchiveRootfs { path: "/a.tar".into(), ..Default::default() };
        let found = archive(&spec(plain.clone(), v1::NamespaceMode::Private)).unwrap();
        assert_eq!(found.bounds, Bounds { bytes: 10 << 30, entries: 1_000_000, id: 65_535 });
        assert_eq!(found.sha256, None);
        let given = v1::ArchiveRootfs { max_entries: Some(5), sha256: "ab".into(), ..plain };
        let found = archive(&spec(given, v1::NamespaceMode::Host)).unwrap();
        assert_eq!((found.bounds.entries, found.bounds.id, found.sha256.as_deref()), (5, u32::MAX - 1, Some("ab")));
    }
}
