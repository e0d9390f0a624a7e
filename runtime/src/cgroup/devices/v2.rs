//! The program of a v2 cgroup (cgroup-v2.rst, "Device controller"): there are no files.
//!
//! Ours is known by its name, so that any later process finds the one to replace. It goes when the cgroup is removed. Others may be attached beside it or further
//! up; a use must please them all.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use super::program::compile;
use super::{RULES_MAX, Rule};
use crate::cgroup::CgroupError;
use crate::sys::{self, LoadError, ProgramInfo};

/// At most 15 characters of A-Z a-z 0-9 _ . (`BPF_OBJ_NAME_LEN`).
const NAME: &CStr = c"tweendeck_dev";

/// Whether this kernel has such programs. It may be another reason (a privilege that is missing, say) why one cannot be loaded, which is told when it is.
pub(in crate::cgroup) fn supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let lacks = |error: &LoadError| matches!(error.source.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL));
        compile(&[]).is_some_and(|program| !sys::load_device_program(NAME, &program).is_err_and(|error| lacks(&error)))
    })
}

/// Makes these rules the ones of the cgroup, in one step, and reads back that they are.
pub(in crate::cgroup) fn apply(directory: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    let failed = |step: &'static str| {
        move |source: io::Error| CgroupError::Bpf { step, path: directory.to_owned(), log: String::new(), source }
    };
    let cgroup = File::open(directory).map_err(failed("open"))?;
    let too_many = CgroupError::TooManyDevices { count: rules.len(), max: RULES_MAX };
    let program = compile(rules).ok_or(too_many)?;
    let loaded = sys::load_device_program(NAME, &program).map_err(|LoadError { source, log }| CgroupError::Bpf {
        step: "load the program of",
        path: directory.to_owned(),
        log,
        source,
    })?;
    let new = sys::program_info(loaded.as_fd()).map_err(failed("look at the program of"))?;
    let ours = ours(&cgroup).map_err(failed("look at the programs of"))?;
    let old = match ours.as_slice() {
        // The same rules already: nothing to do, and nothing to interrupt.
        [(_, only)] if only.tag == new.tag => return Ok(()),
        programs => programs,
    };
    let replaced = old.first().map(|(program, _)| program.as_fd());
    sys::attach_device_program(cgroup.as_fd(), loaded.as_fd(), replaced).map_err(failed("attach the program to"))?;
    // There is one, unless two processes did this at once.
    for (program, _) in old.iter().skip(1) {
        match sys::detach_device_program(cgroup.as_fd(), program.as_fd()) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                return Err(failed("detach an old program from")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    verify(directory, &cgroup, &new)
}

fn verify(directory: &Path, cgroup: &File, new: &ProgramInfo) -> Result<(), CgroupError> {
    let found = ours(cgroup).map_err(|source| CgroupError::Bpf {
        step: "look at the programs of",
        path: directory.to_owned(),
        log: String::new(),
        source,
    })?;
    match found.as_slice() {
        [(_, only)] if only.id == new.id && only.tag == new.tag => Ok(()),
        others => {
            let ids: Vec<u32> = others.iter().map(|(_, info)| info.id).collect();
            let detail = format!("program {} was attached, the kernel has {ids:?}", new.id);
            Err(CgroupError::DevicesNotEnforced { path: directory.to_owned(), detail })
        }
    }
}

/// Our programs that are attached to the cgroup.
fn ours(cgroup: &File) -> io::Result<Vec<(OwnedFd, ProgramInfo)>> {
    let mut found = Vec::new();
    for id in sys::attached_device_programs(cgroup.as_fd())? {
        let program = match sys::open_program(id) {
            Ok(program) => program,
            // Detached and unloaded since.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(error) => return Err(error),
        };
        let info = sys::program_info(program.as_fd())?;
        if CStr::from_bytes_until_nul(&info.name) == Ok(NAME) {
            found.push((program, info));
        }
    }
    Ok(found)
}
