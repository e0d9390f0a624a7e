//! Reservations: room that is set aside for containers to come, until it is used, given up, or its time is over.
//!
//! Time is counted by the clock that nobody can set for as long as the machine is not booted again, and by the wall clock across a boot.

use std::time::Duration;

use prost::Message as _;
use rusqlite::{Connection, Error, OptionalExtension as _};
use tweendeck_proto::admission::{Room, admit};
use tweendeck_proto::v1::{EventKind, Reservation};

use super::batch::Batch;
use super::{JournalError, Kinds, RoomError};

/// Room that is to be set aside.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Name, uid, requests and containers; the rest is made of them.
    pub reservation: Reservation,
    /// For how long.
    pub ttl: Duration,
    /// Whether it could be, and nothing else.
    pub validate_only: bool,
}

/// Room that is to be given up.
#[derive(Clone, Debug)]
pub struct Release {
    /// The reservation's name.
    pub name: String,
    /// Its identity; empty means any.
    pub uid: String,
    /// Whether it could be, and nothing else.
    pub validate_only: bool,
}

/// What of it is not used yet.
pub(super) fn left(reservation: &Reservation) -> Room {
    Room::requested(reservation.free.as_ref(), reservation.free_containers.into())
}

/// Whether there is room for `asked` in it.
pub(super) fn admit_to(reservation: &Reservation, asked: Room) -> Result<(), JournalError> {
    admit(left(reservation), asked)
        .map_err(|shortage| RoomError::ReservationTooSmall { name: reservation.name.clone(), shortage }.into())
}

pub(super) fn list(connection: &Connection, after: &str, limit: u32) -> Result<Vec<Reservation>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT reservation FROM reservations WHERE name > ?1 ORDER BY name LIMIT ?2")?;
    let rows = statement.query_map((after, limit), |row| row.get::<_, Vec<u8>>(0))?;
    let decoded = rows.map(|bytes| Ok(decode(&bytes?)));
    decoded.filter_map(Result::transpose).collect()
}

/// The others must not suffer for one that is damaged: it holds no room, and goes when its time is over.
fn decode(bytes: &[u8]) -> Option<Reservation> {
    Reservation::decode(bytes)
        .inspect_err(|error| tracing::error!(%error, "a reservation is damaged: it is left out"))
        .ok()
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<Reservation>, Error> {
    let bytes = connection
        .prepare_cached("SELECT reservation FROM reservations WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| decode(&bytes)))
}

impl Batch<'_> {
    pub(super) fn reserve(&mut self, asked: Reserve) -> Result<Result<Reservation, JournalError>, Error> {
        self.expire()?;
        let Reserve { mut reservation, ttl, validate_only } = asked;
        if find(&self.transaction, &reservation.name)?.is_some() {
            return Ok(Err(RoomError::ReservationExists.into()));
        }
        let room = Room::requested(reservation.requests.as_ref(), reservation.containers.into());
        if let Err(refused) = self.taken.admit(self.room, room) {
            return Ok(Err(refused));
        }
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let ends = self.now.unix_ms.saturating_add(ttl_ms);
        reservation.free = Some(room.requests());
        reservation.free_containers = reservation.containers;
        reservation.create_time = Some(super::query::timestamp(self.now.unix_ms));
        reservation.expire_time = Some(super::query::timestamp(ends));
        if validate_only {
            reservation.uid.clear();
            return Ok(Ok(reservation));
        }
        self.append_reservation([EventKind::Reserved], &reservation)?;
        self.transaction
            .prepare_cached("INSERT INTO reservations (name, reservation, boot_id, ends_boot_ms, ends_unix_ms) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((
                &reservation.name,
                reservation.encode_to_vec(),
                &self.now.boot_id,
                self.now.boot_ms.saturating_add(ttl_ms),
                ends,
            ))?;
        self.taken.reserved = self.taken.reserved.plus(room);
        self.taken.reservations = self.taken.reservations.saturating_add(1);
        Ok(Ok(reservation))
    }

    pub(super) fn release(&mut self, asked: &Release) -> Result<Result<Reservation, JournalError>, Error> {
        self.expire()?;
        let Some(reservation) = find(&self.transaction, &asked.name)? else {
            return Ok(Err(RoomError::NoReservation(asked.name.clone()).into()));
        };
        if !asked.uid.is_empty() && asked.uid != reservation.uid {
            return Ok(Err(RoomError::OtherReservation(reservation.uid).into()));
        }
        if !asked.validate_only {
            self.end(&reservation, [EventKind::ReservationReleased])?;
        }
        Ok(Ok(reservation))
    }

    /// Takes room for one container out of a reservation; the last one ends it.
    pub(super) fn draw(&mut self, name: &str, asked: Room) -> Result<Result<(), JournalError>, Error> {
        let Some(mut reservation) = find(&self.transaction, name)? else {
            return Ok(Err(RoomError::NoReservation(name.to_owned()).into()));
        };
        if let Err(refused) = admit_to(&reservation, asked) {
            return Ok(Err(refused));
        }
        let after = left(&reservation).minus(asked);
        reservation.free = Some(after.requests());
        reservation.free_containers = u32::try_from(after.containers).unwrap_or(u32::MAX);
        self.taken.reserved = self.taken.reserved.minus(asked);
        if after.containers == 0 {
            self.end(&reservation, [EventKind::ReservationDrawn, EventKind::ReservationReleased])?;
        } else {
            self.append_reservation([EventKind::ReservationDrawn], &reservation)?;
            self.transaction
                .prepare_cached("UPDATE reservations SET reservation = ?2 WHERE name = ?1")?
                .execute((name, reservation.encode_to_vec()))?;
        }
        Ok(Ok(()))
    }

    /// Ends what has had its time.
    pub(super) fn expire(&mut self) -> Result<(), Error> {
        if self.taken.reservations == 0 {
            return Ok(());
        }
        let over: Vec<(String, Vec<u8>)> = {
            let mut statement = self.transaction.prepare_cached(
                "SELECT name, reservation FROM reservations WHERE CASE boot_id WHEN ?1 THEN ends_boot_ms <= ?2 ELSE ends_unix_ms <= ?3 END",
            )?;
            let now = (&self.now.boot_id, self.now.boot_ms, self.now.unix_ms);
            let rows = statement.query_map(now, |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        for (name, bytes) in over {
            match decode(&bytes) {
                Some(reservation) => self.end(&reservation, [EventKind::ReservationExpired])?,
                None => drop(self.transaction.execute("DELETE FROM reservations WHERE name = ?1", [name])?),
            }
        }
        Ok(())
    }

    fn end<const N: usize>(&mut self, reservation: &Reservation, kinds: [EventKind; N]) -> Result<(), Error> {
        self.append_reservation(kinds, reservation)?;
        self.transaction.prepare_cached("DELETE FROM reservations WHERE name = ?1")?.execute([&reservation.name])?;
        self.taken.reserved = self.taken.reserved.minus(left(reservation));
        self.taken.reservations = self.taken.reservations.saturating_sub(1);
        Ok(())
    }

    fn append_reservation<const N: usize>(
        &mut self,
        kinds: [EventKind; N],
        reservation: &Reservation,
    ) -> Result<(), Error> {
        let kinds = kinds.into_iter().collect::<Kinds>();
        let (name, uid) = (&reservation.name, &reservation.uid);
        self.append(super::query::RESERVATION, kinds, name, uid, &reservation.encode_to_vec())?;
        Ok(())
    }
}
