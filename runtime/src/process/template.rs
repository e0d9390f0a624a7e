//! A supervisor-to-be that knows no container yet. It has executed, set itself up and looked at the host once; a start clones it, which is cheaper than to do that again
//! (ADR 17; `crate::launch` is the agent's side).

use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use nix::unistd::{dup2_stderr, dup2_stdout};

use super::say::say;
use super::supervisor::{Birth, SuperviseError, become_daemon, supervise_as};
use crate::cgroup::Hierarchies;
use crate::security::last_capability;
use crate::sys::{self, ChildOf, Cloned};

/// The answer that comes with a supervisor's pidfd; another number is the errno of why there is none.
pub(crate) const CLONED: i32 = 0;
/// Bytes of the argument that is there to be written over, with what `ps` is to show of a supervisor.
pub(crate) const TITLE_ROOM: usize = 512;
/// Two paths (`PATH_MAX`, limits.h) and what is between them.
const REQUEST_MAX: usize = 2 * 4096 + 1;

/// Clones a supervisor for each request that comes on standard input, until that is closed: with the agent. In a clone it returns when its container has ended.
///
/// # Errors
/// [`SuperviseError`], of the template or of a supervisor.
pub fn template() -> Result<(), SuperviseError> {
    let set_up = |step| move |source| SuperviseError::SetUp { step, source };
    let socket = become_daemon().map_err(set_up("become a template"))?;
    // Where there are none, each supervisor says so.
    let hierarchies = Hierarchies::detect().ok();
    let title = title();
    let _ = last_capability();
    let mut request = vec![0; REQUEST_MAX];
    loop {
        let received = sys::receive_message(socket.as_fd(), &mut request).map_err(set_up("hear from the agent"))?;
        if received.length == 0 {
            return Ok(());
        }
        let Some(order) = Order::of(request.get(..received.length).unwrap_or_default(), received.fds) else {
            say(format_args!("a request that is none"));
            return Ok(());
        };
        match sys::clone_process(0, None, ChildOf::OurParent) {
            Ok(Cloned::Child) => {
                drop((socket, request));
                return order.carry_out(hierarchies, title);
            }
            Ok(Cloned::Parent { pidfd, .. }) => {
                // A control socket that is open anywhere stands for a supervisor that lives.
                drop(order);
                answer(&socket, CLONED, Some(&pidfd));
            }
            Err(error) => answer(&socket, error.raw_os_error().unwrap_or(libc::EIO), None),
        }
    }
}

/// Nobody to hear it is nobody to work for: the next request is the end.
fn answer(socket: &OwnedFd, errno: i32, pidfd: Option<&OwnedFd>) {
    let pidfd: Vec<_> = pidfd.into_iter().map(OwnedFd::as_fd).collect();
    let _ = sys::send_fds(socket.as_fd(), &errno.to_ne_bytes(), &pidfd);
}

/// One supervisor to be.
struct Order {
    run: PathBuf,
    state: PathBuf,
    listener: OwnedFd,
    log: OwnedFd,
    go: OwnedFd,
}

impl Order {
    fn of(text: &[u8], fds: Vec<OwnedFd>) -> Option<Self> {
        let path = |bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let mut paths = text.split(|byte| *byte == 0).map(path);
        let [listener, log, go] = <[OwnedFd; 3]>::try_from(fds).ok()?;
        Some(Self { run: paths.next()?, state: paths.next()?, listener, log, go })
    }

    fn carry_out(self, hierarchies: Option<Hierarchies>, title: Option<Range<u64>>) -> Result<(), SuperviseError> {
        let Self { run, state, listener, log, go } = self;
        let began = || {
            nix::unistd::setsid()?;
            dup2_stdout(&log)?;
            dup2_stderr(&log)
        };
        began().map_err(|error| SuperviseError::SetUp { step: "become a supervisor", source: error.into() })?;
        drop(log);
        let name = run.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        let called = move || {
            if let Some(at) = title {
                set_title(&at, &name);
            }
        };
        supervise_as(run, state, listener, Birth { hierarchies, go: Some(go), called: Some(Box::new(called)) })
    }
}

/// Where the kernel keeps the arguments that `/proc/PID/cmdline` shows (proc_pid_stat(5), `arg_start` and `arg_end`), if there is room for a title.
fn title() -> Option<Range<u64>> {
    arguments(&std::fs::read_to_string("/proc/self/stat").ok()?)
        .filter(|room| room.end - room.start > TITLE_ROOM as u64)
}

fn arguments(stat: &str) -> Option<Range<u64>> {
    // After the name, which may have blanks, comes the third field.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(start..end).filter(|range| !range.is_empty())
}

/// Has `ps` show which container's supervisor this is. A last byte that is not zero says that this is a title, which is shown up to its end
/// (`get_mm_cmdline` in fs/proc/base.c).
fn set_title(room: &Range<u64>, name: &[u8]) {
    let mut text = b"tweendeck-supervisor ".to_vec();
    text.extend(name.iter().copied().take(TITLE_ROOM - text.len()));
    text.resize(usize::try_from(room.end - room.start).unwrap_or(0).max(text.len() + 1), 0);
    if let Some(last) = text.last_mut() {
        *last = b'.';
    }
    // For people only.
    let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem");
    let _ = memory.and_then(|memory| memory.write_all_at(&text, room.start));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_two_paths_and_three_descriptors() {
        let fds = |count: usize| (0..count).map(|_| OwnedFd::from(std::fs::File::open("/dev/null").unwrap())).collect();
        let order = Order::of(b"/run/a b\0/state/\xFF", fds(3)).unwrap();
        assert_eq!((order.run, order.state.as_os_str().as_bytes()), ("/run/a b".into(), &b"/state/\xFF"[..]));
        assert!(Order::of(b"/run", fds(3)).is_none());
        assert!(Order::of(b"/run\0/state", fds(2)).is_none());
    }

    #[test]
    fn the_arguments_are_where_the_kernel_says() {
        let room = arguments(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let mut text = vec![0; usize::try_from(room.end - room.start).unwrap()];
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut text, room.start).unwrap();
        assert_eq!(text, std::fs::read("/proc/self/cmdline").unwrap());
        assert_eq!(arguments("1 (a b) c) R"), None);
        assert_eq!(arguments(&format!("1 (a) {} 7 7 0", "0 ".repeat(45))), None);
    }
}
