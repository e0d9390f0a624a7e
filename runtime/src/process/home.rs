//! `HOME` of a command that was not given one: what the container's own `/etc/passwd` says of its user (passwd(5)), else `/`.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;

use crate::sys::{self, Resolve};

/// The most that is read of the file, bytes; it is the image's.
const FILE_MAX: u64 = 1 << 20;

/// The home directory of a user. The root is the container's by now. A file that is missing, odd or no file says nothing.
pub(super) fn of(uid: u32) -> String {
    let read = || -> std::io::Result<String> {
        let root = File::open("/")?;
        // Not blocking, should it be a pipe.
        let file = sys::openat2(root.as_fd(), c"etc/passwd", libc::O_RDONLY | libc::O_NONBLOCK, Resolve::InRoot)?;
        let mut bytes = Vec::new();
        File::from(file).take(FILE_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().ok().and_then(|text| find(&text, uid)).unwrap_or_else(|| "/".to_owned())
}

fn find(passwd: &str, uid: u32) -> Option<String> {
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [_, _, number, _, _, home, _]
                if number.parse() == Ok(uid) && home.starts_with('/') && !home.contains('\0') =>
            {
                Some((*home).to_owned())
            }
            _ => None,
        }
    };
    passwd.lines().find_map(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_user_counts_and_odd_ones_do_not() {
        let passwd =
            "broken\nroot:x:0:0:root:/root:/bin/sh\napp:x:7:7::relative:/x\napp:x:7:7::/srv:/x\nb:x:7:7::/b:/x\n";
        assert_eq!(find(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(find(passwd, 7).as_deref(), Some("/srv"));
        assert_eq!(find(passwd, 8), None);
    }
}
