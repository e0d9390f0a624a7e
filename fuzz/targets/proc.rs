//! Texts of `/proc`: the mounts, one process, the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::texts;
use tweendeck_runtime::cgroup::{Controller, Hierarchies};
use tweendeck_runtime::host::{Load, ProcessFacts};

fuzz_target!(|data: &[u8]| {
    let mut texts = texts(data).map(String::from_utf8_lossy);
    let mut next = || texts.next().unwrap_or_default();
    let (mountinfo, controllers) = (next(), next());
    let (stat, status, cmdline) = (next(), next(), next());
    let (meminfo, machine) = (next(), next());
    let found = Hierarchies::parse(&mountinfo, &controllers);
    let homes = Controller::ALL.into_iter().filter_map(|controller| found.home(controller));
    assert!(homes.count() <= Controller::ALL.len() && !found.version().to_string().is_empty());
    if let Some(process) = ProcessFacts::parse(1, &stat, &status, &cmdline) {
        assert_eq!(process.pid, 1);
    }
    let _ = Load::parse(&meminfo, &machine);
});
