//! The words of an event, where no rule says others.

use crate::event::Kind;
use crate::label::{self, Field, Label, cut_at, look};
use crate::output::Reason;
use crate::rules::{Placeholder, Rules, Template, Unsaid, property};
use crate::told::Told;

/// Longest name of an own event, in characters.
const LONGEST_NAME: usize = 120;
/// Longest line, in characters.
const LONGEST: usize = 400;
/// Most properties in a line.
const MOST_SHOWN: usize = 6;
/// Longest value in a line, in characters.
const LONGEST_VALUE: usize = 60;

/// What is told of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The short name.
    pub title: String,
    /// What was done.
    pub description: String,
}

/// The line of an event, by its rule or as always.
///
/// # Errors
/// There is none, and why.
pub(crate) fn line(told: &Told<'_>, rules: &Rules) -> Result<Line, Reason> {
    let Some(rule) = told.rule else { return default(told, rules) };
    if rule.drop {
        return Err(Reason::Rule);
    }
    let usual = default(told, rules);
    if rule.title.is_none() && rule.description.is_none() {
        return usual;
    }
    let fill = |template: &Template| {
        let filled = template.fill(|placeholder| value(told, rules, placeholder, &usual));
        let filled = cut_at(&rules.masks.text(&look(&filled)), LONGEST);
        (!filled.is_empty()).then_some(filled)
    };
    let description = rule.description.as_ref().and_then(fill);
    let title = rule.title.as_ref().and_then(fill);
    match (usual, title, description) {
        (usual, Some(title), Some(description)) => {
            drop(usual);
            Ok(Line { title, description })
        }
        (Ok(usual), title, Some(description)) => {
            Ok(Line { title: title.unwrap_or(usual.title), description })
        }
        (Ok(usual), Some(title), None) => Ok(Line { title, ..usual }),
        (Ok(usual), None, None) => Ok(usual),
        (Err(_), None, Some(description)) => {
            Ok(Line { title: cut_at(&description, LONGEST_NAME), description })
        }
        (Err(reason), Some(_) | None, None) => Err(reason),
    }
}

fn value(
    told: &Told<'_>,
    rules: &Rules,
    placeholder: &Placeholder,
    usual: &Result<Line, Reason>,
) -> String {
    let masked = |text: &str| cut_at(&rules.masks.text(&look(text)), LONGEST_NAME);
    match placeholder {
        Placeholder::Name => masked(&told.event.name),
        Placeholder::Text => told.label.text().unwrap_or_default().to_owned(),
        Placeholder::Page => told.page.clone(),
        Placeholder::Heading => masked(&told.event.heading),
        Placeholder::Message => masked(&told.event.message),
        Placeholder::Host => told.leads_out().unwrap_or_default(),
        Placeholder::Default => usual.as_ref().map(|it| it.description.clone()).unwrap_or_default(),
        Placeholder::Property(name) => {
            let hidden = told.rule.is_some_and(|it| it.hides(Unsaid::Properties));
            let value = property(&told.event.properties, name).filter(|_| !hidden);
            value.map(|it| masked(&it)).unwrap_or_default()
        }
    }
}

