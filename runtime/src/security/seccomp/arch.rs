//! The architectures whose system calls a filter can judge.

use oci_spec::runtime::Arch as Named;

/// What the system calls of x32 have in addition to their number (asm/unistd.h, `__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// A way to make system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    X86_64,
    X86,
    /// 32-bit pointers on x86-64; the kernel tells it from x86-64 by a bit of the number.
    X32,
    Aarch64,
    Arm,
}

impl Arch {
    #[cfg(target_arch = "x86_64")]
    pub(super) const NATIVE: Self = Self::X86_64;
    #[cfg(target_arch = "aarch64")]
    pub(super) const NATIVE: Self = Self::Aarch64;

    /// Every way that a machine of this native architecture has; the native one first.
    pub(super) fn of_machine(native: Self) -> &'static [Self] {
        match native {
            Self::X86_64 => &[Self::X86_64, Self::X86, Self::X32],
            Self::Aarch64 => &[Self::Aarch64, Self::Arm],
            Self::X86 => &[Self::X86],
            Self::X32 => &[Self::X32],
            Self::Arm => &[Self::Arm],
        }
    }

    /// The kernel's word for it (linux/audit.h, `AUDIT_ARCH_*`): ELF machine, 64 bits, little endian.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xC000_003E,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xC000_00B7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// What its numbers begin at.
    pub(super) fn base(self) -> u32 {
        match self {
            Self::X32 => X32_BIT,
            Self::X86_64 | Self::X86 | Self::Aarch64 | Self::Arm => 0,
        }
    }

    /// The number behind the last one that a system call of the common table can get. ARM has a few of its own beyond (asm/unistd.h,
    /// `__ARM_NR_BASE`).
    pub(super) fn end(self) -> u32 {
        match self {
            Self::X86_64 => X32_BIT,
            Self::Arm => 0x000F_0000,
            Self::X86 | Self::X32 | Self::Aarch64 => u32::MAX,
        }
    }

    /// The one that a profile names; `None` for those of other machines.
    pub(super) fn named(name: Named, native: Self) -> Option<Self> {
        let arch = match name {
            Named::ScmpArchNative => native,
            Named::ScmpArchX86_64 => Self::X86_64,
            Named::ScmpArchX86 => Self::X86,
            Named::ScmpArchX32 => Self::X32,
            Named::ScmpArchAarch64 => Self::Aarch64,
            Named::ScmpArchArm => Self::Arm,
            Named::ScmpArchMips
            | Named::ScmpArchMips64
            | Named::ScmpArchMips64n32
            | Named::ScmpArchMipsel
            | Named::ScmpArchMipsel64
            | Named::ScmpArchMipsel64n32
            | Named::ScmpArchPpc
            | Named::ScmpArchPpc64
            | Named::ScmpArchPpc64le
            | Named::ScmpArchS390
            | Named::ScmpArchS390x
            | Named::ScmpArchParisc
            | Named::ScmpArchParisc64
            | Named::ScmpArchRiscv64
            | Named::ScmpArchLoongarch64
            | Named::ScmpArchM68k
            | Named::ScmpArchSh
            | Named::ScmpArchSheb => return None,
        };
        Self::of_machine(native).contains(&arch).then_some(arch)
    }
}
