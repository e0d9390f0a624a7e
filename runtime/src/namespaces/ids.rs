//! Mappings of user and group ids (user_namespaces(7), "User and group ID mappings").

use std::fs;
use std::io;

use oci_spec::runtime::{LinuxIdMapping, Spec};

/// Most lines a mapping may have (since Linux 4.15).
const LINES: usize = 340;
/// The kernel takes less than a page of text at a time.
const TEXT_MAX: usize = 4096;
/// What an id shows as that is not mapped (proc_sys_kernel(5), `overflowuid`).
const OVERFLOW: u32 = 65_534;

/// One line of a mapping: `count` ids from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    inside: u32,
    outside: u32,
    count: u32,
}

/// A mapping of one kind of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    lines: Vec<Line>,
}

/// What a user namespace makes of user and group ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) users: Map,
    pub(crate) groups: Map,
}

impl Ids {
    /// The mappings of a specification that has a new user namespace.
    ///
    /// # Errors
    /// Everything that is wrong with them, as sentences.
    pub(crate) fn of(spec: &Spec) -> Result<Self, Vec<String>> {
        let linux = spec.linux().as_ref();
        let mut errors = Vec::new();
        let users = Map::of(linux.and_then(|linux| linux.uid_mappings().as_deref()), "linux.uidMappings", &mut errors);
        let groups = Map::of(linux.and_then(|linux| linux.gid_mappings().as_deref()), "linux.gidMappings", &mut errors);
        if let Some(user) = spec.process().as_ref().map(oci_spec::runtime::Process::user)
            && errors.is_empty()
        {
            let gid = &user.gid();
            let gids = user.additional_gids().iter().flatten().chain(std::iter::once(gid));
            let unmapped = gids.filter(|gid| groups.outside(**gid).is_none());
            errors.extend(unmapped.map(|gid| format!("process.user: group {gid} is not in linux.gidMappings")));
            if users.outside(user.uid()).is_none() {
                errors.push(format!("process.user: user {} is not in linux.uidMappings", user.uid()));
            }
        }
        if errors.is_empty() { Ok(Self { users, groups }) } else { Err(errors) }
    }

    /// The mappings of a process that runs in the namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn of_process(pid: i32) -> io::Result<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).and_then(|text| Map::parse(&text));
        Ok(Self { users: read("uid_map")?, groups: read("gid_map")? })
    }

    /// Gives them to a process whose user namespace has none yet. Each is one write(2), as the kernel wants it.
    ///
    /// # Errors
    /// `EPERM` without CAP_SETUID and CAP_SETGID over the parent namespace.
    pub(crate) fn give_to(&self, pid: i32) -> io::Result<()> {
        fs::write(format!("/proc/{pid}/uid_map"), self.users.text())?;
        fs::write(format!("/proc/{pid}/gid_map"), self.groups.text())
    }
}

impl Map {
    fn of(given: Option<&[LinuxIdMapping]>, field: &str, errors: &mut Vec<String>) -> Self {
        let given = given.unwrap_or_default();
        let before = errors.len();
        if !(1..=LINES).contains(&given.len()) {
            errors.push(format!("{field} must have 1 to {LINES} entries with a new user namespace"));
        }
        let line = |entry: &LinuxIdMapping| Line {
            inside: entry.container_id(),
            outside: entry.host_id(),
            count: entry.size(),
        };
        let map = Self { lines: given.iter().take(LINES).map(line).collect() };
        // The highest id means "none" (setresuid(2)); a range must end before it.
        let fits = |first: u32, count: u32| count > 0 && first.checked_add(count).is_some_and(|end| end < u32::MAX);
        if !map.lines.iter().all(|line| fits(line.inside, line.count) && fits(line.outside, line.count)) {
            errors.push(format!("{field}: a size must be at least 1, and no id may be above 4294967293"));
        } else if map.overlaps(|line| line.inside) || map.overlaps(|line| line.outside) {
            errors.push(format!("{field}: entries must not overlap"));
        } else if map.text().len() >= TEXT_MAX {
            errors.push(format!("{field} has too many entries: as text they must be below {TEXT_MAX} bytes"));
        } else if errors.len() == before && map.outside(0).is_none() {
            errors.push(format!("{field} must map id 0 of the container, which sets it up"));
        }
        map
    }

    fn overlaps(&self, first: impl Fn(&Line) -> u32) -> bool {
        let mut ranges: Vec<(u32, u32)> = self.lines.iter().map(|line| (first(line), line.count)).collect();
        ranges.sort_unstable();
        let pairs = ranges.iter().zip(ranges.iter().skip(1));
        pairs.into_iter().any(|((first, count), (next, _))| first.saturating_add(*count) > *next)
    }

    /// A `/proc/PID/uid_map` or `gid_map`: three numbers a line.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an id mapping has not three numbers a line");
        let line = |text: &str| {
            let mut numbers = text.split_whitespace().map(str::parse);
            let (inside, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
            numbers.next().is_none().then_some(Line { inside, outside, count })
        };
        let lines = text.lines().take(LINES).map(line).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        Ok(Self { lines })
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{} {} {}\n", line.inside, line.outside, line.count)).collect()
    }

    /// The host's id of one inside.
    pub(crate) fn outside(&self, inside: u32) -> Option<u32> {
        self.lines.iter().find_map(|line| {
            let offset = inside.checked_sub(line.inside).filter(|offset| *offset < line.count)?;
            line.outside.checked_add(offset)
        })
    }

    /// The host's id of one inside, as an id-mapped mount shows it: that of "nobody" when it is not mapped.
    pub(crate) fn shown(&self, inside: u32) -> u32 {
        self.outside(inside).or_else(|| self.outside(OVERFLOW)).unwrap_or(OVERFLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Result<Map, Vec<String>> {
        let given: Vec<LinuxIdMapping> = serde_json::from_str(json).unwrap();
        let mut errors = Vec::new();
        let map = Map::of(Some(&given), "m", &mut errors);
        if errors.is_empty() { Ok(map) } else { Err(errors) }
    }

    #[test]
    fn an_id_is_found_in_its_range() {
        let map =
            map(r#"[{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 10, "hostID": 5, "size": 1}]"#);
        let map = map.unwrap();
        assert_eq!([0, 9, 10, 11].map(|id| map.outside(id)), [Some(1000), Some(1009), Some(5), None]);
        assert_eq!(Map::parse(&map.text()).unwrap(), map);
        assert_eq!(map.shown(11), OVERFLOW);
    }

    #[test]
    fn what_the_kernel_would_refuse_or_bend_is_refused() {
        for wrong in [
            "[]",
            r#"[{"containerID": 0, "hostID": 0, "size": 0}]"#,
            r#"[{"containerID": 1, "hostID": 1, "size": 5}]"#,
            r#"[{"containerID": 0, "hostID": 4294967290, "size": 5}]"#,
            r#"[{"containerID": 0, "hostID": 10, "size": 5}, {"containerID": 4, "hostID": 100, "size": 5}]"#,
            r#"[{"containerID": 0, "hostID": 10, "size": 5}, {"containerID": 8, "hostID": 14, "size": 5}]"#,
        ] {
            assert_eq!(map(wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Map::parse(&text);
        }
    }
}
