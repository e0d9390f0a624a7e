//! What the values of keys look like.
//!
//! A value that LXC refuses is refused. So are some that it takes and then fails with, or silently takes for something else: a hardware address that is none,
//! `lxc.init.uid = root`, numbers in base 8 or 16, signals that no process could get.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{address, amount, signal, words};

/// The form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything, `#` included: commands, paths, scripts.
    Text,
    /// `NAME=VALUE`, or `NAME` for the caller's own; `#` included.
    Variable,
    /// The path of a file, `#` included.
    File,
    /// Anything without a comment behind it.
    Words,
    /// 64 bytes at most.
    HostName,
    /// The name of a network device, 15 bytes at most.
    Device,
    /// 0 or 1.
    Switch,
    /// A whole number, decimal, from the first to the second.
    Number(i64, i64),
    /// A whole number in this range, or `none`.
    NumberOrNone(i64, i64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, upper or lower case.
    AnyCase(&'static [&'static str]),
    /// One of `lxc.log.level`'s names, upper or lower case, or its number.
    Level,
    /// A signal by name or number.
    Signal,
    /// Bytes, with or without a unit, or `auto`.
    Size,
    /// A time with its unit.
    Time,
    /// Capabilities without `cap_`, or `none` where it may be.
    Capabilities {
        /// Whether `none` may be.
        none: bool,
    },
    /// Namespaces.
    Namespaces,
    /// Words of `lxc.mount.auto`.
    Mounts,
    /// A hardware address; an `x` is a digit that is made up.
    Hardware,
    /// An IPv4 address.
    Ipv4,
    /// An IPv4 gateway.
    Gateway4,
    /// IPv4 addresses behind a route.
    Route4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv6 gateway.
    Gateway6,
    /// IPv6 addresses behind a route.
    Route6,
    /// A range of user or group ids.
    IdMap,
    /// Soft and hard limit of a process.
    Limit,
    /// Group ids.
    Groups,
    /// Options of a mount.
    Options,
    /// A path below the cgroups' root.
    Cgroup,
    /// A socket.
    Socket,
}

impl Form {
    /// Whether a `#` behind a blank may be a part of such a value.
    #[must_use]
    pub fn is_free(self) -> bool {
        matches!(self, Self::Text | Self::Variable | Self::File)
    }

    /// Whether a value is of this form. It is not empty: that clears.
    #[must_use]
    pub fn fits(self, value: &str) -> bool {
        let all = |fits: fn(&str) -> bool| !value.trim().is_empty() && value.split_ascii_whitespace().all(fits);
        match self {
            Self::Text | Self::Words => true,
            Self::Variable => value.split('=').next().is_some_and(|name| !name.is_empty()),
            Self::File => !value.ends_with('/'),
            Self::HostName => value.len() <= 64,
            Self::Device => value.len() <= 15 && !value.contains(|c: char| c == '/' || c.is_ascii_whitespace()),
            Self::Switch => matches!(value, "0" | "1"),
            Self::Number(least, most) => number(value).is_some_and(|number| (least..=most).contains(&number)),
            Self::NumberOrNone(least, most) => value == "none" || Self::Number(least, most).fits(value),
            Self::OneOf(words) => words.contains(&value),
            Self::AnyCase(words) => any_case(words, value),
            Self::Level => any_case(words::LEVELS, value) || Self::Number(0, 8).fits(value),
            Self::Signal => signal::parse(value).is_some(),
            Self::Size => value == "auto" || amount::bytes(value).is_some(),
            Self::Time => amount::nanoseconds(value).is_some(),
            Self::Capabilities { none } => none && value == "none" || all(words::capability),
            Self::Namespaces => all(|word| words::NAMESPACES.contains(&word)),
            Self::Mounts => all(words::mount),
            Self::Hardware => address::hardware(value),
            Self::Ipv4 => address::ipv4(value),
            Self::Gateway4 => address::gateway::<Ipv4Addr>(value),
            Self::Route4 => address::route::<Ipv4Addr>(32)(value),
            Self::Ipv6 => address::ipv6(value),
            Self::Gateway6 => address::gateway::<Ipv6Addr>(value),
            Self::Route6 => address::route::<Ipv6Addr>(128)(value),
            Self::IdMap => id_map(value),
            Self::Limit => limit(value),
            Self::Groups => value.split(',').all(|id| Self::Number(0, LAST_ID).fits(id.trim())),
            Self::Options => options(value),
            Self::Cgroup => !value.starts_with('/') && value.split('/').all(|part| part != ".."),
            Self::Socket => value.strip_prefix("unix:").is_some_and(|path| !path.is_empty()),
        }
    }
}

