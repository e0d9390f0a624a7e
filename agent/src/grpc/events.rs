//! `EventService`.

use prost::Message as _;
use tonic::{Request, Response, Status};
use tweendeck_proto::MAX_MESSAGE_BYTES;
use tweendeck_proto::v1::event_service_server::EventService;
use tweendeck_proto::v1::{self, GapReason, ListEventsRequest, ListEventsResponse, WatchEventsRequest};

use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use super::watch::{self, Events, PAGE, Position, format_token, parse_token};
use crate::journal::{Entry, Subject, timestamp};

/// Entries read for one page of a list.
const SCANNED: usize = 10_000;

#[tonic::async_trait]
impl EventService for Api {
    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }

    type WatchEventsStream = watch::Items<v1::WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let journal = self.registry().journal().clone();
        Ok(Response::new(watch::events(journal, self.stopping(), &request.into_inner())?))
    }
}

impl Api {
    async fn list(&self, request: ListEventsRequest) -> Result<ListEventsResponse, Refusal> {
        let mut violations = Violations::default();
        let size = validate::page(request.page_size, 100, 1000, &mut violations);
        let filter = Events::of(request.filter.as_ref(), &mut violations);
        let since = moment(request.start_time, "start_time", &mut violations);
        let until = moment(request.end_time, "end_time", &mut violations);
        violations.finish()?;
        let journal = self.registry().journal();
        let unread = |error| Refusal::Journal { name: String::new(), error };
        let page_mark = Events::page_mark(&request);
        let (mut sequence, mut gap) = self.begin_list(&request.page_token, &page_mark, since).await?;
        let (mut events, mut scanned, mut bytes) = (Vec::new(), 0, 0);
        let more = 'pages: loop {
            let page = journal.after(sequence, PAGE).await.map_err(unread)?;
            if page.entries.is_empty() {
                break false;
            }
            let next = sequence.saturating_add(1);
            if page.oldest > next {
                // It was cut meanwhile. What has been read is told first, and what is missing with the next page.
                if scanned > 0 {
                    break true;
                }
                gap = Some(watch::gap(next, page.oldest.saturating_sub(1), GapReason::Retention));
            }
            for entry in page.entries {
                if events.len() >= size || scanned >= SCANNED {
                    break 'pages true;
                }
                scanned += 1;
                let number = entry.sequence;
                let in_time =
                    since.is_none_or(|since| entry.unix_ms >= since) && until.is_none_or(|until| entry.unix_ms < until);
                if in_time && filter.wants(&entry) {
                    let event = event(entry);
                    bytes += event.encoded_len() + 16;
                    if bytes > MAX_MESSAGE_BYTES - 4096 {
                        break 'pages true;
                    }
                    events.push(event);
                }
                sequence = number;
            }
        };
        let token = |mark: &str| format_token(journal.id(), Position::After(sequence), mark);
        let next_page_token = if more { token(&page_mark) } else { String::new() };
        Ok(ListEventsResponse { events, next_page_token, gap, resume_token: token(filter.mark()) })
    }
}

impl Api {
    /// What a page follows behind, and what is missing before it.
    async fn begin_list(
        &self,
        page_token: &str,
        page_mark: &str,
        since: Option<i64>,
    ) -> Result<(u64, Option<v1::Gap>), Refusal> {
        let journal = self.registry().journal();
        let unread = |error| Refusal::Journal { name: String::new(), error };
        let after = match page_token {
            "" => None,
            token => match parse_token(token, page_mark)? {
                (id, Position::After(sequence)) => Some((id == journal.id(), sequence)),
                (_, Position::Snapshot) => return Err(Refusal::ResumeToken("is of a watch of containers")),
            },
        };
        let oldest = match since {
            Some(since) if after.is_none() => journal.first_since(since).await.map_err(unread)?,
            Some(_) | None => journal.after(0, 1).await.map_err(unread)?.oldest,
        };
        Ok(match after {
            Some((false, _)) => (oldest.saturating_sub(1), Some(watch::gap(0, 0, GapReason::OtherJournal))),
            Some((true, sequence)) if sequence.saturating_add(1) < oldest => {
                let gap = watch::gap(sequence.saturating_add(1), oldest.saturating_sub(1), GapReason::Retention);
                (oldest.saturating_sub(1), Some(gap))
            }
            // One from the future is of a store that was restored from a copy.
            Some((true, sequence)) if sequence > *journal.head().borrow() => {
                (oldest.saturating_sub(1), Some(watch::gap(0, 0, GapReason::OtherJournal)))
            }
            Some((true, sequence)) => (sequence, None),
            None => (oldest.saturating_sub(1), None),
        })
    }
}

/// A time as the journal has it, milliseconds since the epoch.
fn moment(time: Option<prost_types::Timestamp>, field: &str, violations: &mut Violations) -> Option<i64> {
    let time = time?;
    let valid = (0..=253_402_300_799).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    violations.require(valid, field, "must be a time from 1970 to 9999");
    valid.then(|| time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000))
}

/// An entry, as callers see it.
pub(super) fn event(entry: Entry) -> v1::Event {
    let subject = match entry.subject {
        Subject::Container { container, .. } => Some(v1::event::Subject::Container(*container)),
        Subject::Reservation(reservation) => Some(v1::event::Subject::Reservation(*reservation)),
        Subject::Node(node) => Some(v1::event::Subject::Node(*node)),
        Subject::Unknown => None,
    };
    v1::Event {
        sequence: entry.sequence,
        time: Some(timestamp(entry.unix_ms)),
        kinds: entry.kinds.list().into_iter().map(Into::into).collect(),
        subject,
    }
}
