//! Whether the plugins can do what they are for: their files, held against their tables.

use sidenote_terminal::output::escaped;

use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

/// Judges each plugin.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let one = |(name, said): (&String, &Vec<(bool, String)>)| {
        let next = "the message has the remedy; `sidenote check` shows it with the TOML to paste";
        let told: Vec<_> = said
            .iter()
            .map(|(problem, text)| {
                let (subject, text) = (format!("plugin {name}"), escaped(first_line(text)));
                match problem {
                    true => Finding::error(subject, text, next),
                    false => Finding::warning(subject, text, next),
                }
            })
            .collect();
        match told.is_empty() {
            true => vec![Finding::ok(
                format!("plugin {name}"),
                "its file is there, and it is given what it asks for",
            )],
            false => told,
        }
    };
    facts.plugins.iter().flat_map(one).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Mark;

    #[test]
    fn a_plugin_is_as_good_as_what_was_found_of_it() {
        let said =
            |said: &[(bool, &str)]| said.iter().map(|(bad, it)| (*bad, it.to_string())).collect();
        let plugins = [
            ("a".to_owned(), said(&[])),
            (
                "b".to_owned(),
                said(&[(true, "no secret is set, so every webhook is refused:\n[t]")]),
            ),
            ("c".to_owned(), said(&[(false, "odd")])),
        ];
        let found = judge(&Facts { plugins: plugins.into(), ..Facts::default() });
        let marks: Vec<_> = found.iter().map(|it| it.result).collect();
        assert_eq!(marks, [Mark::Ok, Mark::Error, Mark::Warning]);
        assert!(!found[1].found.contains("[t]"));
    }
}
