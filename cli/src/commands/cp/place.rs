//! Where a copy goes: into which directory, and by which name.

/// What is at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    Directory,
    Something,
}

/// Where what is copied goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// A directory that is there; empty is the working directory.
    pub(super) directory: String,
    /// The name in it; `None`: what is in the source goes into the directory itself.
    pub(super) name: Option<String>,
}

/// Decides, as `cp -r` and its kin do.
pub(super) fn target(source: &str, is_directory: bool, destination: &str, there: There) -> Result<Target, String> {
    let name = name(source);
    let inside = |name: Option<&str>| Target { directory: destination.to_owned(), name: name.map(str::to_owned) };
    match there {
        There::Directory => Ok(inside(name)),
        There::Something if is_directory => Err(format!("{destination:?} is no directory, and cannot become one")),
        There::Something if destination.ends_with('/') => Err(format!("{destination:?} is no directory")),
        There::Nothing if !is_directory && destination.ends_with('/') => {
            Err(format!("{destination:?} is not there; make that directory first"))
        }
        There::Nothing | There::Something => {
            let path = destination.trim_end_matches('/');
            let (directory, name) = match path.rsplit_once('/') {
                Some(("", name)) => ("/", name),
                Some((directory, name)) => (directory, name),
                None => ("", path),
            };
            if matches!(name, "" | "." | "..") {
                return Err(format!("{destination:?} has no name that could be given"));
            }
            Ok(Target { directory: directory.to_owned(), name: Some(name.to_owned()) })
        }
    }
}

/// What a path is called by; `None` for one that only says where, such as `/` and `a/.`: its content is meant.
pub(super) fn name(path: &str) -> Option<&str> {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    (!matches!(last, "" | "." | "..")).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_where_cp_would_put_it() {
        let goes = |source: &str, is_directory: bool, destination: &str, there: There| {
            target(source, is_directory, destination, there).map(|target| (target.directory, target.name))
        };
        let to = |directory: &str, name: Option<&str>| Ok((directory.to_owned(), name.map(str::to_owned)));
        assert_eq!(goes("/a/f", false, "d", There::Directory), to("d", Some("f")));
        assert_eq!(goes("/a/f", false, "x/g", There::Nothing), to("x", Some("g")));
        assert_eq!(goes("/a/f", false, "g", There::Something), to("", Some("g")));
        assert_eq!(goes("/a/f", false, "/g", There::Something), to("/", Some("g")));
        assert!(goes("/a/f", false, "x/", There::Nothing).is_err());
        assert!(goes("/a/f", false, "x/", There::Something).is_err());
        assert_eq!(goes("/a/d", true, "t", There::Directory), to("t", Some("d")));
        assert_eq!(goes("/a/d/", true, "t", There::Directory), to("t", Some("d")));
        assert_eq!(goes("/a/d/.", true, "t", There::Directory), to("t", None));
        assert_eq!(goes("/", true, "t", There::Directory), to("t", None));
        assert_eq!(goes("/a/d", true, "x/t/", There::Nothing), to("x", Some("t")));
        assert_eq!(goes("/a/d/.", true, "t", There::Nothing), to("", Some("t")));
        assert!(goes("/a/d", true, "t", There::Something).is_err());
        assert!(goes("/a/d", true, "..", There::Nothing).is_err());
    }
}
