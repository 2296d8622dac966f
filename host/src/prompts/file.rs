//! A prompt file: a head in TOML between two lines `+++`, and the text behind it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::prompt::Prompt;
use super::template::{Template, TemplateFault};

/// Longest prompt file, in bytes.
const LONGEST: u64 = 256 << 10;
const EDGE: &str = "+++";

/// Which prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Summarizes a session.
    Summary,
    /// Answers a question.
    Reply,
    /// Judges whether an offer helps at its moment.
    Judge,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Summary, Self::Reply, Self::Judge];

    /// Its name; its file is `NAME.md`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Reply => "reply",
            Self::Judge => "judge",
        }
    }

    /// The placeholders of its text.
    pub fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Summary => &["actions"],
            Self::Reply => &["user_id", "context", "query"],
            Self::Judge => &["moment"],
        }
    }

    /// The placeholders that a file's text must have, and what they stand for.
    fn required(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Summary => &[("actions", "the actions")],
            Self::Reply => &[("context", "the recent activity"), ("query", "the question")],
            Self::Judge => &[("moment", "the offers and what the person did")],
        }
    }

    fn built_in(self) -> &'static str {
        match self {
            Self::Summary => include_str!("summary.md"),
            Self::Reply => include_str!("reply.md"),
            Self::Judge => include_str!("judge.md"),
        }
    }
}

/// A prompt, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptFile {
    /// Its name.
    pub name: Arc<str>,
    /// Its version, for the log.
    pub version: Arc<str>,
    /// What it is for.
    pub description: String,
    /// What the model is told apart from the text.
    pub system: String,
    /// How an earlier summary is told of, of [`Kind::Summary`] only.
    pub earlier: Option<Template>,
    /// What the model is told beside `system` where its answer goes to the person by itself, of [`Kind::Reply`] only.
    pub hand_over: String,
    /// The text.
    pub content: Template,
}

/// Something wrong with a prompt file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptProblem {
    /// The file, or the folder.
    pub file: PathBuf,
    /// The line, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: PromptFault,
}

impl fmt::Display for PromptProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))?;
        write!(f, ": {}", self.fault)
    }
}

/// What is wrong with a prompt file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptFault {
    /// It can't be read.
    #[error("it can't be read: {cause}; see that it is there and that the host may read it")]
    Unreadable {
        /// The system's words.
        cause: String,
    },
    /// It is longer than a prompt can be.
    #[error("it is longer than 256 KiB; that is no prompt")]
    TooLong,
    /// It has no head.
    #[error(
        "it has no head; begin it with a line +++, then name, version and description, then a line +++"
    )]
    NoHead,
    /// Its head isn't right.
    #[error(
        "its head can't be read: {cause}; a head has name, version, description, and may have system, earlier and hand_over"
    )]
    Head {
        /// The parser's words.
        cause: String,
    },
    /// Its head says another name than its file has.
    #[error("it is named \"{found}\"; write name = \"{expected}\", as its file is called")]
    OtherName {
        /// What it says.
        found: String,
        /// What its file says.
        expected: &'static str,
    },
    /// A key of its head that means nothing for this prompt.
    #[error("`earlier` means something in summary.md only; leave it out")]
    NoEarlier,
    /// Another key of its head that means nothing for this prompt.
    #[error("`hand_over` means something in reply.md only; leave it out")]
    NoHandOver,
    /// A file that no prompt reads.
    #[error("there is no prompt of this name; the files are summary.md, reply.md and judge.md")]
    UnknownPrompt,
    /// A template of it is wrong.
    #[error(transparent)]
    Template(#[from] TemplateFault),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: Spanned<String>,
    version: String,
    description: String,
    system: Option<String>,
    earlier: Option<Spanned<String>>,
    hand_over: Option<Spanned<String>>,
}

impl PromptFile {
    /// The built-in one.
    ///
    /// # Panics
    /// Never: a test reads every built-in prompt.
    pub fn built_in(kind: Kind) -> Self {
        let file = Self::read(kind, Path::new(kind.name()), kind.built_in(), None);
        file.expect("the built-in prompts are right")
    }

