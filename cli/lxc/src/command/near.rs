//! Words that are nearly another, for those who mistype.

/// How many letters may be wrong.
const FAR: usize = 2;
/// A longer word is not compared; no name is as long.
const LONGEST: usize = 32;

/// Those of some names that are near a word, the nearest first, three at most.
pub(super) fn names(word: &str, names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    if word.chars().count() > LONGEST {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = names
        .map(|name| (distance(word, name), name))
        .filter(|(far, name)| *far <= FAR && far.saturating_mul(2) < name.len().max(3))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many letters have to be put in, taken out or changed; two neighbours that changed places are one.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut before = None;
    for (line, letter) in one.chars().enumerate() {
        let at = |cells: &[usize], place: usize| cells.get(place).copied().unwrap_or(usize::MAX);
        let mut next = vec![line.saturating_add(1)];
        for (place, theirs) in other.iter().enumerate() {
            let changed = at(&row, place).saturating_add(usize::from(letter != *theirs));
            let removed = at(&row, place.saturating_add(1)).saturating_add(1);
            let added = at(&next, place).saturating_add(1);
            let mut best = changed.min(removed).min(added);
            if let Some(earlier) = place.checked_sub(1)
                && before == Some(*theirs)
                && other.get(earlier) == Some(&letter)
            {
                best = best.min(at(&above, earlier).saturating_add(1));
            }
            next.push(best);
        }
        above = std::mem::replace(&mut row, next);
        before = Some(letter);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_or_two_letters_off_is_near() {
        assert_eq!(distance("start", "start"), 0);
        assert_eq!(distance("strat", "start"), 1, "neighbours changed places");
        assert_eq!(distance("", "start"), 5);
        let all = ["start", "stop", "autostart", "ls"];
        assert_eq!(names("strat", all.into_iter()), ["start"]);
        assert_eq!(names("stpo", all.into_iter()), ["stop"]);
        assert_eq!(names("x", all.into_iter()), Vec::<&str>::new());
        assert_eq!(names(&"s".repeat(40), all.into_iter()), Vec::<&str>::new());
    }
}
