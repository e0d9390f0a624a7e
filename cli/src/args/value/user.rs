//! Users: `UID` or `UID:GID`, in numbers.

use tweendeck_proto::v1;

/// A user, as seen inside the container. Names are not looked up: only the container's own files could say what they mean.
pub(crate) fn user(text: &str) -> Result<v1::User, String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    Ok(v1::User { uid: id(uid)?, gid: id(gid)?, additional_gids: Vec::new(), umask: None })
}

fn id(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    // The highest id means "no change" to the kernel (setresuid(2)).
    number
        .filter(|number| *number != u32::MAX)
        .ok_or_else(|| "must be UID or UID:GID, numbers from 0 to 4294967294, such as 1000:1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_group_is_root_unless_given() {
        assert_eq!(user("1000"), Ok(v1::User { uid: 1000, gid: 0, additional_gids: Vec::new(), umask: None }));
        assert_eq!(
            user("0:4294967294"),
            Ok(v1::User { uid: 0, gid: 4_294_967_294, additional_gids: Vec::new(), umask: None })
        );
    }

    #[test]
    fn names_and_the_kernels_no_change_are_refused() {
        for bad in ["", ":", "root", "1000:", ":1000", "-1", "+1", "4294967295", "1:2:3", "1.5"] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn two_numbers_come_back(uid in 0..u32::MAX, gid in 0..u32::MAX) {
            prop_assert_eq!(user(&format!("{uid}:{gid}")), Ok(v1::User { uid, gid, additional_gids: Vec::new(), umask: None }));
        }
    }
}
