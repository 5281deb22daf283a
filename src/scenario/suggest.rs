//! "Did you mean": the known name that is nearest to a mistyped one.

/// The candidate nearest to `name` by edit distance, when it is near enough to be meant:
/// at most a third of the letters differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = distance(&plain(name), &plain(candidate));
        let allowed = candidate.chars().count().max(3) / 3;
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `unknown THING `name`; did you mean `nearest`?`, or the list of what there is.
pub(crate) fn unknown(thing: &str, name: &str, candidates: &[&str]) -> (String, String) {
    let message = format!("unknown {thing} `{}`", shorten(name));
    let help = match nearest(name, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("there is no {thing} here"),
        None => format!("known are {}", list(candidates)),
    };
    (message, help)
}

/// Names in backquotes, with commas.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What a message shows of a text from a file: its beginning, without control characters.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// Lower case and one kind of dash, so that `Write_Through` is near `write-through`; cut
/// off, so that a long text costs nothing.
fn plain(name: &str) -> Vec<char> {
    let dashes = |c| if c == '_' || c == ' ' { '-' } else { c };
    name.chars().take(64).flat_map(char::to_lowercase).map(dashes).collect()
}

/// Edits between two words: insert, remove, replace, or swap two neighbours (the optimal
/// string alignment distance).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = ["write-through", "write-behind", "read-through", "cache-aside", "no-cache"];
        for (typed, meant) in [
            ("write-trough", Some("write-through")),
            ("Write_Through", Some("write-through")),
            ("raed-through", Some("read-through")),
            ("cacheaside", Some("cache-aside")),
            ("magic", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
