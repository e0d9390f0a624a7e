//! Where a container's files are, by its state and its root.

use std::path::PathBuf;

use tweendeck_proto::v1::root_filesystem::Source;
use tweendeck_runtime::files::{Cause, Failure, Place};
use tweendeck_runtime::unpack;

use super::super::serve::Api;
use super::super::status::Refusal;
use crate::blocking;
use crate::host::IdRanges;
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::workload::{CommandError, Namespaces, Precondition};

/// Where to look, and the highest id there.
pub(super) struct Located {
    pub(super) place: Place,
    pub(super) id: u32,
}

impl Api {
    /// Where the files of the container of that name are.
    pub(super) async fn place(
        &self,
        name: &str,
        precondition: &Precondition,
        to_write: bool,
    ) -> Result<Located, Refusal> {
        let record = self.find(name)?.view();
        let refused = |error| Refusal::Command { name: name.to_owned(), error };
        precondition.check(&record).map_err(refused)?;
        let wrong = |why| refused(CommandError::WrongState { state: record.state.visible(), why });
        // With the host's user namespace every id but the one that means "none" (chown(2)) is the container's.
        let host_ids = Namespaces::of(&record.spec()).user.is_host();
        let id = if host_ids { u32::MAX - 1 } else { IdRanges::SIZE - 1 };
        let place = match record.state.phase {
            Phase::Running | Phase::Stopping { .. } => {
                running(&record).ok_or_else(|| wrong("its processes are not known yet; try again"))?
            }
            Phase::Freezing | Phase::Frozen | Phase::Thawing => {
                return Err(wrong("it is frozen, and whoever copies would be, too: thaw it first"));
            }
            Phase::Created | Phase::Waiting | Phase::Stopped => {
                Place::Directory { path: self.at_rest(&record, to_write).await? }
            }
            Phase::Starting | Phase::Killing | Phase::Reaping { .. } | Phase::Removing | Phase::Removed => {
                return Err(wrong("its files are being put together or removed; wait until it runs, or has stopped"));
            }
        };
        Ok(Located { place, id })
    }

    /// The root of a container that does not run, if it has one then.
    async fn at_rest(&self, record: &Record, to_write: bool) -> Result<PathBuf, Refusal> {
        let name = record.name().to_owned();
        let wrong = |why| {
            let error = CommandError::WrongState { state: record.state.visible(), why };
            Refusal::Command { name: name.clone(), error }
        };
        let spec = record.spec();
        let (path, readonly) = match spec.rootfs.and_then(|rootfs| rootfs.source) {
            Some(Source::Directory(directory)) => (PathBuf::from(directory.path), directory.readonly),
            Some(Source::Archive(archive)) => {
                let paths = self.registry().host().paths(&name);
                let (owner, root) = (record.root_owner(), paths.rootfs());
                let there = blocking::run(move || unpack::is_unpacked(&owner, &paths)).await;
                if !there.map_err(|error| Refusal::Internal(error.to_string()))? {
                    return Err(wrong("its root is unpacked when it is started, and not there yet: start it first"));
                }
                (root, archive.readonly)
            }
            Some(Source::Overlay(_)) => {
                return Err(wrong(
                    "its layers are put together when it starts: start it first, or copy to a layer on the node",
                ));
            }
            Some(Source::Image(_)) => return Err(wrong("its image is only mounted while it runs: start it first")),
            Some(Source::Host(_)) | None => {
                return Err(wrong(
                    "what it writes is in memory, and it has no files while it does not run: start it first",
                ));
            }
        };
        if to_write && readonly {
            let text = "the container's root is read-only (spec.rootfs)";
            return Err(Refusal::File(Failure::new(Cause::Refused, text)));
        }
        Ok(path)
    }
}

fn running(record: &Record) -> Option<Place> {
    let pid = record.container.status.as_ref().map(|status| status.pid).filter(|pid| *pid > 0)?;
    Some(Place::Running { pid, cgroup: record.cgroup_path().to_owned() })
}
