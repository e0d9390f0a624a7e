//! One line of a log file.

use super::time::{self, Nanos};
use super::{Reason, Stream};

/// Longest piece of a line that becomes one entry, bytes (the CRI's limit).
pub(crate) const PIECE: usize = 16 << 10;
/// Longest head of an entry: time, stream, tag, and three blanks.
pub(crate) const LONGEST_HEAD: usize = time::LENGTH + 7 + 1 + 3;

/// One line of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When the supervisor read it.
    pub at: Nanos,
    /// What it says.
    pub kind: Kind<'a>,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Output.
    Text {
        /// At most 16384 bytes.
        text: &'a [u8],
        /// The line ends here; otherwise it goes on in the next entry.
        whole: bool,
    },
    /// Output is missing here.
    Dropped {
        /// So much.
        bytes: u64,
        /// Why.
        reason: Reason,
    },
    /// A file begins here.
    Begin {
        /// Position of its first byte.
        position: u64,
    },
}

/// Reads a line of `stream`'s log, without its end. `None`: it is none, as what a power failure tore.
#[must_use]
pub fn parse(stream: Stream, line: &[u8]) -> Option<Entry<'_>> {
    let (at, rest) = line.split_at_checked(time::LENGTH)?;
    let rest = rest.strip_prefix(b" ")?.strip_prefix(stream.name().as_bytes())?.strip_prefix(b" ")?;
    let (tag, text) = rest.split_at_checked(2)?;
    let kind = match tag {
        b"F " | b"P " if text.len() <= PIECE => Kind::Text { text, whole: tag == b"F " },
        b"D " => {
            let (bytes, reason) = std::str::from_utf8(text).ok()?.split_once(' ')?;
            let reason = Reason::ALL.into_iter().find(|known| known.name() == reason)?;
            Kind::Dropped { bytes: number(bytes)?, reason }
        }
        b"B " => Kind::Begin { position: number(std::str::from_utf8(text).ok()?)? },
        _ => return None,
    };
    Some(Entry { at: time::parse(at)?, kind })
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Adds a line: `now` is its time, `tag` one of the four.
pub(crate) fn push(lines: &mut Vec<u8>, now: &str, stream: Stream, tag: u8, text: &[u8]) {
    lines.extend_from_slice(now.as_bytes());
    lines.push(b' ');
    lines.extend_from_slice(stream.name().as_bytes());
    lines.extend_from_slice(&[b' ', tag, b' ']);
    lines.extend_from_slice(text);
    lines.push(b'\n');
}

/// How much output a line stands for, its end included; `None` if it stands for none.
pub(crate) fn output_bytes(kind: Kind<'_>) -> Option<u64> {
    match kind {
        Kind::Text { text, whole } => u64::try_from(text.len()).ok().map(|bytes| bytes + u64::from(whole)),
        Kind::Dropped { .. } | Kind::Begin { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-31T12:34:56.123456789Z";

    #[test]
    fn what_is_no_line_is_none() {
        let line = |rest: &str| format!("{NOW}{rest}").into_bytes();
        let long = format!(" stdout F {}", "x".repeat(PIECE + 1));
        for rest in [
            "",
            " stdout",
            " stdout F",
            " stderr F x",
            " stdout X x",
            "  stdout F x",
            " stdout D 1",
            " stdout D 01 RATE",
            " stdout D 1 rate",
            " stdout D +1 RATE",
            " stdout B",
            " stdout B x",
            &long,
        ] {
            assert_eq!(parse(Stream::Stdout, &line(rest)), None, "{rest}");
        }
        assert_eq!(parse(Stream::Stdout, &[0; 100]), None);
    }

    proptest::proptest! {
        #[test]
        fn a_line_comes_back(text in proptest::collection::vec(proptest::num::u8::ANY, 0..100), which in 0_usize..3, number: u64) {
            let stream = Stream::ALL[which];
            let reason = Reason::ALL[which];
            let dropped = format!("{number} {}", reason.name());
            let position = number.to_string();
            let texts: [(u8, &[u8], Kind<'_>); 4] = [
                (b'F', &text, Kind::Text { text: &text, whole: true }),
                (b'P', &text, Kind::Text { text: &text, whole: false }),
                (b'D', dropped.as_bytes(), Kind::Dropped { bytes: number, reason }),
                (b'B', position.as_bytes(), Kind::Begin { position: number }),
            ];
            for (tag, text, kind) in texts {
                let mut line = Vec::new();
                push(&mut line, NOW, stream, tag, text);
                let found = parse(stream, &line[..line.len() - 1]).unwrap();
                proptest::prop_assert_eq!(found.kind, kind);
                proptest::prop_assert!(line.len() <= LONGEST_HEAD + text.len() + 1);
            }
        }
    }
}
