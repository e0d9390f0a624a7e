//! A place in the logs of one container, as callers keep it: `<uid>:<letter><position>`, a letter and a position for each stream.

use std::fmt;

use tweendeck_runtime::log::Stream;

/// A place in the logs of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose logs.
    pub uid: String,
    /// A position for each stream, each at most once.
    pub positions: Vec<(Stream, u64)>,
}

/// It is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a place in a log")]
pub struct PlaceError;

/// Longest one, bytes.
const MAX: usize = 256;

impl Place {
    /// Reads one.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (uid, rest) = text.split_once(':').filter(|_| text.len() <= MAX).ok_or(PlaceError)?;
        let plain = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let mut positions = Vec::new();
        for part in rest.split(',') {
            let stream = Stream::ALL.into_iter().find(|stream| part.starts_with(letter(*stream)));
            let position = part.get(1..).and_then(|digits| digits.parse::<u64>().ok());
            let (Some(stream), Some(position)) = (stream, position) else { return Err(PlaceError) };
            if part.get(1..) != Some(&position.to_string()) || positions.iter().any(|(known, _)| *known == stream) {
                return Err(PlaceError);
            }
            positions.push((stream, position));
        }
        plain.then(|| Self { uid: uid.to_owned(), positions }).ok_or(PlaceError)
    }

    /// Whether it is a place in these streams, and in no others.
    #[must_use]
    pub fn is_of(&self, streams: &[Stream]) -> bool {
        streams.len() == self.positions.len()
            && streams.iter().all(|stream| self.positions.iter().any(|(own, _)| own == stream))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.uid)?;
        for (number, (stream, position)) in self.positions.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{}{position}", letter(*stream))?;
        }
        Ok(())
    }
}

fn letter(stream: Stream) -> char {
    match stream {
        Stream::Stdout => 'o',
        Stream::Stderr => 'e',
        Stream::Console => 'c',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_place_comes_back(position: u64, other: u64) {
            for positions in [vec![(Stream::Console, position)], vec![(Stream::Stdout, position), (Stream::Stderr, other)]] {
                let place = Place { uid: "3b0c-1".to_owned(), positions };
                proptest::prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
            }
        }

        #[test]
        fn what_is_none_is_refused_or_has_one_spelling(text in ".{0,60}") {
            if let Ok(place) = Place::parse(&text) {
                proptest::prop_assert_eq!(place.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            ":",
            "u:",
            "u:o",
            "u:x1",
            "u:o1,o2",
            "u:o01",
            "u:o-1",
            "u:o1,",
            ":o1",
            "ü:o1",
            "u:o18446744073709551616",
        ] {
            assert_eq!(Place::parse(text), Err(PlaceError), "{text}");
        }
        assert!(Place::parse(&format!("{}:o1", "u".repeat(MAX))).is_err());
        let place = Place::parse("u:e1,o2").unwrap();
        assert!(place.is_of(&[Stream::Stdout, Stream::Stderr]) && !place.is_of(&[Stream::Stdout]));
    }
}
