//! Mounts of real containers: each option as the kernel tells it, and by what it does. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod scripted;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use scripted::Bench;
use serde_json::json;
use tweendeck_runtime::exit::Outcome;

/// Prints the mount options of a place, and those of its file system.
const OPTIONS_OF_DATA: &str = "grep ' /data ' /proc/self/mountinfo | tail -1 | sed 's/ - .* / /' | cut -d' ' -f6-";

fn bound(bench: &mut Bench, options: &[&str]) {
    let source = bench.dir.path().join("source");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("program"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(source.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("program", source.join("link")).unwrap();
    bench.mount(json!({"destination": "/data", "source": source, "options": options}));
}

#[test]
fn each_option_is_told_by_the_kernel_and_has_its_effect() {
    let effect = "/data/program 2>/dev/null || echo no exec; touch /data/x 2>/dev/null && echo written; cat /data/link >/dev/null 2>&1 || echo no link";
    // What a bind has without a word is what the host's mount has.
    for (options, told, done) in [
        (&["bind", "relatime"][..], "rw,relatime", &["ran", "written"][..]),
        (&["bind", "ro", "relatime"], "ro,relatime", &["ran"]),
        (
            &["bind", "noexec", "nosuid", "nodev", "relatime"],
            "rw,nosuid,nodev,noexec,relatime",
            &["no exec", "written"],
        ),
        (&["bind", "nosymfollow", "noatime"], "rw,noatime,nosymfollow", &["ran", "written", "no link"]),
        (&["bind", "noatime", "strictatime", "nodiratime"], "rw,nodiratime", &["ran", "written"]),
        (&["rbind", "rro", "rnoexec", "rw", "relatime"], "ro,noexec,relatime", &["no exec"]),
    ] {
        let mut bench = Bench::with_directory();
        bound(&mut bench, options);
        let lines = bench.lines(&format!("{OPTIONS_OF_DATA}; {effect}"));
        assert!(lines[0].split(' ').any(|word| word == told), "{options:?}: {lines:?}");
        assert_eq!(&lines[1..], done, "{options:?}");
    }
}

#[test]
fn a_tmpfs_has_its_size_and_can_begin_with_what_was_there() {
    let mut bench = Bench::with_directory();
    fs::create_dir_all(bench.root().join("data/a")).unwrap();
    fs::write(bench.root().join("data/a/file"), "kept").unwrap();
    bench.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=64k", "nosuid"]}));
    let lines = bench.lines("cat /data/a/file; echo; echo new >/data/a/file; df -k --output=size /data | tail -1; dd if=/dev/zero of=/data/b bs=128k count=1 2>/dev/null || echo full");
    assert_eq!(lines.iter().map(|line| line.trim()).collect::<Vec<_>>(), ["kept", "64", "full"]);
    assert_eq!(fs::read_to_string(bench.root().join("data/a/file")).unwrap(), "kept");
}

#[test]
fn a_readonly_tmpfs_is_filled_before_it_is_closed() {
    let mut bench = Bench::with_directory();
    fs::write(bench.root().join("data/file"), "kept").unwrap();
    bench.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]}));
    assert_eq!(bench.lines("cat /data/file; echo; touch /data/x 2>/dev/null || echo ro"), ["kept", "ro"]);
}

#[test]
fn a_file_is_bound_on_a_file_that_is_made_for_it() {
    let mut bench = Bench::with_directory();
    fs::write(bench.dir.path().join("file"), "from the host").unwrap();
    let source = bench.dir.path().join("file");
    bench.mount(json!({"destination": "/etc/new/file", "source": source, "options": ["bind", "ro"]}));
    assert_eq!(
        bench.lines("cat /etc/new/file; echo; echo x 2>/dev/null >/etc/new/file || echo ro"),
        ["from the host", "ro"]
    );
}

#[test]
fn links_in_a_root_lead_nowhere_else() {
    let mut bench = Bench::with_directory();
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // Inside, this is /tmp/…/outside of the container's root, which does not exist and is made there.
    symlink(&outside, bench.root().join("absolute")).unwrap();
    symlink("../../../data", bench.root().join("upwards")).unwrap();
    bench.mount(json!({"destination": "/upwards/there", "type": "tmpfs", "source": "tmpfs"}));
    assert_eq!(bench.lines("grep -c ' /data/there ' /proc/self/mountinfo"), ["1"]);
    assert!(bench.root().join("data/there").is_dir());

    let mut bench = Bench::with_directory();
    symlink(&outside, bench.root().join("absolute")).unwrap();
    bench.mount(json!({"destination": "/absolute/x", "type": "tmpfs", "source": "tmpfs"}));
    let _ = bench.run("true");
    assert_eq!(
        fs::read_dir(bench.dir.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name() == "outside")
            .count(),
        0
    );
}

