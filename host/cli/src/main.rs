//! The `sidenote` command. Data goes to stdout, everything said about it to stderr; [`sidenote_terminal`] has the
//! rules of both and the exit codes.

#![deny(unsafe_code)]

mod ask;
mod audit;
mod authors;
mod backup;
mod check;
mod client;
mod compile;
mod doctor;
mod erase;
mod events;
mod generate;
mod health;
mod help;
mod init;
mod key;
#[cfg(any(test, not(feature = "authors")))]
mod left_out;
mod offers;
mod outbox;
mod placed;
mod plugin;
mod reload;
mod run;
mod smoke_test;
mod sources;
mod stream;
mod supervisor;
mod table;
mod tap;
mod top;
mod when;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sidenote::telemetry;
use sidenote_terminal::{Failure, exit, failure, output};
use tracing::Level;

/// A host's memory is many small texts that threads hand to one another; `cargo xtask bench` measures it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = help::parse().unwrap_or_else(|error| refuse(&error));
    telemetry::init(cli.log_json, cli.command.log_level());
    if cli.log_json {
        output::say_as_log();
    }
    let command = cli.command.name();
    execute(cli.command).unwrap_or_else(|error| {
        for failure in failures(&error, command, cli.log_json) {
            output::fail(&failure);
        }
        if failure::is_usage(&error) { exit::usage() } else { exit::NOT_DONE }
    })
}

/// What is said of an error: in text all of it at once, as objects one for each problem.
fn failures(error: &anyhow::Error, command: &str, as_json: bool) -> Vec<Failure> {
    let mut failures = Failure::of(error, command);
    if !as_json {
        failures.truncate(1);
        for failure in &mut failures {
            failure.message = format!("{error:#}");
        }
    }
    failures
}

/// Says what is wrong with the command line, and ends. Help that was asked for is no error.
fn refuse(error: &clap::Error) -> ! {
    let as_json = std::env::args_os().any(|argument| argument == "--log-json");
    if !error.use_stderr() || !as_json {
        error.exit();
    }
    telemetry::init(true, Level::INFO);
    output::say_as_log();
    output::fail(&Failure::of_usage(&error.to_string()));
    std::process::exit(error.exit_code())
}

/// What `--version` tells; `-V` tells the first line.
const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit    ",
    env!("SIDENOTE_COMMIT"),
    "\ntarget    ",
    env!("SIDENOTE_TARGET"),
    "\nrustc     ",
    env!("SIDENOTE_RUSTC"),
    "\nwasmtime  ",
    env!("SIDENOTE_WASMTIME"),
);

/// Writes what people just did in your product beside the conversation that they open with support.
#[derive(Debug, Parser)]
#[command(name = "sidenote", version, long_version = BUILD)]
struct Cli {
    /// Log lines as JSON objects instead of text. SIDENOTE_LOG filters them, for example `debug`
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a working configuration from six questions
    Init(init::InitArgs),
    /// Run the host: read the streams and write the notes, until SIGTERM or Ctrl-C
    Run(run::RunArgs),
    /// Validate the configuration and print the effective settings
    Check(check::CheckArgs),
    /// Run a demo with a connector and a chat platform on this machine; needs no account
    #[command(hide = cfg!(not(feature = "demo")), disable_help_flag = cfg!(not(feature = "demo")))]
    Demo(authors::DemoArgs),
    /// List waiting notes and dead letters, send them again, or remove them
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// List offers of help, made and refused, and try triggers on recorded events
    #[command(subcommand)]
    Offers(offers::OffersCommand),
    /// Print the lines of a recorded request
    #[command(subcommand)]
    Sources(sources::SourcesCommand),
    /// Erase a person or a session, and redact their notes at the platforms
    Erase(erase::EraseArgs),
    /// Make, list and revoke API keys with scopes and products
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// List what people changed, when, and who they were
    Audit(audit::AuditArgs),
    /// Exit with 0 if a running host is alive, or ready: for containers
    Health(health::HealthArgs),
    /// Copy the store into a file while the host runs
    Backup(backup::BackupArgs),
    /// Check configuration, hosts, store, keys, plugins and the running host, and print remedies
    Doctor(doctor::DoctorArgs),
    /// Reload the configuration of a running host, and print what changed
    Reload(reload::ReloadArgs),
    #[cfg_attr(feature = "authors", doc = "Inspect, add, write and test plugins")]
    #[cfg_attr(not(feature = "authors"), doc = "Inspect, add and remove plugins")]
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Reconnect, record and replay streams
    #[command(subcommand)]
    Stream(stream::StreamCommand),
    /// Follow a running host live: events, notes, attempts, links, offers
    Tap(tap::TapArgs),
    /// Watch the load of a running host: streams, plugins, what waits, each second
    Top(top::TopArgs),
    /// Test a connector's stream: connection, first payload, session id
    SmokeTest(smoke_test::SmokeTestArgs),
    /// Generate completions, man pages and schemas
    #[command(subcommand)]
    Generate(generate::GenerateCommand),
    /// Compile a component, for a host that has this program do it
    #[command(hide = true)]
    CompileComponent(compile::CompileArgs),
}

