//! `sidenote plugin call`: one call of one export, for real.

mod answer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use sidenote::clock::Clock;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{Call, Note, NoteKind};
use sidenote::plugin::{Offer, QuickReply};
use sidenote::post::Post;
use sidenote::session::packed::Packed;
use sidenote::session::payload::{Action, SummaryPayload};
use sidenote_sim::{Form, Mock};
use sidenote_terminal::{Unusable, output};

use self::answer::Answer;
use super::bench::{Bench, BenchArgs};
use super::exchange::{Masks, shown};
use super::suite::batch_of;
use super::suite::samples::{self, Hand};

/// What `plugin call` takes.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The function
    #[arg(value_enum)]
    function: Function,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    bench: BenchArgs,
    /// The note's id: redact-note
    #[arg(long, value_name = "ID")]
    note_id: Option<String>,
    /// The idempotency key, to repeat a call: post-note, find-note, write-actions, write-summary
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// An answer to click: offer
    #[arg(long = "quick-reply", value_name = "LABEL")]
    quick_replies: Vec<String>,
    /// Maximum time of the call
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Print the requests that the call would send, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What happens.
#[derive(Debug, Clone, Args)]
pub(crate) struct EventArgs {
    /// The conversation
    #[arg(long, value_name = "ID", default_value = "conversation-1")]
    pub(super) conversation: String,
    /// The text
    #[arg(long, default_value = "clicked \"Pay\"")]
    pub(super) text: String,
    /// A webhook, as for `plugin test --webhook`
    #[arg(long, value_name = "FILE")]
    pub(super) request: Option<PathBuf>,
}

/// A function that can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Function {
    /// Posts a note
    PostNote,
    /// Looks for a note by --key
    FindNote,
    /// Redacts the note --note-id
    RedactNote,
    /// Reads the webhook --request
    Receive,
    /// Answers a person
    Reply,
    /// Offers help
    Offer,
    /// Hands a batch of one action to a sink
    WriteActions,
    /// Hands a summary to a sink
    WriteSummary,
}

/// Makes one call. Success where it succeeded.
pub(super) async fn call(args: &CallArgs) -> anyhow::Result<ExitCode> {
    let mock = match args.dry_run {
        true => Some(Mock::start(Form::default()).await.context("no fake can be started")?),
        false => None,
    };
    let instead = mock.as_ref().map(Mock::url);
    let bench = Bench::with_grants(&args.file, &args.bench, instead.as_deref()).await?;
    bench.mismatches().iter().for_each(|line| output::say(line));
    if let Some(why) = bench.state().failed {
        anyhow::bail!("{}: {why}", args.file.display());
    }
    let answer = args.function.ask(&bench, &args.event, args).await?;
    let masks = Masks::of(&bench);
    if let Some(mock) = &mock {
        let exchanges = mock.take();
        for exchange in &exchanges {
            output::data(&shown(exchange, &masks))?;
        }
        // What the fake answered is no platform's answer, so there is no result.
        output::say(&match exchanges.len() {
            0 => format!("it would send nothing; {}", masks.mask(&answer.text())),
            _ => "nothing was sent; a fake answered".to_owned(),
        });
        return Ok(if exchanges.is_empty() { answer.code() } else { ExitCode::SUCCESS });
    }
    let told = if args.json { answer.json().to_string() } else { answer.text() };
    output::data(&masks.mask(&told))?;
    Ok(answer.code())
}

