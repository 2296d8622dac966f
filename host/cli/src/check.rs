//! `sidenote check`: everything that is wrong, or the effective settings.

mod upgrade;

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use sidenote::config::{
    Config, ConfigErrors, Place, Plugin, Problem, Product, Secret, Source, Store,
};
use sidenote::host::mutes;
use sidenote::ids::{PluginName, ProductId};
use sidenote::outbox::sink_delivery::Roles;
use sidenote::plugin::{Finding, exports_source, review, roles};
use sidenote_terminal::{exit, output};

/// What `check` takes.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// Print instead the store's format, and what a start of this build would do with it. No host
    /// may be running on it, and nothing is changed
    #[arg(long)]
    upgrade: bool,
    /// Inspect this file, such as a copy, instead of the configured store
    #[arg(long, value_name = "FILE", requires = "upgrade")]
    store: Option<PathBuf>,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Checks a configuration, and the files of the plugins as far as that goes without compiling them. Nothing
/// is started or connected to.
pub(super) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.upgrade {
        return upgrade::upgrade(&args.config, args.store.as_deref(), args.json);
    }
    match Config::load(&args.config) {
        Ok(config) => found(args, &config),
        Err(errors) => {
            wrong(args, &errors)?;
            Ok(exit::usage())
        }
    }
}

fn found(args: &CheckArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let of_plugins = config.plugins.iter().flat_map(|(name, plugin)| told(config, name, plugin));
    let of_products =
        config.products.iter().filter_map(|(id, product)| aimless(config, id, product));
    let of_file = config.warnings.iter().map(|warning| Told {
        section: warning.section.clone(),
        problem: false,
        message: warning.message.clone(),
    });
    let mute = mutes(config).into_iter().map(|mute| Told {
        section: mute.section(),
        problem: true,
        message: mute.to_string(),
    });
    let told: Vec<_> = of_file.chain(of_plugins).chain(of_products).chain(mute).collect();
    let ok = !told.iter().any(|told| told.problem);
    if args.json {
        let listed = |problems: bool| {
            let listed = told.iter().filter(|told| told.problem == problems);
            listed.map(Told::json).collect::<Vec<_>>()
        };
        let mut value = summary_json(config);
        value["ok"] = json!(ok);
        value["problems"] = json!(listed(true));
        value["warnings"] = json!(listed(false));
        output::data(&value.to_string())?;
    } else {
        // It was read a moment ago.
        let further = Source::of(&args.config).further().unwrap_or_default();
        output::data(&summary(&args.config, &further, config, ok))?;
        for told in &told {
            output::say(&told.to_string());
        }
    }
    Ok(exit::done_if(ok))
}

/// Something to tell of a plugin or of a product.
struct Told {
    /// The table that it is about.
    section: String,
    /// Whether it keeps the plugin from working.
    problem: bool,
    message: String,
}

/// A product of which nothing goes anywhere.
fn aimless(config: &Config, id: &ProductId, product: &Product) -> Option<Told> {
    let aimless = kind(config, product) == Kind::Nothing;
    aimless.then(|| Told {
        section: format!("products.{id}"),
        problem: false,
        message: "none of its plugins posts notes or is a sink, so what people do goes nowhere"
            .to_owned(),
    })
}

/// Where a product's actions go, as far as the files of its plugins tell.
#[derive(PartialEq, Eq)]
enum Kind {
    /// Notes, and what its sinks are given.
    Notes,
    /// Sinks have it, and nobody posts notes.
    SinksOnly,
    /// Nothing.
    Nothing,
}

fn kind(config: &Config, product: &Product) -> Kind {
    let plugins = product.plugins.iter().filter_map(|name| config.plugins.get(name));
    let roles = plugins.map(|plugin| roles(&config.plugin_path(plugin)));
    // Of a file that can't be read it isn't known that it posts no notes.
    let roles: Vec<_> = roles.map(|roles| roles.unwrap_or(Roles::WRITER)).collect();
    match (roles.iter().any(|it| it.writer), roles.iter().any(|it| it.sink)) {
        (true, _) => Kind::Notes,
        (false, true) => Kind::SinksOnly,
        (false, false) => Kind::Nothing,
    }
}

