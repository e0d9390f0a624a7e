//! Arguments of `cp`.

use std::path::PathBuf;

use clap::Args;

use super::value;

const HELP: &str = "\
One side is CONTAINER:PATH, where PATH is absolute in the container; the other is a path here, or - for a tar archive on standard input or output. A path here
with a colon in it is written with a slash before that: ./a:b.

  SRC a file       to a DST that is a directory: into it; else DST becomes the file (a DST that ends with / must be there)
  SRC a directory  to a DST that is a directory: into it, by its name; SRC/. copies what is in it instead; to a DST that is not there: becomes it
  - CONTAINER:DIR  writes the archive below DIR, which must be there
  CONTAINER:SRC -  writes an archive that begins with SRC's last part

Modes, times, links, pipes, holes and extended attributes (user.*) are kept. New files are root's in the container, and your own here; --archive keeps owners,
and here also set-user-ID bits and file capabilities. Files take the place of files, never of directories. Symbolic links below SRC are copied as links, and
nothing is written through a link, on either side. Sockets, device nodes and what could not be kept are told on standard error.

  tween cp web:/etc/nginx ./nginx
  tween cp index.html web:/srv/
  tar -c . | tween cp - web:/srv";

/// Arguments of `cp`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct CopyArgs {
    /// What to copy: CONTAINER:PATH, a path here, or - for an archive on standard input.
    #[arg(value_parser = side, value_name = "SRC")]
    pub(crate) source: Side,
    /// Where to: CONTAINER:PATH, a path here, or - for an archive on standard output.
    #[arg(value_parser = side, value_name = "DST")]
    pub(crate) destination: Side,
    /// Keep owners as numbers, and set-user-ID bits and file capabilities.
    #[arg(short, long)]
    pub(crate) archive: bool,
    /// If SRC is a symbolic link, copy what it leads to.
    #[arg(short = 'L', long)]
    pub(crate) follow_link: bool,
    /// Refuse to replace what is there.
    #[arg(long)]
    pub(crate) no_clobber: bool,
    /// Sizes of all files together at most, holes too: 1 to 1T.
    #[arg(long, value_parser = value::size, default_value = "10G", value_name = "SIZE")]
    pub(crate) max_size: u64,
    /// Files, directories and links at most: 1 to 10000000.
    #[arg(long, default_value_t = 1_000_000, value_name = "COUNT")]
    pub(crate) max_entries: u64,
}

/// One side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// In a container.
    Container {
        /// Its name.
        name: String,
        /// Absolute path in it.
        path: String,
    },
    /// Here.
    Local(PathBuf),
    /// Standard input or output.
    Stream,
}

/// As `scp` and its kin: what has a colon before any slash is elsewhere.
fn side(text: &str) -> Result<Side, String> {
    if text == "-" {
        return Ok(Side::Stream);
    }
    match text.split_once(':') {
        Some((name, path)) if !name.contains('/') => {
            if !path.starts_with('/') {
                return Err("must have an absolute path behind the container's name, as in web:/etc; a path here with a colon in it is written ./a:b".to_owned());
            }
            Ok(Side::Container { name: name.to_owned(), path: path.to_owned() })
        }
        Some(_) | None if text.is_empty() => Err("must not be empty".to_owned()),
        Some(_) | None => Ok(Side::Local(PathBuf::from(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_colon_before_any_slash_is_in_a_container() {
        let inside = |name: &str, path: &str| Ok(Side::Container { name: name.into(), path: path.into() });
        assert_eq!(side("web:/etc"), inside("web", "/etc"));
        assert_eq!(side("web:/a:b"), inside("web", "/a:b"));
        assert_eq!(side("./web:/etc"), Ok(Side::Local("./web:/etc".into())));
        assert_eq!(side("-"), Ok(Side::Stream));
        for wrong in ["web:etc", "web:", ""] {
            assert!(side(wrong).is_err(), "{wrong}");
        }
    }
}
