//! What a page is called: its own name; its title without the product's name; the last parts of its path.

use std::collections::VecDeque;

use crate::address::{Address, decoded};
use crate::event::{Event, Kind};
use crate::label::{cut_at, look};
use crate::mask::Masks;

/// Longest name that is told, in characters.
const LONGEST: usize = 60;
/// So many parts of titles are remembered per product.
const REMEMBERED: usize = 64;
/// So many pages' names are remembered per product.
const PAGES: usize = 256;
/// What stands between a page's name and its product's.
const BETWEEN: [&str; 8] = [" – ", " — ", " | ", " · ", " - ", " • ", " :: ", " « "];

/// Parts of titles that were seen, to tell the product's name from the pages'.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Titles {
    /// A part, and a title that it was seen in; whether it was seen in another one too.
    seen: VecDeque<(String, u64, bool)>,
    /// What pages were called when they were viewed, by their address with the ids folded.
    pages: VecDeque<(String, String)>,
}

impl Titles {
    /// Remembers the parts of a title.
    fn learn(&mut self, parts: &[&str], title: u64) {
        for part in parts {
            if let Some(known) = self.seen.iter_mut().find(|it| it.0 == *part) {
                known.2 |= known.1 != title;
                continue;
            }
            if self.seen.len() == REMEMBERED {
                let at = self.seen.iter().position(|it| !it.2).unwrap_or(0);
                self.seen.remove(at);
            }
            self.seen.push_back(((*part).to_owned(), title, false));
        }
    }

    /// Remembers what a page is called.
    fn learn_page(&mut self, address: &Address, name: &str) {
        let page = address.canonical(&[]);
        self.pages.retain(|(known, _)| *known != page);
        if self.pages.len() == PAGES {
            self.pages.pop_front();
        }
        self.pages.push_back((page, name.to_owned()));
    }

    /// Whether a name is another page's by its path: then the title is of before, since an address changes before the
    /// title does.
    fn is_of_before(&self, address: &Address, name: &str) -> bool {
        if !address.is_known() || is_last_of(address, name) {
            return false;
        }
        let (page, parts) = (address.canonical(&[]), split(name));
        let is_others = |(other, known): &(String, String)| {
            parts.contains(&&**known) && *other != page && is_last_of(&Address::read(other), known)
        };
        self.pages.iter().any(is_others)
    }

    /// What a page was called.
    fn page(&self, address: &Address) -> Option<&str> {
        let page = address.canonical(&[]);
        self.pages.iter().find(|(known, _)| *known == page).map(|(_, name)| &**name)
    }

    /// Whether a part stands in the titles of several pages.
    fn is_common(&self, part: &str) -> bool {
        self.seen.iter().any(|it| it.0 == part && it.2)
    }
}

/// The name of the page that an event happened on; empty where nothing is known. Masked.
pub(crate) fn name(
    event: &Event,
    address: &Address,
    sites: &[String],
    titles: &mut Titles,
    masks: &Masks,
) -> String {
    let masked = |text: &str| masks.text(&look(text)).into_owned();
    let own = match event.kind {
        Kind::Page | Kind::Screen => masked(&event.name),
        Kind::Custom
        | Kind::Click
        | Kind::Change
        | Kind::Submit
        | Kind::RageClick
        | Kind::DeadClick
        | Kind::Error
        | Kind::Identity => String::new(),
    };
    if !own.is_empty() {
        return cut_at(&own, LONGEST);
    }
    let title = cut_at(&masked(&event.page_title), LONGEST * 3);
    if !title.is_empty() {
        let telling = of_title(&title, &event.heading, address, sites, titles);
        if !telling.is_empty() {
            let telling = cut_at(&telling, LONGEST);
            if !titles.is_of_before(address, &telling) {
                if address.is_known() && event.kind == Kind::Page {
                    titles.learn_page(address, &telling);
                }
                return telling;
            }
        }
    }
    if address.is_known()
        && let Some(known) = titles.page(address)
    {
        return known.to_owned();
    }
    let parts = if address.is_known() { address.last_parts() } else { String::new() };
    cut_at(&masked(&parts), LONGEST)
}

