//! Asking on a terminal for what the command line doesn't say.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::{Language, check_name};

/// The name and the language, asked for where they are missing and somebody is there to answer.
pub(super) fn missing(
    name: Option<&str>,
    language: Option<Language>,
) -> anyhow::Result<(String, Language)> {
    if let (Some(name), Some(language)) = (name, language) {
        return Ok((name.to_owned(), language));
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!(
            "say what to write: sidenote plugin new NAME --lang LANGUAGE; the languages are {}",
            words().join(", ")
        );
    }
    asked(&mut input.lock(), &mut std::io::stderr().lock(), name, language)
}

/// Asks until the answers can be used.
fn asked(
    input: &mut impl BufRead,
    output: &mut impl Write,
    name: Option<&str>,
    language: Option<Language>,
) -> anyhow::Result<(String, Language)> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => ask(input, output, "What is the plugin called? ", |answer| {
            check_name(answer).map(|()| answer.to_owned()).map_err(|error| error.to_string())
        })?,
    };
    let language = match language {
        Some(language) => language,
        None => {
            let question = format!("In which language ({})? ", words().join(", "));
            ask(input, output, &question, |answer| Language::from_str(answer, true))?
        }
    };
    Ok((name, language))
}

fn ask<T>(
    input: &mut impl BufRead,
    output: &mut impl Write,
    question: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> anyhow::Result<T> {
    loop {
        write!(output, "{question}")
            .and_then(|()| output.flush())
            .context("nobody can be asked")?;
        let mut line = String::new();
        if input.read_line(&mut line).context("the answer can't be read")? == 0 {
            bail!("there was no answer");
        }
        match read(line.trim()) {
            Ok(answer) => return Ok(answer),
            Err(why) => writeln!(output, "{why}").context("nobody can be asked")?,
        }
    }
}

fn words() -> Vec<String> {
    let values = Language::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_again_until_the_answers_can_be_used() {
        let mut output = Vec::new();
        let answers = "My Bot\n my-bot \ncobol\nPython\n";
        let asked = asked(&mut answers.as_bytes(), &mut output, None, None).unwrap();
        assert_eq!(asked, ("my-bot".to_owned(), Language::Python));
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output.matches("What is the plugin called?").count(), 2, "{output}");
        assert!(output.contains("(rust, js, ts, python, c, go, other)"), "{output}");
    }

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let mut output = Vec::new();
        let (name, language) = asked(&mut "go\n".as_bytes(), &mut output, Some("a"), None).unwrap();
        assert_eq!((&*name, language), ("a", Language::Go));
        assert!(asked(&mut "".as_bytes(), &mut output, None, None).is_err());
    }
}
