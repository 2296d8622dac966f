//! An event on its way to a line: read once, so that folding and words look at the same.

use crate::address::Address;
use crate::event::{Element, Event, Kind};
use crate::label::{self, Label};
use crate::page::{self, Titles};
use crate::rules::{Rule, Rules, Unsaid};

/// An event, and what is known of its page and its element. Texts are masked and cut.
pub(crate) struct Told<'a> {
    /// The event.
    pub event: Event,
    /// Its page's address.
    pub address: Address,
    /// What its page is called; empty where that is unknown or left unsaid.
    pub page: String,
    /// What its element is called.
    pub label: Label,
    /// Its page with the ids folded, where the operator says how.
    pub canonical: Option<String>,
    /// The rule that it fits.
    pub rule: Option<&'a Rule>,
}

impl<'a> Told<'a> {
    /// Looks at an event.
    pub(crate) fn new(event: Event, rules: &'a Rules, titles: &mut Titles) -> Self {
        let address = Address::read(&event.url);
        let label = match event.kind {
            Kind::Change => label::of_field(&event),
            Kind::Click | Kind::RageClick | Kind::DeadClick if is_field(&event) => {
                label::of_field(&event)
            }
            Kind::Submit => label::of_form(&event).unwrap_or(Label::None("a form")),
            Kind::Click | Kind::RageClick | Kind::DeadClick => label::of_click(&event),
            Kind::Custom | Kind::Page | Kind::Screen | Kind::Error | Kind::Identity => {
                Label::None("something")
            }
        };
        let masked = |text: String| label::cut(&rules.masks.text(&text));
        let mut label = match label {
            Label::Seen(text) => Label::Seen(masked(text)),
            Label::Unseen(text) => Label::Unseen(masked(text)),
            Label::None(what) => Label::None(what),
        };
        let known = rules.page(&address);
        let made = page::name(&event, &address, &rules.sites, titles, &rules.masks);
        let mut page = match known.and_then(|it| it.name.clone()) {
            Some(name) => name,
            None => made,
        };
        let rule = rules.rule(&event, label.text(), &address);
        if let Some(rule) = rule {
            page = rule.page.clone().unwrap_or(page);
            if rule.hides(Unsaid::Page) {
                page.clear();
            }
            if rule.hides(Unsaid::Text) {
                label = Label::None(label::what(&event));
            }
        }
        Self {
            canonical: known.and_then(|it| it.canonical.clone()),
            event,
            address,
            page,
            label,
            rule,
        }
    }

    /// The element that was meant.
    pub(crate) fn element(&self) -> Option<&Element> {
        label::meant(&self.event).map(|(_, element)| element)
    }

    /// Where a link leads, where it leads out of the product: the host alone, for the rest can be anything.
    pub(crate) fn leads_out(&self) -> Option<String> {
        let link = self.element().filter(|it| it.tag == "a")?;
        let to = Address::read(link.attribute("href")?);
        let out =
            !to.host.is_empty() && !self.address.host.is_empty() && to.host != self.address.host;
        out.then_some(to.host)
    }

    /// Whether two were done to the same element of the same page, as far as anybody can tell.
    pub(crate) fn has_element_of(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.element(), other.element()) else { return false };
        let same = |name: &str| one.attribute(name) == two.attribute(name);
        one.tag == two.tag
            && self.label == other.label
            && ["id", "name", "data-testid", "href"].into_iter().all(same)
    }

    /// What happened within the form that another one is about.
    pub(crate) fn form(&self) -> Option<(Option<&str>, Option<&str>)> {
        let form = self.event.elements.iter().take(label::DEPTH).find(|it| it.tag == "form")?;
        Some((form.attribute("id"), form.attribute("name")))
    }
}

/// Whether something can be typed or chosen in it: its text is its value, or all of its choices.
fn is_field(event: &Event) -> bool {
    label::meant(event).is_some_and(|(_, it)| {
        let is_button =
            matches!(it.attribute("type"), Some("submit" | "button" | "reset" | "image"));
        matches!(&*it.tag, "input" | "textarea" | "select") && !is_button
    })
}
