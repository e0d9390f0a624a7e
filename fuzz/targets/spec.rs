//! An OCI specification, as an agent or a user writes it: every check, the limits, and the filter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::{filter, hosts};
use tweendeck_runtime::cgroup::{self, Resources};
use tweendeck_runtime::oci::Spec;
use tweendeck_runtime::{security::seccomp, spec};

fuzz_target!(|data: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<Spec>(data) else { return };
    let checked = spec::check(&spec);
    assert!(!checked.is_err_and(|refused| refused.is_empty()), "refused without a reason");
    let Some(linux) = spec.linux() else { return };
    if let Some(path) = linux.cgroups_path().as_ref().and_then(|path| path.to_str()) {
        opens(path);
    }
    if let Some(Ok(resources)) = linux.resources().as_ref().map(Resources::from_oci) {
        limits(&resources);
    }
    if let Some(Ok(program)) = linux.seccomp().as_ref().map(seccomp::compile) {
        filter::assert_loadable(&program);
    }
});

/// The kernel has one spelling of a path, by which processes are told to be in a cgroup.
fn opens(path: &str) {
    if let Ok(cgroup) = cgroup::open(&hosts::v1("/c"), path) {
        let plain = |name: &str| !matches!(name, "" | "." | "..");
        assert!(cgroup.path().split('/').all(plain), "another spelling of a cgroup's path: {path:?}");
    }
}

/// Limits that are in range can be written down and read again; whatever they are, no host panics at them.
fn limits(resources: &Resources) {
    for host in [hosts::v1("/c"), hosts::v2("/c")] {
        if cgroup::check(&host, resources).is_ok() {
            let again = Resources::from_oci(&resources.to_oci()).expect("limits in range");
            assert_eq!(again, *resources, "limits have changed on their way");
        }
    }
}
