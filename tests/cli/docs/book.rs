//! Pages, and what stands in them.

use std::path::{Component, Path, PathBuf};

/// The workspace's folder.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' folder is in it").to_owned()
}

/// The folder of the pages.
pub(super) fn src() -> PathBuf {
    root().join("docs/src")
}

/// Every page, the summary and the decision records too.
pub(super) fn pages() -> Vec<Page> {
    let mut files = Vec::new();
    let mut folders = vec![src(), root().join("docs/decisions")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the book's folders can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    let pages: Vec<_> = files.into_iter().map(Page::read).collect();
    assert!(pages.len() > 20, "the book has {} pages", pages.len());
    pages
}

/// A page, as it is written.
pub(super) struct Page {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A fenced block.
pub(super) struct Block<'a> {
    pub(super) language: &'a str,
    pub(super) lines: Vec<&'a str>,
}

/// Where an include leads, and what the page shows of it.
#[derive(Debug, PartialEq)]
pub(super) struct Include {
    pub(super) file: PathBuf,
    pub(super) anchor: Option<String>,
    pub(super) shown: String,
}

impl Page {
    pub(super) fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    /// Its name for a message.
    pub(super) fn name(&self) -> String {
        self.path.strip_prefix(root()).expect("it is in the workspace").display().to_string()
    }

    /// The fenced blocks, and the lines outside of them.
    pub(super) fn parts(&self) -> (Vec<Block<'_>>, Vec<&str>) {
        let (mut blocks, mut lines, mut open) = (Vec::new(), Vec::new(), None::<Block<'_>>);
        for line in self.text.lines() {
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(language)) => open = Some(Block { language, lines: Vec::new() }),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.lines.push(line),
                (None, None) => lines.push(line),
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name());
        (blocks, lines)
    }

    /// What it includes, with what stands in its place. `cargo xtask docs` writes that, and a test of `xtask` holds
    /// it fresh.
    pub(super) fn includes(&self) -> Vec<Include> {
        let (mut includes, mut open) = (Vec::new(), None::<Include>);
        for line in self.text.lines() {
            let begins = line.strip_prefix("<!-- include ").and_then(|it| it.strip_suffix(" -->"));
            match (begins, &mut open) {
                (Some(of), None) => {
                    let (file, anchor) =
                        of.split_once(':').map_or((of, None), |(a, b)| (a, Some(b)));
                    let (file, anchor) = (self.path_of(file), anchor.map(str::to_owned));
                    open = Some(Include { file, anchor, shown: String::new() });
                }
                (Some(of), Some(_)) => panic!("{}: {of} begins in another include", self.name()),
                (None, Some(_)) if line == "<!-- end -->" => includes.extend(open.take()),
                (None, Some(include)) => {
                    include.shown.push_str(line);
                    include.shown.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: an include has no end", self.name());
        includes
    }

    /// The page without what it includes.
    pub(super) fn own(&self) -> Self {
        let includes = self.includes().into_iter();
        let text = includes.fold(self.text.clone(), |text, it| text.replacen(&it.shown, "", 1));
        Self { path: self.path.clone(), text }
    }

    /// The path of a relative link of this page.
    pub(super) fn path_of(&self, link: &str) -> PathBuf {
        let mut path = self.path.parent().expect("a page is in a folder").to_owned();
        for part in Path::new(link).components() {
            match part {
                Component::ParentDir => assert!(path.pop(), "{}: {link}", self.name()),
                Component::Normal(name) => path.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        path
    }

    /// The ids of its headings, as mdBook makes them.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut ids = Vec::<String>::new();
        for line in self.parts().1 {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let title = title.trim().to_lowercase();
            let id = title.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            let id = id.collect::<String>();
            let before = ids.iter().filter(|it| **it == id).count();
            ids.push(if before == 0 { id } else { format!("{id}-{before}") });
        }
        ids
    }

    /// The targets of its links.
    pub(super) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.parts().1 {
            let mut rest = line;
            while let Some(place) = rest.find("](") {
                rest = &rest[place + 2..];
                let end = rest.find(')').unwrap_or_else(|| panic!("{}: {line}", self.name()));
                links.push(rest[..end].to_owned());
            }
        }
        links
    }

    /// What stands in backticks in its text.
    pub(super) fn code_spans(&self) -> Vec<String> {
        let text = self.parts().1.join("\n");
        text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
    }
}

#[test]
fn pages_are_read_as_the_book_shows_them() {
    let text = "# A `b` c!\n\n[x](y.md#z) and `sidenote\nrun`\n\n<!-- include ../a.toml:p -->\n\n```toml\na = 1\n```\n\n<!-- end -->\n## A b c\n";
    let page = Page { path: root().join("docs/src/x/page.md"), text: text.to_owned() };
    assert_eq!(page.ids(), ["a-b-c", "a-b-c-1"]);
    assert_eq!(page.links(), ["y.md#z"]);
    assert_eq!(page.code_spans(), ["b", "sidenote run"]);
    let (blocks, _) = page.parts();
    assert_eq!((blocks.len(), blocks[0].language), (1, "toml"));
    let shown = "\n```toml\na = 1\n```\n\n".to_owned();
    let file = root().join("docs/src/a.toml");
    assert_eq!(page.includes(), [Include { file, anchor: Some("p".to_owned()), shown }]);
    assert!(page.own().parts().0.is_empty());
}