impl Command {
    /// Its name, for what is said of it.
    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Run(_) => "run",
            Self::Check(_) => "check",
            Self::Demo(_) => "demo",
            Self::Outbox(_) => "outbox",
            Self::Offers(_) => "offers",
            Self::Sources(_) => "sources",
            Self::Erase(_) => "erase",
            Self::Key(_) => "key",
            Self::Audit(_) => "audit",
            Self::Backup(_) => "backup",
            Self::Health(_) => "health",
            Self::Doctor(_) => "doctor",
            Self::Plugin(_) => "plugin",
            Self::Stream(_) => "stream",
            Self::Reload(_) => "reload",
            Self::Tap(_) => "tap",
            Self::Generate(_) => "generate",
            Self::Top(_) => "top",
            Self::SmokeTest(_) => "smoke-test",
            Self::CompileComponent(_) => "compile-component",
        }
    }

    /// From which level on the log is written where `SIDENOTE_LOG` doesn't say.
    fn log_level(&self) -> Level {
        match self {
            // The demo tells on stdout what happens; the log of its host would only tear that apart.
            Self::Demo(_) => Level::ERROR,
            // What a component that is tried out writes is no news.
            Self::Plugin(_) | Self::CompileComponent(_) => Level::ERROR,
            // Its findings say what the log would.
            Self::Doctor(_) => Level::ERROR,
            Self::Init(_)
            | Self::Run(_)
            | Self::Check(_)
            | Self::Outbox(_)
            | Self::Offers(_)
            | Self::Sources(_)
            | Self::Erase(_)
            | Self::Key(_)
            | Self::Audit(_)
            | Self::Backup(_)
            | Self::Health(_)
            | Self::Stream(_)
            | Self::Reload(_)
            | Self::Tap(_)
            | Self::Generate(_)
            | Self::Top(_)
            | Self::SmokeTest(_) => Level::INFO,
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    sidenote::tls::install_provider();
    match command {
        Command::Init(args) => init::init(&args),
        Command::Run(args) => block_on(run::run(args)).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => block_on(authors::demo(args)).map(|()| ExitCode::SUCCESS),
        Command::Outbox(command) => block_on(outbox::run(command)),
        Command::Offers(command) => block_on(offers::offers(command)),
        Command::Sources(command) => block_on(sources::sources(command)),
        Command::Erase(args) => block_on(erase::erase(args)),
        Command::Key(command) => block_on(key::run(command)),
        Command::Audit(args) => block_on(audit::audit(args)),
        Command::Health(args) => block_on(health::health(args)),
        Command::Backup(args) => block_on(backup::backup(args)),
        Command::Stream(command) => block_on(stream::stream(command)),
        Command::Doctor(args) => block_on(doctor::doctor(args)),
        Command::Reload(args) => block_on(reload::reload(args)),
        Command::Plugin(command) => block_on(plugin::plugin(command)),
        Command::Tap(args) => block_on(tap::tap(args)),
        Command::Top(args) => block_on(top::top(args)),
        Command::Generate(command) => generate::generate(command).map(|()| ExitCode::SUCCESS),
        Command::SmokeTest(args) => block_on(smoke_test::smoke_test(args)),
        Command::CompileComponent(args) => Ok(compile::compile(args)),
    }
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the async runtime can't be started")?.block_on(command)
}
