//! Devices: `PATH[:PATH-INSIDE][:ACCESS]`.

use tweendeck_proto::v1::DeviceRule;

const SHAPE: &str = "must be PATH[:PATH-INSIDE][:ACCESS], such as /dev/fuse, /dev/fuse:rw or /dev/sdb:/dev/disk:r";

/// A device of the node's. What begins with a / is a path, so that either of the last two may be left out.
pub(crate) fn device(text: &str) -> Result<DeviceRule, String> {
    let mut parts = text.split(':');
    let path = parts.next().filter(|path| path.starts_with('/')).ok_or(SHAPE)?;
    let mut next = parts.next();
    let inside = next.filter(|part| part.starts_with('/'));
    if inside.is_some() {
        next = parts.next();
    }
    if parts.next().is_some() {
        return Err(SHAPE.to_owned());
    }
    let access = next.unwrap_or_default();
    let letters = access.chars().all(|letter| "rwm".contains(letter) && access.matches(letter).count() == 1);
    if !letters || next == Some("") {
        return Err(format!("access {access:?} must be letters out of rwm, each at most once; {SHAPE}"));
    }
    Ok(DeviceRule {
        path: path.to_owned(),
        container_path: inside.unwrap_or_default().to_owned(),
        access: access.to_owned(),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let DeviceRule { path, container_path, access, .. } = device(text).unwrap();
        (path, container_path, access)
    }

    #[test]
    fn the_place_inside_and_the_access_may_be_left_out() {
        let expected = |path: &str, inside: &str, access: &str| (path.into(), inside.into(), access.into());
        assert_eq!(parts("/dev/fuse"), expected("/dev/fuse", "", ""));
        assert_eq!(parts("/dev/fuse:rw"), expected("/dev/fuse", "", "rw"));
        assert_eq!(parts("/dev/fuse:/dev/f"), expected("/dev/fuse", "/dev/f", ""));
        assert_eq!(parts("/dev/fuse:/dev/f:rwm"), expected("/dev/fuse", "/dev/f", "rwm"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "",
            "fuse",
            ":/dev/f",
            "/dev/f:",
            "/dev/f:x",
            "/dev/f:rr",
            "/dev/f:rw:/dev/g",
            "/dev/f:/dev/g:r:w",
            "/dev/f:/dev/g:",
        ] {
            assert!(device(bad).is_err(), "{bad:?}");
        }
    }
}
