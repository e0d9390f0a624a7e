//! What a process in a container may do: user, groups, capabilities, `no_new_privs`, system calls, the label of a security module.
//!
//! Prepared as plain numbers before the fork, so that the process that is about to execute a stranger's program only makes system calls.

mod capabilities;
mod label;
pub mod seccomp;

use std::io;

use nix::unistd::{Gid, Uid, setresgid, setresuid};
use oci_spec::runtime::Process;

use crate::sys;
use capabilities::Sets;

pub use capabilities::{available, parse as parse_capability};
pub(crate) use capabilities::{
    check as check_capabilities, drop_all_but_files, drop_all_but_kill, last as last_capability,
};
pub(crate) use label::Label;
pub use label::{Module, refusal};

/// Who a process is and what it may do.
#[derive(Debug)]
pub(crate) struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    sets: Sets,
    no_new_privs: bool,
    umask: u32,
}

impl Identity {
    /// From the process of an OCI specification. Without capabilities in it, there are none.
    pub(crate) fn of(process: &Process) -> Self {
        let user = process.user();
        let sets = process.capabilities().as_ref().map_or_else(Sets::default, Sets::of);
        Self {
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            sets,
            no_new_privs: process.no_new_privileges().unwrap_or(false),
            umask: user.umask().unwrap_or(0o022),
        }
    }

    /// Whether it can never get more than it has (`no_new_privs`, prctl(2)).
    pub(crate) fn gains_nothing(&self) -> bool {
        self.no_new_privs
    }

    /// Becomes it. The order matters: the bounding set needs CAP_SETPCAP, the groups CAP_SETGID; changing the user would
    /// clear the permitted set but for keep_capabilities; the ambient set needs the final permitted and inheritable ones.
    pub(crate) fn assume(&self) -> io::Result<()> {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(self.umask));
        sys::drop_bounding(self.sets.bounding)?;
        sys::keep_capabilities()?;
        sys::set_groups(&self.groups)?;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        if self.no_new_privs {
            nix::sys::prctl::set_no_new_privs()?;
        }
        sys::clear_ambient()?;
        sys::set_capabilities(sys::CapabilitySets {
            effective: self.sets.effective,
            permitted: self.sets.permitted,
            inheritable: self.sets.inheritable,
        })?;
        sys::raise_ambient(self.sets.ambient)
    }
}
