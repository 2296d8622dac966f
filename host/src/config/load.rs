//! From the file to a [`Config`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::error::{ConfigErrors, Fault, Place, Problem};
use super::model::{Cache, Compile, Config, Plugin, Server, Store};
use super::offers::Around;
use super::section::{File, OVERLAY, Reader, Section, nearest};
use super::{
    context, dashboard, further, identity, llm, mcp, operator_events, plugins, products,
    registries, scalar, sections, sources, tours, traces,
};
use crate::ids::PluginName;
use sidenote_core::engine::MAX_WAITING_BYTES;

impl Config {
    /// Loads the file at `path`, the files of the folder `plugins.d` beside it, and the process's
    /// environment over them.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, with lines; nothing of the file is in force then.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        whole(path, None)
    }

    /// Reads `text` as if it stood in `base_dir/sidenote.toml` without a folder `plugins.d` beside it, with
    /// `env` for the environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]. Variables of the overlay that mean nothing aren't found this way: `env`
    /// can't be listed.
    pub fn from_toml(
        text: &str,
        base_dir: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        build((Path::new("sidenote.toml"), text), &[], base_dir, env, Vec::new())
    }

    /// Logs what is to be told of a configuration that can be used.
    pub(crate) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("configuration: {warning}");
        }
    }

    /// Reads the tables `[plugins.NAME]` of a text and nothing else of it, as if it stood in `file`: for
    /// trying a component out, which needs no streams and no products. `env` is the environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with these tables, with lines.
    pub fn plugins_from_toml(
        file: PathBuf,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<PluginName, Plugin>, ConfigErrors> {
        let base = folder_of(&file).to_owned();
        let (table, errors) = DeTable::parse_recoverable(text);
        let reader = Reader::new(file, text, &base, env);
        report_syntax(&reader, &reader.files[0], &errors);
        if let Some(errors) = ConfigErrors::of(reader.problems()) {
            return Err(errors);
        }
        let plugins = plugins::plugins(Section::top(&reader, table.get_ref()).section("plugins"));
        let (problems, _) = reader.into_findings();
        ConfigErrors::of(problems).map_or(Ok(plugins), Err)
    }
}

/// Loads the file and those of the folder beside it. `secrets_of`: the secrets of this table alone are read.
pub(super) fn whole(path: &Path, secrets_of: Option<&'static str>) -> Result<Config, ConfigErrors> {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    read_with(path, &|name| std::env::var(name).ok(), names, secrets_of)
}

/// What is read of `[server]` and `[store]` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// No secret.
    Access,
    /// The server's token.
    Token,
}

/// Reads `[server]` and, for [`Part::Access`], `[store]`; whatever else stands in the file.
pub(super) fn part(path: &Path, part: Part) -> Result<(Server, Store), ConfigErrors> {
    let text = main_text(path)?;
    let base = folder_of(path);
    let env = |name: &str| std::env::var(name).ok();
    let (table, errors) = DeTable::parse_recoverable(&text);
    let secrets_of = match part {
        Part::Access => "",
        Part::Token => "server",
    };
    let reader = Reader::new(path.to_owned(), &text, base, &env).with_secrets_of(secrets_of);
    report_syntax(&reader, &reader.files[0], &errors);
    if let Some(errors) = ConfigErrors::of(reader.problems()) {
        return Err(errors);
    }
    let top = Section::top(&reader, table.get_ref());
    let server = sections::server(top.section("server"));
    let store = match part {
        Part::Access => sections::store(top.section("store"), base),
        Part::Token => Store::Memory,
    };
    let (problems, _) = reader.into_findings();
    ConfigErrors::of(problems).map_or(Ok((server, store)), Err)
}

/// The folder that relative paths of a file are relative to.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a file and those of the folder beside it. `set` as for [`build`].
pub(super) fn read(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    set: Vec<String>,
) -> Result<Config, ConfigErrors> {
    read_with(path, env, set, None)
}

fn read_with(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    set: Vec<String>,
    secrets_of: Option<&'static str>,
) -> Result<Config, ConfigErrors> {
    let text = main_text(path)?;
    let base = folder_of(path);
    let further = further::read(&further::folder(base));
    let further = further.map_err(|problems| {
        ConfigErrors::of(problems).expect("a folder isn't refused without a problem")
    })?;
    let further: Vec<_> = further.iter().map(|(path, text)| (&**path, &**text)).collect();
    build_with((path, &text), &further, base, env, set, secrets_of)
}

fn main_text(path: &Path) -> Result<String, ConfigErrors> {
    std::fs::read_to_string(path).map_err(|error| {
        let fault = Fault::Unreadable { cause: error.to_string() };
        one(Problem { place: Place::File(path.to_owned()), section: String::new(), fault })
    })
}

/// Reads the main file's text and those of `further` ones. `set` are the names of the environment's
/// variables: those of the overlay must all mean something and be text.
pub(super) fn build(
    main: (&Path, &str),
    further: &[(&Path, &str)],
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    set: Vec<String>,
) -> Result<Config, ConfigErrors> {
    build_with(main, further, base, env, set, None)
}