/// What there is to tell of a plugin's file and of what it asks for.
fn told(config: &Config, name: &PluginName, plugin: &Plugin) -> Vec<Told> {
    let section = format!("plugins.{name}");
    let path = config.plugin_path(plugin);
    if plugin.registry.is_none() && !path.is_file() {
        let message = format!(
            "the file {} isn't there; build it or copy it there, or set `file` or `plugins_folder`",
            path.display()
        );
        return vec![Told { section, problem: true, message }];
    }
    let told = |finding: Finding| match finding {
        // Nobody has to do anything about it.
        Finding::Harmless(_) => None,
        Finding::Refused(_) | Finding::ToBePulled(_) | Finding::Useless(_) | Finding::Odd(_) => {
            let (problem, message) = (finding.is_problem(), finding.to_string());
            Some(Told { section: section.clone(), problem, message })
        }
    };
    let of_source = source(name, plugin, exports_source(&path));
    review(config, name, plugin).into_iter().filter_map(told).chain(of_source).collect()
}

/// What there is to tell of a source: one of whose table nothing can come, and one that nobody can send to.
fn source(name: &PluginName, plugin: &Plugin, exports: Option<bool>) -> Option<Told> {
    let section = format!("plugins.{name}");
    match (exports?, plugin.source.is_some()) {
        (true, false) => Some(Told {
            section,
            problem: false,
            message: format!(
                "it exports `source`, and nothing is accepted at its address; add [plugins.{name}.source]"
            ),
        }),
        (false, true) => Some(Told {
            section: format!("{section}.source"),
            problem: true,
            message:
                "the plugin doesn't export `source`; remove the table, or take a plugin that does"
                    .to_owned(),
        }),
        (true, true) | (false, false) => None,
    }
}

impl Told {
    fn json(&self) -> Value {
        json!({"file": null, "line": null, "variable": null, "section": self.section, "message": self.message})
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, problem, message } = self;
        let mark = if *problem { "" } else { "warning: " };
        write!(f, "[{section}] {mark}{message}")
    }
}

fn wrong(args: &CheckArgs, errors: &ConfigErrors) -> anyhow::Result<()> {
    if args.json {
        let problems: Vec<_> = errors.problems().iter().map(problem_json).collect();
        return output::data(&json!({"ok": false, "problems": problems}).to_string());
    }
    output::say(&errors.to_string());
    let count = errors.problems().len();
    output::say(&format!("{count} {}", if count == 1 { "problem" } else { "problems" }));
    Ok(())
}

fn problem_json(problem: &Problem) -> Value {
    let (file, line, variable) = match &problem.place {
        Place::File(file) => (Some(file.display().to_string()), None, None),
        Place::Line(file, line) => (Some(file.display().to_string()), Some(*line), None),
        Place::Variable(name) => (None, None, Some(name)),
    };
    json!({"file": file, "line": line, "variable": variable, "section": problem.section, "message": problem.fault.to_string()})
}

