//! Keys that are pressed one after the other: `ctrl-p,ctrl-q`.

/// The bytes that a terminal sends for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) Vec<u8>);

const RULE: &str =
    "must be keys with commas between them: ctrl- and one of a-z @ [ \\ ] ^ _, or a character; or nothing";

/// Keys. Nothing means none.
pub(crate) fn keys(text: &str) -> Result<Keys, String> {
    if text.is_empty() {
        return Ok(Keys::default());
    }
    text.split(',').map(key).collect::<Option<Vec<u8>>>().map(Keys).ok_or_else(|| RULE.to_owned())
}

fn key(text: &str) -> Option<u8> {
    let only = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_graphic() => Some(*byte),
        _ => None,
    };
    match text.strip_prefix("ctrl-") {
        // What a terminal makes of it (ascii(7)).
        Some(rest) => {
            only(rest).filter(|byte| matches!(byte, b'a'..=b'z' | b'@' | b'['..=b'_')).map(|byte| byte & 0x1f)
        }
        None => only(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_what_a_terminal_sends() {
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(Keys(vec![16, 17])));
        assert_eq!(keys("ctrl-@,ctrl-_,x"), Ok(Keys(vec![0, 31, b'x'])));
        assert_eq!(keys(""), Ok(Keys::default()));
        for bad in ["ctrl-", "ctrl-1", "ctrl-P", ",", "ab", "ä", "ctrl-pq"] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }
}
