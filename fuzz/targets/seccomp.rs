//! Profiles of system calls: what is compiled, the kernel takes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::filter;
use tweendeck_runtime::security::seccomp;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(profile) = seccomp::parse(text) else { return };
    match seccomp::compile(&profile) {
        Ok(program) => filter::assert_loadable(&program),
        Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
    }
});
