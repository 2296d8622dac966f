//! What mdBook is given: the pages with those that the summary names from elsewhere in the repository, in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages::{self, PAGES};

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

    /// A page whose links lead to where the book has things. Files that it doesn't have are copied; folders and other
    /// pages are for who has the repository, and no links here.
    fn page(&self, file: &Path, src: &Path) -> Result<String, String> {
        let own = match file.ends_with("SUMMARY.md") {
            true => PathBuf::from("SUMMARY.md"),
            false => self.place(file)?,
        };
        let mut failed = None;
        let text = pages::with_links(&pages::read(file)?, |link| {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = pages::led(file, path);
            let is_page = target.extension().is_some_and(|it| it == "md");
            if target.is_dir() || is_page && !self.chapters.contains_key(&target) {
                return None;
            }
            let place = self.place(&target).and_then(|place| {
                if !is_page {
                    let bytes = fs::read(&target).map_err(|error| format!("{link}: {error}"))?;
                    write(&src.join(&place), &bytes)?;
                }
                Ok(place)
            });
            match place {
                Ok(place) => {
                    let anchor = if anchor.is_empty() { "" } else { &format!("#{anchor}") };
                    Some(pages::link(&own, &place) + anchor)
                }
                Err(why) => {
                    failed = Some(format!("{}: {why}", file.display()));
                    None
                }
            }
        });
        failed.map_or(Ok(text), Err)
    }
}

/// Where a page's links lead, without those that leave the repository.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    pages::with_links(text, |link| {
        links.push(link.to_owned());
        None
    });
    links
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(file)).map_err(failed)?;
    fs::write(file, bytes).map_err(failed)
}
