//! What only the operator knows: settings, secrets, grants. From the command line, or asked for at a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};

use anyhow::{Context, bail};
use sidenote::config::Secret;
use sidenote::plugin::Manifest;
use sidenote_terminal::{exit, output};

use super::AddArgs;
use crate::ask::{line, quoted, unseen};

/// How often a secret that is needed is asked for.
const TRIES: usize = 3;

/// Where a secret comes from, as its table says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// A variable of the environment.
    Env(String),
    /// A file that is there.
    File(String),
    /// A file that is made.
    Made,
}

/// What was answered.
#[derive(Default)]
pub(super) struct Answers {
    /// Settings, as TOML writes their values.
    pub(super) settings: BTreeMap<String, String>,
    /// Hosts that are granted.
    pub(super) hosts: BTreeSet<String>,
    /// Whether it may keep something under keys.
    pub(super) kv: bool,
    /// Whether it may set timers.
    pub(super) timer: bool,
    /// Where secrets come from, and to which hosts they may go.
    pub(super) secrets: BTreeMap<String, (Kept, Vec<String>)>,
    /// Secrets that files are made of.
    pub(super) made: Vec<(String, Secret)>,
}

impl Answers {
    /// Takes what the command line says, and asks for the rest where somebody sits there.
    pub(super) fn gather(args: &AddArgs, manifest: Option<&Manifest>) -> anyhow::Result<Self> {
        let asks = io::stdin().is_terminal() && !args.dry_run;
        let mut answers = Self { kv: args.grant_kv, timer: args.grant_timer, ..Self::default() };
        let given = pairs(&args.set, "--set KEY=VALUE")?;
        answers.take_settings(given, manifest, asks)?;
        answers.take_grants(args, manifest, asks)?;
        answers.take_secrets(pairs(&args.secret, "--secret NAME=SOURCE")?, manifest, asks)?;
        Ok(answers)
    }

    fn take_settings(
        &mut self,
        mut given: BTreeMap<String, String>,
        manifest: Option<&Manifest>,
        asks: bool,
    ) -> anyhow::Result<()> {
        let schema = manifest.and_then(|manifest| manifest.config.as_ref());
        let properties =
            schema.and_then(|it| it["properties"].as_object()).cloned().unwrap_or_default();
        let required = |key: &str| {
            let names = schema.and_then(|it| it["required"].as_array());
            names.is_some_and(|names| names.iter().any(|name| name == key))
        };
        if asks {
            for (key, property) in &properties {
                if given.contains_key(key) {
                    continue;
                }
                let about = output::escaped(property["description"].as_str().unwrap_or_default());
                let default = match property.get("default").filter(|it| !it.is_null()) {
                    Some(value) => format!("empty: {value}"),
                    None if required(key) => "required".to_owned(),
                    None => "empty: none".to_owned(),
                };
                output::say(&format!("{key} ({default}). {about}"));
                let said = line()?;
                if !said.is_empty() {
                    given.insert(key.clone(), said);
                }
            }
        }
        if let Some(manifest) = manifest {
            manifest.validate(&given)?;
        }
        for (key, value) in given {
            let kind = properties.get(&key).and_then(|it| it["type"].as_str()).unwrap_or_default();
            let written = match kind {
                "boolean" | "integer" | "number" => value,
                _ => quoted(&value),
            };
            self.settings.insert(key, written);
        }
        Ok(())
    }

    fn take_grants(
        &mut self,
        args: &AddArgs,
        manifest: Option<&Manifest>,
        asks: bool,
    ) -> anyhow::Result<()> {
        self.hosts.extend(args.grant.iter().cloned());
        let asked = manifest.map(|manifest| &*manifest.hosts).unwrap_or_default();
        for host in asked {
            if host.contains('*') {
                output::say(&format!(
                    "it asks for {host}: name the hosts that you mean with --grant HOST"
                ));
                continue;
            }
            let granted = args.grant_all
                || self.hosts.contains(host)
                || asks && exit::is_wanted(&format!("may it reach {host}?"), "not granted")?;
            match granted {
                true => drop(self.hosts.insert(host.clone())),
                false => output::say(&format!(
                    "{host} isn't granted; --grant {host} or --grant-all does"
                )),
            }
        }
        Ok(())
    }

    fn take_secrets(
        &mut self,
        mut given: BTreeMap<String, String>,
        manifest: Option<&Manifest>,
        asks: bool,
    ) -> anyhow::Result<()> {
        let none = BTreeMap::new();
        let asked = manifest.map_or(&none, |manifest| &manifest.secrets);
        if let Some(stray) = given.keys().find(|name| !asked.contains_key(*name)) {
            bail!(
                "it doesn't ask for a secret \"{}\"; leave --secret {0}=… out",
                output::escaped(stray)
            );
        }
        for (name, ask) in asked {
            let optional = if ask.optional { ", optional" } else { "" };
            let (kept, value) = match given.remove(name) {
                Some(source) => source_of(name, &source)?,
                None => {
                    let about = output::escaped(&ask.description);
                    let question = format!("secret {name}{optional} (it isn't shown). {about}");
                    let tries = if asks { TRIES } else { 0 };
                    match typed(&question, if ask.optional { tries.min(1) } else { tries })? {
                        Some(value) => (Kept::Made, Some(Secret::new(value))),
                        None if ask.optional => continue,
                        None => bail!(
                            "it needs the secret {name}; give it with --secret {name}=env:VARIABLE, {name}=file:PATH or {name}=-"
                        ),
                    }
                }
            };
            self.made.extend(value.map(|value| (name.clone(), value)));
            let fits = |host: &String| {
                ask.hosts.iter().any(|asked| match asked.as_str() {
                    "*" => true,
                    asked => match asked.split_once("*.") {
                        Some(("", domain)) => host.ends_with(&format!(".{domain}")),
                        _ => asked == host,
                    },
                })
            };
            let hosts = self.hosts.iter().filter(|host| fits(host)).cloned().collect();
            self.secrets.insert(name.clone(), (kept, hosts));
        }
        Ok(())
    }
}

fn source_of(name: &str, source: &str) -> anyhow::Result<(Kept, Option<Secret>)> {
    match (source, source.split_once(':')) {
        ("-", _) => {
            let value = line()?;
            if value.is_empty() {
                bail!("stdin has no line for the secret {name}");
            }
            Ok((Kept::Made, Some(Secret::new(value))))
        }
        (_, Some(("env", variable))) => Ok((Kept::Env(variable.to_owned()), None)),
        (_, Some(("file", path))) => {
            let path = std::path::absolute(path).context("the secret's file")?;
            Ok((Kept::File(path.to_string_lossy().into_owned()), None))
        }
        // What stands there may be the secret itself.
        _ => bail!(
            "--secret {name}=… must be env:VARIABLE, file:PATH or -; a secret on the command line can be seen by others"
        ),
    }
}

fn pairs(given: &[String], form: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').with_context(|| format!("write {form}"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

/// Asks so often at most for a line that isn't shown; `None` where each is empty.
fn typed(question: &str, tries: usize) -> anyhow::Result<Option<String>> {
    for left in (0..tries).rev() {
        output::say(question);
        let value = unseen()?;
        if !value.is_empty() {
            return Ok(Some(value));
        }
        if left > 0 {
            output::say("it can't be empty");
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
        assert_eq!(source_of("t", "env:TOKEN").unwrap().0, Kept::Env("TOKEN".to_owned()));
        assert_eq!(source_of("t", "file:/a/b").unwrap().0, Kept::File("/a/b".to_owned()));
        let error = source_of("t", "hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("env:VARIABLE"), "{error}");
    }
}
