//! `--rootfs-archive FILE[,OPTION...]`.

use tweendeck_proto::v1::ArchiveRootfs;

use super::value;

const RULE: &str = "must be FILE[,OPTION...]; options are sha256=HEX, readonly, max-bytes=SIZE and max-entries=NUMBER";

/// An archive with its options. A name that contains a comma cannot be said here.
pub(super) fn archive(text: &str) -> Result<ArchiveRootfs, String> {
    let mut parts = text.split(',');
    let path = parts.next().filter(|path| !path.is_empty()).ok_or_else(|| RULE.to_owned())?;
    let mut archive = ArchiveRootfs { path: path.to_owned(), ..Default::default() };
    for option in parts {
        match option.split_once('=') {
            None if option == "readonly" => archive.readonly = true,
            Some(("sha256", digits)) if is_sha256(digits) => digits.clone_into(&mut archive.sha256),
            Some(("sha256", _)) => return Err("sha256 must be 64 hexadecimal digits".to_owned()),
            Some(("max-bytes", size)) => archive.max_unpacked_bytes = Some(value::size(size)?),
            Some(("max-entries", number)) => {
                archive.max_entries = Some(number.parse().map_err(|_| RULE.to_owned())?);
            }
            _ => return Err(RULE.to_owned()),
        }
    }
    Ok(archive)
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_a_file_and_known_options() {
        let sha256 = "0aF".repeat(22)[..64].to_owned();
        let text = format!("/srv/a.tar.gz,sha256={sha256},readonly,max-bytes=1G,max-entries=5");
        let expected = ArchiveRootfs {
            path: "/srv/a.tar.gz".to_owned(),
            sha256,
            readonly: true,
            max_unpacked_bytes: Some(1 << 30),
            max_entries: Some(5),
        };
        assert_eq!(archive(&text), Ok(expected));
        assert_eq!(archive("/a"), Ok(ArchiveRootfs { path: "/a".to_owned(), ..Default::default() }));
        for bad in
            ["", ",readonly", "/a,ro", "/a,", "/a,readonly=1", "/a,sha256=12", "/a,max-bytes=x", "/a,max-entries=-1"]
        {
            assert!(archive(bad).is_err(), "{bad}");
        }
    }
}