    /// Reads a file's text. What it leaves out is the built-in one's, an empty text too.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(kind: Kind, file: &Path, text: &str) -> Result<Self, Vec<PromptProblem>> {
        Self::read(kind, file, text, Some(Self::built_in(kind)))
    }

    fn read(
        kind: Kind,
        file: &Path,
        text: &str,
        standard: Option<Self>,
    ) -> Result<Self, Vec<PromptProblem>> {
        let problem =
            |line: Option<usize>, fault| PromptProblem { file: file.to_owned(), line, fault };
        let Some((head_text, content, content_line)) = parts(text) else {
            return Err(vec![problem(Some(1), PromptFault::NoHead)]);
        };
        let head: Head = toml::from_str(head_text).map_err(|error| {
            let line = error.span().map(|span| 2 + breaks(&head_text[..span.start]));
            let cause = error.message().to_owned();
            vec![problem(line, PromptFault::Head { cause })]
        })?;
        let line_of = |start: usize| 2 + breaks(&head_text[..start]);
        let mut problems = Vec::new();
        if head.name.get_ref() != kind.name() {
            let (found, expected) = (head.name.get_ref().clone(), kind.name());
            let fault = PromptFault::OtherName { found, expected };
            problems.push(problem(Some(line_of(head.name.span().start)), fault));
        }
        let mut read =
            |text: &str, line: usize, known: &[&str], required: &[(&'static str, &'static str)]| {
                let template = match Template::parse(text, known) {
                    Ok(template) => template,
                    Err(faults) => {
                        let faults = faults.into_iter();
                        problems.extend(
                            faults.map(|(at, fault)| problem(Some(line + at - 1), fault.into())),
                        );
                        return None;
                    }
                };
                for (name, what) in required.iter().filter(|(name, _)| !template.has(name)) {
                    let fault = TemplateFault::Missing { name, what };
                    problems.push(problem(Some(line), fault.into()));
                }
                Some(template)
            };
        let content = match (&standard, content.trim().is_empty()) {
            (Some(standard), true) => Some(standard.content.clone()),
            (Some(_), false) | (None, _) => {
                read(content, content_line, kind.placeholders(), kind.required())
            }
        };
        let earlier = match &head.earlier {
            Some(earlier) if kind == Kind::Summary => {
                let (text, line) = (earlier.get_ref().trim_end(), line_of(earlier.span().start));
                match text.trim().is_empty() {
                    true => None,
                    false => read(text, line, &["summary"], &[("summary", "the earlier summary")]),
                }
            }
            Some(earlier) => {
                let line = line_of(earlier.span().start);
                problems.push(problem(Some(line), PromptFault::NoEarlier));
                None
            }
            None => standard.as_ref().and_then(|standard| standard.earlier.clone()),
        };
        let hand_over = match head.hand_over {
            Some(hand_over) if kind != Kind::Reply => {
                let line = line_of(hand_over.span().start);
                problems.push(problem(Some(line), PromptFault::NoHandOver));
                String::new()
            }
            Some(hand_over) => hand_over.into_inner(),
            None => standard.as_ref().map(|it| it.hand_over.clone()).unwrap_or_default(),
        };
        let Some(content) = content.filter(|_| problems.is_empty()) else { return Err(problems) };
        let system = head.system.or(standard.map(|standard| standard.system)).unwrap_or_default();
        Ok(Self {
            name: head.name.into_inner().into(),
            version: head.version.into(),
            description: head.description,
            system: system.trim().to_owned(),
            earlier,
            hand_over: hand_over.trim().to_owned(),
            content,
        })
    }

    pub(super) fn prompt(&self, values: &[(&str, &str)]) -> Prompt {
        Prompt {
            name: self.name.clone(),
            version: self.version.clone(),
            system: self.system.clone(),
            background: String::new(),
            text: self.content.render(values),
        }
    }
}

