//! Reads one table: its keys, the environment overlay over them, and what is unknown in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Fault, Place, Problem, Warning};
use super::scalar::{Refusal, Scalar, type_name};
use super::shape::Shape;
use super::tree::{ANY, Tree};

/// What every variable of the overlay starts with.
pub(super) const OVERLAY: &str = "SIDENOTE__";

/// The tables that have parts in the files beside the main one.
pub(super) const SHARED: [&str; 3] = ["plugins", "products", "streams"];

/// A file and what stands in it.
pub(super) struct File<'a> {
    pub(super) path: PathBuf,
    pub(super) text: &'a str,
}

/// One run over the main file and those beside it. Collects problems instead of stopping at the first.
pub(super) struct Reader<'a> {
    /// The main file comes first.
    pub(super) files: Vec<File<'a>>,
    /// Relative paths of every file are relative to this folder.
    pub(super) base: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// The table whose secrets alone are read; `None`: all of them are.
    secrets_of: Option<&'static str>,
    problems: RefCell<Vec<Problem>>,
    /// What is to be told of a configuration that can be used.
    warnings: RefCell<Vec<Warning>>,
    /// Variable → the key that it overrides: what the overlay can be made of.
    overlay: RefCell<BTreeMap<String, String>>,
    /// Nothing is read: what could be is told into this.
    asked: Option<RefCell<Tree>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        path: PathBuf,
        text: &'a str,
        base: &'a Path,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            files: vec![File { path, text }],
            base,
            env,
            secrets_of: None,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            overlay: RefCell::default(),
            asked: None,
        }
    }

    /// Adds files of further tables.
    pub(super) fn with(mut self, further: impl IntoIterator<Item = File<'a>>) -> Self {
        self.files.extend(further);
        self
    }

    /// The same, which reads nothing and is told every key.
    pub(super) fn asked(self) -> Self {
        Self { asked: Some(RefCell::default()), ..self }
    }

    /// The keys that were told.
    pub(super) fn into_tree(self) -> Tree {
        self.asked.map(RefCell::into_inner).unwrap_or_default()
    }

    /// What there is to be told so far.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.warnings.borrow().clone()
    }

    /// Tells of something that can be used and had better be seen to.
    pub(super) fn warn(&self, place: Place, section: &str, message: String) {
        let section = section.to_owned();
        self.warnings.borrow_mut().push(Warning { place, section, message, exposed: None });
    }

    /// Tells of a secret's file that others can read.
    pub(super) fn warn_exposed(&self, place: Place, section: &str, file: &Path, message: String) {
        let (section, exposed) = (section.to_owned(), Some(file.to_owned()));
        self.warnings.borrow_mut().push(Warning { place, section, message, exposed });
    }

    /// The same, reading the secrets of one table alone: whoever doesn't use the others needn't have them.
    pub(super) fn with_secrets_of(self, table: &'static str) -> Self {
        Self { secrets_of: Some(table), ..self }
    }

    /// The problems so far.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().clone()
    }

    /// Ends the run.
    pub(super) fn into_findings(self) -> (Vec<Problem>, BTreeMap<String, String>) {
        (self.problems.into_inner(), self.overlay.into_inner())
    }

    pub(super) fn report(&self, place: Place, section: &str, fault: Fault) {
        self.problems.borrow_mut().push(Problem { place, section: section.to_owned(), fault });
    }

    /// The variable that overrides `path`, where it is set.
    fn overlaid(&self, path: &str, variable: &str) -> Option<String> {
        let value = (self.env)(variable);
        let first = self.overlay.borrow_mut().insert(variable.to_owned(), path.to_owned());
        if let (Some(first), Some(_)) = (first, &value)
            && first != path
        {
            self.report(
                Place::Variable(variable.to_owned()),
                "",
                Fault::AmbiguousVariable { first, second: path.to_owned() },
            );
        }
        value
    }
}

impl File<'_> {
    /// The line that a span of the text starts on.
    pub(super) fn line(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Place::Line(self.path.clone(), before.bytes().filter(|byte| *byte == b'\n').count() + 1)
    }
}