/// As [`build`]. `secrets_of`: the secrets of this table alone are read.
fn build_with(
    main: (&Path, &str),
    further: &[(&Path, &str)],
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    set: Vec<String>,
    secrets_of: Option<&'static str>,
) -> Result<Config, ConfigErrors> {
    let reader = Reader::new(main.0.to_owned(), main.1, base, env)
        .with(further.iter().map(|(path, text)| File { path: path.to_path_buf(), text }));
    let reader = match secrets_of {
        Some(table) => reader.with_secrets_of(table),
        None => reader,
    };
    let parsed: Vec<_> =
        reader.files.iter().map(|file| DeTable::parse_recoverable(file.text)).collect();
    for (file, (_, errors)) in reader.files.iter().zip(&parsed) {
        report_syntax(&reader, file, errors);
    }
    if let Some(errors) = ConfigErrors::of(reader.problems()) {
        return Err(errors);
    }
    let tables = parsed.iter().map(|(table, _)| table.get_ref());
    let config = config(Section::of_files(&reader, tables), base);
    let config = Config { warnings: reader.warnings(), ..config };
    let (mut problems, overlay) = reader.into_findings();
    for name in set.into_iter().filter(|name| name.starts_with(OVERLAY)) {
        let fault = if !overlay.contains_key(&name) {
            Fault::UnknownVariable { meant: nearest(&name, overlay.keys()) }
        } else if env(&name).is_none() {
            Fault::VariableNotText
        } else {
            continue;
        };
        problems.push(Problem { place: Place::Variable(name), section: String::new(), fault });
    }
    ConfigErrors::of(problems).map_or(Ok(config), Err)
}

fn report_syntax(reader: &Reader<'_>, file: &File<'_>, errors: &[toml::de::Error]) {
    for error in errors {
        let place =
            error.span().map_or_else(|| Place::File(file.path.clone()), |span| file.line(&span));
        // The parser doesn't say which key is there twice. Other pieces of the text aren't shown: they
        // can be a secret in the wrong place.
        let key = error
            .span()
            .filter(|_| error.message() == "duplicate key")
            .and_then(|span| file.text.get(span));
        let cause = key.map_or_else(
            || error.message().to_owned(),
            |key| format!("\"{key}\" stands there twice"),
        );
        reader.report(place, "", Fault::Syntax { cause });
    }
}

/// What a compiler needs for the smallest component, in bytes.
const LEAST_COMPILE_MEMORY: usize = 64 << 20;

/// Builds what can be built; whatever can't is reported and replaced by a default.
pub(super) fn config(top: Section<'_>, base: &Path) -> Config {
    let plugins_folder =
        base.join(top.scalar_or("plugins_folder", "plugins".to_owned(), scalar::text));
    let cache =
        Cache::at(base.join(top.scalar_or("cache_folder", "cache".to_owned(), scalar::text)));
    let max_bytes = top.scalar_or("cache_max", cache.max_bytes, scalar::size);
    let cache = Cache { max_bytes, ..cache };
    if cache.folder == plugins_folder {
        top.refuse(
            "cache_folder",
            "it is the plugins folder: what is put in there is checked, what is in the cache is run as it is",
            "name another folder",
        );
    }
    let supply = registries::supply(&top);
    let compile = compile(&top);
    let waiting_memory = top.scalar_or("waiting_memory", MAX_WAITING_BYTES, scalar::size);
    let mut server = sections::server(top.section("server"));
    // Only what was read is known to be overlaid.
    let max_body = top.peek("server").place_of("max_body");
    let store = sections::store(top.section("store"), base);
    let retention = sections::retention(top.section("retention"));
    let context = context::context(top.section("context"), &retention);
    let has_token = top.peek("server").has("token");
    let dashboard = dashboard::dashboard(top.section("dashboard"), &server, has_token);
    server.mcp = mcp::mcp(top.section("mcp"), &server, context.as_ref());
    let delivery = sections::delivery(top.section("delivery"), &Default::default());
    let streams = {
        let is_fed = products::are_pushed_to(&top) || sources::are_there(&top);
        sections::streams(&top, is_fed)
    };
    let plugins = plugins::plugins(top.section("plugins"));
    if let Some(fault) = plugins::too_large_body(&plugins, server.max_body_bytes) {
        top.reader.report(max_body, "server", fault);
    }
    let around = Around {
        plugins: &plugins,
        has_history: context.is_some(),
        has_model: top.peek("llm").is_present(),
    };
    let (products, ingest) = products::products(&top, around, &delivery);
    sources::check_products(&top, &plugins, products.keys());
    let llm = llm::llm(top.section("llm"));
    let summary = llm::summary(top.section("summary"), llm.is_some() && context.is_none());
    let events = operator_events::operator_events(top.section("operator_events"));
    let traces = traces::traces(top.section("traces"));
    let prompts = llm::prompts(top.section("prompts"), base);
    let tours = tours::tours(top.section("tours"), &products, base);
    let names = identity::names(top.section("identity"));
    top.finish();
    Config {
        server,
        dashboard,
        store,
        retention,
        context,
        delivery,
        streams,
        plugins_folder,
        cache,
        supply,
        compile,
        waiting_memory,
        plugins,
        products,
        ingest,
        llm,
        summary,
        operator_events: events,
        traces,
        prompts,
        tours,
        names,
        warnings: Vec::new(),
    }
}

fn compile(top: &Section<'_>) -> Compile {
    let default = Compile::default();
    let compile = Compile {
        memory_bytes: top.scalar_or("compile_memory", default.memory_bytes, scalar::size),
        timeout: top.scalar_or("compile_timeout", default.timeout, scalar::duration),
    };
    if compile.memory_bytes < LEAST_COMPILE_MEMORY {
        top.refuse(
            "compile_memory",
            format!("{} bytes aren't enough for any component", compile.memory_bytes),
            "write at least \"64MiB\"",
        );
    }
    compile
}

fn one(problem: Problem) -> ConfigErrors {
    ConfigErrors::of(vec![problem]).expect("one problem is not none")
}
