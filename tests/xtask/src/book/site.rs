//! The book as it was made: every page is there, every link leads somewhere, nothing is left to be included, and it can
//! be searched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages;

/// What a page links to and can be linked to.
struct Html {
    ids: BTreeSet<String>,
    links: Vec<String>,
}

/// How many links were followed, or all that is wrong.
pub(super) fn check(folder: &Path, chapters: &[PathBuf]) -> Result<usize, String> {
    let mut site = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in pages::files(folder, "html")? {
        let text = pages::read(&file)?;
        if text.contains("{{#") {
            wrong.push(format!("{}: something is left to be included", file.display()));
        }
        site.insert(file, html(&text));
    }
    let missing = chapters.iter().map(|it| folder.join(it).with_extension("html"));
    wrong.extend(
        missing.filter(|it| !site.contains_key(it)).map(|it| format!("no {}", it.display())),
    );
    if !is_searched(folder)? {
        wrong.push("no index for the search that has the pages".to_owned());
    }
    let mut followed = 0;
    for (file, page) in &site {
        for link in &page.links {
            if let Err(why) = follow(file, link, &site) {
                wrong.push(format!("{}: {link}: {why}", file.display()));
            }
            followed += 1;
        }
    }
    if wrong.is_empty() { Ok(followed) } else { Err(wrong.join("\n")) }
}

fn follow(file: &Path, link: &str, site: &BTreeMap<PathBuf, Html>) -> Result<(), &'static str> {
    if link.contains("://") || link.starts_with("data:") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    if path.starts_with('/') || path.ends_with(".md") {
        return Err("it leads out of the book");
    }
    let target = if path.is_empty() { file.to_owned() } else { pages::led(file, path) };
    match site.get(&target) {
        Some(page) if anchor.is_empty() || page.ids.contains(anchor) => Ok(()),
        Some(_) => Err("no such anchor"),
        None if target.is_file() && anchor.is_empty() => Ok(()),
        None => Err("nothing is there"),
    }
}

/// Whether there is an index that names pages of the book.
fn is_searched(folder: &Path) -> Result<bool, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut index = entries.flatten().map(|it| it.path()).filter(|path| {
        path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("searchindex"))
    });
    Ok(index.any(|it| pages::read(&it).is_ok_and(|text| text.contains("operators/errors.html"))))
}

/// The attributes of a page's tags. mdBook writes each of them in double quotes; scripts are passed over.
fn html(text: &str) -> Html {
    let mut page = Html { ids: BTreeSet::new(), links: Vec::new() };
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('<') {
        if let Some(comment) = behind.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, behind)| behind);
            continue;
        }
        let (tag, behind) = behind.split_once('>').unwrap_or((behind, ""));
        page.ids.extend(attribute(tag, "id"));
        page.links.extend(["href", "src"].into_iter().filter_map(|name| attribute(tag, name)));
        let script = tag.split_whitespace().next() == Some("script");
        rest = if script { behind.split_once("</script").map_or("", |it| it.1) } else { behind };
    }
    page
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, behind) = tag.split_once(&format!(" {name}=\""))?;
    let value = behind.split_once('"')?.0;
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(of: &[(&str, &str)]) -> BTreeMap<PathBuf, Html> {
        of.iter().map(|(name, text)| (PathBuf::from(name), html(text))).collect()
    }

    #[test]
    fn tags_are_read_and_scripts_and_comments_are_not() {
        let page = html(
            "<!-- <a href=\"x\"> --><h1 id=\"a\"><a class=\"b\" href=\"b.html#c\">d</a></h1>\
             <script src=\"e.js\">\"<a href='f' href=\\\"g\\\">\"</script><img src=\"h.svg\">",
        );
        assert_eq!(page.links, ["b.html#c", "e.js", "h.svg"]);
        assert!(page.ids.contains("a") && page.ids.len() == 1);
    }

    #[test]
    fn a_link_leads_to_a_page_and_to_an_anchor_of_it() {
        let site = site(&[("/b/x/a.html", "<h1 id=\"one\">"), ("/b/c.html", "<h2 id=\"two\">")]);
        let from = Path::new("/b/x/a.html");
        for right in ["#one", "../c.html", "../c.html#two", "https://example.com/#z"] {
            assert_eq!(follow(from, right, &site), Ok(()), "{right}");
        }
        for wrong in ["#two", "../c.html#one", "c.html", "/c.html", "../c.md", "../d.json"] {
            assert!(follow(from, wrong, &site).is_err(), "{wrong}");
        }
    }
}
