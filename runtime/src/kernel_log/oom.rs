//! What the kernel says of an OOM kill (mm/oom_kill.c, mm/memcontrol.c), three records of its report:
//!
//! ```text
//! memory: usage 32768kB, limit 32768kB, failcnt 213
//! oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=dd,pid=30112,uid=0
//! Memory cgroup out of memory: Killed process 30112 (dd) total-vm:42436kB, anon-rss:32484kB, file-rss:6816kB, shmem-rss:0kB, UID:0 pgtables:…
//! ```
//!
//! The first two come at most ten times in five seconds, for the whole machine; the counter then counts alone. Reports are made one after the other
//! (`oom_lock`), so the first belongs to the second. Names in them are others' to choose: a process chooses its own (15 bytes of anything), and a container
//! with a writable cgroup file system chooses names below its own cgroup and so what stands behind `cpuset=`, `oom_memcg=` and `task_memcg=`.
//! What is taken for ours therefore has our own cgroup where the *first* `,task_memcg=` is, and from there to the end what the kernel writes there and
//! nothing else: behind a name that only pretends, the rest of the true record is longer than a process' name can be. A record can be broken, by
//! chance or because a path is long, so that its beginning looks whole; then its rest comes as a fragment before the third record, without which nothing
//! is told.

use super::Record;
use crate::incident::OomReport;

/// Most bytes of a process' name (TASK_COMM_LEN less the NUL).
const COMM_MAX: usize = 15;

/// Reads the kernel's log for kills in one cgroup.
#[derive(Clone, Debug)]
pub struct OomReports {
    /// The cgroup, as the kernel spells it.
    path: Vec<u8>,
    /// Usage and limit that the report under way has named, bytes.
    memory: Option<(u64, u64)>,
    /// A process that was chosen, and not killed yet.
    chosen: Option<OomReport>,
    /// The last kill.
    last: Option<OomReport>,
}

impl OomReports {
    /// Of the cgroup at `path` below the root of its hierarchy, without a leading `/`, and of those below it.
    #[must_use]
    pub fn of(path: &str) -> Self {
        Self { path: format!("/{path}").into_bytes(), memory: None, chosen: None, last: None }
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        if !record.kernel {
            return;
        }
        let text = record.text.as_slice();
        if record.fragment {
            self.chosen = None;
        } else if let Some(memory) = memory(text) {
            self.memory = Some(memory);
        } else if text.starts_with(b"oom-kill:constraint=CONSTRAINT_") {
            let (usage, limit) = self.memory.take().unzip();
            self.chosen = chosen(text, &self.path).map(|Chosen { pid, comm, by_limit }| OomReport {
                pid,
                comm: String::from_utf8_lossy(comm).into_owned(),
                rss_bytes: None,
                limit_bytes: limit.filter(|_| by_limit),
                usage_bytes: usage.filter(|_| by_limit),
            });
        } else if let Some((pid, rss_bytes)) = killed(text)
            && let Some(report) = self.chosen.take_if(|chosen| chosen.pid == pid)
        {
            self.last = Some(OomReport { rss_bytes: Some(rss_bytes), ..report });
        }
    }

    /// Something was missed: what comes does not belong to what was.
    pub fn gap(&mut self) {
        self.memory = None;
        self.chosen = None;
    }

    /// The last kill since this was asked.
    pub fn last(&mut self) -> Option<OomReport> {
        self.last.take()
    }

    /// Whether a process was chosen and its kill is not in the log yet: the kernel counts a kill in the moment before it says so.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.chosen.is_some()
    }
}

/// Usage and limit, bytes.
fn memory(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("memory: usage ")?;
    let (usage, rest) = text.split_once("kB, limit ")?;
    let (limit, failures) = rest.split_once("kB, failcnt ")?;
    failures.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some((kib(usage)?, kib(limit)?))
}

/// Whom the kernel has chosen, and whether that was for a limit: the machine may have had no memory left.
struct Chosen<'a> {
    pid: i32,
    comm: &'a [u8],
    by_limit: bool,
}

fn chosen<'a>(text: &'a [u8], path: &[u8]) -> Option<Chosen<'a>> {
    let (text, _uid) = number_at_end(text, b",uid=")?;
    let (text, pid) = number_at_end(text, b",pid=")?;
    let at = find(text, b",task_memcg=")?;
    let before = text.get(..at)?;
    let after = text.get(at..)?.strip_prefix(b",task_memcg=")?.strip_prefix(path)?;
    let comm = match after.strip_prefix(b",task=") {
        Some(comm) => comm,
        // A cgroup below ours, whose name is the container's to choose: the first `,task=` that a name could follow.
        None => {
            let below = after.strip_prefix(b"/")?;
            (find(below, b",task_memcg=").is_none_or(|at| below.len() - at <= COMM_MAX)).then_some(())?;
            let room = below.len().saturating_sub(COMM_MAX.saturating_add(b",task=".len()));
            let tail = below.get(room..)?;
            tail.get(find(tail, b",task=")?..)?.strip_prefix(b",task=")?
        }
    };
    (comm.len() <= COMM_MAX).then_some(())?;
    let by_limit = find(before, b",oom_memcg=").is_some();
    Some(Chosen { pid: i32::try_from(pid).ok()?, comm, by_limit })
}

