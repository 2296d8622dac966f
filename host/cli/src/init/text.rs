//! The configuration, as it is written.

use std::fmt::Write;

use super::SECRETS;
use super::answers::{API, Answers, CONNECTOR, INCOMING, Kept, SIGNING};
use crate::ask::quoted;

/// The text of the configuration that was answered.
pub(super) fn of(answers: &Answers) -> String {
    let mut text = String::from(
        "# Written by `sidenote init`. Every key with its default: examples/sidenote.toml, and the book's page of keys.\n\n",
    );
    let mut line =
        |line: String| writeln!(text, "{line}").expect("text can always be added to a string");
    line(format!("plugins_folder = {}", quoted(&answers.plugins.to_string_lossy())));
    line(
        "\n# Whoever asks the host shows this token; `sidenote key new` makes keys that open less."
            .into(),
    );
    line("[server]".into());
    line(format!("listen = {}", quoted(&answers.listen.to_string())));
    line(format!("token = {}", file(API)));
    line("\n# One file, which `sidenote backup` copies while the host runs.".into());
    line("[store]\nkind = \"embedded\"\npath = \"sidenote.redb\"".into());
    if let Some(url) = &answers.stream {
        line(format!("\n[streams.main]\nurl = {}", quoted(url)));
        if let Some(kept) = &answers.connector {
            line(format!("token = {}", source(kept)));
        }
    }
    let plugin = match &answers.bot {
        None => {
            line("\n[plugins.console]\nfile = \"console.wasm\"".into());
            line("\n[plugins.console.grants]\nstdout = true".into());
            "console"
        }
        Some(bot) => {
            line("\n[plugins.bot]\nfile = \"webhook.wasm\"".into());
            line(format!("\n[plugins.bot.config]\nurl = {}", quoted(&bot.url)));
            line(
                "\n# The bot checks notes with the one, and signs its webhooks with the other."
                    .into(),
            );
            line("[plugins.bot.secrets]".into());
            line(format!("signing = {}\nincoming = {}", file(SIGNING), file(INCOMING)));
            line(format!("\n[plugins.bot.grants]\nhosts = [{}]", quoted(&bot.host)));
            if bot.private {
                line("private = true".into());
            }
            "bot"
        }
    };
    line(format!("\n[products.{}]\nplugins = [{}]", quoted(&answers.product), quoted(plugin)));
    if answers.stream.is_none()
        && let Some(kept) = &answers.connector
    {
        line(format!("ingest_secret = {}", source(kept)));
    }
    text
}

fn file(name: &str) -> String {
    format!("{{ file = {} }}", quoted(&format!("{SECRETS}/{name}")))
}

fn source(kept: &Kept) -> String {
    match kept {
        Kept::Made(_) => file(CONNECTOR),
        Kept::Env(name) => format!("{{ env = {} }}", quoted(name)),
        Kept::File(path) => format!("{{ file = {} }}", quoted(path)),
    }
}
