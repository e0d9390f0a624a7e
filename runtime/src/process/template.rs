//! A supervisor-to-be that knows no container yet. It has executed, set itself up and looked at the host once; a start clones it, which is cheaper than to do that again
//! (ADR 17; `crate::launch` is the agent's side).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use nix::unistd::{dup2_stderr, dup2_stdout};

use super::say::say;
use super::supervisor::{self, Birth, SuperviseError, become_daemon, supervise_as};
use super::title::Title;
use crate::cgroup::Hierarchies;
use crate::security::last_capability;
use crate::sys::{self, ChildOf, Cloned};

/// The answer that comes with a supervisor's pidfd; another number is the errno of why there is none.
pub(crate) const CLONED: i32 = 0;
/// Two paths (`PATH_MAX`, limits.h) and what is between them.
const REQUEST_MAX: usize = 2 * 4096 + 1;
const COMM: &CStr = c"tweendeck-tmpl";

/// Clones a supervisor for each request that comes on standard input, until that is closed: with the agent. In a clone it returns when its container has ended.
///
/// # Errors
/// [`SuperviseError`], of the template or of a supervisor.
pub fn template() -> Result<(), SuperviseError> {
    let set_up = |step| move |source| SuperviseError::SetUp { step, source };
    let socket = become_daemon(COMM).map_err(set_up("become a template"))?;
    // Where there are none, each supervisor says so.
    let hierarchies = Hierarchies::detect().ok();
    let title = Title::find();
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
        let answered = match sys::clone_process(0, None, ChildOf::OurParent) {
            Ok(Cloned::Child) => {
                drop((socket, request));
                return order.carry_out(hierarchies, title);
            }
            Ok(Cloned::Parent { pidfd, .. }) => {
                // A control socket that is open anywhere stands for a supervisor that lives.
                drop(order);
                answer(&socket, CLONED, Some(&pidfd))
            }
            Err(error) => answer(&socket, error.raw_os_error().unwrap_or(libc::EIO), None),
        };
        // The agent waits for an answer, and should not any longer.
        answered.map_err(set_up("answer the agent"))?;
    }
}

fn answer(socket: &OwnedFd, errno: i32, pidfd: Option<&OwnedFd>) -> io::Result<()> {
    let pidfd: Vec<_> = pidfd.into_iter().map(OwnedFd::as_fd).collect();
    sys::send_fds(socket.as_fd(), &errno.to_ne_bytes(), &pidfd)
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

    fn carry_out(self, hierarchies: Option<Hierarchies>, title: Option<Title>) -> Result<(), SuperviseError> {
        let Self { run, state, listener, log, go } = self;
        let began = || {
            nix::unistd::setsid()?;
            nix::sys::prctl::set_name(supervisor::COMM)?;
            dup2_stdout(&log)?;
            dup2_stderr(&log)
        };
        began().map_err(|error| SuperviseError::SetUp { step: "become a supervisor", source: error.into() })?;
        drop(log);
        supervise_as(run, state, listener, Birth { hierarchies, title, go: Some(go) })
    }
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
}
