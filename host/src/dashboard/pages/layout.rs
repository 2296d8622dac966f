//! What all pages have around them.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::dashboard::assets;
use crate::dashboard::login::{Caller, Scope};
use crate::dashboard::visitor::{FORM_TOKEN, Visitor};

/// The pages that the navigation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Here {
    Overview,
    Sessions,
    Outbox,
    Offers,
    Plugins,
    Audit,
}

impl Here {
    const ALL: [Self; 6] =
        [Self::Overview, Self::Sessions, Self::Outbox, Self::Offers, Self::Plugins, Self::Audit];

    /// Those that somebody is led to.
    fn of(caller: &Caller) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|here| *here != Self::Audit || sees_audit(caller))
    }

    /// Its address, its name, and the letter that leads to it after `g`.
    const fn link(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Overview => ("/", "Overview", "h"),
            Self::Sessions => ("/sessions", "Sessions", "s"),
            Self::Outbox => ("/outbox", "Outbox", "o"),
            Self::Offers => ("/offers", "Offers", "f"),
            Self::Plugins => ("/plugins", "Plugins", "p"),
            Self::Audit => ("/audit", "Audit log", "a"),
        }
    }
}

/// A page for somebody who is logged in.
pub(in crate::dashboard) fn page(
    visitor: &Visitor,
    here: Here,
    title: &str,
    body: Markup,
) -> Markup {
    document(
        title,
        html! {
            a.skip href="#content" { "Skip to the content" }
            header.top {
                a.brand href="/" { (mark()) "Sidenote" }
                nav aria-label="Pages" {
                    ul {
                        @for each in Here::of(&visitor.caller) {
                            @let (address, name, letter) = each.link();
                            li {
                                a href=(address) data-go=(letter)
                                    aria-current=[(each == here).then_some("page")] { (name) }
                            }
                        }
                    }
                }
                form.find role="search" action="/sessions" {
                    label.hidden for="find" { "Find a session" }
                    input #find type="search" name="q" placeholder="Session, user or e-mail"
                        autocomplete="off" spellcheck="false" data-find;
                    button type="submit" { "Find" }
                }
                form method="post" action="/logout" {
                    (token(visitor))
                    button.quiet type="submit" { "Log out" }
                }
            }
            main #content tabindex="-1" { (body) }
            footer {
                details #keys {
                    summary { "Keyboard" }
                    dl {
                        div { dt { kbd { "/" } } dd { "Find a session" } }
                        @for each in Here::of(&visitor.caller) {
                            @let (_, name, letter) = each.link();
                            div { dt { kbd { "g" } " " kbd { (letter) } } dd { (name) } }
                        }
                        div { dt { kbd { "?" } } dd { "These keys" } }
                    }
                }
                p { "Logged in as " (visitor.caller.name()) ". Times are in UTC." }
            }
        },
    )
}

/// A page without navigation.
pub(in crate::dashboard) fn bare(title: &str, body: Markup) -> Markup {
    document(title, html! { main.bare #content { p.brand { (mark()) "Sidenote" } (body) } })
}

fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Sidenote" }
                link rel="icon" href=(assets::ICON.path);
                link rel="stylesheet" href=(assets::STYLE.path);
                script src=(assets::SCRIPT.path) defer {}
            }
            body { (body) }
        }
    }
}

/// What tells a form of the dashboard from one of somebody else's.
pub(in crate::dashboard) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(visitor.form_token); }
}

/// The heads of a table's columns.
pub(in crate::dashboard) fn heads(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

/// A cell; on a phone its column's name stands before it.
pub(in crate::dashboard) fn cell(column: &str, content: Markup) -> Markup {
    html! { td data-label=(column) { (content) } }
}

/// A word that stands out. `tone`: `good`, `warn`, `bad` or nothing.
pub(in crate::dashboard) fn chip(tone: &str, word: &str) -> Markup {
    html! { span class={ "chip " (tone) } { (word) } }
}

fn mark() -> Markup {
    html! { (PreEscaped("<svg aria-hidden=\"true\" viewBox=\"0 0 32 32\" width=\"20\" height=\"20\"><rect width=\"32\" height=\"32\" rx=\"7\" fill=\"currentColor\"/><path d=\"M9 10h14M9 16h14M9 22h8\" class=\"lines\" stroke-width=\"3\" stroke-linecap=\"round\"/></svg>")) }
}

/// Whether somebody may see the audit log: it is about the whole host.
pub(in crate::dashboard) fn sees_audit(caller: &Caller) -> bool {
    caller.may(Scope::Admin) && caller.products.limit().is_none()
}
