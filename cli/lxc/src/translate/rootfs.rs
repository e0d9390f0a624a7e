//! Where the container's root comes from: `lxc.rootfs.*`.

use tweendeck_proto::v1::namespace::Source as From;
use tweendeck_proto::v1::root_filesystem::Source;
use tweendeck_proto::v1::{
    ArchiveRootfs, DirectoryRootfs, ImageRootfs, Namespace, NamespaceMode, OverlayRootfs, RootFilesystem,
};

use super::paths::{absolute, plain};
use super::verdict::{Verdict, Work, honoured, noted, refused, together, translated};

const PATH: &str = "lxc.rootfs.path";
/// What overlayfs works in, beside the upper directory, as LXC calls it.
const WORK: &str = "olwork";

/// The keys `lxc.rootfs.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    work.take(PATH, path);
    work.take("lxc.rootfs.options", |work, value| {
        together(value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(|word| option(work, word)))
    });
    work.take("lxc.rootfs.mount", |work, value| {
        work.roots.push(plain(value));
        noted("a root is mounted where nobody else sees it; targets of mounts may begin with this path")
    });
    work.note(&["lxc.rootfs.managed"], "a container's deletion never removes a root that it was given");
}

fn path(work: &mut Work<'_>, value: &str) -> Verdict {
    let (kind, rest) =
        if value.starts_with('/') { ("dir", value) } else { value.split_once(':').unwrap_or((value, "")) };
    match kind {
        "dir" | "btrfs" => directory(work, rest),
        "overlay" | "overlayfs" => overlay(work, rest),
        "loop" => {
            absolute(rest)?;
            work.spec.rootfs = source(Source::Image(ImageRootfs { path: rest.to_owned(), writable_bytes: None }));
            translated("rootfs.image, which is never written: the container's root is read-only")
        }
        // Not one of LXC's: what its templates would unpack.
        "tar" => {
            absolute(rest)?;
            work.spec.rootfs = source(Source::Archive(ArchiveRootfs { path: rest.to_owned(), ..Default::default() }));
            honoured("rootfs.archive, unpacked before the first start")
        }
        "nbd" | "lvm" | "zfs" | "rbd" | "aufs" => {
            refused(format!("{kind}: is not supported; mount it on the node and give the directory, as dir:/path"))
        }
        _ => refused(format!(
            "{value:?} must be an absolute path, perhaps after dir:, btrfs:, loop:, or overlay: with two or more paths"
        )),
    }
}

fn source(source: Source) -> Option<RootFilesystem> {
    Some(RootFilesystem { source: Some(source) })
}

fn directory(work: &mut Work<'_>, path: &str) -> Verdict {
    absolute(path)?;
    let path = plain(path);
    if path.starts_with("/dev/") {
        return refused("a block device cannot be a root; mount it on the node and give the directory");
    }
    if path == "/" {
        return noted("the node's own root, which is the default: shared read-only, and writes go to memory");
    }
    work.roots.push(path.clone());
    work.spec.rootfs = source(Source::Directory(DirectoryRootfs { path, readonly: false }));
    honoured("rootfs.directory")
}

/// `LOWER[:LOWER…]:UPPER`, the highest lower layer first. An upper directory cannot be id-mapped, so ids are the node's, as in LXC without `lxc.idmap`.
fn overlay(work: &mut Work<'_>, value: &str) -> Verdict {
    let mut layers: Vec<&str> = value.split(':').collect();
    let upper = layers.pop().unwrap_or_default();
    if layers.is_empty() {
        return refused("must have two or more paths: overlay:LOWER:UPPER");
    }
    layers.iter().chain([&upper]).try_for_each(|path| absolute(path))?;
    if layers.len() > 64 {
        return refused("has more than 64 layers");
    }
    let upper = plain(upper);
    let Some((beside, _)) = upper.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
        return refused("must not write to the node's own root");
    };
    let own = format!("{beside}/{WORK}");
    work.namespaces.user = Some(Namespace { source: Some(From::Mode(NamespaceMode::Host.into())) });
    let text = format!("rootfs.overlay, with {own} for overlayfs itself, and namespaces.user HOST, which it needs");
    work.spec.rootfs = source(Source::Overlay(OverlayRootfs {
        lower: layers.into_iter().map(plain).collect(),
        upper,
        work: own,
        ..OverlayRootfs::default()
    }));
    translated(text)
}

