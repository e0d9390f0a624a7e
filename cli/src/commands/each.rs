//! The same for several containers, one after the other.

use crate::exit;
use crate::failure::Failure;
use crate::refusal;

/// Does `work` for each name. A failure is reported, and the others have their turn nevertheless,
/// unless they would fail in the same way. The code to exit with: `ok`'s last, or `failed` if any failed.
pub(super) async fn each(
    names: &[String],
    failed: u8,
    mut work: impl AsyncFnMut(&str) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let mut last = exit::OK;
    let mut any_failed = false;
    for name in names {
        match work(name).await {
            Ok(code) => last = code,
            Err(failure) if failure.is_final() => return Err(failure),
            Err(failure) => {
                refusal::report(&failure, (names.len() > 1).then_some(name));
                any_failed = true;
            }
        }
    }
    Ok(if any_failed { failed } else { last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tonic::Status;

    async fn codes(names: &[&str], failed: u8) -> (Result<u8, Failure>, Vec<String>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut seen = Vec::new();
        let result = each(&names, failed, async |name| {
            seen.push(name.to_owned());
            match name {
                "refused" => Err(Failure::Refused(Box::new(Status::not_found("no")))),
                "broken" => Err(Failure::Output(io::Error::from(io::ErrorKind::StorageFull))),
                code => Ok(code.parse().unwrap()),
            }
        });
        (result.await, seen)
    }

    #[tokio::test]
    async fn the_last_one_decides_if_none_failed() {
        let (code, _) = codes(&["3", "0", "7"], 125).await;
        assert!(matches!(code, Ok(7)));
    }

    #[tokio::test]
    async fn a_refusal_does_not_keep_the_others_from_their_turn() {
        let (code, seen) = codes(&["0", "refused", "3"], 125).await;
        assert!(matches!(code, Ok(125)));
        assert_eq!(seen, ["0", "refused", "3"]);
    }

    #[tokio::test]
    async fn what_would_fail_again_ends_it() {
        let (code, seen) = codes(&["broken", "0"], 1).await;
        assert!(matches!(code, Err(Failure::Output(_))));
        assert_eq!(seen, ["broken"]);
    }
}
