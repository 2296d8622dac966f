//! `sidenote plugin new`: a plugin that works, to begin with.
//!
//! The templates are the examples of the repository, each with its name replaced, so that what is handed
//! out is what is built and tested there.

mod ask;
mod sdk;
mod templates;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use sidenote_terminal::output;

use templates::File;
pub(super) use templates::WIT as INTERFACE;

const MAX_NAME_BYTES: usize = 64;

/// What `plugin new` takes.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The plugin's name: a lower-case letter, then lower-case letters, digits and single `-`. The
    /// command asks for it at a terminal
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The language. The command asks for it at a terminal
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,
    /// Its purpose: `bot` writes notes, `trigger` decides when to offer help, `source` receives
    /// events
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Bot)]
    kind: Kind,
    /// The folder to write to, which must be empty or missing. Default: NAME
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Rust only: the SDK's folder, instead of the copy in the new folder
    #[arg(long, value_name = "DIR")]
    sdk_path: Option<PathBuf>,
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A chat platform: it posts notes and reads webhooks
    Bot,
    /// When to offer help: in Rust and JavaScript
    Trigger,
    /// What people do, from somewhere else than the connector: in Rust, JavaScript and Python
    Source,
}

impl Kind {
    /// The name that stands in its examples.
    fn example(self) -> &'static str {
        match self {
            Self::Bot => "example-bot",
            Self::Trigger => "example-trigger",
            Self::Source => "example-source",
        }
    }
}

/// A language that there is a template of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust: cargo
    Rust,
    /// JavaScript: Node.js and npm
    Js,
    /// TypeScript: Node.js and npm
    Ts,
    /// Python 3.10 or later: pip
    Python,
    /// C: make, and a compiler that pip brings
    C,
    /// Go
    Go,
    /// Any other that compiles to WebAssembly: the interface and the way from there, without a program
    Other,
}

/// Writes a plugin's folder.
pub(super) fn new(args: &NewArgs) -> anyhow::Result<()> {
    let (name, language) = ask::missing(args.name.as_deref(), args.lang)?;
    check_name(&name)?;
    let kind = args.kind;
    if templates::of(language, kind).is_none() {
        let word = language.to_possible_value().map_or_else(String::new, |it| it.get_name().into());
        let (what, languages) = match kind {
            Kind::Source => ("source", "--lang rust, --lang js or --lang python"),
            Kind::Bot | Kind::Trigger => ("trigger", "--lang rust or --lang js"),
        };
        bail!(
            "there is no template of a {what} for --lang {word}; take {languages}, or begin with a bot and export `{what}` in place of `writer`"
        );
    }
    if args.sdk_path.is_some() && language != Language::Rust {
        bail!("--sdk-path is for --lang rust");
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&name));
    check_empty(&folder)?;
    let sdk = args.sdk_path.as_deref().map(absolute).transpose()?;
    for file in files(language, kind, &name, sdk.as_deref())? {
        write(&folder, &file)?;
    }
    output::say(&told(&folder, &name, language, kind));
    Ok(())
}

/// Everything that is written, with the plugin's name in it.
fn files(
    language: Language,
    kind: Kind,
    name: &str,
    sdk: Option<&Path>,
) -> anyhow::Result<Vec<File<String>>> {
    let named = |file: &File<&str>| File { path: file.path, text: renamed(file.text, kind, name) };
    let own = templates::of(language, kind).context("there is no template of this kind")?;
    let mut files: Vec<_> = own.iter().chain(templates::shared(kind)).map(named).collect();
    files.extend(templates::WIT.iter().map(File::owned));
    files.extend(templates::package(language).iter().map(File::owned));
    if language == Language::Rust {
        let place = match sdk {
            Some(folder) => folder.to_str().context("--sdk-path must be UTF-8")?,
            None => "sidenote-plugin",
        };
        for file in files.iter_mut().filter(|file| file.path == "Cargo.toml") {
            file.text = file.text.replace(templates::SDK_PLACE, place);
        }
        if sdk.is_none() {
            files.extend(sdk::files()?);
        }
    }
    Ok(files)
}

fn renamed(text: &str, kind: Kind, name: &str) -> String {
    let example = kind.example();
    text.replace(example, name).replace(&example.replace('-', "_"), &name.replace('-', "_"))
}

/// The narrowest of what the languages, the manifest and file names take.
fn check_name(name: &str) -> anyhow::Result<()> {
    let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > MAX_NAME_BYTES
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(usual)
        || name.contains("--")
        || name.ends_with('-')
    {
        bail!(
            "`{}` can't be a plugin's name; take at most {MAX_NAME_BYTES} lower-case letters, digits and single `-`, a letter first, such as my-bot",
            name.escape_debug()
        );
    }
    Ok(())
}

fn check_empty(folder: &Path) -> anyhow::Result<()> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("{} can't be used", folder.display()));
        }
    };
    if entries.next().is_some() {
        bail!("{} isn't empty; name another folder with --dir DIR", folder.display());
    }
    Ok(())
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    if !folder.join("Cargo.toml").is_file() {
        bail!("--sdk-path {}: there is no Cargo.toml in there", folder.display());
    }
    folder.canonicalize().with_context(|| format!("--sdk-path {}", folder.display()))
}

fn write(folder: &Path, file: &File<String>) -> anyhow::Result<()> {
    let path = folder.join(file.path);
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(&path, &file.text))
        .with_context(|| format!("{} can't be written", path.display()))?;
    #[cfg(unix)]
    if file.text.starts_with("#!") {
        use std::os::unix::fs::PermissionsExt;
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, runs)
            .with_context(|| format!("{} can't be made a program", path.display()))?;
    }
    Ok(())
}

