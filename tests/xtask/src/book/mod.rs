//! `cargo xtask book`: the book as a site with its search, in `target/book/html`. Every link of it is followed.

mod site;
mod source;

use std::path::Path;
use std::process::Command;

/// Builds the book, and checks what was made.
pub(crate) fn build(root: &Path) -> Result<(), String> {
    let mdbook = crate::tools::mdbook()?;
    let folder = root.join("target/book");
    let chapters = source::prepare(root, &folder)?;
    crate::run(Command::new(mdbook).arg("build").arg(&folder))?;
    let html = folder.join("html");
    let links = site::check(&html, &chapters)?;
    let (pages, place) = (chapters.len(), html.display());
    crate::say(&format!("{place}: {pages} pages, {links} links, all of which lead somewhere"));
    Ok(())
}
