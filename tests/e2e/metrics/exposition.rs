//! Both texts of `/metrics`, read strictly: what isn't exactly as the format has it is a fault.

use std::collections::{BTreeMap, BTreeSet};

/// The families of an answer, by the name that stands in `# TYPE`.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

/// A family and its series.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    help: String,
    unit: Option<String>,
    pub(crate) series: Vec<Series>,
}

/// Labels and their values, in the order of the line.
type Labels = Vec<(String, String)>;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

impl Series {
    /// Whether it has these labels among its own.
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        let has = |(name, value): &(&str, &str)| {
            self.labels.iter().any(|(own, is)| own == name && is == value)
        };
        labels.iter().all(has)
    }
}

impl Exposition {
    /// Reads an answer. `open`: it is OpenMetrics.
    pub(crate) fn read(text: &str, open: bool) -> Self {
        let mut read = Self::default();
        let mut current = String::new();
        let body = match open {
            true => text.strip_suffix("# EOF\n").expect("it ends with # EOF"),
            false => text,
        };
        assert!(body.ends_with('\n') && !body.contains("# EOF"), "every line ends");
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and a text");
                let family = Family { help: help.to_owned(), ..Family::default() };
                assert!(read.families.insert(name.to_owned(), family).is_none(), "{name} twice");
                current = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a type");
                assert_eq!(name, current, "a type stands below its help");
                read.families.get_mut(name).expect("it has a help").kind = kind.to_owned();
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                assert!(open, "the older format has no units: {line}");
                let (name, unit) = rest.split_once(' ').expect("a name and a unit");
                assert_eq!(name, current);
                assert!(name.ends_with(&format!("_{unit}")), "{line}");
                read.families.get_mut(name).expect("it has a help").unit = Some(unit.to_owned());
            } else {
                assert!(!line.starts_with('#') && !line.is_empty(), "{line:?}");
                let series = series(line);
                let family = read.families.get_mut(&current).expect("a series has a family");
                family.check_name(&current, &series, open);
                family.series.push(series);
            }
        }
        read.families.iter().for_each(|(name, family)| family.check(name));
        read
    }

    /// All series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &Series> {
        self.families.values().flat_map(|family| &family.series)
    }

    /// The sum of the series of this name that have these labels; `None` where there are none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let meant = self.series().filter(|series| series.name == name && series.has(labels));
        let values: Vec<_> = meant.map(|series| series.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Family {
    /// Whether a series of this name may stand in the family.
    fn check_name(&self, family: &str, series: &Series, open: bool) {
        let suffixes: &[&str] = match (&*self.kind, open) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", true) => &["_total"],
            ("info", true) => &["_info"],
            ("counter" | "gauge", _) => &[""],
            (other, _) => panic!("{family} is a {other}"),
        };
        let rest = series.name.strip_prefix(family);
        assert!(rest.is_some_and(|rest| suffixes.contains(&rest)), "{} in {family}", series.name);
    }

    /// What holds of all its series together.
    fn check(&self, name: &str) {
        assert!(!self.kind.is_empty() && self.help.ends_with('.'), "{name}: {self:?}");
        assert!(!self.series.is_empty(), "{name} has no series");
        let mut seen = BTreeSet::new();
        for series in &self.series {
            let mut labels = series.labels.clone();
            labels.sort();
            assert!(seen.insert((series.name.clone(), labels)), "{series:?} twice");
            if self.kind == "counter" {
                assert!(series.value >= 0.0 && series.value.fract() == 0.0, "{series:?}");
            }
        }
        if self.kind == "histogram" {
            self.check_buckets(name);
        }
    }

    fn check_buckets(&self, name: &str) {
        let mut buckets = BTreeMap::<Labels, Vec<(f64, f64)>>::new();
        for series in self.series.iter().filter(|series| series.name.ends_with("_bucket")) {
            let (bound, rest): (Vec<_>, Vec<_>) =
                series.labels.iter().cloned().partition(|(label, _)| label == "le");
            let [(_, bound)] = &bound[..] else { panic!("{series:?}: one bound") };
            let bound = if bound == "+Inf" { f64::INFINITY } else { number(bound) };
            buckets.entry(rest).or_default().push((bound, series.value));
        }
        for (labels, buckets) in buckets {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
            let last = buckets.last().expect("there is one");
            let is_count = |series: &&Series| {
                series.name == format!("{name}_count") && series.labels == labels
            };
            let count = self.series.iter().find(is_count).expect("a histogram has a count");
            assert_eq!(*last, (f64::INFINITY, count.value), "{name}: {labels:?}");
        }
    }
}

/// `name{label="value",…} number`, and nothing else.
fn series(line: &str) -> Series {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line:?}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
            assert!(is_name(label, false), "{line:?}");
            let (value, behind) = quoted(value, line);
            labels.push((label.to_owned(), value));
            match behind.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = behind.strip_prefix('}').unwrap_or_else(|| panic!("{line:?}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line:?}"));
    Series { name: name.to_owned(), labels, value: number(value) }
}

/// A label's value up to the quote that ends it, and what stands behind that.
fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((place, char)) = chars.next() {
        match char {
            '"' => return (value, &text[place + 1..]),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some(escaped @ ('\\' | '"')) => value.push(escaped),
                other => panic!("{line:?}: {other:?} is escaped"),
            },
            other => value.push(other),
        }
    }
    panic!("{line:?}: a value doesn't end")
}

fn number(text: &str) -> f64 {
    let is_plain = text.bytes().all(|it| it.is_ascii_digit() || b".-+e".contains(&it));
    assert!(is_plain && !text.is_empty(), "{text:?} is no number");
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn is_name(text: &str, colons: bool) -> bool {
    let fits = |it: u8| it.is_ascii_alphabetic() || it == b'_' || (colons && it == b':');
    let mut bytes = text.bytes();
    bytes.next().is_some_and(fits) && bytes.all(|it| fits(it) || it.is_ascii_digit())
}