/// PID and resident memory (bytes) of a process that was killed.
fn killed(text: &[u8]) -> Option<(i32, u64)> {
    let at =
        [&b"Memory cgroup out of memory"[..], b"Out of memory"].into_iter().find_map(|by| text.strip_prefix(by))?;
    let after = at.strip_prefix(b": Killed process ").or_else(|| {
        // With vm.oom_kill_allocating_task.
        at.strip_prefix(b" (oom_kill_allocating_task): Killed process ")
    })?;
    let pid = after.get(..after.iter().position(|byte| *byte == b' ')?)?;
    let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
    // The last one is the kernel's, whatever the process is called.
    let figures = std::str::from_utf8(after.get(find_last(after, b") total-vm:")?..)?).ok()?;
    let figure = |name: &str| {
        let figure = figures.split(", ").find_map(|figure| figure.strip_prefix(name))?;
        kib(figure.strip_suffix("kB")?)
    };
    let rss = figure("anon-rss:")?.checked_add(figure("file-rss:")?)?.checked_add(figure("shmem-rss:")?)?;
    Some((pid, rss))
}

/// What stands before `key` and the number at the end of a text.
fn number_at_end<'a>(text: &'a [u8], key: &[u8]) -> Option<(&'a [u8], u64)> {
    let at = find_last(text, key)?;
    let number = text.get(at..)?.strip_prefix(key)?;
    number.iter().all(u8::is_ascii_digit).then_some(())?;
    Some((text.get(..at)?, std::str::from_utf8(number).ok()?.parse().ok()?))
}