/// What was made, and what to do with it.
fn told(folder: &Path, name: &str, language: Language, kind: Kind) -> String {
    let build = match language {
        Language::Rust | Language::Go => "./build.sh",
        Language::Js | Language::Ts => "npm ci && npm run build",
        Language::Python => "python3 build.py",
        Language::C => "make",
        Language::Other => return begun(folder, name),
    };
    let webhooks = match kind {
        Kind::Bot => " --webhook webhooks",
        Kind::Trigger => "",
        Kind::Source => " --webhook requests",
    };
    format!(
        "{folder} holds a plugin that works. What to do next:\n\n  \
           cd {folder}\n  \
           {build}\n  \
           sidenote plugin test {name}.wasm{webhooks}\n\n\
         README.md tells what is in there, sidenote.toml how it is configured.",
        folder = folder.display()
    )
}

/// What was made for a language that there is no template of.
fn begun(folder: &Path, name: &str) -> String {
    format!(
        "{folder} holds the interface, a manifest, and no program yet. What to do next, as README.md says in full:\n\n  \
           cd {folder}\n  \
           1. generate bindings from wit/, for the world `chatbot-plugin` or one of your own\n  \
           2. build a core module with them\n  \
           3. sidenote plugin pack core.wasm --wit wit --world chatbot-plugin --manifest manifest.json -o {name}.wasm\n  \
           4. sidenote plugin test {name}.wasm --webhook webhooks",
        folder = folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_language_would_not_take_are_refused() {
        for name in ["a", "my-bot", "b2b", "x-1-y"] {
            check_name(name).unwrap_or_else(|error| panic!("{error}"));
        }
        let long = "a".repeat(65);
        for name in ["", "A", "1a", "-a", "a-", "a--b", "a_b", "a.b", "../a", "a b", "ä", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn nothing_of_the_examples_name_is_left() {
        let kinds = [Kind::Bot, Kind::Trigger, Kind::Source];
        let all = kinds.into_iter().flat_map(|kind| {
            let there = move |it: &&Language| templates::of(**it, kind).is_some();
            Language::value_variants().iter().filter(there).map(move |it| (it, kind))
        });
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), Language::value_variants().len() + 5);
        for (language, kind) in all {
            let files = files(*language, kind, "my-own", None).unwrap();
            for file in &files {
                for example in ["bot", "trigger", "source"]
                    .iter()
                    .flat_map(|kind| [format!("example-{kind}"), format!("example_{kind}")])
                {
                    assert!(!file.text.contains(&example), "{language:?} {}", file.path);
                }
                assert!(!file.text.contains("../.."), "{language:?} {}: leads out", file.path);
            }
            for needed in ["README.md", "AGENTS.md", "manifest.json", "sidenote.toml", ".gitignore"]
            {
                assert!(files.iter().any(|file| file.path == needed), "{language:?} {needed}");
            }
        }
    }

    /// A plugin's own source is what its author writes; what every plugin needs comes from the package.
    #[test]
    fn what_a_plugin_shares_with_others_is_in_the_package_beside_it() {
        for (language, kinds, needs) in [
            (Language::Js, &[Kind::Bot, Kind::Trigger, Kind::Source][..], "src/failure.js"),
            (Language::Ts, &[Kind::Bot], "src/failure.d.ts"),
            (Language::Python, &[Kind::Bot, Kind::Source], "src/sidenote_plugin/failure.py"),
        ] {
            for kind in kinds {
                let files = files(language, *kind, "my-own", None).unwrap();
                let (package, own): (Vec<_>, Vec<_>) =
                    files.iter().partition(|file| file.path.starts_with("sidenote-plugin/"));
                let needed = format!("sidenote-plugin/{needs}");
                assert!(package.iter().any(|file| file.path == needed), "{language:?} {kind:?}");
                let named = ["package.json", "requirements.txt"].map(|name| {
                    own.iter().find(|file| file.path == name).map(|file| file.text.as_str())
                });
                let names = named.into_iter().flatten().any(|text| {
                    text.contains("\"file:sidenote-plugin\"")
                        || text.contains("./sidenote-plugin\n")
                });
                assert!(names, "{language:?} {kind:?}: nothing names the copy");
                for copied in
                    ["retry-after", "TOO_LARGE", "too-large", "fromCharCode", "hmac_verify"]
                {
                    let is_code = |file: &&&File<String>| {
                        file.path.ends_with("js")
                            || file.path.ends_with("ts")
                            || file.path.ends_with("py")
                    };
                    let source = own.iter().filter(is_code).filter(|it| !it.path.contains("test"));
                    for file in source {
                        assert!(!file.text.contains(copied), "{}: {copied}", file.path);
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_to_the_sdk_takes_the_place_of_its_copy() {
        let own = files(Language::Rust, Kind::Bot, "my-own", None).unwrap();
        assert!(own.iter().any(|file| file.path == "sidenote-plugin/src/lib.rs"));
        let there = files(Language::Rust, Kind::Bot, "my-own", Some(Path::new("/sdk"))).unwrap();
        assert!(!there.iter().any(|file| file.path.starts_with("sidenote-plugin")));
        let cargo = there.iter().find(|file| file.path == "Cargo.toml").unwrap();
        assert!(cargo.text.contains(r#"sidenote-plugin = { path = "/sdk" }"#), "{}", cargo.text);
    }
}
