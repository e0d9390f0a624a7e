//! The table of limits and back ends.

use tonic::{Code, Status};
use tweendeck_integration_tests::api::reason;

/// Which version has a controller here.
pub(super) fn version(controller: &str) -> &'static str {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let v1 = if controller == "io" { "blkio" } else { controller };
    let on_v1 = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(2);
        words.next() == Some("cgroup")
            && words.next().is_some_and(|options| options.split(',').any(|option| option == v1))
    });
    if on_v1 { "v1" } else { "v2" }
}

/// A limit that bites, with what was measured.
pub(super) fn enforced(limit: &str, controller: &str, measured: impl std::fmt::Display) {
    println!("LIMIT {limit} | {controller} | {} | enforced | {measured}", version(controller));
}

/// A limit that this host cannot enforce: it must have been refused for that, with the controller and the version.
pub(super) fn unsupported(limit: &str, controller: &str, refused: &Status) {
    assert_eq!(
        (refused.code(), reason(refused).as_str()),
        (Code::FailedPrecondition, "UNSUPPORTED_ON_HOST"),
        "{refused:?}"
    );
    let details = tonic_types::StatusExt::get_error_details(refused);
    let info = details.error_info().unwrap();
    assert!(info.metadata["controller"].contains(controller) && info.metadata["cgroup_version"].starts_with("cgroup"));
    println!("LIMIT {limit} | {controller} | {} | unsupported | {}", version(controller), refused.message());
}
