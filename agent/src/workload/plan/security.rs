//! Privilege: capabilities, the profile of system calls, and the programs compiled of profiles.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tweendeck_proto::v1;
use tweendeck_proto::v1::security_options::Seccomp;
use tweendeck_runtime::OciSpecError;
use tweendeck_runtime::oci::{Capabilities, Capability, LinuxSeccomp};
use tweendeck_runtime::security::seccomp::{self, Program};
use tweendeck_runtime::security::{available, parse_capability};

/// What a process in a container may do as root: own files, change users, signal, bind low ports. Notably not: mknod, raw
/// sockets, chroot, ptrace of others, anything about the kernel.
const CAPABILITIES: [Capability; 8] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetBindService,
];
/// Stands for every capability.
pub(crate) const ALL: &str = "ALL";
/// Programs that are kept.
const KEPT: usize = 64;

/// The capabilities that a validated request means.
pub(crate) fn capabilities(options: &v1::SecurityOptions) -> Capabilities {
    let everything = || available().unwrap_or_default();
    if options.privileged {
        return everything();
    }
    let has_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(ALL));
    let mut set: Capabilities =
        if has_all(&options.drop_capabilities) { Capabilities::new() } else { CAPABILITIES.into_iter().collect() };
    if has_all(&options.add_capabilities) {
        set.extend(everything());
    }
    set.extend(options.add_capabilities.iter().filter_map(|name| parse_capability(name)));
    for dropped in options.drop_capabilities.iter().filter_map(|name| parse_capability(name)) {
        set.remove(&dropped);
    }
    set
}

/// Programs of profiles, compiled once. Few profiles are in use at a time; when there are more, all are forgotten.
#[derive(Debug, Default)]
pub struct Filters(Mutex<HashMap<[u8; 32], Program>>);

impl Filters {
    /// The program of a container with these options and capabilities; `None` when it is not confined.
    pub(super) fn program(
        &self,
        options: &v1::SecurityOptions,
        capabilities: &Capabilities,
    ) -> Result<Option<Program>, OciSpecError> {
        match &options.seccomp {
            Some(Seccomp::SeccompUnconfined(_)) => Ok(None),
            None if options.privileged => Ok(None),
            Some(Seccomp::SeccompProfileJson(json)) => {
                let parse = || seccomp::parse(json).map_err(OciSpecError::from);
                self.compiled(&[b"json", json.as_bytes()].concat(), parse).map(Some)
            }
            Some(Seccomp::SeccompDefault(_)) | None => {
                let mut names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
                names.sort_unstable();
                self.compiled(names.join(",").as_bytes(), || seccomp::default_profile(capabilities)).map(Some)
            }
        }
    }

    fn compiled(
        &self,
        key: &[u8],
        profile: impl FnOnce() -> Result<LinuxSeccomp, OciSpecError>,
    ) -> Result<Program, OciSpecError> {
        let key: [u8; 32] = Sha256::digest(key).into();
        if let Some(program) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(program.clone());
        }
        let program = seccomp::compile(&profile()?).map_err(|errors| {
            let sentences: Vec<_> = errors.iter().map(ToString::to_string).collect();
            OciSpecError::Other(sentences.join("; "))
        })?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, program.clone());
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let options =
            v1::SecurityOptions { add_capabilities: owned(add), drop_capabilities: owned(drop), ..Default::default() };
        let mut names: Vec<_> = capabilities(&options).iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        assert_eq!(set(&[], &[]).len(), CAPABILITIES.len());
        assert_eq!(set(&[], &["all"]), Vec::<String>::new());
        assert_eq!(set(&["net_raw", "CAP_KILL"], &["ALL"]), ["KILL", "NET_RAW"]);
        assert!(!set(&["ALL"], &["CAP_CHOWN"]).contains(&"CHOWN".to_owned()));
    }

    #[test]
    fn a_program_is_compiled_once_and_follows_the_capabilities() {
        let filters = Filters::default();
        let of = |add: &[&str]| {
            let add_capabilities = add.iter().map(|name| (*name).to_owned()).collect();
            let options = v1::SecurityOptions { add_capabilities, ..Default::default() };
            filters.program(&options, &capabilities(&options)).unwrap().unwrap()
        };
        assert_eq!(of(&[]), of(&[]));
        assert_ne!(of(&[]), of(&["SYS_CHROOT"]));
        assert_eq!(filters.0.lock().unwrap().len(), 2);
    }
}