fn option(work: &mut Work<'_>, word: &str) -> Verdict {
    let root = work.spec.rootfs.as_mut().and_then(|rootfs| rootfs.source.as_mut());
    match (word, root) {
        ("defaults", _) => honoured("defaults"),
        ("nosuid", _) if work.config.one("lxc.no_new_privs").is_none_or(|item| item.value == "1") => {
            honoured("nosuid: set-user-ID bits give nothing, by no_new_privs")
        }
        ("nosuid", _) => refused("nosuid contradicts lxc.no_new_privs = 0; leave one out"),
        ("nodev", _) => honoured("nodev: device nodes in a root open nothing"),
        ("idmap=container", _) => honoured("ids are mapped unless the container has the node's"),
        ("ro", Some(Source::Directory(directory))) => {
            directory.readonly = true;
            honoured("rootfs.directory.readonly")
        }
        ("ro", Some(Source::Overlay(overlay))) => {
            overlay.readonly = true;
            honoured("rootfs.overlay.readonly")
        }
        ("ro", Some(Source::Image(_))) => honoured("an image is never written"),
        ("ro" | "rw", Some(Source::Host(_) | Source::Archive(_)) | None) => {
            noted(format!("{word} says nothing about the node's own root, which is shared read-only"))
        }
        ("rw", Some(Source::Image(_))) => refused("rw: an image is never written; unpack it, and give the directory"),
        ("rw", Some(Source::Directory(_) | Source::Overlay(_))) => honoured("rw"),
        _ => refused(format!("{word:?} is no option of a root here; known are ro, rw, nodev, nosuid, idmap=container")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fate, fates, on, spec, start, unified, why};
    use super::*;

    fn root(items: &[(&str, &str)]) -> Option<Source> {
        spec(items).rootfs.and_then(|rootfs| rootfs.source)
    }

    #[test]
    fn a_directory_is_a_root_by_each_of_its_names() {
        let directory = |readonly| Some(Source::Directory(DirectoryRootfs { path: "/srv/a".into(), readonly }));
        for value in ["/srv/a", "dir:/srv/a/", "btrfs:/srv//a"] {
            assert_eq!(root(&[(PATH, value)]), directory(false), "{value}");
        }
        let options = "ro,nodev,nosuid,idmap=container";
        assert_eq!(root(&[(PATH, "/srv/a"), ("lxc.rootfs.options", options)]), directory(true));
        assert_eq!(root(&[]), None);
        assert_eq!(root(&[(PATH, "/")]), None);
        assert!(fates(&[(PATH, "/srv/a"), ("lxc.rootfs.mount", "/mnt")])[1].starts_with("Noted"));
        assert!(fate(&[("lxc.rootfs.managed", "0")]).starts_with("Noted"));
    }

    #[test]
    fn layers_are_an_overlay_with_the_ids_of_the_node() {
        let taken = start(&[(PATH, "overlay:/a:/b:/c/delta0")], &[]).unwrap();
        let expected = OverlayRootfs {
            lower: vec!["/a".into(), "/b".into()],
            upper: "/c/delta0".into(),
            work: "/c/olwork".into(),
            ..OverlayRootfs::default()
        };
        let source = taken.spec.rootfs.unwrap().source;
        assert_eq!(source, Some(Source::Overlay(expected)));
        let host = Namespace { source: Some(From::Mode(NamespaceMode::Host.into())) };
        assert_eq!(taken.spec.namespaces.unwrap().user, Some(host));
        let Some(Source::Overlay(readonly)) = root(&[(PATH, "overlayfs:/a:/b"), ("lxc.rootfs.options", "ro")]) else {
            panic!("no overlay")
        };
        assert!(readonly.readonly && readonly.work == "/olwork");
        for wrong in ["overlay:/a", "overlay:", "overlay:/a:/", "overlay:a:/b", "overlay:/a:/b/../c"] {
            why(&[(PATH, wrong)]);
        }
    }

    #[test]
    fn an_image_is_read_only() {
        let image = Some(Source::Image(ImageRootfs { path: "/i.img".into(), writable_bytes: None }));
        assert_eq!(root(&[(PATH, "loop:/i.img")]), image);
        assert_eq!(root(&[(PATH, "loop:/i.img"), ("lxc.rootfs.options", "ro")]), image);
        assert!(why(&[(PATH, "loop:/i.img"), ("lxc.rootfs.options", "rw")]).contains("never written"));
    }

    #[test]
    fn what_cannot_be_a_root_is_refused_with_a_way_round() {
        for value in ["nbd:/i:1", "lvm:/dev/a/b", "zfs:a/b", "rbd:a/b", "aufs:/a:/b"] {
            assert!(why(&[(PATH, value)]).contains("give the directory"), "{value}");
        }
        for value in ["/dev/sda1", "relative", "dir:relative", "/a/../b", "no:/a"] {
            why(&[(PATH, value)]);
        }
        assert!(why(&[(PATH, "/a"), ("lxc.rootfs.options", "noatime")]).contains("noatime"));
        let text = why(&[("lxc.no_new_privs", "0"), ("lxc.rootfs.options", "nosuid")]);
        assert!(text.contains("contradicts"), "{text}");
        assert!(on(&unified(), &[(PATH, "/a")]).is_ok());
    }
}
