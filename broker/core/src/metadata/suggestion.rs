//! "Did you mean": the known name that is nearest to an unknown one.

/// The nearest of the candidates, if one is near enough to be meant: few slips of the keyboard away, or the same name
/// behind a prefix such as `log.`.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips_max = (name.len() / 4).clamp(1, 4);
    let distance = |candidate: &str| {
        let longer = candidate.len() > name.len();
        if longer && candidate.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('.')) {
            return 1;
        }
        slips(name, candidate)
    };
    candidates
        .map(|candidate| (distance(candidate), candidate.len(), candidate))
        .filter(|(distance, _, _)| *distance <= slips_max)
        .min()
        .map(|(_, _, candidate)| candidate)
}

/// Insertions, removals, replacements and swaps of neighbours between two texts (optimal string alignment).
fn slips(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests;
