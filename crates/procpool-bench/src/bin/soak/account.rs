//! Marks beside outcomes: what began, and what callers were told.

use std::collections::BTreeMap;

use crate::tally::Outcome;

/// Tasks of which nothing is known but that they have no mark of their own.
pub(crate) const UNMARKED: u64 = u64::MAX;

/// What cannot be, in words.
pub(crate) fn compare(marks: &[u64], outcomes: &[(u64, Outcome)]) -> Vec<String> {
    let mut begun: BTreeMap<u64, u64> = BTreeMap::new();
    marks.iter().for_each(|number| *begun.entry(*number).or_default() += 1);
    let mut wrong = Vec::new();
    for (number, outcome) in outcomes.iter().filter(|(number, _)| *number != UNMARKED) {
        let times = begun.remove(number).unwrap_or(0);
        let fits = match outcome {
            Outcome::Value => times == 1,
            Outcome::NotBegun => times == 0,
            Outcome::Failed | Outcome::Unknown | Outcome::Dropped => times <= 1,
        };
        if !fits {
            wrong.push(format!("task {number:x} began {times} times, and its caller was told: {outcome:?}"));
        }
    }
    wrong.extend(begun.keys().map(|number| format!("task {number:x} began, and nobody was told what came of it")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_not_told() {
        let outcomes = [
            (1, Outcome::Value),
            (2, Outcome::NotBegun),
            (3, Outcome::Failed),
            (4, Outcome::Failed),
            (5, Outcome::Dropped),
            (UNMARKED, Outcome::Value),
        ];
        assert_eq!(compare(&[1, 3], &outcomes), [""; 0]);
    }

    #[test]
    fn what_cannot_be_is_told() {
        assert!(compare(&[1, 1], &[(1, Outcome::Value)])[0].contains("began 2 times"));
        assert!(compare(&[], &[(1, Outcome::Value)])[0].contains("began 0 times"));
        assert!(compare(&[2], &[(2, Outcome::NotBegun)])[0].contains("NotBegun"));
        assert!(compare(&[3, 3], &[(3, Outcome::Dropped)])[0].contains("Dropped"));
        assert!(compare(&[4], &[])[0].contains("nobody was told"));
        // The same number twice, with one mark.
        assert_eq!(compare(&[5], &[(5, Outcome::Value), (5, Outcome::Value)]).len(), 1);
    }
}
