//! `sidenote plugin wit`: the interface that this program was built with, for the bindings generators of any language.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use sidenote_terminal::output;

use crate::new::INTERFACE;

/// What `plugin wit` takes.
#[derive(Debug, Args)]
pub struct WitArgs {
    /// Write one file per interface into this folder, for a generator's --wit; default: one
    /// document on stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the interface.
pub(super) fn wit(args: &WitArgs) -> anyhow::Result<()> {
    let Some(folder) = &args.out else { return output::data(document()?.trim_end()) };
    written(folder)?;
    output::say(&format!(
        "written: {} files of the interface in {}; the worlds are in worlds.wit",
        INTERFACE.len(),
        folder.display()
    ));
    Ok(())
}

/// Everything as one document, which names its package once.
fn document() -> anyhow::Result<String> {
    let (mut heads, mut names, mut rests) = (Vec::new(), Vec::new(), Vec::new());
    for file in INTERFACE {
        let (head, name, rest) = parts(file.text)
            .with_context(|| format!("{} names no package: this build is broken", file.path))?;
        heads.push(head);
        names.push(name);
        rests.push(rest);
    }
    names.dedup();
    let [name] = &*names else {
        bail!("the interface is of several packages: this build is broken")
    };
    rests.retain(|rest| !rest.is_empty());
    Ok(format!("{}{name}\n\n{}", heads.concat(), rests.join("\n")))
}

/// What stands before the line with the package's name, that line, and the rest.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let at = if text.starts_with("package ") { 0 } else { text.find("\npackage ")? + 1 };
    let (head, rest) = text.split_at(at);
    let (name, rest) = rest.split_once('\n')?;
    Some((head, name, rest.trim_start_matches('\n')))
}

fn written(folder: &Path) -> anyhow::Result<()> {
    let failed =
        || format!("{} can't be written to; name another folder with --out", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    for file in INTERFACE {
        let name = file.path.strip_prefix("wit/").unwrap_or(file.path);
        std::fs::write(folder.join(name), file.text).with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    #[test]
    fn the_document_and_the_files_are_the_same_package() {
        let folder = tempfile::tempdir().unwrap();
        let mut of_document = Resolve::default();
        let package = of_document.push_str("plugin.wit", &document().unwrap()).unwrap();
        written(folder.path()).unwrap();
        let mut of_files = Resolve::default();
        let (other, _) = of_files.push_path(folder.path()).unwrap();
        let named = |resolve: &Resolve, package| {
            let package = &resolve.packages[package];
            let interfaces: Vec<_> = package.interfaces.keys().cloned().collect();
            let worlds: Vec<_> = package.worlds.keys().cloned().collect();
            (package.name.to_string(), sorted(interfaces), sorted(worlds))
        };
        let told = named(&of_document, package);
        assert_eq!(told, named(&of_files, other));
        assert!(
            told.1.contains(&"writer".to_owned()) && told.2.contains(&"writer-plugin".to_owned())
        );
    }

    #[test]
    fn the_world_of_the_book_fits_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path()).unwrap();
        let own = include_str!("../../../docs/snippets/own-world.wit");
        std::fs::write(folder.path().join("own.wit"), own).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(folder.path()).unwrap();
        resolve.select_world(&[package], Some("finding-writer")).unwrap();
    }

    fn sorted(mut names: Vec<String>) -> Vec<String> {
        names.sort();
        names
    }
}
