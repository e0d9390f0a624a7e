//! Mounts, resource limits and roots of a specification, in the runtime's terms.

use std::path::PathBuf;

use tweendeck_proto::v1;
use tweendeck_runtime::OciSpecError;
use tweendeck_runtime::bundle::{Rootfs, Upper};
use tweendeck_runtime::oci::{self, Mount, MountBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

/// What a directory in memory can hold when the caller says nothing, and its permission bits.
const TMPFS_BYTES: u64 = 64 << 20;
const TMPFS_MODE: u32 = 0o1777;
/// The window of a terminal when the caller says nothing.
const ROWS: u64 = 24;
const COLUMNS: u64 = 80;

/// A mount that was validated. One without a source is none.
pub(super) fn mount(mount: &v1::Mount) -> Result<Option<Mount>, OciSpecError> {
    let builder = MountBuilder::default().destination(&mount.target);
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
    let builder = match &mount.source {
        None => return Ok(None),
        Some(v1::mount::Source::Bind(bind)) => {
            options.push(if bind.recursive { "rbind" } else { "bind" }.to_owned());
            if bind.readonly {
                options.push(if bind.recursive { "rro" } else { "ro" }.to_owned());
            }
            if bind.noexec {
                options.push("noexec".to_owned());
            }
            let slave = bind.propagation() == v1::MountPropagation::Slave;
            options.push(if slave { "rslave" } else { "rprivate" }.to_owned());
            builder.typ("none").source(&bind.source)
        }
        Some(v1::mount::Source::Tmpfs(tmpfs)) => {
            if tmpfs.noexec {
                options.push("noexec".to_owned());
            }
            options.push(format!("size={}", tmpfs.size_bytes.unwrap_or(TMPFS_BYTES)));
            options.push(format!("mode={:o}", tmpfs.mode.unwrap_or(TMPFS_MODE)));
            builder.typ("tmpfs").source("tmpfs")
        }
    };
    builder.options(options).build().map(Some)
}

/// A resource limit that was validated. One of no type is none.
pub(super) fn rlimit(limit: &v1::Rlimit) -> Result<Option<PosixRlimit>, OciSpecError> {
    let Some(kind) = rlimit_type(limit.r#type()) else {
        return Ok(None);
    };
    PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard).build().map(Some)
}

fn rlimit_type(kind: v1::RlimitType) -> Option<PosixRlimitType> {
    Some(match kind {
        v1::RlimitType::Unspecified => return None,
        v1::RlimitType::As => PosixRlimitType::RlimitAs,
        v1::RlimitType::Core => PosixRlimitType::RlimitCore,
        v1::RlimitType::Cpu => PosixRlimitType::RlimitCpu,
        v1::RlimitType::Data => PosixRlimitType::RlimitData,
        v1::RlimitType::Fsize => PosixRlimitType::RlimitFsize,
        v1::RlimitType::Locks => PosixRlimitType::RlimitLocks,
        v1::RlimitType::Memlock => PosixRlimitType::RlimitMemlock,
        v1::RlimitType::Msgqueue => PosixRlimitType::RlimitMsgqueue,
        v1::RlimitType::Nice => PosixRlimitType::RlimitNice,
        v1::RlimitType::Nofile => PosixRlimitType::RlimitNofile,
        v1::RlimitType::Nproc => PosixRlimitType::RlimitNproc,
        v1::RlimitType::Rss => PosixRlimitType::RlimitRss,
        v1::RlimitType::Rtprio => PosixRlimitType::RlimitRtprio,
        v1::RlimitType::Rttime => PosixRlimitType::RlimitRttime,
        v1::RlimitType::Sigpending => PosixRlimitType::RlimitSigpending,
        v1::RlimitType::Stack => PosixRlimitType::RlimitStack,
    })
}

/// The size of a terminal's window that was validated; 0 stands for the default.
pub(super) fn window(terminal: &v1::Terminal) -> Result<oci::Box, OciSpecError> {
    let side = |asked: u32, default: u64| if asked == 0 { default } else { asked.into() };
    let (rows, columns) = (side(terminal.rows, ROWS), side(terminal.columns, COLUMNS));
    oci::BoxBuilder::default().height(rows).width(columns).build()
}

/// Layers; what may be written to memory when the caller says nothing.
pub(super) fn overlay(overlay: &v1::OverlayRootfs, default_bytes: u64) -> Rootfs {
    let upper = if overlay.upper.is_empty() {
        Upper::Memory { bytes: overlay.writable_bytes.unwrap_or(default_bytes) }
    } else {
        Upper::Directory { upper: PathBuf::from(&overlay.upper), work: PathBuf::from(&overlay.work) }
    };
    Rootfs::Overlay { lower: overlay.lower.iter().map(PathBuf::from).collect(), upper }
}

/// An image.
pub(super) fn image(image: &v1::ImageRootfs) -> Rootfs {
    Rootfs::Image { path: PathBuf::from(&image.path), upper_bytes: image.writable_bytes }
}
