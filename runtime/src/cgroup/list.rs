//! Lists of CPUs and memory nodes, as cpuset files have them: `0-3,5` (cpuset(7), list format).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Highest number taken: the largest `CONFIG_NR_CPUS` of x86-64 is 8192.
const MAX: u32 = 8191;
/// Longest text taken, bytes: more than 8192 numbers one by one need less than this times ten, but nobody writes those.
const TEXT: usize = 4096;

/// A set of CPUs or memory nodes, at least one. Compared as a set, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdList(BTreeSet<u32>);

/// Why a text is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be numbers from 0 to 8191 and ranges of them, such as 0-3,5, in at most 4096 bytes")]
pub struct BadList;

impl IdList {
    /// Whether `other` has all of these.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for IdList {
    type Err = BadList;

    fn from_str(text: &str) -> Result<Self, BadList> {
        let mut ids = BTreeSet::new();
        if text.len() > TEXT {
            return Err(BadList);
        }
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(BadList);
            }
            ids.extend(first..=last);
        }
        Ok(Self(ids))
    }
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Result<u32, BadList> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= MAX).ok_or(BadList)
}

impl fmt::Display for IdList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for id in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*id) => *last = *id,
                Some(_) | None => runs.push((*id, *id)),
            }
        }
        let run = |(first, last): &(u32, u32)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        f.write_str(&runs.iter().map(run).collect::<Vec<_>>().join(","))
    }
}

impl TryFrom<String> for IdList {
    type Error = BadList;

    fn try_from(text: String) -> Result<Self, BadList> {
        text.parse()
    }
}

impl From<IdList> for String {
    fn from(list: IdList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sets() {
        let list: IdList = "3,0-1,1-2,7".parse().unwrap();
        assert_eq!((list.to_string().as_str(), list.count()), ("0-3,7", 5));
        assert_eq!(list, "7,0,1,2,3".parse().unwrap());
        assert!("1,7".parse::<IdList>().unwrap().is_within(&list) && !"4".parse::<IdList>().unwrap().is_within(&list));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in ["", ",", "1,", "a", "-1", "1-", "2-1", "+1", "0-8192", "0-10:2/4", " 1", "1\n", "99999999999"] {
            assert_eq!(bad.parse::<IdList>(), Err(BadList), "{bad:?}");
        }
        assert_eq!("1,".repeat(3000).parse::<IdList>(), Err(BadList));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_is_printed_is_parsed(text in "[0-9,-]{0,40}") {
            if let Ok(list) = text.parse::<IdList>() {
                proptest::prop_assert_eq!(list.to_string().parse::<IdList>(), Ok(list));
            }
        }
    }
}
