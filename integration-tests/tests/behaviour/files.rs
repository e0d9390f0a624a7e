//! Files into containers and out of them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::script;

/// A tree with something of everything that a copy keeps.
fn sample(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("d/sub")).unwrap();
    fs::write(at("d/file"), "hello").unwrap();
    fs::set_permissions(at("d/file"), Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(at("d/file"), at("d/sub/hard")).unwrap();
    fs::write(at(&format!("d/{}", "n".repeat(200))), "long").unwrap();
    symlink("/etc/passwd", at("d/link")).unwrap();
    let holes = File::create(at("d/holes")).unwrap();
    holes.write_all_at(b"x", 3 << 20).unwrap();
    holes.set_len(64 << 20).unwrap();
    for (name, uid) in [("d/file", 1000), ("d/sub", 7), ("d/link", 65_535)] {
        std::os::unix::fs::lchown(at(name), Some(uid), Some(uid)).unwrap();
    }
    fs::set_permissions(at("d/file"), Permissions::from_mode(0o4750)).unwrap();
    for line in [
        "mkfifo d/fifo",
        "python3 -c 'import os; os.setxattr(\"d/file\", \"user.a\", b\"value\")'",
        "touch -h -d 2001-02-03T04:05:06.123456789Z d/file d/link d/sub",
    ] {
        let done = Command::new("sh").args(["-c", line]).current_dir(root).status().unwrap();
        assert!(done.success(), "{line}");
    }
}

/// What of a tree must be the same after a copy, by another's eyes.
fn picture(root: &Path) -> String {
    let text = "find . -printf '%p %y %m %U %G %n %s %l\\n' | sort; find . ! -type l -type f -exec md5sum {} + | sort; stat -c '%n %y' file link sub; python3 -c 'import os; print(os.getxattr(\"file\", \"user.a\"))'";
    let output = Command::new("sh").args(["-c", text]).current_dir(root.join("d")).output().unwrap();
    assert!(output.status.success());
    // The size of a directory is its file system's business.
    let lines = String::from_utf8(output.stdout).unwrap();
    let plain = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        if words.get(1) == Some(&"d") { words[..5].join(" ") } else { line.to_owned() }
    };
    lines.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(agent: &Agent, arguments: &[&str]) -> String {
    let output = agent.tween(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_in_and_comes_back_as_it_was() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("web", script("exec sleep 1000")).await.unwrap();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let (source, back) = (from.path().join("d"), to.path().to_str().unwrap());
    assert_eq!(ok(&agent, &["cp", "-a", source.to_str().unwrap(), "web:/run"]), "");
    assert_eq!(ok(&agent, &["cp", "-a", "web:/run/d", back]), "");
    assert_eq!(picture(to.path()), picture(from.path()));
    assert!(fs::metadata(to.path().join("d/holes")).unwrap().blocks() <= 16, "holes stay holes");
}