/// Reads the prompts of a folder. Files that aren't `.md`, and a `README.md`, are left alone.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<(Kind, PromptFile)>, Vec<PromptProblem>> {
    let unreadable = |file: &Path, error: &std::io::Error| PromptProblem {
        file: file.to_owned(),
        line: None,
        fault: PromptFault::Unreadable { cause: error.to_string() },
    };
    let entries = std::fs::read_dir(folder).map_err(|error| vec![unreadable(folder, &error)])?;
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                problems.push(unreadable(folder, &error));
                continue;
            }
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|it| it != "md") || stem.eq_ignore_ascii_case("readme") {
            continue;
        }
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == stem) else {
            problems.push(PromptProblem {
                file: path,
                line: None,
                fault: PromptFault::UnknownPrompt,
            });
            continue;
        };
        let long = std::fs::metadata(&path).is_ok_and(|file| file.len() > LONGEST);
        match std::fs::read_to_string(&path) {
            _ if long => {
                problems.push(PromptProblem {
                    file: path,
                    line: None,
                    fault: PromptFault::TooLong,
                });
            }
            Err(error) => problems.push(unreadable(&path, &error)),
            Ok(text) => match PromptFile::parse(kind, &path, &text) {
                Ok(file) => files.push((kind, file)),
                Err(found) => problems.extend(found),
            },
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// Head, text, and the line that the text begins on. Line breaks at the text's end are an editor's.
fn parts(text: &str) -> Option<(&str, &str, usize)> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut at = 0;
    let mut head_start = None;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        at += line.len();
        match (head_start, line.trim_end() == EDGE) {
            (None, true) => head_start = Some(at),
            (None, false) => return None,
            (Some(start), true) => {
                let head = &text[start..at - line.len()];
                return Some((head, text[at..].trim_end_matches(['\r', '\n']), n + 2));
            }
            (Some(_), false) => {}
        }
    }
    None
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "+++\nname = \"summary\"\nversion = \"7\"\ndescription = \"d\"\n+++\n";

    fn problems(text: &str) -> Vec<String> {
        let problems = PromptFile::parse(Kind::Summary, Path::new("summary.md"), text);
        problems.expect_err("it is wrong").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_says_its_version_and_what_it_leaves_out_is_the_built_in_ones() {
        let file =
            PromptFile::parse(Kind::Summary, Path::new("f"), &format!("{HEAD}Sum: {{actions}}!\n"));
        let file = file.expect("it is right");
        let prompt = file.prompt(&[("actions", "a")]);
        assert_eq!((&*prompt.name, &*prompt.version, &*prompt.text), ("summary", "7", "Sum: a!"));
        let built_in = PromptFile::built_in(Kind::Summary);
        assert_eq!((&file.system, &file.earlier), (&built_in.system, &built_in.earlier));

        let empty = PromptFile::parse(Kind::Summary, Path::new("f"), HEAD).expect("it is right");
        assert_eq!(empty.content, built_in.content);
        let silent = HEAD.replace("\n+++\n", "\nearlier = \"\"\nsystem = \"\"\n+++\n");
        let silent = PromptFile::parse(Kind::Summary, Path::new("f"), &silent).expect("right");
        assert_eq!((silent.earlier, &*silent.system), (None, ""));
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_file_and_line() {
        assert_eq!(
            problems(&format!("{HEAD}first\n{{lang}}\n}}")),
            [
                "summary.md:7: there is no placeholder {lang}; there are {actions}, {fence}. Write {{lang}} if you mean the text",
                "summary.md:8: a single } stands there; write }} for the character itself",
            ]
        );
        assert_eq!(
            problems(&format!("{HEAD}no placeholder")),
            ["summary.md:6: {actions} is missing; put it where the model shall read the actions"]
        );
        assert!(problems("Sum: {actions}")[0].contains("summary.md:1: it has no head"));
        let unknown = HEAD.replace("version", "versoin");
        assert!(problems(&unknown)[0].starts_with("summary.md:3: its head can't be read"));
        let other = HEAD.replace("\"summary\"", "\"sumary\"");
        assert!(problems(&other)[0].starts_with("summary.md:2: it is named \"sumary\""));
        let earlier = HEAD.replace("\n+++\n", "\nearlier = \"{fence}\"\n+++\n");
        assert!(problems(&earlier)[0].starts_with("summary.md:5: {summary} is missing"));
        let hand_over = HEAD.replace("\n+++\n", "\nhand_over = \"x\"\n+++\n");
        assert!(problems(&hand_over)[0].starts_with("summary.md:5: `hand_over` means something"));
    }

    #[test]
    fn a_folders_files_take_the_place_of_the_built_in_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("README.md", "about these");
        write("notes.txt", "{");
        write("summary.md", &format!("{HEAD}Sum: {{actions}}!"));
        let found = read_folder(folder.path()).expect("they are right");
        assert!(matches!(&found[..], [(Kind::Summary, file)] if &*file.version == "7"));

        write("sumary.md", "x");
        write("reply.md", "x");
        let wrong = read_folder(folder.path()).expect_err("two are wrong");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(read_folder(&folder.path().join("absent")).is_err());
    }
}
