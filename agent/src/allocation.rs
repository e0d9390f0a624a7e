//! What the node has to give to those who request it.

use tweendeck_proto::admission::Room;
use tweendeck_runtime::host::Load;

use crate::config::Config;

/// What of the machine is given out.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    /// Kept for the host itself.
    reserved: Room,
    /// Containers on the node.
    max_containers: u32,
}

impl Allocation {
    /// As the configuration has it.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let reserved = Room {
            cpu_millis: config.node.reserved_cpu_millis.into(),
            memory_bytes: config.node.reserved_memory_bytes,
            containers: 0,
        };
        Self { reserved, max_containers: config.limits.max_containers }
    }

    /// What a machine like this has to give.
    #[must_use]
    pub fn allocatable(&self, load: &Load) -> Room {
        let all = Room {
            cpu_millis: u64::from(load.cpus).saturating_mul(1000),
            memory_bytes: load.memory_bytes,
            containers: self.max_containers.into(),
        };
        all.minus(self.reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_the_host_is_not_given_out() {
        let reserved = Room { cpu_millis: 500, memory_bytes: 100, containers: 0 };
        let allocation = Allocation { reserved, max_containers: 7 };
        let load = Load { cpus: 2, memory_bytes: 1000, ..Default::default() };
        let expected = Room { cpu_millis: 1500, memory_bytes: 900, containers: 7 };
        assert_eq!(allocation.allocatable(&load), expected);
        assert_eq!(allocation.allocatable(&Load::default()), Room { containers: 7, ..Default::default() });
    }
}
