//! `sidenote plugin test`: a component against a mock platform, check by check.
//!
//! | module | owns |
//! |---|---|
//! | `check` | what a check is, and what can come of one |
//! | `stage` | the plugin and the mock that the checks work with; notes and calls |
//! | `next_step` | what the host would do about an outcome, told by the outbox itself |
//! | `arrived` | what of a text is found in a request, however it was written there |
//! | `posting` | one note, its id, its key |
//! | `answers` | what comes of the answers of --answer that something is expected of |
//! | `refusals` | what a platform can answer instead of taking a note |
//! | `breaks` | what can happen to an exchange |
//! | `texts` | what people can write |
//! | `endurance` | many calls, on one instance and at the same time |
//! | `other_exports` | the other exports: finder, redactor, messenger, sink |
//! | `triggers` | triggers: what they answer, and to what |
//! | `sources` | sources: what they make of what anybody can send, and of being asked |
//! | `incoming`, `samples`, `forgery` | webhooks: good ones, forged ones |
//! | `kv` | what it keeps between calls, and that nothing can be kept |
//! | `timers` | the timers that it sets: that it is called for them, and that none can be set |
//! | `report` | the lines and the JSON |

mod answers;
mod arrived;
mod breaks;
mod check;
mod endurance;
mod forgery;
pub(super) mod incoming;
mod kv;
pub(super) mod next_step;
mod other_exports;
pub(super) mod posting;
mod refusals;
mod report;
pub(super) mod samples;
mod sources;
mod stage;
mod texts;
mod timers;
mod triggers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use self::answers::Expectation;
use self::check::{Check, Mark, Verdict};
use self::report::{Report, Row};
pub(super) use self::stage::batch_of;
use self::stage::{Needs, Stage};
use super::bench::{Bench, BenchArgs};
use super::profile;
use sidenote::plugin::Samples;
use sidenote_sim::{Form, Mock};
use sidenote_terminal::{Unusable, output};

/// What `plugin test` takes.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    bench: BenchArgs,
    /// The mock platform's responses, a JSON list; default: {"id": "…"} to everything
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// The port of this machine that the mock platform listens on; default: any free one
    #[arg(long, value_name = "PORT")]
    mock_port: Option<u16>,
    /// Write a CPU profile of the plugin, sampled every millisecond, as a .cpuprofile for
    /// https://profiler.firefox.com
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A webhook of the platform as a JSON file, or a folder of them
    #[arg(long, value_name = "FILE")]
    webhook: Vec<PathBuf>,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs every check. Success where none failed.
pub(super) async fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let form = form(args.answer.as_deref())?;
    let samples = samples::read(&args.webhook)?;
    let expectations = form.expectations();
    let port = args.mock_port.unwrap_or(0);
    let mock = Mock::start_at(port, form).await.with_context(|| match args.mock_port {
        Some(port) => format!("the mock platform can't listen on port {port}; choose another with --mock-port, or leave it out"),
        None => "the mock platform can't listen on this machine".to_owned(),
    })?;
    let computed = args.profile.is_some().then(Samples::begin);
    let bench = Bench::with_mock(&args.file, &args.bench, &mock.url(), computed.clone()).await?;
    let mut report = Report::new(&args.file, &bench, &mock, args.json);
    report.begin()?;
    let stage = Stage::new(&bench, &mock, samples);
    let mut moot = 0;
    for check in checks(&stage, &expectations) {
        if stage.is_moot(&check.needs) {
            moot += 1;
            continue;
        }
        let verdict = run(&stage, &check).await;
        let ends = check.is_first && verdict.mark == Mark::Failed;
        let verdict = Verdict { detail: stage.in_words(&verdict.detail), ..verdict };
        report.add(Row::new(stage.in_words(&check.name), verdict))?;
        // Of what can't be loaded there is nothing more to tell.
        if ends {
            break;
        }
    }
    if moot > 0 {
        let why =
            format!("{moot} checks, since no note gets through to the mock, see `posts a note`");
        let verdict = Verdict::skipped(stage.in_words(&why));
        report.add(Row::new(stage.in_words("what comes of notes"), verdict))?;
    }
    if let (Some(file), Some(computed)) = (&args.profile, computed) {
        let samples = computed.so_far();
        profile::write(file, &bench.name, &samples)?;
        say(&format!(
            "{} has {} samples of what it computed; open it in https://profiler.firefox.com, which keeps it on your machine",
            file.display(),
            samples.len()
        ));
    }
    report.end()
}

/// Every check, in the order in which they run.
fn checks(stage: &Stage<'_>, expectations: &[Expectation]) -> Vec<Check> {
    let mut checks = vec![Check::new("loads", Needs::Nothing, posting::loads).first()];
    checks.extend(posting::checks());
    checks.extend(texts::checks());
    checks.extend(answers::checks(expectations));
    checks.extend(refusals::checks());
    checks.extend(breaks::checks());
    checks.extend(endurance::checks());
    checks.extend(other_exports::checks());
    checks.extend(kv::checks(stage));
    checks.extend(timers::checks(stage));
    checks.extend(triggers::checks());
    checks.extend(sources::checks(&stage.samples));
    checks.extend(incoming::checks());
    checks.extend(forgery::checks(&stage.samples));
    checks
}

async fn run(stage: &Stage<'_>, check: &Check) -> Verdict {
    if let Some(why) = stage.lacks(&check.needs) {
        return Verdict::skipped(why);
    }
    stage.reset();
    let mut verdict = check.run(stage).await;
    stage.keep_written().await;
    // Whatever the check was about: a plugin that traps has failed.
    if let Some(crash) = stage.crash()
        && verdict.mark != Mark::Failed
    {
        verdict = Verdict::failed(crash);
    }
    if verdict.mark == Mark::Failed {
        verdict.exchanges.extend(stage.mock.take());
    }
    verdict
}

/// The form of the mock's answers.
pub(super) fn form(file: Option<&std::path::Path>) -> anyhow::Result<Form> {
    let Some(file) = file else {
        return Ok(Form::default());
    };
    let unusable = |error: String| Unusable(format!("--answer {}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    Ok(Form::read(&text).map_err(|error| unusable(error.to_string()))?)
}

/// Words, not data.
fn say(text: &str) {
    output::say(text);
}
