//! Why a profile is refused.

/// One thing that is wrong with a profile. `at` is the field, as the OCI specification names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// More than [`super::MAX_RULES`] entries.
    #[error("linux.seccomp.syscalls has {0} rules; at most {max} are taken", max = super::MAX_RULES)]
    TooManyRules(usize),
    /// More than [`super::MAX_NAMES`] names in all rules together.
    #[error("linux.seccomp.syscalls has {0} names; at most {max} are taken", max = super::MAX_NAMES)]
    TooManyNames(usize),
    /// More than [`super::MAX_CONDITIONS`] conditions in one rule.
    #[error("{at}.args has {count} conditions; at most {max} are taken", max = super::MAX_CONDITIONS)]
    TooManyConditions {
        /// The rule.
        at: String,
        /// How many it has.
        count: usize,
    },
    /// A rule for nothing.
    #[error("{0}.names is empty: name at least one system call")]
    NoNames(String),
    /// An error number that the kernel would change (it knows 0 to 4095).
    #[error("{at} is {value}: an error number must be 0 to 4095")]
    Errno {
        /// The field.
        at: String,
        /// What it says.
        value: u32,
    },
    /// A number for an action that returns none.
    #[error("{0} means nothing with this action: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have one; leave it out")]
    ErrnoUnused(String),
    /// `SCMP_ACT_NOTIFY`, or what belongs to it.
    #[error("{0} is not supported: no listener is served; use SCMP_ACT_ERRNO, or SCMP_ACT_TRAP in the program")]
    Notify(String),
    /// An argument that system calls do not have.
    #[error("{at}.index is {index}: system calls have the arguments 0 to 5")]
    Index {
        /// The condition.
        at: String,
        /// What it says.
        index: usize,
    },
    /// A second value where only one is compared.
    #[error("{0}.valueTwo means nothing with this operator: only SCMP_CMP_MASKED_EQ has one; leave it out")]
    ValueTwo(String),
    /// A comparison that cannot hold.
    #[error("{0}.valueTwo has bits that the mask in value clears, so it is never equal: correct one of them")]
    NeverEqual(String),
    /// No name that this version knows, so nearly everything would be refused or allowed by mistake.
    #[error("linux.seccomp.syscalls names no system call of this machine: are the names right?")]
    NothingKnown,
    /// More than the kernel loads (linux/bpf_common.h, `BPF_MAXINSNS`).
    #[error("linux.seccomp is longer than the {max} instructions that the kernel takes: use fewer conditions", max = super::MAX_INSTRUCTIONS)]
    TooLong,
}
