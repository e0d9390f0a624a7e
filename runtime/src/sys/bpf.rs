//! bpf(2): programs of type BPF_PROG_TYPE_CGROUP_DEVICE and the cgroups they are attached to.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Commands and constants of linux/bpf.h, which libc does not have.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// Most programs that the kernel lets be attached to one cgroup (`BPF_CGROUP_MAX_PROGS`).
const ATTACHED_MAX: usize = 64;
/// The end of the verifier's log is what says why; what does not fit is an error of the kernel's own.
const LOG: usize = 64 << 10;
/// `BPF_OBJ_NAME_LEN`, the NUL included.
const NAME: usize = 16;

/// One eBPF instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    pub(crate) fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        // Two bit fields of four bits, in the order the machine lays them out.
        let (low, high) = if cfg!(target_endian = "little") { (destination, source) } else { (source, destination) };
        Self { code, registers: high << 4 | (low & 0xF), offset, immediate }
    }
}

#[cfg(test)]
impl Instruction {
    pub(crate) fn code(self) -> u8 {
        self.code
    }

    pub(crate) fn destination(self) -> u8 {
        self.registers & 0xF
    }

    pub(crate) fn source(self) -> u8 {
        self.registers >> 4
    }

    pub(crate) fn offset(self) -> i16 {
        self.offset
    }

    pub(crate) fn immediate(self) -> i32 {
        self.immediate
    }
}

/// What the kernel says of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProgramInfo {
    /// Its number, unique until it is unloaded.
    pub(crate) id: u32,
    /// A digest of its instructions.
    pub(crate) tag: [u8; 8],
    /// The name it was loaded with, padded with NUL.
    pub(crate) name: [u8; NAME],
}

/// Why a program could not be loaded.
#[derive(Debug)]
pub(crate) struct LoadError {
    pub(crate) source: io::Error,
    /// What the verifier said, empty if it was not asked.
    pub(crate) log: String,
}

/// Loads a program that decides over devices.
///
/// # Errors
/// `EINVAL` where the kernel does not know the type, `EPERM` without the privilege, `EACCES` with a log for a program the verifier refuses.
pub(crate) fn load_device_program(name: &CStr, program: &[Instruction]) -> Result<OwnedFd, LoadError> {
    let mut attr = LoadAttr {
        prog_type: TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).unwrap_or(u32::MAX),
        insns: program.as_ptr() as u64,
        // It uses no helper that asks for another.
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttr::default()
    };
    for (to, from) in attr.prog_name.iter_mut().take(NAME - 1).zip(name.to_bytes()) {
        *to = *from;
    }
    // SAFETY: `attr` is a valid bpf_attr for PROG_LOAD; the instructions, the license and the name outlive the call.
    match unsafe { bpf(PROG_LOAD, &mut attr) } {
        // SAFETY: the kernel has just made this descriptor, which nobody else owns.
        Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(source) if !matches!(source.raw_os_error(), Some(libc::EACCES | libc::EINVAL)) => {
            return Err(LoadError { source, log: String::new() });
        }
        Err(_) => {}
    }
    // Again, with a log: the verifier writes none unless asked, and is slower when it is.
    let mut log = vec![0_u8; LOG];
    attr.log_level = 1;
    attr.log_size = LOG as u32;
    attr.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: as above, and `log` is valid for `log_size` bytes and outlives the call.
    match unsafe { bpf(PROG_LOAD, &mut attr) } {
        // SAFETY: as above.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(source) => {
            let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
            Err(LoadError { source, log: String::from_utf8_lossy(text).trim().to_owned() })
        }
    }
}

/// Attaches a device program to a cgroup, beside others that may be there, or in the place of one of them, which takes effect at once and leaves no moment
/// without either (`BPF_F_REPLACE`, Linux 5.6).
///
/// # Errors
/// `EPERM` when a program further up allows no others below it; `ENOENT` when the one to be replaced is not there.
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replace_bpf_fd: replaced.map_or(0, |fd| fd.as_raw_fd() as u32),
    };
    // SAFETY: `attr` is a valid bpf_attr for PROG_ATTACH; it holds no pointer.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches a device program from a cgroup.
///
/// # Errors
/// `ENOENT` when it is not attached there.
pub(crate) fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        ..AttachAttr::default()
    };
    // SAFETY: `attr` is a valid bpf_attr for PROG_DETACH; it holds no pointer.
    unsafe { bpf(PROG_DETACH, &mut attr) }.map(drop)
}

/// Numbers of the device programs that are attached to a cgroup itself, not of those that it inherits.
///
/// # Errors
/// The kernel's.
pub(crate) fn attached_device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; ATTACHED_MAX];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ATTACHED_MAX as u32,
        ..QueryAttr::default()
    };
    // SAFETY: `attr` is a valid bpf_attr for PROG_QUERY; `ids` has room for `prog_cnt` numbers and outlives the call.
    unsafe { bpf(PROG_QUERY, &mut attr) }?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// A program by its number.
///
/// # Errors
/// `ENOENT` when it has been unloaded.
pub(crate) fn open_program(id: u32) -> io::Result<OwnedFd> {
    let mut attr = IdAttr { id, ..IdAttr::default() };
    // SAFETY: `attr` is a valid bpf_attr for PROG_GET_FD_BY_ID; it holds no pointer.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the kernel says of a program.
///
/// # Errors
/// The kernel's.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut info = KernelInfo::default();
    let mut attr = InfoAttr {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<KernelInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `attr` is a valid bpf_attr for OBJ_GET_INFO_BY_FD; `info` has `info_len` bytes, is zero (it asks for no instructions) and outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(ProgramInfo { id: info.id, tag: info.tag, name: info.name })
}

/// # Safety
/// `attr` must be a valid `union bpf_attr` for the command, with pointers that are valid for what the command does with them.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's; the kernel takes a shorter bpf_attr than its own as one that ends with zeros.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// `union bpf_attr` for PROG_LOAD, up to the name (Linux 4.15).
#[repr(C)]
#[derive(Debug, Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME],
}

/// … for PROG_ATTACH and PROG_DETACH, up to the program to replace (Linux 5.6).
#[repr(C)]
#[derive(Debug, Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// … for PROG_QUERY, as of Linux 4.15.
#[repr(C)]
#[derive(Debug, Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// … for PROG_GET_FD_BY_ID.
#[repr(C)]
#[derive(Debug, Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// … for OBJ_GET_INFO_BY_FD.
#[repr(C)]
#[derive(Debug, Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info`, up to the name (Linux 4.15).
#[repr(C)]
#[derive(Debug, Default)]
struct KernelInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME],
}
