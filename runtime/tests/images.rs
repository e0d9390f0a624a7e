//! Roots of layers and images, in real containers. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod scripted;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scripted::{Bench, programs, wait_for};
use serde_json::json;
use tweendeck_runtime::bundle::{Rootfs, Upper};
use tweendeck_runtime::control::Phase;

/// A bench, and a directory for a root's content in it.
fn bench() -> (Bench, PathBuf) {
    let mut bench = Bench::new();
    let content = bench.dir.path().join("content");
    programs(&content);
    fs::write(content.join("etc/name"), "lower\n").unwrap();
    bench.mount(json!({"destination": "/usr", "source": "/usr", "options": ["rbind", "ro"]}));
    (bench, content)
}

fn directory(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.dir.path().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn made(command: &mut Command) {
    let output = command.output().expect("run scripts/setup test");
    assert!(output.status.success(), "{output:?}");
}

fn squashfs(bench: &Bench, content: &Path) -> PathBuf {
    let image = bench.dir.path().join("image.squashfs");
    made(Command::new("mksquashfs").arg(content).arg(&image).args(["-quiet", "-no-progress"]));
    image
}

fn ext4(bench: &Bench, content: &Path) -> PathBuf {
    let image = bench.dir.path().join("image.ext4");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    made(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F", "-d"]).arg(content).arg(&image));
    image
}

/// Whether a loop device of the host's is this file.
fn is_looped(image: &Path) -> bool {
    let devices = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path().join("loop/backing_file"));
    devices
        .filter_map(|file| fs::read_to_string(file).ok())
        .any(|backing| backing.trim_end() == image.to_str().unwrap())
}

/// Devices are freed by the kernel on its own time.
fn freed(image: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_looped(image) {
        assert!(Instant::now() < deadline, "the loop device of {} is left", image.display());
        std::thread::yield_now();
    }
}

#[test]
fn layers_are_seen_from_above_and_only_memory_is_written() {
    let (mut bench, lower) = bench();
    let odd = directory(&bench, "odd,:\\ name");
    fs::create_dir(odd.join("etc")).unwrap();
    fs::write(odd.join("etc/name"), "higher\n").unwrap();
    fs::write(odd.join("etc/other"), "other\n").unwrap();
    bench.rootfs = Rootfs::Overlay { lower: vec![odd.clone(), lower], upper: Upper::Memory { bytes: 1 << 20 } };
    let script = "cat /etc/name /etc/other; echo new >/etc/name; cat /etc/name; dd if=/dev/zero of=/etc/b bs=2M count=1 2>/dev/null || echo full";
    assert_eq!(bench.lines(script), ["higher", "other", "new", "full"]);
    assert_eq!(fs::read_to_string(odd.join("etc/name")).unwrap(), "higher\n");
}

#[test]
fn an_upper_directory_keeps_what_was_written_and_has_one_writer() {
    let (mut bench, lower) = bench();
    let (upper, work) = (directory(&bench, "upper"), directory(&bench, "work"));
    let rootfs = Rootfs::Overlay { lower: vec![lower.clone()], upper: Upper::Directory { upper: upper.clone(), work } };
    bench.rootfs = rootfs.clone();
    let launched = bench.launch("echo new >/etc/name; exec sleep 1000");
    let status = wait_for(&launched.client, |status| status.phase == Phase::Running);
    let mut second = Bench::new();
    second.rootfs = rootfs;
    let refusal = second.refusal();
    assert!(refusal.starts_with("mount the layers (overlay)") && refusal.contains("busy"), "{refusal}");
    kill(Pid::from_raw(status.main_pid.unwrap()), Signal::SIGKILL).unwrap();
    wait_for(&launched.client, |status| status.phase == Phase::Exited);
    assert_eq!(fs::read_to_string(upper.join("etc/name")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(lower.join("etc/name")).unwrap(), "lower\n");
}

#[test]
fn the_hosts_root_is_no_layer() {
    let mut bench = Bench::new();
    let link = bench.dir.path().join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    bench.rootfs = Rootfs::Overlay { lower: vec![link], upper: Upper::Memory { bytes: 1 << 20 } };
    assert!(bench.refusal().contains("must not be the host's root"));
}

#[test]
fn an_image_is_read_and_not_written_and_its_device_goes_with_it() {
    for make in [squashfs, ext4] {
        let (mut bench, content) = bench();
        let image = make(&bench, &content);
        let before = fs::metadata(&image).unwrap().modified().unwrap();
        bench.rootfs = Rootfs::Image { path: image.clone(), upper_bytes: None };
        assert_eq!(bench.lines("cat /etc/name; touch /etc/x 2>/dev/null || echo ro"), ["lower", "ro"]);
        freed(&image);
        bench.rootfs = Rootfs::Image { path: image.clone(), upper_bytes: Some(1 << 20) };
        assert_eq!(bench.lines("echo new >/etc/name; cat /etc/name")[2..], ["new"]);
        freed(&image);
        assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before);
    }
}

#[test]
fn a_killed_supervisor_leaves_no_loop_device() {
    let (mut bench, content) = bench();
    let image = squashfs(&bench, &content);
    bench.rootfs = Rootfs::Image { path: image.clone(), upper_bytes: Some(1 << 20) };
    let mut launched = bench.launch("exec sleep 1000");
    let status = wait_for(&launched.client, |status| status.phase == Phase::Running);
    assert!(is_looped(&image));
    kill(Pid::from_raw(status.supervisor_pid), Signal::SIGKILL).unwrap();
    freed(&image);
    use std::os::fd::AsFd as _;
    scripted::readable(launched.child.as_fd(), Instant::now() + Duration::from_secs(30));
    assert!(launched.child.try_reap().unwrap());
}

#[test]
fn many_images_at_once_each_get_a_device() {
    let (first, content) = bench();
    let image = squashfs(&first, &content);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let image = image.clone();
            std::thread::spawn(move || {
                let (mut bench, _) = bench();
                bench.rootfs = Rootfs::Image { path: image, upper_bytes: None };
                assert_eq!(bench.lines("cat /etc/name"), ["lower"]);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    freed(&image);
}

#[test]
fn what_is_no_image_is_refused() {
    let mut bench = Bench::new();
    let file = bench.dir.path().join("file");
    fs::write(&file, vec![0; 8192]).unwrap();
    bench.rootfs = Rootfs::Image { path: file, upper_bytes: None };
    assert!(bench.refusal().contains("none of the file systems squashfs, erofs and ext4"));
    bench.rootfs = Rootfs::Image { path: "/dev/null".into(), upper_bytes: None };
    assert!(bench.refusal().contains("must be a regular file"));
}
