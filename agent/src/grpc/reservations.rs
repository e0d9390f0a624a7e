//! `ReservationService`.

use std::time::Duration;

use tonic::{Request, Response, Status};
use tweendeck_proto::v1::reservation_service_server::ReservationService;
use tweendeck_proto::v1::{
    CreateReservationRequest, CreateReservationResponse, DeleteReservationRequest, DeleteReservationResponse,
    GetReservationRequest, GetReservationResponse, ListReservationsRequest, ListReservationsResponse, Reservation,
};
use uuid::Uuid;

use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::journal::{JournalError, Release, Reserve, RoomError};

/// How long a reservation is kept unless it is said.
const TTL: Duration = Duration::from_secs(60);
/// Containers in one reservation.
const CONTAINERS: u32 = 10_000;

#[tonic::async_trait]
impl ReservationService for Api {
    async fn create_reservation(
        &self,
        request: Request<CreateReservationRequest>,
    ) -> Result<Response<CreateReservationResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        validate::reservation_name("name", &request.name, &mut violations);
        validate::requests("requests", request.requests.as_ref(), &mut violations);
        violations.require(request.containers <= CONTAINERS, "containers", "must be 1 to 10000, or 0 for 1");
        let ttl = validate::duration(request.ttl, "ttl", &mut violations).unwrap_or(TTL);
        violations.require(ttl >= Duration::from_secs(1), "ttl", "must be 1 s to 24 h");
        let bare = CreateReservationRequest { request_id: String::new(), ..request.clone() };
        let digest = validate::digest("CreateReservation", &bare);
        let request_id = validate::request_id(&request.request_id, digest, &mut violations);
        violations.finish()?;
        let CreateReservationRequest { name, requests, containers, validate_only, .. } = request;
        let reservation = Reservation {
            name: name.clone(),
            uid: Uuid::new_v4().to_string(),
            requests: Some(requests.unwrap_or_default()),
            containers: containers.max(1),
            ..Default::default()
        };
        let asked = Reserve { reservation, ttl, validate_only };
        let reserved = self.registry().journal().reserve(asked, request_id).await;
        let reservation = Some(reserved.map_err(|error| Refusal::Journal { name, error })?);
        Ok(Response::new(CreateReservationResponse { reservation }))
    }

    async fn get_reservation(
        &self,
        request: Request<GetReservationRequest>,
    ) -> Result<Response<GetReservationResponse>, Status> {
        let name = request.into_inner().name;
        let mut violations = Violations::default();
        validate::reservation_name("name", &name, &mut violations);
        violations.finish()?;
        let reservation = self.reservation(&name).await.map_err(|error| Refusal::Journal { name, error })?;
        Ok(Response::new(GetReservationResponse { reservation: Some(reservation) }))
    }

    async fn list_reservations(
        &self,
        request: Request<ListReservationsRequest>,
    ) -> Result<Response<ListReservationsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = validate::page(request.page_size, 100, 1000, &mut violations);
        violations.require(
            request.page_token.len() <= 63,
            "page_token",
            "is not one of this API's; pass back what you got",
        );
        violations.finish()?;
        let limit = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(1);
        let found = self.current_reservations(request.page_token, limit).await;
        let mut reservations = found.map_err(|error| Refusal::Journal { name: String::new(), error })?;
        let more = reservations.len() > size;
        reservations.truncate(size);
        let last = reservations.last().filter(|_| more);
        let next_page_token = last.map(|reservation| reservation.name.clone()).unwrap_or_default();
        Ok(Response::new(ListReservationsResponse { reservations, next_page_token }))
    }

    async fn delete_reservation(
        &self,
        request: Request<DeleteReservationRequest>,
    ) -> Result<Response<DeleteReservationResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        validate::reservation_name("name", &request.name, &mut violations);
        let precondition = validate::precondition(&request.uid, "", &mut violations);
        let bare = DeleteReservationRequest { request_id: String::new(), ..request.clone() };
        let digest = validate::digest("DeleteReservation", &bare);
        let request_id = validate::request_id(&request.request_id, digest, &mut violations);
        violations.finish()?;
        let DeleteReservationRequest { name, allow_missing, validate_only, .. } = request;
        let asked = Release { name: name.clone(), uid: precondition.uid, validate_only };
        let reservation = match self.registry().journal().release(asked, request_id).await {
            Ok(reservation) => Some(reservation),
            Err(JournalError::Room(RoomError::NoReservation(_))) if allow_missing => None,
            Err(error) => return Err(Refusal::Journal { name, error }.into()),
        };
        Ok(Response::new(DeleteReservationResponse { reservation }))
    }
}

impl Api {
    /// Those that are not over.
    async fn current_reservations(&self, after: String, limit: u32) -> Result<Vec<Reservation>, JournalError> {
        let journal = self.registry().journal();
        journal.expire().await?;
        journal.reservations(after, limit).await
    }

    async fn reservation(&self, name: &str) -> Result<Reservation, JournalError> {
        let journal = self.registry().journal();
        journal.expire().await?;
        let found = journal.reservation(name.to_owned()).await?;
        found.ok_or_else(|| RoomError::NoReservation(name.to_owned()).into())
    }
}
