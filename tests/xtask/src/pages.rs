//! What pages of the book show of other files: it stands in the page itself, so that the page can be read where it lies.
//!
//! ```text
//! <!-- include ../../snippets/redis.toml:store -->
//! …
//! <!-- end -->
//! ```
//!
//! What is between the two lines is written by `cargo xtask docs`: the file, or its part between `ANCHOR: store` and
//! `ANCHOR_END: store`. Markdown is taken over as it is, with its links led to where they led; all else is a fenced block.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where the pages are, from the workspace's folder.
pub(crate) const PAGES: &str = "docs/src";

const BEGIN: &str = "<!-- include ";
const END: &str = "<!-- end -->";

/// Writes what has changed of what the pages include.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let mut written = 0;
    for page in files(&root.join(PAGES), "md")? {
        let there = read(&page)?;
        let fresh = filled(&page, &there)?;
        if fresh != there {
            fs::write(&page, fresh).map_err(|error| format!("{}: {error}", page.display()))?;
            written += 1;
        }
    }
    crate::say(&format!("{PAGES}: {written} pages include something else than they did"));
    Ok(())
}

/// Every file below a folder that ends so, in order.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed = |error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A page with everything in place that it includes.
fn filled(page: &Path, text: &str) -> Result<String, String> {
    let (mut filled, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(of) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        if !lines.any(|line| line == END) {
            return Err(format!("{}: include {of} has no `{END}`", page.display()));
        }
        filled.push_str(&included(page, of)?);
        filled.push_str(END);
        filled.push('\n');
    }
    Ok(filled)
}

/// What stands between the two lines.
fn included(page: &Path, of: &str) -> Result<String, String> {
    let (file, anchor) = of.split_once(':').map_or((of, None), |(file, part)| (file, Some(part)));
    let file = led(page, file);
    let content = part(&read(&file)?, anchor)
        .map_err(|why| format!("{}: include {of}: {why}", page.display()))?;
    let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let language = match extension {
        "md" => return Ok(format!("\n{}\n", relinked(&content, &file, page))),
        "rs" => "rust,ignore",
        "jsonl" => "json",
        "mjs" => "js",
        "py" => "python",
        "yml" => "yaml",
        "service" => "ini",
        // A transcript.
        "txt" => "console",
        // The container file.
        "" => "dockerfile",
        other => other,
    };
    Ok(format!("\n```{language}\n{content}```\n\n"))
}

/// The whole text, or the part between the anchor's two lines. Lines of other anchors are left out.
fn part(text: &str, anchor: Option<&str>) -> Result<String, String> {
    let is = |line: &str, word: &str| {
        line.split_once(word)
            .is_some_and(|(_, rest)| Some(rest.trim().trim_end_matches("-->").trim()) == anchor)
    };
    let mut inside = anchor.is_none();
    let (mut begun, mut ended, mut part) = (inside, inside, String::new());
    for line in text.lines() {
        if line.contains("ANCHOR_END:") {
            if is(line, "ANCHOR_END:") {
                (inside, ended) = (false, true);
            }
        } else if line.contains("ANCHOR:") {
            if is(line, "ANCHOR:") {
                (inside, begun) = (true, true);
            }
        } else if inside {
            part.push_str(line);
            part.push('\n');
        }
    }
    match begun && ended && !part.trim().is_empty() {
        true => Ok(part),
        false => Err("it has nothing between its two anchors".to_owned()),
    }
}

