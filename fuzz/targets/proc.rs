//! Texts of `/proc`: the mounts, one process, the machine. And records of the kernel's log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::{SEPARATOR, texts};
use tweendeck_runtime::cgroup::{Controller, Hierarchies};
use tweendeck_runtime::host::{Load, ProcessFacts};
use tweendeck_runtime::kernel_log::{OomReports, Record};

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
    // The same records for two containers: what befell one did not befall the other.
    let mut reports = ["parent/a.ctr", "parent/b.ctr"].map(OomReports::of);
    for record in data.split(|byte| *byte == SEPARATOR).filter_map(Record::parse) {
        reports.iter_mut().for_each(|reports| reports.take(&record));
        let told = reports.each_mut().map(OomReports::last);
        assert!(!matches!(told, [Some(_), Some(_)]), "{told:?}");
        for report in told.into_iter().flatten() {
            assert!(report.comm.len() <= 15 * 3 && report.rss_bytes.is_some(), "{report:?}");
        }
    }
});
