//! Another specification for a container that does not run: one change, which its next start goes by.

use tweendeck_proto::v1::{self, EventKind, IdRange, root_filesystem::Source};
use tweendeck_runtime::unpack::Owner;

use super::actor::{Actor, ShuttingDown};
use super::command::{Accepted, CommandError};
use super::namespaces::Namespaces;
use super::resize::Caller;
use crate::journal::{self, Change, Commit, Committed, JournalError, Record, Request};

/// A record of another specification. What it was left with of its last run stays.
pub(super) fn with_spec(record: &mut Record, spec: &v1::ContainerSpec) {
    if archive(&record.spec()) != archive(spec) {
        record.root = record.root.saturating_add(1);
    }
    record.container.spec = Some(spec.clone());
    // Limits of a cgroup that is gone.
    record.replaced = None;
}

/// Which archive the root comes from, if it does: its path and checksum.
fn archive(spec: &v1::ContainerSpec) -> Option<(&str, &str)> {
    match spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref())? {
        Source::Archive(archive) => Some((&archive.path, &archive.sha256)),
        Source::Host(_) | Source::Directory(_) | Source::Overlay(_) | Source::Image(_) => None,
    }
}

impl Record {
    /// Whose a root is that was unpacked for it.
    pub(crate) fn root_owner(&self) -> Owner {
        Owner { uid: self.uid().to_owned(), number: self.root }
    }
}

impl Actor {
    /// Makes `next`, which has another specification, durable, and answers. Ids are taken or given back as it needs.
    pub(super) async fn update(
        &mut self,
        mut next: Record,
        validate_only: bool,
        caller: Caller,
    ) -> Result<(), ShuttingDown> {
        let Caller { request, reply } = caller;
        let answer = match self.ids_for(&next) {
            Ok(range) => {
                next.status_mut().id_range = range;
                self.replace(next, validate_only, request).await
            }
            Err(error) => Err(error.into()),
        };
        let closed = matches!(answer, Err(CommandError::Journal(JournalError::Closed)));
        // A caller that has gone away does not undo what was decided.
        let _ = reply.send(answer);
        if closed { Err(ShuttingDown) } else { Ok(()) }
    }

    /// The ids that it has, or new ones, if it is to have its own.
    fn ids_for(&self, next: &Record) -> Result<Option<IdRange>, JournalError> {
        if !Namespaces::of(&next.spec()).user.is_private() {
            return Ok(None);
        }
        match ids(&self.record) {
            Some(range) => Ok(Some(range)),
            None => self.around.observer.take_ids().map(Some).ok_or(JournalError::NoUserIds),
        }
    }

    async fn replace(
        &mut self,
        next: Record,
        validate_only: bool,
        request: Option<Request>,
    ) -> Result<Accepted, CommandError> {
        if next == self.record {
            return if validate_only { Ok(self.accepted()) } else { self.remember(request).await };
        }
        let (had, has) = (ids(&self.record), ids(&next));
        let request = request.filter(|_| !validate_only);
        // Also of one whose limits alone are others now.
        let kinds = journal::between(&self.record.container, &next.container).with(EventKind::Updated);
        let would_be = Accepted::Now(next.clone().into());
        let change = Change::Replace { record: Box::new(next), kinds, validate_only };
        let committed = self.around.journal.commit(Commit { change, request }).await;
        let done = matches!(committed, Ok(Committed::Done(_)));
        if let Some(unused) = if done { had } else { has }
            && had != has
        {
            self.around.observer.give_back_ids(unused);
        }
        Ok(match committed? {
            Committed::Done(record) => Accepted::Now(self.publish(*record)),
            Committed::Repeated(container) => Accepted::Before(container),
            Committed::Noted | Committed::Reservation(_) => would_be,
        })
    }
}

/// The user ids that a container has.
fn ids(record: &Record) -> Option<IdRange> {
    record.container.status.as_ref().and_then(|status| status.id_range)
}