#[test]
fn what_leads_out_of_the_root_or_into_proc_is_refused() {
    let refused = |mount: serde_json::Value| {
        let mut bench = Bench::with_directory();
        symlink("proc", bench.root().join("other")).unwrap();
        bench.mount(mount);
        bench.refusal()
    };
    let tmpfs = |destination: &str| json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"});
    assert!(refused(tmpfs("../../../escape")).contains("destination must be absolute, without '..'"));
    assert!(refused(tmpfs("/data/../../escape")).contains("without '..'"));
    assert!(refused(tmpfs("/proc/sys")).contains("in /proc only these"));
    assert!(refused(tmpfs("/other/sys")).contains("must not lead into /proc"));
    let magic = json!({"destination": "/data", "source": "/proc/self/root", "options": ["bind"]});
    assert!(refused(magic).starts_with("open the source of a bind: /proc/self/root"));
    let unknown = json!({"destination": "/data", "source": "/usr", "options": ["bind", "create=dir"]});
    assert!(refused(unknown).contains("create=dir is no option of a bind"));
    let data = json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["size=many"]});
    let said = refused(data);
    assert!(said.starts_with("mount: /data (tmpfs)") && said.contains("size"), "{said}");
}

#[test]
fn a_linked_proc_cannot_be_mounted_on() {
    let mut bench = Bench::with_directory();
    fs::remove_dir(bench.root().join("proc")).unwrap();
    symlink("data", bench.root().join("proc")).unwrap();
    assert!(bench.refusal().starts_with("open the mount point: /proc"));
}

#[test]
fn propagation_is_what_was_asked_and_never_reaches_the_host() {
    let told = "sed 's/ - .*//' /proc/self/mountinfo | grep -E '^([^ ]+ ){4}(/|/data) ' | cut -d' ' -f5,7";
    for (word, root, expected) in [
        ("rprivate", "rprivate", vec!["/ ", "/data "]),
        ("shared", "rprivate", vec!["/ ", "/data "]),
        ("unbindable", "rslave", vec!["/data unbindable"]),
    ] {
        let mut bench = Bench::with_directory();
        bound(&mut bench, &["bind", word]);
        bench.spec["linux"]["rootfsPropagation"] = json!(root);
        let lines = bench.lines(told);
        for line in expected {
            assert!(lines.iter().any(|told| told.trim_end() == line.trim_end()), "{word} {root}: {lines:?}");
        }
    }
    let mut bench = Bench::with_directory();
    bench.spec["linux"]["rootfsPropagation"] = json!("shared");
    assert!(bench.lines(told).iter().any(|line| line.starts_with("/ shared:")));
    bench.spec["linux"]["rootfsPropagation"] = json!("upwards");
    assert!(bench.refusal().contains("linux.rootfsPropagation \"upwards\""));
}

#[test]
fn masked_directories_share_one_empty_file_system_and_stay_readonly() {
    let mut bench = Bench::new();
    bench.spec["linux"]["maskedPaths"] = json!(["/sys/firmware", "/proc/uptime", "/sys/kernel", "/sys/class"]);
    bench.spec["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    let lines = bench.lines(
        "grep -E ' /sys/(firmware|kernel|class) ' /proc/self/mountinfo | cut -d' ' -f3 | sort -u | wc -l; \
         ls -A /sys/kernel /sys/class | grep -vc '^/\\|^$'; touch /sys/kernel/x 2>/dev/null || echo ro; wc -c </proc/uptime; \
         echo x 2>/dev/null >/proc/sys/kernel/hostname || echo ro",
    );
    assert_eq!(lines, ["1", "0", "ro", "0", "ro"]);
}

#[test]
fn a_program_on_a_noexec_mount_is_refused_with_the_kernels_number() {
    let mut bench = Bench::with_directory();
    bound(&mut bench, &["bind", "noexec"]);
    let script = "/data/program; echo $?";
    assert_eq!(bench.lines(script), ["126"]);
    assert!(bench.output("stderr")[0].contains("Permission denied"));
    assert_eq!(bench.run("exit 3").outcome, Outcome::Exited { code: 3 });
}