/// Where a relative link of a file leads.
pub(crate) fn led(from: &Path, link: &str) -> PathBuf {
    let mut path = from.parent().unwrap_or(from).to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

/// The link from one file to another.
pub(crate) fn link(from: &Path, to: &Path) -> String {
    let folder: Vec<_> = from.parent().unwrap_or(from).components().collect();
    let target: Vec<_> = to.components().collect();
    let same = folder.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let up = folder[same..].iter().map(|_| "..".to_owned());
    let down = target[same..].iter().map(|it| it.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// What stands in the place of a relative link.
pub(crate) enum Shown {
    /// The link's words, leading here.
    Link(String),
    /// The path, for what can't be led to.
    Path(String),
}

/// Markdown with each relative link outside of blocks replaced.
pub(crate) fn with_links(text: &str, mut replaced: impl FnMut(&str) -> Shown) -> String {
    let (mut relinked, mut block) = (String::new(), false);
    for line in text.lines() {
        block ^= line.trim_start().starts_with("```");
        let mut rest = line;
        while let Some((before, behind)) = rest.split_once("](").filter(|_| !block) {
            let (link, behind) = behind.split_once(')').unwrap_or((behind, ""));
            let outside = link.starts_with('#') || link.contains("://");
            let link = if outside { Shown::Link(link.to_owned()) } else { replaced(link) };
            let (ahead, words) = before.rsplit_once('[').unwrap_or((before, ""));
            relinked.push_str(&match link {
                Shown::Link(link) => format!("{before}]({link})"),
                Shown::Path(path) => format!("{ahead}{}", with_path(words, &path)),
            });
            rest = behind;
        }
        relinked.push_str(rest);
        relinked.push('\n');
    }
    relinked
}

/// The words of a link that can't be led to, with the path in code; the path alone where the words are a part of it.
fn with_path(words: &str, path: &str) -> String {
    let bare = words.trim_matches('`').trim_end_matches('/');
    match path.starts_with(bare) || path.ends_with(bare) {
        true => format!("`{path}`"),
        false => format!("{words} (`{path}`)"),
    }
}

fn relinked(text: &str, file: &Path, page: &Path) -> String {
    with_links(text, |it| {
        let (path, anchor) = it.split_once('#').map_or((it, None), |(path, it)| (path, Some(it)));
        let anchor = anchor.map(|it| format!("#{it}")).unwrap_or_default();
        Shown::Link(link(page, &led(file, path)) + &anchor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_what_they_include() {
        let pages = files(&crate::root().join(PAGES), "md").expect("the pages can be listed");
        let mut includes = 0;
        for page in pages {
            let there = read(&page).expect("a page can be read");
            includes += there.matches(BEGIN).count();
            let fresh = filled(&page, &there).expect("what it includes is there");
            assert!(fresh == there, "{} isn't fresh: run `cargo xtask docs`", page.display());
            assert!(
                !there.contains("{{#"),
                "{}: write `{BEGIN}FILE:ANCHOR -->` and `{END}`, and run `cargo xtask docs`",
                page.display()
            );
        }
        assert!(includes > 100, "{includes} includes");
    }

    #[test]
    fn a_part_is_what_its_anchors_hold() {
        let text = "a\n# ANCHOR: x\nb\n# ANCHOR: y\nc\n# ANCHOR_END: x\nd\n";
        assert_eq!(part(text, Some("x")).as_deref(), Ok("b\nc\n"));
        assert_eq!(part(text, None).as_deref(), Ok("a\nb\nc\nd\n"));
        assert!(part(text, Some("y")).is_err() && part(text, Some("z")).is_err());
    }

    #[test]
    fn links_lead_from_the_page_to_where_they_led_from_the_file() {
        let (file, page) = (Path::new("/w/plugins/a/README.md"), Path::new("/w/docs/src/p/a.md"));
        let text = "[a](schema/x.json) [b](#here) [c](https://example.com)\n```\n[d](e)\n```\n[f](../../README.md#g)\n";
        let wanted = "[a](../../../plugins/a/schema/x.json) [b](#here) [c](https://example.com)\n```\n[d](e)\n```\n\
                      [f](../../../README.md#g)\n";
        assert_eq!(relinked(text, file, page), wanted);
    }

    #[test]
    fn a_link_without_a_target_says_the_path() {
        let shown = |link: &str| match link {
            "c" => Shown::Link("x".to_owned()),
            other => Shown::Path(other.to_owned()),
        };
        assert_eq!(
            with_links("a [b](c), [`d`](e/d), [the crate `f`](g), [`h/`](h)\n", shown),
            "a [b](x), `e/d`, the crate `f` (`g`), `h`\n"
        );
    }

    #[test]
    fn an_include_without_an_end_swallows_nothing() {
        let page = crate::root().join(PAGES).join("page.md");
        let refused = filled(&page, "<!-- include ../book.toml -->\ntext\n");
        assert!(refused.is_err_and(|why| why.contains("no `<!-- end -->`")));
    }
}
