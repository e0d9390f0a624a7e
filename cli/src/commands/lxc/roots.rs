//! Where a container's own files are, as its configuration says: only what is in its directory is its own.

use std::path::{Path, PathBuf};

use tweendeck_lxc::config::Config;

use super::trouble::Trouble;

/// Its root, as far as snapshots and copies know how to deal with it.
pub(super) enum Root {
    /// A directory.
    Directory(PathBuf),
    /// Layers, of which the upper is written.
    Overlay { lower: PathBuf, upper: PathBuf },
    /// None of its own: the node's, shared read-only.
    Shared,
}

impl Root {
    /// What `lxc.rootfs.path` says.
    pub(super) fn of(config: &Config) -> Result<Self, Trouble> {
        let Some(item) = config.one("lxc.rootfs.path") else { return Ok(Self::Shared) };
        let value = item.value.as_str();
        if let Some(layers) = value.strip_prefix("overlay:").or_else(|| value.strip_prefix("overlayfs:")) {
            return match layers.rsplit_once(':') {
                Some((lower, upper)) if !lower.contains(':') => {
                    Ok(Self::Overlay { lower: PathBuf::from(lower), upper: PathBuf::from(upper) })
                }
                Some(_) | None => {
                    Err(Trouble::said(format!("{value}: only an overlay of two directories can be copied")))
                }
            };
        }
        let path = value.strip_prefix("dir:").unwrap_or(value);
        if path.starts_with('/') {
            return Ok(Self::Directory(PathBuf::from(path)));
        }
        Err(Trouble::said(format!("{value}: only directories and overlays can be copied")))
    }

    /// What is written, which is what a snapshot keeps; nothing of a shared one.
    pub(super) fn written(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) | Self::Overlay { upper: path, .. } => Some(path),
            Self::Shared => None,
        }
    }

    /// The same root with what is written elsewhere, as the configuration says it.
    pub(super) fn value_at(&self, written: &Path) -> Option<String> {
        match self {
            Self::Directory(_) => Some(written.display().to_string()),
            Self::Overlay { lower, .. } => Some(format!("overlay:{}:{}", lower.display(), written.display())),
            Self::Shared => None,
        }
    }
}

/// Whether something is in a container's directory, and so its own.
pub(super) fn is_own(directory: &Path, path: &Path) -> bool {
    path.starts_with(directory) && path != directory
}
