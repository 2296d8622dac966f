//! The files that the host starts from.

use sidenote_terminal::output::escaped;

use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Fix};

/// Bits of a mode with which others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Whether the configuration can be used.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(config) = &facts.config else {
        let next = "`sidenote check` shows all that is wrong, with lines";
        return facts.problems.iter().map(|it| Finding::error("", escaped(it), next)).collect();
    };
    let others = config.warnings.iter().filter(|warning| warning.exposed.is_none());
    let warned = others.map(|it| {
        Finding::warning(format!("[{}]", it.section), escaped(&it.message), "see to that table")
    });
    let told = format!(
        "{} streams, {} products, {} plugins",
        config.streams.len(),
        config.products.len(),
        config.plugins.len()
    );
    std::iter::once(Finding::ok("", told)).chain(warned).collect()
}

/// Whether others can read secrets.
pub(super) fn secret_files(facts: &Facts) -> Vec<Finding> {
    let Some(config) = &facts.config else { return Vec::new() };
    let exposed = config.warnings.iter().filter_map(|warning| warning.exposed.as_ref());
    let found: Vec<_> = exposed
        .map(|path| {
            Finding::error(path.display().to_string(), "others can read or change this secret", "")
                .with_fix(Fix::Chmod { path: path.clone(), mode: 0o600 })
        })
        .collect();
    match found.is_empty() {
        true => vec![Finding::ok("", "no secret's file can be read by others")],
        false => found,
    }
}

/// Whether the folders are there, and nobody else writes into them: what is in them is run.
pub(super) fn folders(facts: &Facts) -> Vec<Finding> {
    let judged = facts.folders.iter().map(|folder| {
        let (path, wanted) = (folder.path.clone(), folder.wanted);
        let subject = format!("{} {}", folder.what, path.display());
        match folder.mode {
            None => Finding::warning(subject, "it isn't there", "")
                .with_fix(Fix::MakeFolder { path, mode: wanted }),
            Some(mode) if mode & OTHERS_WRITE != 0 => {
                let found = format!("others can write into it (mode {:o})", mode & 0o777);
                Finding::error(subject, found, "")
                    .with_fix(Fix::Chmod { path, mode: mode & 0o777 & !OTHERS_WRITE })
            }
            Some(mode) => Finding::ok(subject, format!("mode {:o}", mode & 0o777)),
        }
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::Folder;
    use crate::doctor::finding::Mark;

    #[test]
    fn a_configuration_that_cannot_be_used_is_an_error_for_each_problem() {
        let facts = Facts { problems: vec!["a".into(), "b".into()], ..Facts::default() };
        let found = judge(&facts);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|it| it.result == Mark::Error));
        assert!(secret_files(&facts).is_empty());
    }

    #[test]
    fn folders_are_made_and_closed_to_others() {
        let folder = |mode| Folder { what: "cache", path: "/c".into(), mode, wanted: 0o700 };
        let folders = vec![folder(None), folder(Some(0o40775)), folder(Some(0o40755))];
        let found = super::folders(&Facts { folders, ..Facts::default() });
        let marks: Vec<_> = found.iter().map(|it| it.result).collect();
        assert_eq!(marks, [Mark::Warning, Mark::Error, Mark::Ok]);
        let fixes: Vec<_> = found.iter().filter_map(|it| it.fix.as_ref()).map(Fix::shown).collect();
        assert_eq!(fixes, ["mkdir -p -m 700 /c", "chmod 755 /c"]);
    }
}
