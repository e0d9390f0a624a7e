//! Resume tokens: which journal, where in it, and of a watch of what.

use crate::grpc::status::Refusal;

/// In place of a number in a token: the reader was in the middle of a snapshot.
const SNAPSHOT: &str = "snapshot";
/// Longest token, bytes.
const MAX: usize = 128;

/// A place in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::grpc) enum Position {
    /// In a snapshot, which is to be begun again: what of it was sent does not say what was not.
    Snapshot,
    /// Behind an entry.
    After(u64),
}

/// The token of a place. `filter` is the mark of what the watch is of; empty if it is of everything.
pub(in crate::grpc) fn format_token(journal: &str, position: Position, filter: &str) -> String {
    let mark = if filter.is_empty() { String::new() } else { format!(":{filter}") };
    match position {
        Position::Snapshot => format!("{journal}:{SNAPSHOT}{mark}"),
        Position::After(sequence) => format!("{journal}:{sequence}{mark}"),
    }
}

/// The journal and the place of a token. One of a watch of something else is refused: what that has left out would be missing.
pub(in crate::grpc) fn parse_token<'a>(token: &'a str, filter: &str) -> Result<(&'a str, Position), Refusal> {
    if token.len() > MAX {
        return Err(Refusal::ResumeToken("is too long"));
    }
    let foreign = || Refusal::ResumeToken("is not one of this API's");
    let (journal, rest) = token.split_once(':').ok_or_else(foreign)?;
    let (position, mark) = rest.split_once(':').unwrap_or((rest, ""));
    let position = match position {
        SNAPSHOT => Position::Snapshot,
        sequence => Position::After(sequence.parse().map_err(|_| foreign())?),
    };
    if mark != filter {
        return Err(Refusal::ResumeToken("was given out for another filter; pass the same one"));
    }
    Ok((journal, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_token_comes_back(sequence: u64, filter in "[0-9a-f]{0,16}") {
            for position in [Position::After(sequence), Position::Snapshot] {
                let token = format_token("3b0c", position, &filter);
                let back = parse_token(&token, &filter);
                proptest::prop_assert!(matches!(back, Ok(("3b0c", found)) if found == position));
                proptest::prop_assert!(parse_token(&token, "another").is_err());
            }
        }

        #[test]
        fn no_token_makes_it_panic(token in ".{0,200}") {
            let _ = parse_token(&token, "");
        }
    }
}
