//! Who has what of the node's room. A copy of what the store says, so that a create need not add up all containers.

use rusqlite::{Error, Transaction};
use tweendeck_proto::admission::{Resource, Room, admit};

use super::{JournalError, Record, RoomError, Taken, query, reservation};

/// The room that a container takes as long as it exists.
pub(super) fn of(record: &Record) -> Room {
    Room::requested(record.container.spec.as_ref().and_then(|spec| spec.requests.as_ref()), 1)
}

impl Taken {
    /// Adds up everything in the store.
    pub(super) fn load(transaction: &Transaction<'_>) -> Result<Self, Error> {
        let mut taken = Self::default();
        query::each_record(transaction, |record| taken.containers = taken.containers.plus(of(&record)))?;
        // One whose record cannot be decoded has its place all the same.
        taken.containers.containers = transaction
            .query_row("SELECT count(*) FROM containers", [], |row| row.get::<_, i64>(0))
            .map(query::number)?;
        for reservation in reservation::list(transaction, "", u32::MAX)? {
            taken.reserved = taken.reserved.plus(reservation::left(&reservation));
            taken.reservations = taken.reservations.saturating_add(1);
        }
        Ok(taken)
    }

    /// Whether there is room for `asked` on a node that has `room`.
    pub(super) fn admit(&self, room: Room, asked: Room) -> Result<(), JournalError> {
        self.admit_again(room, Room::default(), asked)
    }

    /// The same for somebody who gives up what it `had`. Who asks for no more than that gets it, also on a node that has shrunk.
    pub(super) fn admit_again(&self, room: Room, had: Room, asked: Room) -> Result<(), JournalError> {
        let free = room.minus(self.containers).minus(self.reserved).plus(had);
        admit(free, asked).map_err(|shortage| match shortage.resource {
            Resource::Containers => JournalError::Full(u32::try_from(room.containers).unwrap_or(u32::MAX)),
            Resource::Memory | Resource::Cpu => RoomError::Insufficient(shortage).into(),
        })
    }
}