impl Function {
    async fn ask(
        self,
        bench: &Bench,
        event: &EventArgs,
        args: &CallArgs,
    ) -> anyhow::Result<Answer> {
        let (registry, plugin) = (&bench.registry, &*bench.name);
        let note = note(bench, event, args.key.as_deref())?;
        let call = usual_call(&note.idempotency_key, Duration::from_secs(args.timeout));
        let wants = |what: &str| Unusable(format!("{} needs {what}", self.name()));
        Ok(match self {
            Self::PostNote => {
                let outcome = registry.post_note(call, &note).await;
                Answer::posted_note(note, outcome, bench.exports("finder"))
            }
            Self::FindNote => {
                args.key.as_ref().ok_or_else(|| wants("--key, the idempotency key"))?;
                Answer::found(registry.find_note(call, &note).await)
            }
            Self::RedactNote => {
                let id = args.note_id.as_ref().ok_or_else(|| wants("--note-id"))?;
                Answer::redacted(
                    registry.redact_note(call, &bench.name, &note.conversation, id).await,
                )
            }
            Self::Receive => {
                event.request.as_ref().ok_or_else(|| wants("--request FILE"))?;
                receive(bench, event).await?
            }
            Self::Reply => {
                Answer::posted(registry.reply(plugin, call, &note.conversation, &event.text).await)
            }
            Self::Offer => {
                let reply = |label: &String| QuickReply { id: label.clone(), label: label.clone() };
                let quick_replies = args.quick_replies.iter().map(reply).collect();
                let offer = Offer { text: event.text.clone(), quick_replies };
                Answer::posted(registry.offer(plugin, call, &note.conversation, &offer).await)
            }
            Self::WriteActions => {
                let batch = batch_of(&note);
                let taken = registry.write_actions(plugin, call, &batch).await;
                Answer::written(note, taken)
            }
            Self::WriteSummary => {
                let batch = batch_of(&note);
                let summary = SummaryPayload {
                    product_id: batch.product_id,
                    session_id: batch.session_id,
                    summary: event.text.clone(),
                    replaces: 1,
                    forwarded_at: batch.forwarded_at,
                };
                let taken = registry.write_summary(plugin, call, &summary).await;
                Answer::written(note, taken)
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::PostNote => "post-note",
            Self::FindNote => "find-note",
            Self::RedactNote => "redact-note",
            Self::Receive => "receive",
            Self::Reply => "reply",
            Self::Offer => "offer",
            Self::WriteActions => "write-actions",
            Self::WriteSummary => "write-summary",
        }
    }
}

/// Has an event happen: the webhook, where there is one, else a note, or a batch for a sink.
pub(super) async fn happen(bench: &Bench, event: &EventArgs) -> anyhow::Result<Answer> {
    if event.request.is_some() {
        return receive(bench, event).await;
    }
    let note = note(bench, event, None)?;
    let call = usual_call(&note.idempotency_key, Duration::from_secs(20));
    if bench.exports("sink") && !bench.exports("writer") {
        let batch = batch_of(&note);
        let taken = bench.registry.write_actions(&bench.name, call, &batch).await;
        return Ok(Answer::written(note, taken));
    }
    let outcome = bench.registry.post_note(call, &note).await;
    Ok(Answer::posted_note(note, outcome, bench.exports("finder")))
}

async fn receive(bench: &Bench, event: &EventArgs) -> anyhow::Result<Answer> {
    let file = event.request.clone().into_iter().collect::<Vec<_>>();
    let samples = samples::read(&file)?;
    let [sample] = &*samples else {
        return Err(Unusable("--request must name one file".to_owned()).into());
    };
    let secret = |name: &str| {
        bench.secrets().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let timestamp = Clock::system().now().as_millis() / 1000;
    let request = sample.request(&Hand { secret: &secret, timestamp }).map_err(Unusable)?;
    Ok(Answer::received(bench.registry.receive(&bench.name, request).await))
}

fn note(bench: &Bench, event: &EventArgs, key: Option<&str>) -> Result<Note, Unusable> {
    let conversation = ConversationId::new(event.conversation.as_str())
        .map_err(|error| Unusable(format!("--conversation: {error}")))?;
    let session = session();
    let sealed_at = Clock::system().now();
    let made = || Note::idempotency_key(&session, 1, sealed_at);
    Ok(Note {
        idempotency_key: key.map_or_else(made, str::to_owned),
        key: session,
        seq: 1,
        plugin: bench.name.clone(),
        conversation,
        user_id: None,
        email: None,
        kind: NoteKind::Actions,
        body: event.text.clone(),
        actions: Packed::of(&[Action {
            title: "Action".to_owned(),
            description: event.text.clone(),
            timestamp_start: Some(sealed_at.as_secs_f64()),
            ..Action::default()
        }]),
        through: 1,
        sealed_at,
        waits_since: None,
        begun: false,
        resent_of: None,
    })
}

/// Whose all of it is.
fn session() -> SessionKey {
    SessionKey {
        product: ProductId::new("product-1").expect("it is an id"),
        session: SessionId::new("session-1").expect("it is an id"),
    }
}

fn usual_call(key: &str, timeout: Duration) -> Call {
    Call {
        idempotency_key: key.to_owned(),
        attempt: 1,
        timeout,
        traceparent: format!(
            "00-{:032x}-{:016x}-01",
            rand::random::<u128>(),
            rand::random::<u64>()
        ),
        kv: CallKv::stored(Some(session())),
    }
}
