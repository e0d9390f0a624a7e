//! Limits bite: the kernel's own numbers say so, under load. Needs root, and a machine that is not busy with something else: these tests run one after the
//! other. A limit that this host cannot enforce must be refused, and the same test says so. Each prints a line for the table of limits:
//! `LIMIT name | controller | v1 or v2 | enforced or unsupported | measured`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod cpu;
mod cpuset;
mod devices;
mod hugetlb;
mod io;
mod io_weight;
mod memory;
mod passed_on;
mod pids;
mod place;
mod protection;
mod report;
mod resize;
mod swap;

use tweendeck_proto::v1::*;

fn limited(spec: ContainerSpec, resources: Resources) -> ContainerSpec {
    ContainerSpec { resources: Some(resources), ..spec }
}

fn memory(max_bytes: u64) -> Resources {
    let memory = MemoryResources { max_bytes: Some(max_bytes), ..Default::default() };
    Resources { memory: Some(memory), ..Default::default() }
}

fn cpu(cpu: CpuResources) -> Resources {
    Resources { cpu: Some(cpu), ..Default::default() }
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