/// The line that an event has without rules.
fn default(told: &Told<'_>, rules: &Rules) -> Result<Line, Reason> {
    let event = &told.event;
    let at =
        |line: String| if told.page.is_empty() { line } else { format!("{line} ({})", told.page) };
    let named = |title: String, description: String| Line {
        title,
        description: cut_at(&description, LONGEST),
    };
    let made = match event.kind {
        Kind::Identity => return Err(Reason::Identity),
        Kind::Page => {
            let page =
                Some(told.page.clone()).filter(|it| !it.is_empty()).ok_or(Reason::Nameless)?;
            let description = format!("Viewed {page}");
            named(page, description)
        }
        Kind::Screen => {
            let screen =
                Some(told.page.clone()).filter(|it| !it.is_empty()).ok_or(Reason::Nameless)?;
            let description = format!("Opened {screen}");
            named(screen, description)
        }
        Kind::Click => match told.leads_out() {
            Some(host) => {
                let text = told.label.text().filter(|_| matches!(told.label, Label::Seen(_)));
                let line = text.map_or_else(
                    || format!("Opened {host}"),
                    |text| format!("Opened {text} ({host})"),
                );
                named(text.map_or(host, str::to_owned), line)
            }
            None => named(title(&told.label), at(clicked(&told.label)) + unseen(&told.label)),
        },
        Kind::RageClick => named(
            title(&told.label),
            at(format!("{} many times", clicked(&told.label))) + unseen(&told.label),
        ),
        Kind::DeadClick => named(
            title(&told.label),
            at(format!("{}, nothing happened", clicked(&told.label))) + unseen(&told.label),
        ),
        Kind::Change => {
            if label::is_sensitive(event) {
                return Err(Reason::Sensitive);
            }
            let what = match &told.label {
                Label::Seen(text) => format!("\"{text}\""),
                Label::Unseen(text) => text.clone(),
                Label::None(what) => (*what).to_owned(),
            };
            let verb = match label::field(event) {
                Field::Typed => "Filled in",
                Field::Switch => "Switched",
                Field::Choice => "Changed",
            };
            named(title(&told.label), at(format!("{verb} {what}")))
        }
        Kind::Submit => {
            let what = match &told.label {
                Label::Seen(text) => format!("\"{text}\""),
                Label::Unseen(text) => text.clone(),
                Label::None(what) => (*what).to_owned(),
            };
            named(title(&told.label), at(format!("Submitted {what}")))
        }
        Kind::Error => {
            let name = cut_at(&rules.masks.text(&look(&event.name)), LONGEST_NAME);
            let line = if name.is_empty() {
                "Saw an error".to_owned()
            } else {
                format!("Saw an error: {name}")
            };
            named(if name.is_empty() { "Error".to_owned() } else { name }, at(line))
        }
        Kind::Custom => return own(told, rules),
    };
    Ok(made.with_own_words(told, rules))
}

impl Line {
    /// What the tool says in words itself.
    fn with_own_words(self, told: &Told<'_>, rules: &Rules) -> Self {
        let masked = |text: &str, longest| cut_at(&rules.masks.text(&look(text)), longest);
        let title = masked(&told.event.title, LONGEST_NAME);
        let description = masked(&told.event.description, LONGEST);
        Self {
            title: if title.is_empty() { self.title } else { title },
            description: if description.is_empty() { self.description } else { description },
        }
    }
}

/// An event that the product names itself.
fn own(told: &Told<'_>, rules: &Rules) -> Result<Line, Reason> {
    let event = &told.event;
    let masked = |text: &str| cut_at(&rules.masks.text(&look(text)), LONGEST_NAME);
    let name =
        [&event.title, &event.name].into_iter().map(|it| masked(it)).find(|it| !it.is_empty());
    if name.is_none() && event.description.trim().is_empty() {
        return Err(Reason::Nameless);
    }
    let name = name.unwrap_or_default();
    let shown = shown(told, rules);
    let description = if shown.is_empty() { name.clone() } else { format!("{name} ({shown})") };
    let line = Line { title: name, description: cut_at(&description, LONGEST) }
        .with_own_words(told, rules);
    let title =
        if line.title.is_empty() { cut_at(&line.description, LONGEST_NAME) } else { line.title };
    Ok(Line { title, description: line.description })
}

/// The properties that are told, as `format csv, plan pro`.
fn shown(told: &Told<'_>, rules: &Rules) -> String {
    if told.rule.is_some_and(|it| it.hides(Unsaid::Properties)) {
        return String::new();
    }
    let names = told.rule.and_then(|it| it.show.as_ref()).unwrap_or(&rules.show);
    let shown = names.iter().filter_map(|name| {
        let value = property(&told.event.properties, name)?;
        Some(format!("{name} {}", cut_at(&rules.masks.text(&value), LONGEST_VALUE)))
    });
    shown.take(MOST_SHOWN).collect::<Vec<_>>().join(", ")
}

fn clicked(label: &Label) -> String {
    match label {
        Label::Seen(text) | Label::Unseen(text) => format!("Clicked \"{text}\""),
        Label::None(what) => format!("Clicked {what}"),
    }
}

/// Said of a name that nobody sees on the page.
fn unseen(label: &Label) -> &'static str {
    match label {
        Label::Unseen(_) => ", not its visible text",
        Label::Seen(_) | Label::None(_) => "",
    }
}

fn title(label: &Label) -> String {
    match label {
        Label::Seen(text) | Label::Unseen(text) => text.clone(),
        Label::None(what) => {
            let noun = what.trim_start_matches("an ").trim_start_matches("a ");
            let mut letters = noun.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect())
                .unwrap_or_default()
        }
    }
}
