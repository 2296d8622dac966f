//! The book's page of the commands, made of the tree.

use std::fmt::Write;

use clap::{Arg, Command};

use super::{example, tree};

/// What stands before the commands.
const HEAD: &str = "\
<!-- Made from the command line's own help by `SIDENOTE_COMMANDS=write cargo test -p sidenote-cli help`: change the help, \
not this page. -->

# Every command

Commands write data to standard output, and messages to standard error. They exit with 0 on success, with 1 on failure, and \
with 2 if the command line or the configuration is invalid. With `--log-json` every line of standard error is a JSON \
object.
";

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut tree = tree();
    tree.build();
    for (path, command) in leaves(&tree) {
        add(&mut page, format_args!("\n## {path}\n\n{}.\n\n", sentence(command)));
        if let Some(example) = example(&path) {
            add(&mut page, format_args!("Example: `{example}`\n\n"));
        }
        add(&mut page, format_args!("| | |\n|---|---|\n"));
        for argument in command.get_arguments().filter(|it| !it.is_hide_set() && !is_everywhere(it))
        {
            add(&mut page, format_args!("| `{}` | {} |\n", name(argument), what(argument)));
        }
    }
    page
}

/// Every command that does something, with its words.
pub(super) fn leaves(tree: &Command) -> Vec<(String, &Command)> {
    fn below<'a>(command: &'a Command, path: &str, found: &mut Vec<(String, &'a Command)>) {
        let subs =
            command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help");
        let subs: Vec<_> = subs.collect();
        if subs.is_empty() {
            found.push((path.trim_start().to_owned(), command));
        }
        for sub in subs {
            below(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }
    let mut found = Vec::new();
    below(tree, "", &mut found);
    found
}

fn is_everywhere(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version" | "log_json")
}

fn sentence(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    escaped(about.trim_end_matches('.'))
}

/// `--config <FILE>`, or `<FILE>` where it has no name.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let takes = argument.get_action().takes_values();
    let values: Vec<_> =
        values.iter().filter(|_| takes).map(|value| format!("<{value}>")).collect();
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    long.or(short).into_iter().chain(values).collect::<Vec<_>>().join(" ")
}

fn what(argument: &Arg) -> String {
    let mut what = escaped(&argument.get_help().map(ToString::to_string).unwrap_or_default());
    let possible = argument.get_possible_values();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let words: Vec<_> =
            possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        write!(what, "; one of {}", words.join(", ")).expect("text can be added to a string");
    }
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults: Vec<_> = defaults.collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        write!(what, "; default: `{}`", defaults.join(" ")).expect("text can be added to a string");
    }
    if let Some(variable) = argument.get_env() {
        write!(what, "; or `{}` in the environment", variable.to_string_lossy())
            .expect("text can be added to a string");
    }
    what
}

/// Text as a cell of a table, in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut code = false;
    let mut escaped = String::new();
    for c in text.replace('\n', " ").chars() {
        code ^= c == '`';
        if matches!(c, '|') || (!code && matches!(c, '<' | '>' | '*' | '[' | ']' | '_')) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("text can always be added to a string");
}
