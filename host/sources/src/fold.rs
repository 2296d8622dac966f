//! What is one thing to people though the tool tells it as several: folded within the events of one session that
//! came together.
//!
//! | together | what stays |
//! |---|---|
//! | clicks, then many of them in a row | the many |
//! | a click, and that nothing happened | that nothing happened |
//! | a click on a button, and the form that it submits | the form, called as the button |
//! | a click on a field, and that it was changed | the change |
//! | a click on a link, and the page behind it | the page; the click, where the page is the same |
//! | one page twice within a second | the first |

use crate::event::Kind;
use crate::label::{self, Field, Label};
use crate::told::Told;

/// So far apart are clicks in a row and what says so, in seconds.
const RAGE: f64 = 4.0;
/// So long after a click it is known that nothing happened.
const DEAD: f64 = 4.0;
/// So soon after a click the form is submitted, or the field changed.
const SUBMIT: f64 = 1.5;
/// So soon after a click the page behind the link is viewed.
const PAGE: f64 = 3.0;
/// So soon after one another a page isn't viewed twice.
const AGAIN: f64 = 1.0;
/// So many neighbours of an event are looked at, on either side.
const NEAR: usize = 32;

/// Folds the events of one session, in the order in which they happened. Returns how many are gone.
pub(crate) fn fold(events: &mut Vec<Told<'_>>) -> u32 {
    let mut gone = vec![false; events.len()];
    for at in 0..events.len() {
        if gone[at] {
            continue;
        }
        match events[at].event.kind {
            Kind::RageClick => {
                drop_near(events, &mut gone, at, RAGE, |it| {
                    matches!(it, Kind::Click | Kind::RageClick | Kind::DeadClick)
                });
            }
            Kind::DeadClick => dead(events, &mut gone, at),
            Kind::Submit => submit(events, &mut gone, at),
            Kind::Change => change(events, &mut gone, at),
            Kind::Page => page(events, &mut gone, at),
            Kind::Click | Kind::Custom | Kind::Screen | Kind::Error | Kind::Identity => {}
        }
    }
    let mut gone_ones = gone.iter();
    events.retain(|_| !gone_ones.next().copied().unwrap_or_default());
    u32::try_from(gone.iter().filter(|it| **it).count()).unwrap_or(u32::MAX)
}

/// The seconds from one to the other; far where a time isn't known.
fn between(one: &Told<'_>, other: &Told<'_>) -> f64 {
    match (one.event.at, other.event.at) {
        (Some(one), Some(other)) => other - one,
        (Some(_) | None, None) | (None, Some(_)) => f64::INFINITY,
    }
}

/// The places near one, the nearest first.
fn near(at: usize, len: usize) -> impl Iterator<Item = usize> {
    let end = len.min(at + NEAR + 1);
    (1..=NEAR)
        .flat_map(move |far| [at.checked_sub(far), Some(at + far)])
        .flatten()
        .filter(move |it| *it < end)
}

fn drop_near(
    events: &[Told<'_>],
    gone: &mut [bool],
    at: usize,
    within: f64,
    kinds: impl Fn(Kind) -> bool,
) {
    for other in near(at, events.len()) {
        let (one, two) = (&events[at], &events[other]);
        if !gone[other]
            && kinds(two.event.kind)
            && between(one, two).abs() <= within
            && one.has_element_of(two)
        {
            gone[other] = true;
        }
    }
}

fn dead(events: &[Told<'_>], gone: &mut [bool], at: usize) {
    let is_near = |other: usize| between(&events[at], &events[other]).abs() <= DEAD;
    let same = |other: &usize| is_near(*other) && events[at].has_element_of(&events[*other]);
    let found: Vec<usize> = near(at, events.len()).filter(same).collect();
    if found.iter().any(|it| events[*it].event.kind == Kind::RageClick) {
        gone[at] = true;
    } else if let Some(click) =
        found.into_iter().find(|it| events[*it].event.kind == Kind::Click && !gone[*it])
    {
        gone[click] = true;
    }
}

fn submit(events: &mut [Told<'_>], gone: &mut [bool], at: usize) {
    let is_button = |it: &Told<'_>| {
        let button = it.element().is_some_and(|element| {
            let kind = element.attribute("type");
            element.tag == "button" && kind != Some("button")
                || matches!(kind, Some("submit" | "image"))
        });
        button && (it.form().is_none() || it.form() == events[at].form())
    };
    let is_it = |other: &usize| {
        let gap = between(&events[*other], &events[at]);
        !gone[*other]
            && events[*other].event.kind == Kind::Click
            && (-0.2..=SUBMIT).contains(&gap)
            && is_button(&events[*other])
    };
    let Some(click) = near(at, events.len()).find(is_it) else { return };
    gone[click] = true;
    if let Label::Seen(text) = &events[click].label {
        events[at].label = Label::Seen(text.clone());
    }
}

fn change(events: &[Told<'_>], gone: &mut [bool], at: usize) {
    let changed = &events[at];
    let is_switch = label::field(&changed.event) != Field::Typed;
    let of_label = |it: &Told<'_>| {
        it.element().is_some_and(|element| element.tag == "label") && it.label == changed.label
    };
    let of_field = |it: &Told<'_>| {
        let (Some(one), Some(two)) = (it.element(), changed.element()) else { return false };
        let same = |name: &str| one.attribute(name) == two.attribute(name);
        one.tag == two.tag && same("id") && same("name")
    };
    let before = if is_switch { SUBMIT } else { 60.0 };
    for other in near(at, events.len()) {
        let it = &events[other];
        let gap = between(it, changed);
        let is_click = it.event.kind == Kind::Click && (-0.2..=before).contains(&gap);
        if !gone[other] && is_click && (of_field(it) || is_switch && of_label(it)) {
            gone[other] = true;
        }
    }
}

fn page(events: &[Told<'_>], gone: &mut [bool], at: usize) {
    let viewed = &events[at];
    let before = |other: &usize, within: f64| {
        !gone[*other] && (0.0..=within).contains(&between(&events[*other], viewed))
    };
    let earlier: Vec<usize> = near(at, events.len()).filter(|other| *other < at).collect();
    let again = earlier.iter().any(|other| {
        let it = &events[*other];
        before(other, AGAIN)
            && it.event.kind == Kind::Page
            && it.address.is_same_page(&viewed.address)
            && it.page == viewed.page
    });
    if again {
        gone[at] = true;
        return;
    }
    let is_link = |other: &&usize| {
        let it = &events[**other];
        let link =
            it.element().is_some_and(|element| element.tag == "a") && it.leads_out().is_none();
        before(other, PAGE) && it.event.kind == Kind::Click && link
    };
    let Some(click) = earlier.iter().find(is_link) else { return };
    let stays =
        events[*click].address.is_same_page(&viewed.address) && events[*click].page == viewed.page;
    gone[if stays { at } else { *click }] = true;
}
