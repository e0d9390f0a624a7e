//! The only unsafe code: one safe wrapper per system call that `nix` does not have.
//!
//! Wrappers take borrowed descriptors and return owned ones, report [`std::io::Error`], and decide nothing.
#![allow(unsafe_code, reason = "this module is where system calls are made")]

mod bpf;
mod capability;
mod clone;
mod fs;
mod landlock;
mod loop_device;
mod memory;
mod mount;
mod namespace;
mod net;
mod process;
mod rights;
mod schedule;
mod seccomp;
mod terminal;

pub(crate) use bpf::{
    Instruction, LoadError, ProgramInfo, attach_device_program, attached_device_programs, detach_device_program,
    load_device_program, open_program, program_info,
};
pub(crate) use capability::{
    CapabilitySets, clear_ambient, drop_bounding, raise_ambient, read_effective, set as set_capabilities,
};
pub(crate) use clone::{ChildOf, Cloned, clone_process, with_umask};
pub(crate) use fs::{Resolve, openat2, set_xattr, set_xattr_of};
pub(crate) use landlock::give_up_files;
pub(crate) use loop_device::{configure_loop_device, free_loop_device};
pub(crate) use memory::Memory;
pub(crate) use mount::{
    ATTR_ATIME_FIELD, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW,
    ATTR_RDONLY, ATTR_STRICTATIME, MountAttributes, attach_mount, clone_tree, configure_filesystem, create_mount,
    has_mount_calls, map_ids, open_filesystem, set_mount_attributes,
};
pub(crate) use namespace::{NEWTIME, namespace_kind, setns, unshare_time};
pub(crate) use net::loopback_up;
pub(crate) use process::{
    accept, close_copies_from, close_on_exec_from, ignore, join_new_session_keyring, keep_capabilities, pidfd_open,
    pidfd_send_signal, reset_nice, reset_signals, set_groups, share_one_arena, wait_any, wait_child, wait_for,
};
pub(crate) use rights::{FDS_MAX, Received, receive_fds, receive_message, receive_word, send_fds};
pub(crate) use schedule::{SchedulingAttributes, set_domain_name, set_io_priority, set_personality, set_scheduling};
pub(crate) use seccomp::load_filter;
pub(crate) use terminal::{control_terminal, open_peer, set_window, unlock_peer};
