//! Whether a node has room: the one answer that the agent and whoever places containers must agree on.

use crate::v1::{NodeResources, ResourceRequests};

/// An amount of what a node gives out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// CPU time, thousandths of a CPU.
    pub cpu_millis: u64,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Places for containers.
    pub containers: u64,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of what.
    pub resource: Resource,
    /// How much is asked for.
    pub requested: u64,
    /// How much is free.
    pub free: u64,
}

/// What a node gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Places for containers.
    Containers,
    /// Memory, bytes.
    Memory,
    /// CPU time, thousandths of a CPU.
    Cpu,
}

impl Resource {
    /// As it is called in error details.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Memory => "memory_bytes",
            Self::Cpu => "cpu_millis",
        }
    }
}

impl Room {
    /// What is requested for so many containers together.
    #[must_use]
    pub fn requested(requests: Option<&ResourceRequests>, containers: u64) -> Self {
        let requests = requests.copied().unwrap_or_default();
        Self { cpu_millis: requests.cpu_millis.into(), memory_bytes: requests.memory_bytes, containers }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            containers: self.containers.saturating_add(other.containers),
        }
    }

    /// What is left of it; nothing of what there is too little of.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            containers: self.containers.saturating_sub(other.containers),
        }
    }

    /// Its resources, as requests.
    #[must_use]
    pub fn requests(self) -> ResourceRequests {
        ResourceRequests {
            cpu_millis: u32::try_from(self.cpu_millis).unwrap_or(u32::MAX),
            memory_bytes: self.memory_bytes,
        }
    }

    /// Its resources, as a node's.
    #[must_use]
    pub fn resources(self) -> NodeResources {
        let ResourceRequests { cpu_millis, memory_bytes } = self.requests();
        NodeResources { cpu_millis, memory_bytes }
    }
}

/// Whether `asked` fits into what is `free`. What is not asked for is never short, so that a node which has shrunk still takes what requests nothing.
///
/// # Errors
/// The first [`Shortage`], places before memory before CPU time.
pub fn admit(free: Room, asked: Room) -> Result<(), Shortage> {
    let amounts = [
        (Resource::Containers, asked.containers, free.containers),
        (Resource::Memory, asked.memory_bytes, free.memory_bytes),
        (Resource::Cpu, asked.cpu_millis, free.cpu_millis),
    ];
    match amounts.into_iter().find(|(_, requested, free)| requested > free) {
        Some((resource, requested, free)) => Err(Shortage { resource, requested, free }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(cpu_millis: u64, memory_bytes: u64, containers: u64) -> Room {
        Room { cpu_millis, memory_bytes, containers }
    }

    #[test]
    fn the_first_thing_that_is_short_is_named() {
        let free = room(1000, 100, 1);
        assert_eq!(admit(free, free), Ok(()));
        assert_eq!(admit(room(0, 0, 1), room(0, 0, 1)), Ok(()));
        let short = |resource, requested, free| Err(Shortage { resource, requested, free });
        assert_eq!(admit(free, room(1001, 101, 2)), short(Resource::Containers, 2, 1));
        assert_eq!(admit(free, room(1001, 101, 1)), short(Resource::Memory, 101, 100));
        assert_eq!(admit(free, room(1001, 100, 1)), short(Resource::Cpu, 1001, 1000));
    }

    #[test]
    fn what_is_taken_and_given_back_is_free_again() {
        let all = room(4000, 1 << 30, 10);
        let asked = Room::requested(Some(&ResourceRequests { cpu_millis: 1500, memory_bytes: 1 << 20 }), 2);
        assert_eq!(all.minus(asked).plus(asked), all);
        assert_eq!(room(1, 1, 1).minus(asked), Room::default());
    }
}