fn kib(number: &str) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(1024)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn find_last(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).rposition(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::written;
    use super::*;

    const PATH: &str = "tweendeck/web.ctr";

    fn oom_kill(cpuset: &[u8], oom: &[u8], task: &[u8], comm: &[u8], pid: i32) -> Vec<u8> {
        let oom = if oom.is_empty() { b",global_oom".to_vec() } else { [b",oom_memcg=", oom].concat() };
        let start = b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=";
        let end = format!(",pid={pid},uid=0").into_bytes();
        [start, cpuset, b",mems_allowed=0", &oom, b",task_memcg=", task, b",task=", comm, &end].concat()
    }

    fn killed_record(comm: &[u8], pid: i32) -> Vec<u8> {
        let start = format!("Memory cgroup out of memory: Killed process {pid} (").into_bytes();
        let end = b") total-vm:42436kB, anon-rss:32484kB, file-rss:6816kB, shmem-rss:4kB, UID:0 pgtables:128kB oom_score_adj:0";
        [&start, comm, end].concat()
    }

    fn told(path: &str, prefix: u32, texts: &[Vec<u8>]) -> Option<OomReport> {
        let mut reports = OomReports::of(path);
        for text in texts {
            reports.take(&Record::parse(&written(prefix, text)).unwrap());
        }
        reports.last()
    }

    fn dump(comm: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
        vec![
            b"memory: usage 32764kB, limit 32768kB, failcnt 213".to_vec(),
            b"Memory cgroup stats for /tweendeck/web.ctr:".to_vec(),
            oom_kill(b"/", path, path, comm, 4242),
            killed_record(comm, 4242),
        ]
    }

    #[test]
    fn a_kill_is_told_with_its_victim_the_limit_and_the_usage() {
        let expected = OomReport {
            pid: 4242,
            comm: "dd".into(),
            rss_bytes: Some((32484 + 6816 + 4) << 10),
            limit_bytes: Some(32 << 20),
            usage_bytes: Some(32764 << 10),
        };
        let texts = dump(b"dd", b"/tweendeck/web.ctr");
        assert_eq!(told(PATH, 6, &texts), Some(expected));
        assert_eq!(told(PATH, 14, &texts), None, "what userspace says is nothing");
        assert_eq!(told("tweendeck/we", 6, &texts), None);
        assert_eq!(told("tweendeck", 6, &texts).unwrap().comm, "dd", "below it");
    }

    #[test]
    fn a_kill_for_want_of_the_machines_memory_names_no_limit() {
        let mut texts = dump(b"dd", b"");
        texts[2] = oom_kill(b"/", b"", b"/tweendeck/web.ctr", b"dd", 4242);
        texts[3] = killed_record(b"dd", 4242)[b"Memory cgroup ".len()..].to_vec();
        texts[3][0] = b'O';
        let report = told(PATH, 6, &texts).unwrap();
        assert_eq!((report.limit_bytes, report.usage_bytes), (None, None));
        assert_eq!(report.rss_bytes, Some(39304 << 10));
    }

    #[test]
    fn a_report_is_whole_only_with_the_kill_of_its_own_process() {
        let mut reports = OomReports::of(PATH);
        let texts = dump(b"a b), (c", b"/tweendeck/web.ctr");
        let said = |text: &[u8]| Record { kernel: true, fragment: false, text: text.to_vec() };
        reports.take(&said(&texts[2]));
        reports.take(&said(&killed_record(b"other", 1)));
        assert!(reports.is_under_way() && reports.last().is_none());
        reports.take(&said(&texts[3]));
        assert!(!reports.is_under_way());
        assert_eq!(reports.last().unwrap().comm, "a b), (c");
        assert_eq!(reports.last(), None, "told once");
        // The rest of a record that looked whole.
        reports.take(&said(&texts[2]));
        reports.take(&Record { fragment: true, ..said(b",task_memcg=/tweendeck/evil.ctr,task=x,pid=4242,uid=0") });
        reports.take(&said(&texts[3]));
        assert_eq!(reports.last(), None);
    }

    /// A container with a cgroup file system of its own calls a cgroup below its own what looks like a report of another's end.
    #[test]
    fn a_name_of_a_cgroup_is_no_report_of_another_container() {
        let own = |name: &[u8]| [b"/tweendeck/evil.ctr/", name].concat();
        for name in [
            &b"x,mems_allowed=0,oom_memcg=/tweendeck/web.ctr,task_memcg=/tweendeck/web.ctr,task=evil,pid=1,uid=0"[..],
            b"x,task_memcg=/tweendeck/web.ctr,task=",
            b"x,task_memcg=/tweendeck/web.ctr/",
            b"x,task_memcg=/tweendeck/web.ctr/,task=evil",
            b"x,task_memcg=",
        ] {
            let path = own(name);
            for comm in [&b"evil"[..], b",task=", b",pid=1,uid=0"] {
                assert_eq!(told(PATH, 6, &[oom_kill(name, &path, &path, comm, 7), killed_record(comm, 7)]), None);
                assert_eq!(told(PATH, 6, &[oom_kill(b"/", &path, &path, comm, 7), killed_record(comm, 7)]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_process_is_called_it_is_told_as_it_is(
            comm in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..=COMM_MAX),
                "[,=/)a( ]{0,15}".prop_map(String::into_bytes),
                Just(b",task_memcg=/x".to_vec()), Just(b",task=x".to_vec()), Just(b",pid=1,uid=2".to_vec()), Just(b") total-vm:".to_vec()),
            ],
            pid in 1_i32..4_194_304,
        ) {
            let path = b"/tweendeck/web.ctr";
            let report = told(PATH, 3, &[oom_kill(b"/", path, path, &comm, pid), killed_record(&comm, pid)]).unwrap();
            let comm = String::from_utf8_lossy(&comm);
            prop_assert_eq!((report.pid, report.comm.as_str(), report.rss_bytes), (pid, &*comm, Some(39304 << 10)));
        }

        /// Names of processes and of cgroups below a container's own, made of what the records are made of.
        #[test]
        fn nobody_speaks_for_another(
            name in "([a-z,=/]|,task_memcg=|,oom_memcg=|,task=|,pid=|,uid=|/tweendeck/web[.]ctr|1){1,12}",
            comm in "(,task_memcg=|,task=|,pid=1|,uid=1|[a-z,=/]){0,4}", by_name: bool,
        ) {
            let comm = &comm.as_bytes()[..comm.len().min(COMM_MAX)];
            let path = [b"/tweendeck/evil.ctr/", name.as_bytes()].concat();
            let cpuset = if by_name { name.as_bytes() } else { b"/" };
            prop_assert_eq!(told(PATH, 6, &[oom_kill(cpuset, &path, &path, comm, 7), killed_record(comm, 7)]), None);
            // And a process without such rights is no danger at all.
            let plain = b"/tweendeck/evil.ctr";
            prop_assert_eq!(told(PATH, 6, &[oom_kill(b"/", plain, plain, comm, 7), killed_record(comm, 7)]), None);
        }

        #[test]
        fn no_text_makes_it_panic(texts in proptest::collection::vec(any::<Vec<u8>>(), 0..6)) {
            let _ = told(PATH, 6, &texts);
        }
    }
}
