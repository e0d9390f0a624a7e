//! What is asked of a log: checked whole, then held against the container.

use std::path::PathBuf;

use tweendeck_proto::v1::{LogStream, ReadLogRequest, StreamLogRequest};
use tweendeck_runtime::log::{Nanos, Stream};

use super::super::serve::Api;
use super::super::status::{LogRefusal, Refusal};
use super::super::validate::{self, Violations};
use crate::logs::{self, Bounds, Place};
use crate::workload::{CommandError, Handle};

/// Entries of a page, bytes: by default, and what can be asked.
const PAGE: u32 = 1 << 20;
const PAGES: std::ops::RangeInclusive<u32> = 1024..=3 << 20;
/// Entries of a stream's message, bytes.
const MESSAGE: usize = 64 << 10;
/// Most entries that can be asked for from the end.
const TAIL: u32 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) path: PathBuf,
    pub(super) begin: Begin,
    pub(super) bounds: Bounds,
    pub(super) follow: bool,
    pub(super) wait: bool,
}

/// Where to begin.
#[derive(Debug)]
pub(super) enum Begin {
    At(Vec<(Stream, u64)>),
    Last(Vec<(Stream, u64)>, u64),
    Since(Vec<(Stream, u64)>, Nanos),
}

impl Begin {
    pub(super) fn positions(&self) -> &[(Stream, u64)] {
        match self {
            Self::At(positions) | Self::Last(positions, _) | Self::Since(positions, _) => positions,
        }
    }
}

/// What is asked, as far as that can be said without the container.
#[derive(Debug)]
pub(super) struct Checked {
    place: Option<Place>,
    streams: Vec<Stream>,
    tail: Option<u64>,
    bounds: Bounds,
    follow: bool,
    wait: bool,
}

