//! What mdBook is given: the pages with those that the summary names from elsewhere in the repository, in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages::{self, PAGES, Shown};

/// Files of the repository that the book has, and where it has them.
struct Source {
    root: PathBuf,
    chapters: BTreeMap<PathBuf, PathBuf>,
}

/// Makes the folder anew, and returns the chapters as the book has them.
pub(super) fn prepare(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let summary = root.join(PAGES).join("SUMMARY.md");
    let text = pages::read(&summary)?;
    let mut source = Source { root: root.to_owned(), chapters: BTreeMap::new() };
    for link in links(&text) {
        let file = pages::led(&summary, &link);
        source.chapters.insert(file.clone(), source.place(&file)?);
    }
    let src = folder.join("src");
    for (file, place) in &source.chapters {
        write(&src.join(place), source.page(file, &src)?.as_bytes())?;
    }
    write(&src.join("SUMMARY.md"), source.page(&summary, &src)?.as_bytes())?;
    let settings = pages::read(&root.join("docs/book.toml"))?;
    write(&folder.join("book.toml"), settings.as_bytes())?;
    Ok(source.chapters.into_values().collect())
}

impl Source {
    /// Where the book has a file: what is below `docs` at its top, all else below `repository`.
    fn place(&self, file: &Path) -> Result<PathBuf, String> {
        let within = file.strip_prefix(&self.root);
        let within = within.map_err(|_| format!("{} isn't in the repository", file.display()))?;
        let top = within.strip_prefix(PAGES).or_else(|_| within.strip_prefix("docs"));
        Ok(top.map_or_else(|_| Path::new("repository").join(within), Path::to_owned))
    }

    /// The chapter that a link to a file or a folder is about: the page itself, a folder's first page, or what the book
    /// says of the folder. The summary is the first chapter: the book shows it beside every page.
    fn chapter(&self, target: &Path) -> Option<&PathBuf> {
        let pages = self.root.join(PAGES);
        if target == pages.join("SUMMARY.md") {
            return self.chapters.get(&pages.join("introduction.md"));
        }
        let within = target.strip_prefix(&self.root).unwrap_or(target);
        let about = pages.join(within);
        let places = [
            target.to_owned(),
            target.join("index.md"),
            target.join("README.md"),
            about.with_extension("md"),
            about.join("index.md"),
        ];
        places.iter().find_map(|place| self.chapters.get(place))
    }

    /// A page whose links lead to where the book has things. Files that it doesn't have are copied. Of folders and pages
    /// that it doesn't have it says the path: they are for who has the repository.
    fn page(&self, file: &Path, src: &Path) -> Result<String, String> {
        let own = match file.ends_with("SUMMARY.md") {
            true => PathBuf::from("SUMMARY.md"),
            false => self.place(file)?,
        };
        let mut failed = None;
        let text = pages::with_links(&pages::read(file)?, |link| {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = pages::led(file, path);
            match self.shown(&target, &own, src) {
                Ok(Shown::Link(to)) if !anchor.is_empty() => Shown::Link(format!("{to}#{anchor}")),
                Ok(shown) => shown,
                Err(why) => {
                    failed = Some(format!("{}: {link}: {why}", file.display()));
                    Shown::Link(link.to_owned())
                }
            }
        });
        failed.map_or(Ok(text), Err)
    }

    /// What a page that stands at `own` shows of a link's target.
    fn shown(&self, target: &Path, own: &Path, src: &Path) -> Result<Shown, String> {
        let is_page = target.extension().is_some_and(|it| it == "md");
        if let Some(chapter) = self.chapter(target) {
            return Ok(Shown::Link(pages::link(own, chapter)));
        }
        let place = self.place(target)?;
        if target.is_dir() || is_page {
            let within = target.strip_prefix(&self.root).unwrap_or(target);
            return Ok(Shown::Path(within.display().to_string()));
        }
        let bytes = fs::read(target).map_err(|error| error.to_string())?;
        write(&src.join(&place), &bytes)?;
        Ok(Shown::Link(pages::link(own, &place)))
    }
}

/// Where a page's links lead, without those that leave the repository.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    pages::with_links(text, |link| {
        links.push(link.to_owned());
        Shown::Link(link.to_owned())
    });
    links
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(file)).map_err(failed)?;
    fs::write(file, bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_folder_leads_to_its_page_or_says_its_path() {
        let root = crate::root();
        let mut source = Source { root: root.clone(), chapters: BTreeMap::new() };
        for (file, place) in [
            ("docs/src/introduction.md", "introduction.md"),
            ("docs/src/plugins/slack.md", "plugins/slack.md"),
            ("docs/src/wit/index.md", "wit/index.md"),
            ("docs/decisions/index.md", "decisions/index.md"),
        ] {
            source.chapters.insert(root.join(file), place.into());
        }
        let shown = |target: &str| {
            let shown = source.shown(&root.join(target), Path::new("a/b.md"), Path::new("/none"));
            match shown.expect("the target can be shown") {
                Shown::Link(link) => format!("link {link}"),
                Shown::Path(path) => format!("path {path}"),
            }
        };
        assert_eq!(shown("plugins/slack"), "link ../plugins/slack.md");
        assert_eq!(shown("wit"), "link ../wit/index.md");
        assert_eq!(shown("docs/decisions"), "link ../decisions/index.md");
        assert_eq!(shown("docs/src/SUMMARY.md"), "link ../introduction.md");
        assert_eq!(shown("examples/zig-writer"), "path examples/zig-writer");
        assert_eq!(shown("examples/README.md"), "path examples/README.md");
    }
}
