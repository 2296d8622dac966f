//! What `/metrics` tells, read: Prometheus' text format 0.0.4, as far as the host writes it, and nothing beside it.

use std::collections::HashMap;

/// The series of one scrape, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scrape(HashMap<String, Vec<Series>>);

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

/// A line that can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the metrics can't be read; is the host of another version of sidenote?")]
pub(super) struct Unreadable(usize);

impl Series {
    /// The value of a label; empty where it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == *value)
    }
}

impl Scrape {
    /// Reads a whole text.
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        let mut scrape = Self::default();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, series) = series(line).ok_or(Unreadable(number + 1))?;
            scrape.0.entry(name).or_default().push(series);
        }
        Ok(scrape)
    }

    /// The series of a name that have these labels, and perhaps others.
    pub(super) fn all<'a>(
        &'a self,
        name: &str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Series> {
        let all = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|series| series.has(labels))
    }

    /// The value of the one series with these labels.
    pub(super) fn one(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.all(name, labels).next().map(|series| series.value)
    }

    /// The sum of all series with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).map(|series| series.value).sum()
    }

    /// The buckets of a histogram, of all series with these labels together: bounds and counts up to them, in order.
    pub(super) fn buckets(&self, family: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for series in self.all(&format!("{family}_bucket"), labels) {
            let Some(bound) = number(series.label("le")) else { continue };
            match buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, count)) => *count += series.value,
                None => buckets.push((bound, series.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

fn series(line: &str) -> Option<(String, Series)> {
    let name_ends = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(name_ends);
    let first = name.bytes().next()?;
    if first.is_ascii_digit() {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut parts = rest.strip_prefix(' ')?.split(' ');
    let value = number(parts.next()?)?;
    // A timestamp may follow, and nothing else.
    if parts.next().is_some_and(|at| at.parse::<i64>().is_err()) || parts.next().is_some() {
        return None;
    }
    Some((name.to_owned(), Series { labels, value }))
}

/// Labels and what is behind their `}`.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        let (value, behind) = quoted(value)?;
        labels.push((name.to_owned(), value));
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind,
            None if behind.starts_with('}') => behind,
            None => return None,
        };
    }
}

/// A label's value, and what is behind its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok().filter(|it: &f64| it.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_text_is_read_whole() {
        let text = "# HELP a_total Help.\n# TYPE a_total counter\na_total 7\na{plugin=\"b\\\"\\\\\\n,}\",q=\"\"} 1.5\n\
                    h_bucket{le=\"0.1\"} 1 1700000000\nh_bucket{le=\"+Inf\"} 2\n";
        let read = Scrape::read(text).unwrap();
        assert_eq!(read.one("a_total", &[]), Some(7.0));
        assert_eq!(read.one("a", &[("plugin", "b\"\\\n,}"), ("q", "")]), Some(1.5));
        assert_eq!(read.one("a", &[("plugin", "c")]), None);
        assert_eq!(read.buckets("h", &[]), [(0.1, 1.0), (f64::INFINITY, 2.0)]);
    }

    #[test]
    fn what_is_no_metric_is_refused_with_its_line() {
        for line in [
            "a",
            "a ",
            "a x",
            "a 1 x",
            "a 1 2 3",
            "1a 2",
            "a{b=\"c\" 1",
            "a{b=c} 1",
            "a{b=\"c\"d=\"e\"} 1",
            "a{b=\"\\x\"} 1",
            "a{=\"x\"} 1",
            "<html>",
            "{\"a\": 1}",
            "a inf",
        ] {
            assert_eq!(Scrape::read(&format!("ok 1\n{line}\n")), Err(Unreadable(2)), "{line}");
        }
    }
}