impl Asked {
    pub(super) fn read(request: &ReadLogRequest) -> Result<Checked, Refusal> {
        let mut violations = Violations::default();
        let ReadLogRequest { name, uid, cursor, streams, since, until, tail, page_bytes } = request;
        common(name, uid, &mut violations);
        let bytes = page_bytes.unwrap_or(PAGE);
        violations.require(PAGES.contains(&bytes), "page_bytes", "must be 1024 to 3145728");
        violations.require(tail.is_none_or(|tail| tail > 0), "tail", "must be 1 to 1000000");
        let bounds = Bounds {
            since: time(*since, "since", 0, &mut violations),
            until: time(*until, "until", Nanos::MAX, &mut violations),
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        begin(cursor, streams, *tail, since.is_some() || until.is_some(), bounds, violations)
    }

    pub(super) fn stream(request: &StreamLogRequest) -> Result<Checked, Refusal> {
        let mut violations = Violations::default();
        let StreamLogRequest { name, uid, cursor, streams, since, until, tail, follow, wait } = request;
        common(name, uid, &mut violations);
        violations.require(*follow || !*wait, "wait", "needs follow");
        let bounds = Bounds {
            since: time(*since, "since", 0, &mut violations),
            until: time(*until, "until", Nanos::MAX, &mut violations),
            bytes: MESSAGE,
        };
        let checked = begin(cursor, streams, *tail, since.is_some() || until.is_some(), bounds, violations)?;
        Ok(Checked { follow: *follow, wait: *wait, ..checked })
    }
}

fn common(name: &str, uid: &str, violations: &mut Violations) {
    validate::container_name(name, violations);
    validate::precondition(uid, "", violations);
}

fn begin(
    cursor: &str,
    streams: &[i32],
    tail: Option<u32>,
    timed: bool,
    bounds: Bounds,
    mut violations: Violations,
) -> Result<Checked, Refusal> {
    let streams: Vec<Stream> = streams.iter().filter_map(|number| named(*number, &mut violations)).collect();
    let twice = Stream::ALL.iter().any(|stream| streams.iter().filter(|known| *known == stream).count() > 1);
    violations.require(!twice, "streams", "has a stream twice");
    violations.require(tail.is_none_or(|tail| tail <= TAIL), "tail", "must be at most 1000000");
    let alone = tail.is_none() || (cursor.is_empty() && !timed);
    violations.require(alone, "tail", "cannot be had with a cursor, since or until: leave one of them out");
    violations.require(bounds.since < bounds.until, "until", "must be after since");
    violations.finish()?;
    let place = match cursor {
        "" => None,
        cursor => Some(
            Place::parse(cursor).map_err(|_| Refusal::Log(LogRefusal::CursorInvalid("is not one of this API's")))?,
        ),
    };
    Ok(Checked { place, streams, tail: tail.map(u64::from), bounds, follow: false, wait: false })
}

fn named(number: i32, violations: &mut Violations) -> Option<Stream> {
    let known = LogStream::try_from(number).ok();
    let stream = Stream::ALL.into_iter().find(|stream| Some(logs::shown(*stream)) == known);
    violations.require(stream.is_some(), "streams", "has a value this version does not know");
    stream
}

fn time(value: Option<prost_types::Timestamp>, field: &str, default: Nanos, violations: &mut Violations) -> Nanos {
    let Some(value) = value else { return default };
    let seconds = u64::try_from(value.seconds).ok().and_then(|seconds| seconds.checked_mul(SECOND));
    let nanos = u64::try_from(value.nanos).ok().filter(|nanos| *nanos < SECOND);
    let time = seconds.zip(nanos).and_then(|(seconds, nanos)| seconds.checked_add(nanos));
    violations.require(time.is_some(), field, "must be a time from 1970 to 2554");
    time.unwrap_or(default)
}

impl Api {
    /// What is asked, of a container that is there.
    pub(super) fn asked(&self, checked: Checked, name: &str, uid: &str) -> Result<(Asked, Handle), Refusal> {
        let handle = self.find(name)?;
        let record = handle.view();
        if !uid.is_empty() && uid != record.uid() {
            let error = CommandError::UidMismatch { current: record.uid().to_owned() };
            return Err(Refusal::Command { name: name.to_owned(), error });
        }
        let has = logs::streams(&record.spec());
        if !checked.streams.iter().all(|stream| has.contains(stream)) {
            let mut violations = Violations::default();
            let names: Vec<&str> = has.iter().map(|stream| stream.name()).collect();
            violations.add("streams", format!("the container has {} only", names.join(" and ")));
            violations.finish()?;
        }
        let Checked { place, streams, tail, bounds, follow, wait } = checked;
        let wanted = if streams.is_empty() { has } else { &streams };
        let begin = match place {
            Some(place) if place.uid != record.uid() => {
                return Err(Refusal::Log(LogRefusal::CursorStale { name: name.to_owned() }));
            }
            Some(place) if streams.is_empty() && place.positions.iter().all(|(stream, _)| has.contains(stream)) => {
                Begin::At(place.positions)
            }
            Some(place) if place.is_of(&streams) => Begin::At(place.positions),
            Some(_) => return Err(Refusal::Log(LogRefusal::CursorInvalid("was made for other streams"))),
            None => {
                let positions = wanted.iter().map(|stream| (*stream, 0)).collect();
                match tail {
                    Some(count) => Begin::Last(positions, count),
                    None => Begin::Since(positions, bounds.since),
                }
            }
        };
        let path = self.registry().host().paths(name).logs();
        let uid = record.uid().to_owned();
        Ok((Asked { name: name.to_owned(), uid, path, begin, bounds, follow, wait }, handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(result: Result<Checked, Refusal>) -> Vec<String> {
        match result {
            Err(Refusal::Fields(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let request = ReadLogRequest {
            name: "/".into(),
            uid: "x".repeat(65),
            cursor: "no".into(),
            streams: vec![0, 1, 1],
            since: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
            until: Some(prost_types::Timestamp { seconds: 1, nanos: -1 }),
            tail: Some(0),
            page_bytes: Some(1),
        };
        let expected = ["name", "uid", "page_bytes", "tail", "since", "until", "streams", "streams", "tail"];
        assert_eq!(wrong(Asked::read(&request)), expected);
        let request = StreamLogRequest { name: "a".into(), wait: true, tail: Some(TAIL + 1), ..Default::default() };
        assert_eq!(wrong(Asked::stream(&request)), ["wait", "tail"]);
        let none = StreamLogRequest { name: "a".into(), tail: Some(0), ..Default::default() };
        assert_eq!(Asked::stream(&none).unwrap().tail, Some(0));
        let request = ReadLogRequest { name: "a".into(), cursor: "no".into(), ..Default::default() };
        assert!(matches!(Asked::read(&request), Err(Refusal::Log(LogRefusal::CursorInvalid(_)))));
    }
}
