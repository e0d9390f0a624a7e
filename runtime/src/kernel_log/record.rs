//! One record of the kernel's log.

/// Most bytes of a record: what the kernel makes of one at most (CONSOLE_EXT_LOG_MAX).
const MAX: usize = 8192;
/// Facilities are multiples of this; the rest is the level.
const LEVELS: u32 = 8;

/// One record of the kernel's log, said by the kernel itself or by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether the kernel has said it.
    pub kernel: bool,
    /// Whether it is the end of an earlier one's line, which somebody has interrupted or which was too long for one (flag `c`).
    pub fragment: bool,
    /// What was said, as it was: not escaped any more.
    pub text: Vec<u8>,
}

impl Record {
    /// A record as `/dev/kmsg` gives it; `None` for what is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..bytes.len().min(MAX))?;
        let head = bytes.get(..bytes.iter().position(|byte| *byte == b';')?)?;
        let body = bytes.get(head.len().checked_add(1)?..)?;
        let mut fields = std::str::from_utf8(head).ok()?.split(',');
        let prefix: u32 = fields.next()?.parse().ok()?;
        let (_sequence, _time, flags) = (fields.next()?, fields.next()?, fields.next()?);
        // Properties of the device it is about follow, a line each.
        let text = body.split(|byte| *byte == b'\n').next()?;
        Some(Self { kernel: prefix < LEVELS, fragment: flags != "-", text: unescape(text) })
    }
}

/// What is not printable, and the backslash, stand as `\xNN`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match after {
            [b'x', high, low, ..] if *first == b'\\' => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                plain.push(high << 4 | low);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As the kernel writes it (`msg_add_ext_text`).
    pub(in crate::kernel_log) fn written(prefix: u32, text: &[u8]) -> Vec<u8> {
        let mut record = format!("{prefix},422,681479384,-;").into_bytes();
        for byte in text {
            match byte {
                b' '..=b'~' if *byte != b'\\' => record.push(*byte),
                _ => record.extend(format!("\\x{byte:02x}").bytes()),
            }
        }
        record.push(b'\n');
        record
    }

    #[test]
    fn only_facility_0_is_the_kernel() {
        let said = |bytes: &[u8]| Record::parse(bytes).map(|record| (record.kernel, record.text));
        assert_eq!(said(b"6,1,2,-;a b\n SUBSYSTEM=x\n"), Some((true, b"a b".to_vec())));
        assert_eq!(said(b"6,1,2,-,caller=T1;a;b\n"), Some((true, b"a;b".to_vec())));
        assert_eq!(said(b"12,1,2,-;a\n"), Some((false, b"a".to_vec())), "LOG_USER, as userspace gets it");
        assert!(Record::parse(b"6,1,2,c;the rest of a line\n").unwrap().fragment);
        for none in [&b"6,1,2;a\n"[..], b"x,1,2,-;a\n", b"6,1,2,-\n", b""] {
            assert_eq!(said(none), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_said_comes_back(prefix in 0_u32..300, text: Vec<u8>) {
            let text = &text[..text.len().min(1000)];
            let record = Record::parse(&written(prefix, text)).unwrap();
            proptest::prop_assert_eq!(record, Record { kernel: prefix < 8, fragment: false, text: text.to_vec() });
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Record::parse(&bytes);
        }
    }
}
