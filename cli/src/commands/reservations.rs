//! `reserve`, `reservations`, `release`: room that is set aside.

use std::time::SystemTime;

use tweendeck_proto::v1::{
    CreateReservationRequest, DeleteReservationRequest, ListReservationsRequest, ListReservationsResponse, Reservation,
};

use super::each::each;
use crate::agent::Agent;
use crate::args::{ReleaseArgs, ReserveArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, Table, brief, cpus, left, or_dash, printable, right, size};

pub(super) async fn reserve(args: ReserveArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let ReserveArgs { name, requests, containers, ttl } = args;
    let request = CreateReservationRequest {
        name: name.clone(),
        requests: requests.into_requests(),
        containers,
        ttl: ttl.try_into().ok(),
        ..Default::default()
    };
    let answer = agent.call(request).await?;
    out.answer(&answer, |_| name)?;
    Ok(exit::OK)
}

pub(super) async fn release(args: ReleaseArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::FAILED, async |name| {
        let request = DeleteReservationRequest {
            name: name.to_owned(),
            allow_missing: args.ignore_missing,
            ..Default::default()
        };
        let answer = agent.call(request).await?;
        // Nothing was given up if there was none; its name would say that something was.
        if answer.reservation.is_some() || out.is_json() {
            out.answer(&answer, |_| name.to_owned())?;
        }
        Ok(exit::OK)
    })
    .await
}

pub(super) async fn list(agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let mut whole = ListReservationsResponse::default();
    let mut request = ListReservationsRequest::default();
    loop {
        let page = agent.call(request.clone()).await?;
        whole.reservations.extend(page.reservations);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    out.answer(&whole, |whole| table(&whole.reservations, SystemTime::now()))?;
    Ok(exit::OK)
}

fn table(reservations: &[Reservation], now: SystemTime) -> Table<5> {
    let columns = [left("NAME"), right("CONTAINERS"), right("CPU"), right("MEMORY"), right("ENDS IN")];
    let mut table = Table::new(columns);
    for reservation in reservations {
        let free = reservation.free.unwrap_or_default();
        let ends = reservation.expire_time.and_then(|time| SystemTime::try_from(time).ok());
        let left = ends.map(|ends| brief(ends.duration_since(now).unwrap_or_default()));
        table.row([
            printable(&reservation.name),
            format!("{} of {}", reservation.free_containers, reservation.containers),
            cpus(free.cpu_millis),
            size(free.memory_bytes),
            or_dash(left.unwrap_or_default()),
        ]);
    }
    table
}