/// A table as it stands in one file.
#[derive(Clone, Copy)]
struct Part<'a> {
    file: &'a File<'a>,
    table: &'a DeTable<'a>,
}

/// One table of a list. No variable of the overlay is for it.
pub(super) struct Row<'a> {
    place: Place,
    part: Part<'a>,
}

impl<'a> Row<'a> {
    /// What stands in it.
    pub(super) fn table(&self) -> &'a DeTable<'a> {
        self.part.table
    }

    /// Where a key of it stands, or where it starts.
    pub(super) fn place_of(&self, key: Option<&str>) -> Place {
        let entry = key.and_then(|key| self.part.find(key));
        entry.map_or_else(|| self.place.clone(), |entry| entry.place())
    }
}

/// A key as it stands in a file.
struct Entry<'a> {
    file: &'a File<'a>,
    key: &'a Spanned<DeString<'a>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Part<'a> {
    fn find(&self, key: &str) -> Option<Entry<'a>> {
        let Self { file, table } = *self;
        table.get_key_value(key).map(|(key, value)| Entry { file, key, value })
    }
}

impl Entry<'_> {
    fn place(&self) -> Place {
        self.file.line(&self.key.span())
    }
}

/// One table, or its absence: an absent table reads as an empty one. Those of [`SHARED`] have parts in
/// several files; a name that stands in two of them was reported by [`Section::of_files`].
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    parts: Vec<Part<'a>>,
    /// At the top: the files beside the main one.
    further: Vec<Part<'a>>,
    place: Place,
    path: Vec<String>,
    known: RefCell<Vec<String>>,
}

impl<'a> Section<'a> {
    /// The top of the file.
    pub(super) fn top(reader: &'a Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Self::of_files(reader, [table])
    }

    /// The top of the main file with the tables of those beside it, in the order of the reader's files.
    /// Reports what may not stand in a file beside the main one, and what stands in two.
    pub(super) fn of_files(
        reader: &'a Reader<'a>,
        tables: impl IntoIterator<Item = &'a DeTable<'a>>,
    ) -> Self {
        let parts = reader.files.iter().zip(tables).map(|(file, table)| Part { file, table });
        let mut parts: Vec<_> = parts.collect();
        let further = parts.split_off(parts.len().min(1));
        let main = reader.files.first().map(|file| file.path.clone()).unwrap_or_default();
        let place = Place::File(main.clone());
        let (path, known) = (Vec::new(), RefCell::default());
        let top = Self { reader, parts, further, place, path, known };
        top.check_further(&main);
        top
    }

    fn check_further(&self, main: &Path) {
        for Part { file, table } in &self.further {
            for key in table.keys().filter(|key| !SHARED.contains(&&**key.get_ref())) {
                let fault =
                    Fault::OnlyInMain { key: key.get_ref().to_string(), main: main.to_owned() };
                self.report(file.line(&key.span()), fault);
            }
        }
        for shared in SHARED {
            let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
            for Part { file, table } in self.parts.iter().chain(&self.further) {
                let Some(names) = table.get(shared).and_then(|names| names.get_ref().as_table())
                else {
                    continue;
                };
                for name in names.keys() {
                    let place = file.line(&name.span());
                    if let Some(other) = seen.get(&**name.get_ref()) {
                        let section = format!("{shared}.{}", quoted(name.get_ref()));
                        let fault = Fault::TableTwice { other: other.clone() };
                        self.reader.report(place, &section, fault);
                    } else {
                        seen.insert(name.get_ref(), place);
                    }
                }
            }
        }
    }

