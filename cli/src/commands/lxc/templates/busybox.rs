//! A root that is one static program with many names.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::trouble::Trouble;

const DIRECTORIES: [&str; 14] =
    ["bin", "sbin", "usr/bin", "usr/sbin", "etc", "dev", "proc", "sys", "tmp", "root", "run", "var/log", "home", "mnt"];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
/// A shell on the console, for whoever presses Enter there.
const INITTAB: &str = "::askfirst:/bin/sh\n::ctrlaltdel:/bin/true\n";

/// Makes it.
pub(super) fn make(root: &Path) -> Result<(), Trouble> {
    let failed = |what: &Path, error: std::io::Error| Trouble::said(format!("make {}: {error}", what.display()));
    let program = find()?;
    for directory in DIRECTORIES {
        let directory = root.join(directory);
        fs::create_dir_all(&directory).map_err(|error| failed(&directory, error))?;
    }
    let tmp = root.join("tmp");
    fs::set_permissions(&tmp, Permissions::from_mode(0o1777)).map_err(|error| failed(&tmp, error))?;
    let busybox = root.join("bin/busybox");
    fs::copy(&program, &busybox).map_err(|error| failed(&busybox, error))?;
    for applet in applets(&program)? {
        let link = root.join(&applet);
        // Some have the name of a directory that is there; the program's own name is the file.
        if let Some(directory) = link.parent()
            && directory.is_dir()
            && !link.exists()
        {
            symlink("/bin/busybox", &link).map_err(|error| failed(&link, error))?;
        }
    }
    super::write(root, "etc/passwd", PASSWD)?;
    super::write(root, "etc/group", GROUP)?;
    super::write(root, "etc/inittab", INITTAB)
}

/// One that needs no libraries: the root has none.
fn find() -> Result<PathBuf, Trouble> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all =
        env::split_paths(&path).flat_map(|directory| ["busybox", "busybox-static"].map(|name| directory.join(name)));
    all.filter(|file| file.is_file())
        .find(|file| fs::read(file).is_ok_and(|bytes| is_static(&bytes)))
        .ok_or_else(|| Trouble::said("the template busybox needs a static busybox in PATH (Debian: busybox-static)"))
}

/// Whether a program asks for no interpreter, which is the one that loads libraries (elf(5), PT_INTERP), as its path would stand in the file.
fn is_static(program: &[u8]) -> bool {
    let head = program.get(..4096).unwrap_or(program);
    program.starts_with(b"\x7fELF") && !head.windows(5).any(|bytes| bytes == b"/ld-l" || bytes == b"/ld-m")
}

/// Where its names belong.
fn applets(program: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let failed = |why: String| Trouble::said(format!("ask {} for its names: {why}", program.display()));
    let output = Command::new(program).arg("--list-full").output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let plain = |line: &&str| !line.is_empty() && !line.split('/').any(|part| matches!(part, "" | "." | ".."));
    Ok(text.lines().filter(plain).map(PathBuf::from).collect())
}
