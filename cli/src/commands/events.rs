//! `events`: what happened, and with --follow what happens, across restarts of the agent.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tonic::Status;
use tweendeck_proto::v1::event::Subject;
use tweendeck_proto::v1::watch_events_response::Item;
use tweendeck_proto::v1::{
    Event, EventFilter, EventKind, Gap, ListEventsRequest, WatchEventsRequest, WatchEventsResponse,
};

use super::following::Following;
use super::interrupts::Interrupts;
use crate::agent::Agent;
use crate::args::{EventsArgs, spelled};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, moment_with_millis, notice, or_dash, printable, word};

/// Events in a page.
const PAGE: i32 = 1000;

pub(super) async fn run(args: EventsArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let start_time = args.start_time(SystemTime::now()).map(Into::into);
    let filter = EventFilter {
        name: args.name.unwrap_or_default(),
        uid: String::new(),
        kinds: args.kind.into_iter().map(Into::into).collect(),
        label_selector: BTreeMap::from_iter(args.label),
    };
    let filter = (filter != EventFilter::default()).then_some(filter);
    let follows = args.follow || args.resume.is_some();
    let resume_token = match args.resume {
        Some(token) => token,
        None => {
            let request =
                ListEventsRequest { page_size: PAGE, filter: filter.clone(), start_time, ..Default::default() };
            list(request, agent, out).await?
        }
    };
    if follows {
        let request = WatchEventsRequest { resume_token, filter, ..Default::default() };
        follow(request, agent, out).await?;
    }
    Ok(exit::OK)
}

/// Prints what there is; gives the token behind it.
async fn list(mut request: ListEventsRequest, agent: &Agent, out: &mut Printer) -> Result<String, Failure> {
    loop {
        let page = agent.call(request.clone()).await?;
        if let Some(gap) = &page.gap {
            notice(missing(gap));
        }
        if out.is_json() {
            out.item(&page, |_| None::<String>)?;
        } else {
            for event in &page.events {
                out.line(line(event))?;
            }
        }
        if page.next_page_token.is_empty() || out.is_closed() {
            return Ok(page.resume_token);
        }
        request.page_token = page.next_page_token;
    }
}

async fn follow(request: WatchEventsRequest, agent: &Agent, out: &mut Printer) -> Result<(), Failure> {
    let mut watch = Watch { agent, request, following: Following::default() };
    let mut interrupts = Interrupts::listen()?;
    tokio::select! { biased;
        _ = interrupts.next() => {}
        result = agent.while_allowed(watch.follow(out)) => drop(result?),
    }
    if !out.is_closed() && !out.is_json() {
        notice(format!("to go on from here: the same with --resume {}", printable(&watch.request.resume_token)));
    }
    Ok(())
}

/// A watch, and where it stands.
struct Watch<'a> {
    agent: &'a Agent,
    /// The next request; its token is that of the last item.
    request: WatchEventsRequest,
    following: Following,
}

impl Watch<'_> {
    /// Prints events until nobody reads them, or the agent refuses.
    async fn follow(&mut self, out: &mut Printer) -> Result<(), Failure> {
        while !out.is_closed() {
            let lost = match self.agent.watch_events(self.request.clone()).await {
                Ok(mut items) => {
                    self.following.opened();
                    loop {
                        match items.message().await {
                            Ok(Some(response)) => self.print(response, out)?,
                            Ok(None) => break Status::unavailable("the agent ended the watch"),
                            Err(status) => break status,
                        }
                        if out.is_closed() {
                            return Ok(());
                        }
                    }
                }
                Err(status) => status,
            };
            self.following.survive(self.agent, lost, "").await?;
        }
        Ok(())
    }

    fn print(&mut self, response: WatchEventsResponse, out: &mut Printer) -> Result<(), Failure> {
        self.following.heard();
        out.item(&response, |response| match response.item.as_ref()? {
            Item::Event(event) => Some(line(event)),
            Item::Gap(gap) => Some(missing(gap)),
            Item::Bookmark(_) => None,
        })?;
        self.request.resume_token = response.resume_token;
        Ok(())
    }
}

fn missing(gap: &Gap) -> String {
    match gap.to_sequence {
        0 => "an unknown number of events is gone".to_owned(),
        to => format!("events {} to {to} are gone", gap.from_sequence),
    }
}

fn line(event: &Event) -> String {
    let (name, detail) = match &event.subject {
        Some(Subject::Container(container)) => {
            let status = container.status.clone().unwrap_or_default();
            let exit = status.exit.filter(|_| ends(event));
            let ended =
                exit.map(|exit| format!("{}, code {}", word(exit.reason().as_str_name(), "EXIT_REASON_"), exit.code));
            let parts = [ended.unwrap_or_default(), printable(&status.message)];
            (
                printable(&container.name),
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            )
        }
        Some(Subject::Reservation(reservation)) => {
            let detail = format!("{} of {} containers left", reservation.free_containers, reservation.containers);
            (printable(&reservation.name), detail)
        }
        Some(Subject::Node(node)) => ("-".to_owned(), printable(&node.message)),
        None => ("-".to_owned(), String::new()),
    };
    let kinds: Vec<_> = event.kinds().map(spelled).collect();
    let time = or_dash(moment_with_millis(event.time.as_ref()));
    format!("{time:<24}  {:>6}  {name:<16}  {:<20}  {detail}", event.sequence, kinds.join(",")).trim_end().to_owned()
}

/// Whether it tells of the end of an attempt.
fn ends(event: &Event) -> bool {
    let end = [EventKind::Exited, EventKind::StartFailed, EventKind::Lost];
    event.kinds().any(|kind| end.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{Container, ContainerStatus, ExitReason, ExitStatus, NodeEvent, Reservation};

    #[test]
    fn every_event_is_one_line() {
        let exit = ExitStatus { reason: ExitReason::OomKilled.into(), code: 137, ..Default::default() };
        let status = ContainerStatus { exit: Some(exit), message: "out of\nmemory".to_owned(), ..Default::default() };
        let container = Container { name: "web".to_owned(), status: Some(status), ..Default::default() };
        let event = |sequence, kinds: &[EventKind], subject| Event {
            sequence,
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 250_000_000 }),
            kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
            subject: Some(subject),
        };
        let reservation = Reservation { name: "r".to_owned(), free_containers: 2, containers: 3, ..Default::default() };
        let node = NodeEvent { message: "the agent goes down".to_owned(), ..Default::default() };
        let events = [
            event(7, &[EventKind::Exited, EventKind::OomKilled], Subject::Container(container.clone())),
            event(8, &[EventKind::Updated], Subject::Container(Container { status: None, ..container })),
            event(9, &[EventKind::ReservationDrawn], Subject::Reservation(reservation)),
            event(10, &[EventKind::AgentStopping], Subject::Node(node)),
        ];
        let expected = "\
1970-01-01T00:00:01.250Z       7  web               exited,oom-killed     oom killed, code 137; out of\\nmemory
1970-01-01T00:00:01.250Z       8  web               updated
1970-01-01T00:00:01.250Z       9  r                 reservation-drawn     2 of 3 containers left
1970-01-01T00:00:01.250Z      10  -                 agent-stopping        the agent goes down";
        assert_eq!(events.iter().map(line).collect::<Vec<_>>().join("\n"), expected);
    }
}