    /// The table's path as it is written in the file.
    pub(super) fn name(&self) -> String {
        self.path.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".")
    }

    /// Whether the table stands in the file.
    pub(super) fn is_present(&self) -> bool {
        !self.parts.is_empty() || self.is_asked()
    }

    /// Whether nothing is read, and each key is told to who asks for the schema.
    pub(super) fn is_asked(&self) -> bool {
        self.reader.asked.is_some()
    }

    /// Tells what the value of a key may be, where somebody asks.
    pub(super) fn tells(&self, key: &str, schema: impl FnOnce() -> Value) {
        if let Some(tree) = &self.reader.asked {
            tree.borrow_mut().at(&self.path).put(key, schema());
        }
    }

    /// Tells that exactly one of these keys stands in the table, where somebody asks.
    pub(super) fn is_one_of<const N: usize>(&self, keys: [&'static str; N]) {
        if let Some(tree) = &self.reader.asked {
            tree.borrow_mut().at(&self.path).one_of = keys.to_vec();
        }
    }

    /// What a reader takes.
    fn shape<T>(read: impl Fn(Scalar<'_>) -> Result<T, Refusal>) -> Value {
        let shape = Shape::default();
        // It tells, and has no value.
        drop(read(Scalar::Asked(&shape)));
        shape.into_schema()
    }

    /// Reads the keys that belong to a word of this table, such as those of a kind of store. `words` are all of them, the
    /// first the default.
    pub(super) fn by_word<K: Copy, T>(
        &self,
        key: &'static str,
        chosen: K,
        words: &[(&'static str, K)],
        read: impl Fn(K) -> T,
    ) -> T {
        if let Some(tree) = &self.reader.asked {
            for (word, kind) in words {
                tree.borrow_mut().at(&self.path).begin(key, word);
                drop(read(*kind));
            }
            tree.borrow_mut().at(&self.path).end();
        }
        read(chosen)
    }

    /// Refuses a key that means something elsewhere, where it is there.
    pub(super) fn unwanted(&self, key: &str, cause: &str, next: &str) {
        self.knows(key);
        if self.overlay(key).is_some() || self.find(key).is_some() {
            self.refuse(key, cause, next);
        }
    }

    /// Whether the secrets of this table are read.
    pub(super) fn reads_secrets(&self) -> bool {
        let top = self.path.first().map(String::as_str);
        self.reader.secrets_of.is_none_or(|table| top == Some(table))
    }

    /// Where the table starts.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where the value of `key` comes from, or where the table starts.
    pub(super) fn place_of(&self, key: &str) -> Place {
        if self.is_overlaid(key) {
            return Place::Variable(self.variable(key));
        }
        self.find(key).map_or_else(|| self.place(), |entry| entry.place())
    }

    /// Reports a problem of this table.
    pub(super) fn report(&self, place: Place, fault: Fault) {
        self.reader.report(place, &self.name(), fault);
    }

    /// Reports that the value of `key` can't be used.
    pub(super) fn refuse(&self, key: &str, cause: impl Into<String>, next: impl Into<String>) {
        self.report(
            self.place_of(key),
            Fault::BadValue { key: key.to_owned(), cause: cause.into(), next: next.into() },
        );
    }

    /// Reports two durations in the wrong order, where this table sets one of them.
    pub(super) fn in_order(
        &self,
        (low, lowest): (&str, Duration),
        (high, highest): (&str, Duration),
    ) {
        if lowest > highest && (self.has(low) || self.has(high)) {
            let key = if self.has(low) { low } else { high };
            self.refuse(
                key,
                format!("{low} ({lowest:?}) is longer than {high} ({highest:?})"),
                format!("make {low} the shorter one"),
            );
        }
    }

    /// Reports a name of a table that can't be one: names of streams and plugins stand in addresses and metrics.
    pub(super) fn check_name(&self, what: &str, name: &str) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            self.refuse(
                name,
                format!("this can't be a {what}'s name"),
                "use up to 64 letters, digits, - and _ (no blanks, no dots)",
            );
        }
    }

    /// A scalar with the overlay over it; `None` where it isn't there or can't be used (then reported).
    pub(super) fn scalar<T>(
        &self,
        key: &str,
        read: impl Fn(Scalar<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        self.knows(key);
        if self.is_asked() {
            self.tells(key, || Self::shape(read));
            return None;
        }
        let read = if let Some(text) = self.overlay(key) {
            read(Scalar::Variable(&text))
        } else {
            read(Scalar::Toml(self.value(key)?))
        };
        read.map_err(|refusal| self.report_refusal(self.place_of(key), key, refusal)).ok()
    }

    /// As [`Self::scalar`], with the default where there is nothing usable.
    pub(super) fn scalar_or<T>(
        &self,
        key: &str,
        default: T,
        read: impl Fn(Scalar<'_>) -> Result<T, Refusal>,
    ) -> T {
        self.scalar(key, read).unwrap_or(default)
    }

    /// As [`Self::scalar`], reported where it is missing.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        read: impl Fn(Scalar<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let value = self.scalar(key, read);
        if value.is_none() && !self.has(key) {
            self.report(
                self.place(),
                Fault::MissingKey { key: key.to_owned(), example: example.to_owned() },
            );
        }
        value
    }

    /// A list of values, each with its place; `None` where the key isn't there.
    pub(super) fn list<T>(
        &self,
        key: &str,
        want: &str,
        read: impl Fn(Scalar<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<(Place, T)>> {
        self.knows(key);
        if self.is_asked() {
            self.tells(key, || json!({"type": "array", "items": Self::shape(read)}));
            return None;
        }
        let entry = self.find(key)?;
        let DeValue::Array(items) = entry.value.get_ref() else {
            let found = type_name(entry.value.get_ref());
            self.report(
                entry.place(),
                Fault::WrongType { key: key.to_owned(), found, want: want.to_owned() },
            );
            return Some(Vec::new());
        };
        let read_item = |item: &Spanned<DeValue<'_>>| {
            let place = entry.file.line(&item.span());
            match read(Scalar::Toml(item.get_ref())) {
                Ok(value) => Some((place, value)),
                Err(refusal) => {
                    self.report_refusal(place, key, refusal);
                    None
                }
            }
        };
        Some(items.iter().filter_map(read_item).collect())
    }

    /// The rows of a list of tables (`[[products.ID.offers.triggers]]`); `None` where the key isn't there, or has no
    /// table in it where there should be some (then reported).
    pub(super) fn rows(&self, key: &str, want: &str) -> Option<Vec<Row<'a>>> {
        self.knows(key);
        let Entry { file, key: written, value } = self.find(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let found = type_name(value.get_ref());
            self.report(
                file.line(&written.span()),
                Fault::WrongType { key: key.to_owned(), found, want: want.to_owned() },
            );
            return None;
        };
        let row = |item: &'a Spanned<DeValue<'a>>| {
            let place = file.line(&item.span());
            if let DeValue::Table(table) = item.get_ref() {
                return Some(Row { place, part: Part { file, table } });
            }
            let (found, want) = (type_name(item.get_ref()), want.to_owned());
            self.report(place, Fault::WrongType { key: key.to_owned(), found, want });
            None
        };
        let rows: Vec<_> = items.iter().filter_map(row).collect();
        (items.is_empty() || !rows.is_empty()).then_some(rows)
    }

    /// A table within this one.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        self.knows(key);
        if let Some(tree) = &self.reader.asked {
            tree.borrow_mut().at(&self.path).table(key);
        }
        self.peek(key)
    }

    /// As [`Self::section`], by somebody who only looks at it: others read it.
    pub(super) fn peek(&self, key: &str) -> Section<'a> {
        let path = [self.path.as_slice(), &[key.to_owned()]].concat();
        let header = path.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".");
        let mut section = Section {
            reader: self.reader,
            parts: Vec::new(),
            further: Vec::new(),
            place: self.place(),
            path,
            known: RefCell::default(),
        };
        let shared = if SHARED.contains(&key) { &*self.further } else { &[] };
        let parts = self.parts.iter().chain(shared);
        let entries: Vec<_> = parts.filter_map(|part| part.find(key)).collect();
        if let Some(first) = entries.first() {
            section.place = first.place();
        }
        // A name that stands twice was reported: the first counts.
        let most = if self.path.is_empty() { entries.len() } else { 1 };
        for entry in entries.into_iter().take(most) {
            if let DeValue::Table(table) = entry.value.get_ref() {
                section.parts.push(Part { file: entry.file, table });
            } else {
                let fault = Fault::WrongType {
                    key: key.to_owned(),
                    found: type_name(entry.value.get_ref()),
                    want: format!("a table: [{header}] and its keys below"),
                };
                self.report(entry.place(), fault);
            }
        }
        section
    }

    /// The tables within this one, whatever their names: `[streams.NAME]`.
    pub(super) fn sections(&self) -> Vec<(String, Section<'a>)> {
        self.names()
            .into_iter()
            .map(|name| (name.clone(), self.section(&name)))
            .filter(|(_, section)| section.is_present())
            .collect()
    }

    /// The keys that stand in the files, each once.
    pub(super) fn names(&self) -> Vec<String> {
        if self.is_asked() {
            return vec![ANY.to_owned()];
        }
        let keys = self.parts.iter().flat_map(|part| part.table.keys());
        let mut names: Vec<String> = Vec::new();
        for key in keys.map(Spanned::get_ref) {
            if !names.iter().any(|name| name == key) {
                names.push(key.to_string());
            }
        }
        names
    }

    /// The value as it stands in the file.
    pub(super) fn value(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.find(key).map(|entry| entry.value.get_ref())
    }

    fn find(&self, key: &str) -> Option<Entry<'a>> {
        self.parts.iter().find_map(|part| part.find(key))
    }

    /// Notes that `key` means something here.
    pub(super) fn knows(&self, key: &str) {
        let mut known = self.known.borrow_mut();
        if !known.iter().any(|seen| seen == key) {
            known.push(key.to_owned());
        }
    }

    /// Reports the keys that mean nothing. Call it when all that mean something were read.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for Part { file, table } in &self.parts {
            for key in table.keys() {
                if known.iter().any(|known| known == key.get_ref()) {
                    continue;
                }
                let fault = Fault::UnknownKey {
                    key: key.get_ref().to_string(),
                    meant: nearest(key.get_ref(), known.iter()),
                    known: known.clone(),
                };
                self.report(file.line(&key.span()), fault);
            }
        }
    }

    /// Whether `key` stands in the file or in the overlay.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some() || self.is_overlaid(key)
    }

    /// What the overlay has for `key`; from here on the variable is known to mean something.
    pub(super) fn overlay(&self, key: &str) -> Option<String> {
        self.reader.overlaid(&format!("\"{key}\" of [{}]", self.name()), &self.variable(key))
    }

    /// Whether the overlay has something for a scalar `key`.
    pub(super) fn is_overlaid(&self, key: &str) -> bool {
        let variable = self.variable(key);
        self.reader.overlay.borrow().contains_key(&variable)
            && (self.reader.env)(&variable).is_some()
    }

    /// The key as it is written in the file.
    pub(super) fn quoted(&self, key: &str) -> String {
        quoted(key)
    }

    /// The overlay's variable for `key`.
    pub(super) fn variable(&self, key: &str) -> String {
        let parts: Vec<_> =
            self.path.iter().map(String::as_str).chain([key]).map(variable_part).collect();
        format!("{OVERLAY}{}", parts.join("__"))
    }

    /// Reports that a value can't be used.
    pub(super) fn report_refusal(&self, place: Place, key: &str, refusal: Refusal) {
        let key = key.to_owned();
        self.report(
            place,
            match refusal {
                Refusal::Type { found, want } => Fault::WrongType { key, found, want },
                Refusal::Value { cause, next } => Fault::BadValue { key, cause, next },
            },
        );
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k String>,
) -> Option<String> {
    known
        .into_iter()
        .map(|known| {
            (strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()), known)
        })
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known.clone())
}

fn variable_part(part: &str) -> String {
    part.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

fn quoted(part: &str) -> String {
    let bare =
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { part.to_owned() } else { format!("{part:?}") }
}
