//! Places that a load needs: a directory on a disk, with what a container runs in it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tweendeck_integration_tests::api::spec;
use tweendeck_proto::v1::*;

/// The load, a static program.
const LOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/limits-load"));

/// A directory on a disk that is a container's root: busybox, and `/load`. Dropped, it is removed.
pub(super) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        // In the target directory, which is on a disk; /tmp may not be.
        let directory =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| tempfile::tempdir_in("/var/tmp")).unwrap();
        for name in ["bin", "dev", "proc", "sys", "tmp"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", directory.path().join("bin/busybox")).expect("busybox-static is installed");
        let load = directory.path().join("load");
        std::fs::write(&load, LOAD).unwrap();
        std::fs::set_permissions(load, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    /// A file in it that is on the disk, and not in memory.
    pub(super) fn file(&self, name: &str, bytes: usize) -> PathBuf {
        let path = self.path().join("tmp").join(name);
        std::fs::write(&path, vec![1; bytes]).unwrap();
        forget(&path);
        path
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The disk under it.
    pub(super) fn disk(&self) -> (u32, u32) {
        let device = std::fs::metadata(self.path()).unwrap().dev();
        // makedev(3) of 64-bit Linux, backwards.
        let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
        let minor = (device & 0xff) | ((device >> 12) & !0xff);
        (major.try_into().unwrap(), minor.try_into().unwrap())
    }

    /// A container that runs a command in it.
    pub(super) fn spec(&self, command: &[&str]) -> ContainerSpec {
        let path = self.path().to_string_lossy().into_owned();
        let source = root_filesystem::Source::Directory(DirectoryRootfs { path, readonly: false });
        ContainerSpec { rootfs: Some(RootFilesystem { source: Some(source) }), ..spec(command) }
    }

    /// A container that runs a script in it.
    pub(super) fn script(&self, text: &str) -> ContainerSpec {
        self.spec(&["/bin/busybox", "sh", "-c", text])
    }
}

/// Takes a file's pages out of memory, once they are on the disk.
fn forget(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}