/// What a value has to be, for people.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(least, most) => return write!(f, "a whole number from {least} to {most}"),
            Self::NumberOrNone(least, most) => return write!(f, "a whole number from {least} to {most}, or none"),
            Self::OneOf(words) => return write!(f, "one of {}", words.join(", ")),
            Self::AnyCase(words) => return write!(f, "one of {}, upper or lower case", words.join(", ")),
            Self::Level => return write!(f, "one of {}, or a number from 0 to 8", words::LEVELS.join(", ")),
            Self::Namespaces => return write!(f, "one or more of {}", words::NAMESPACES.join(", ")),
            Self::Text => "any text",
            Self::Variable => "NAME=VALUE, or NAME",
            Self::File => "the path of a file",
            Self::Words => "any text without a comment",
            Self::HostName => "a name of 64 bytes at most",
            Self::Device => "the name of a network device: 15 bytes at most, neither / nor blanks",
            Self::Switch => "0 or 1",
            Self::Signal => "a signal, such as SIGTERM, SIGRTMIN+3 or 15",
            Self::Size => "a size, such as 4096, 128kB or 1MB, or auto",
            Self::Time => "a time with its unit (h, m, s, ms, us, ns), such as 10s",
            Self::Capabilities { none: false } => "capabilities without cap_, in lower case, such as sys_admin",
            Self::Capabilities { none: true } => "capabilities without cap_, in lower case, such as sys_admin, or none",
            Self::Mounts => {
                "proc[:rw|:mixed], sys[:ro|:rw|:mixed], cgroup[-full][:ro|:rw|:mixed][:force], shmounts:PATH"
            }
            Self::Hardware => "a hardware address, such as 00:16:3e:xx:xx:xx",
            Self::Ipv4 => "an IPv4 address, such as 10.0.3.2/24, and perhaps its broadcast address",
            Self::Gateway4 => "an IPv4 address, auto or dev",
            Self::Route4 => "an IPv4 address with its prefix, such as 10.0.3.0/24",
            Self::Ipv6 => "an IPv6 address, such as fc00::2/64",
            Self::Gateway6 => "an IPv6 address, auto or dev",
            Self::Route6 => "an IPv6 address with its prefix, such as fc00::/64",
            Self::IdMap => "u or g, the first id inside, the first outside, and how many, such as u 0 100000 65536",
            Self::Limit => "SOFT or SOFT:HARD, each a number or unlimited, the soft one no more than the hard one",
            Self::Groups => "group ids with commas between them",
            Self::Options => "options of a mount; idmap= takes only container",
            Self::Cgroup => "a relative path without ..",
            Self::Socket => "unix: and the path of a socket",
        })
    }
}

/// The last user or group id: one more means none.
pub(super) const LAST_ID: i64 = 0xFFFF_FFFE;

/// A decimal number. LXC takes `010` for 8, others for 10: neither is taken.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

fn any_case(words: &[&str], value: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

fn id_map(value: &str) -> bool {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().is_some_and(|word| matches!(word, "u" | "g"));
    let mut id = |least| words.next().is_some_and(|word| Form::Number(least, LAST_ID).fits(word));
    kind && id(0) && id(0) && id(1) && words.next().is_none()
}

fn limit(value: &str) -> bool {
    let one = |text: &str| match text.trim() {
        "unlimited" => Some(u64::MAX),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    match value.split_once(':') {
        Some((soft, hard)) => one(soft).zip(one(hard)).is_some_and(|(soft, hard)| soft <= hard),
        None => one(value).is_some(),
    }
}

fn options(value: &str) -> bool {
    value.split(',').all(|option| option.strip_prefix("idmap=").is_none_or(|of| of == "container"))
}