/// The effective settings, for people.
fn summary(file: &Path, further: &[PathBuf], config: &Config, complete: bool) -> String {
    let mut text = String::new();
    let mut line =
        |line: String| writeln!(text, "{line}").expect("text can always be added to a string");
    line(format!("{}: {}", if complete { "OK" } else { "INCOMPLETE" }, file.display()));
    for file in further {
        line(format!("tables    {}", file.display()));
    }
    line(format!(
        "server    {}, token {}",
        config.server.listen,
        presence(config.server.token.as_ref())
    ));
    line(format!("store     {}", store(&config.store)));
    line(format!("model     {}", model(config)));
    for (name, stream) in &config.streams {
        line(format!(
            "stream    {name}: {}, token {}",
            without_query(&stream.url),
            presence(stream.token.as_ref())
        ));
    }
    for (name, plugin) in &config.plugins {
        let path = config.plugin_path(plugin);
        let found = match (path.is_file(), &plugin.registry) {
            (true, _) => "found",
            (false, None) => "MISSING",
            (false, Some(_)) => "to be pulled",
        };
        let shown = match &plugin.registry {
            None => path.display().to_string(),
            Some(pinned) => pinned.to_string(),
        };
        let used = if users(config, name).is_empty() { ", not used by any product" } else { "" };
        line(format!("plugin    {name}: {shown} ({found}){used}"));
        let private = if plugin.allow_private { ", private addresses too" } else { "" };
        line(format!("            may reach: {}{private}", listed(&plugin.hosts)));
        if plugin.allow_stdout {
            line("            may write to the standard output".to_owned());
        }
        if plugin.allow_kv {
            line("            may keep something under keys".to_owned());
        }
        if plugin.allow_timer {
            line("            may set timers".to_owned());
        }
        for (name, secret) in &plugin.secrets {
            line(format!("            secret {name} may go to: {}", listed(&secret.hosts)));
        }
    }
    for (id, product) in &config.products {
        let only = match kind(config, product) {
            Kind::SinksOnly => ", without notes",
            Kind::Notes | Kind::Nothing => "",
        };
        line(format!("product   {id}: {}{only}", product.plugins.join(", ")));
        if product.offers.is_some() {
            let ids = offered(product);
            let ids = if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") };
            line(format!("            offers help by: {ids}"));
        }
        if let Some(reply) = &product.reply {
            let how = if reply.dry_run { "drafts for people (dry run)" } else { "a model's reply" };
            line(format!("            what people write gets: {how}"));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The same, for machines.
fn summary_json(config: &Config) -> Value {
    let stream = |stream: &sidenote::config::Stream| json!({"url": without_query(&stream.url), "token": stream.token.is_some()});
    let plugin = |name: &str, plugin: &Plugin| {
        let secrets: Map<_, _> = plugin
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), json!({"hosts": secret.hosts})))
            .collect();
        let path = config.plugin_path(plugin);
        json!({
            "path": path.display().to_string(),
            "found": path.is_file(),
            "registry": plugin.registry.as_ref().map(ToString::to_string),
            "hosts": plugin.hosts,
            "private": plugin.allow_private,
            "stdout": plugin.allow_stdout,
            "kv": plugin.allow_kv,
            "timer": plugin.allow_timer,
            "secrets": secrets,
            "products": users(config, name),
        })
    };
    let streams: Map<_, _> =
        config.streams.iter().map(|(name, settings)| (name.clone(), stream(settings))).collect();
    let plugins: Map<_, _> = config
        .plugins
        .iter()
        .map(|(name, settings)| (name.to_string(), plugin(name, settings)))
        .collect();
    let products: Map<_, _> = config
        .products
        .iter()
        .map(|(id, product)| {
            let mut value = json!({"plugins": product.plugins});
            if product.offers.is_some() {
                value["offers"] = json!(offered(product));
            }
            if let Some(reply) = &product.reply {
                value["reply"] = json!({"dry_run": reply.dry_run});
            }
            (id.to_string(), value)
        })
        .collect();
    json!({
        "server": {"listen": config.server.listen.to_string(), "token": config.server.token.is_some()},
        "store": store(&config.store),
        "model": config.llm.as_ref().map(|llm| json!({
            "provider": llm.provider.name(),
            "model": llm.model,
            "key": llm.api_key.is_some(),
            "summaries": config.summary.enabled,
        })),
        "streams": streams,
        "plugins": plugins,
        "products": products,
    })
}

/// The triggers by which help is offered, those that are off left out.
fn offered(product: &Product) -> Vec<&str> {
    let alone = product.triggers.iter().filter(|trigger| trigger.alone);
    alone.map(|trigger| trigger.id.as_str()).collect()
}

/// The products that a plugin serves, or one of whose triggers it is.
fn users(config: &Config, plugin: &str) -> Vec<String> {
    let is_user = |product: &Product| {
        let mut named = product.plugins.iter().chain(product.triggers.plugins());
        named.any(|name| &**name == plugin)
    };
    let uses = config.products.iter().filter(|(_, product)| is_user(product));
    uses.map(|(id, _)| id.to_string()).collect()
}

fn store(store: &Store) -> String {
    match store {
        Store::Memory => "memory: everything is lost when the process ends".to_owned(),
        Store::Embedded { path, .. } => format!("embedded: {}", path.display()),
        Store::Redis(redis) => format!("redis: {}, namespace {}", redis.url, redis.namespace),
    }
}

fn model(config: &Config) -> String {
    let Some(llm) = &config.llm else {
        return "none: no summaries, no answers".to_owned();
    };
    let at = llm.base_url.as_deref().map(|url| format!(" at {}", without_query(url)));
    format!(
        "{} {}{}, key {}, summaries {}",
        llm.provider.name(),
        llm.model,
        at.unwrap_or_default(),
        presence(llm.api_key.as_ref()),
        if config.summary.enabled { "on" } else { "off" },
    )
}

fn presence(secret: Option<&Secret>) -> &'static str {
    if secret.is_some() { "set" } else { "not set" }
}

/// An address without its query, which may hold a credential.
fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(address, _)| format!("{address}?..."))
}

fn listed(hosts: &[String]) -> String {
    if hosts.is_empty() { "nothing".to_owned() } else { hosts.join(", ") }
}