/// The part of a title that is the page's.
fn of_title(
    title: &str,
    heading: &str,
    address: &Address,
    sites: &[String],
    titles: &mut Titles,
) -> String {
    let parts = split(title);
    if let [only] = parts[..] {
        let is_site = sites.iter().any(|site| is_same(site, only));
        return if is_site { String::new() } else { only.to_owned() };
    }
    titles.learn(&parts, hash(title));
    let heading = heading.trim();
    if let Some(page) = parts.iter().find(|part| !heading.is_empty() && is_same(part, heading)) {
        return (*page).to_owned();
    }
    let is_product = |part: &&str| {
        sites.iter().any(|site| is_same(site, part))
            || titles.is_common(part)
            || is_of_host(part, &address.host)
    };
    let left: Vec<&str> = parts.iter().copied().filter(|part| !is_product(part)).collect();
    if !left.is_empty() && left.len() < parts.len() {
        return left.join(" › ");
    }
    let in_path = |part: &&&str| address.parts.iter().any(|it| is_same(&decoded(it), part));
    match parts.iter().find(in_path) {
        Some(page) => (*page).to_owned(),
        None => title.to_owned(),
    }
}

fn split(title: &str) -> Vec<&str> {
    let mut parts = vec![title];
    for between in BETWEEN {
        parts = parts.into_iter().flat_map(|part| part.split(between)).collect();
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.into_iter().map(str::trim).collect()
}

/// Whether the last part of an address's path is a name.
fn is_last_of(address: &Address, name: &str) -> bool {
    let last = address.last_parts();
    is_same(last.rsplit('/').next().unwrap_or_default(), name)
}

/// Whether two names are the same but for capitals, spaces and signs.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (folded(one), folded(other));
    !one.is_empty() && one == other
}

fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a part of a title is in the host's name, as a product's is.
fn is_of_host(part: &str, host: &str) -> bool {
    let part = folded(part);
    let labels = host.split('.');
    part.len() >= 3 && labels.into_iter().any(|label| folded(label) == part)
}

fn hash(text: &str) -> u64 {
    // FNV-1a.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(title: &str, url: &str, titles: &mut Titles) -> String {
        let event = Event { page_title: title.into(), url: url.into(), ..Event::default() };
        name(&event, &Address::read(url), &[], titles, &Masks::default())
    }

    #[test]
    fn the_product_is_told_from_the_page() {
        let titles = &mut Titles::default();
        for (title, url, page) in [
            ("Acme Ledger – Billing", "https://a.example/billing", "Billing"),
            ("Acme Ledger – Einstellungen", "https://a.example/settings", "Einstellungen"),
            ("Acme Ledger – Billing", "https://a.example/x", "Billing"),
            ("Invoices | Nordwind", "https://app.nordwind.example/r", "Invoices"),
            ("Invoices", "https://a.example/x", "Invoices"),
            ("", "https://a.example/w/17/settings/team", "settings/team"),
            ("", "", ""),
        ] {
            assert_eq!(named(title, url, titles), page, "{title} {url}");
        }
    }

    #[test]
    fn what_happens_on_a_page_that_was_viewed_has_its_name() {
        let titles = &mut Titles::default();
        let mut view = |title: &str, url: &str, kind| {
            let event =
                Event { page_title: title.into(), url: url.into(), kind, ..Event::default() };
            name(&event, &Address::read(url), &[], titles, &Masks::default())
        };
        view("Acme – Billing", "https://x.example/billing?a=1", Kind::Page);
        assert_eq!(view("", "https://x.example/billing?b=2", Kind::Click), "Billing");
        // The address has changed, and the title not yet.
        assert_eq!(view("Acme – Billing", "https://x.example/invoices", Kind::Page), "invoices");
        assert_eq!(view("", "https://x.example/invoices", Kind::Click), "invoices");
        assert_eq!(view("Acme – Billing", "https://x.example/team/billing", Kind::Page), "Billing");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let titles = &mut Titles::default();
        for at in 0..1000 {
            named(&format!("Page {at} | Acme"), "https://x.example/", titles);
        }
        assert!(titles.seen.len() <= REMEMBERED);
        assert_eq!(named("Page 1001 | Acme", "https://x.example/", titles), "Page 1001");
    }
}
