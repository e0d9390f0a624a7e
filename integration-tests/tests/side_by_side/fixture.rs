//! The files of one script: a root of busybox and two configurations.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const BUSYBOX: &str = "/bin/busybox";

const DIRECTORIES: [&str; 13] =
    ["bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"];

const APPLETS: [&str; 43] = [
    "awk", "cat", "chmod", "cut", "dd", "df", "echo", "env", "false", "free", "grep", "head", "hostname", "id", "ip",
    "kill", "ln", "ls", "mkdir", "mknod", "mount", "nproc", "ps", "pwd", "readlink", "reboot", "rm", "sed", "seq",
    "sh", "sleep", "sort", "stat", "tail", "touch", "tr", "true", "tty", "uname", "wc", "test", "umount", "printenv",
];

/// Ends on SIGPWR, as `lxc-stop` asks.
const INIT: &str = "#!/bin/sh\ntrap 'exit 0' PWR TERM INT\nwhile :; do sleep 1000 & wait $!; done\n";

const BASIC: &str = "lxc.net.0.type = empty\nlxc.mount.auto = proc\n";

/// Without a root of its own there is no `/dev` to make.
const HOST: &str =
    "lxc.net.0.type = none\nlxc.mount.auto = proc\nlxc.autodev = 0\nlxc.console.path = none\nlxc.pty.max = 0\n";

/// A directory with everything a script needs.
pub(crate) struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("tweendeck-side-").tempdir().unwrap();
        let fixture = Self { directory };
        // A container with another user as root looks up its files from here.
        fs::set_permissions(fixture.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(fixture.containers()).unwrap();
        make_root(&fixture.root());
        let root = format!("lxc.rootfs.path = dir:{}\n{BASIC}", fixture.root().display());
        fs::write(fixture.basic(), root).unwrap();
        fs::write(fixture.host(), HOST).unwrap();
        fixture
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where containers are stored.
    pub(crate) fn containers(&self) -> PathBuf {
        self.directory().join("lxc")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory().join("rootfs")
    }

    pub(crate) fn basic(&self) -> PathBuf {
        self.directory().join("basic.conf")
    }

    pub(crate) fn host(&self) -> PathBuf {
        self.directory().join("host.conf")
    }
}

fn make_root(root: &Path) {
    fs::create_dir(root).unwrap();
    for directory in DIRECTORIES {
        fs::create_dir(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy(BUSYBOX, root.join("bin/busybox")).expect("busybox-static is installed by scripts/setup test");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").unwrap();
    fs::write(root.join("sbin/init"), INIT).unwrap();
    fs::set_permissions(root.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
}
