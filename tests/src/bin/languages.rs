//! What a plugin costs in each language, as one table: the plugins that `cargo xtask languages` has begun and
//! built, each against a bot that answers at once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use sidenote::clock::Timestamp;
use sidenote::config::{Cache, Isolation, Plugin, PluginSecret, Secret};
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{Call, Note, NoteKind};
use sidenote::plugin::Registry;
use sidenote::post::Post;
use sidenote::session::packed::Packed;
use tokio::time::Instant;

const LANGUAGES: [(&str, &str); 7] = [
    ("c", "C"),
    ("rust", "Rust"),
    ("go", "Go"),
    ("js", "JavaScript"),
    ("js-quickjs", "JavaScript, QuickJS"),
    ("ts", "TypeScript"),
    ("python", "Python"),
];

/// Measures the plugins in every language.
#[derive(Debug, Parser)]
struct Args {
    /// The folder that `cargo xtask` names to every program; it isn't needed here.
    #[arg(long, value_name = "DIR", hide = true)]
    plugins: Option<PathBuf>,
    /// Calls of a kept instance; a tenth as many are made of fresh ones.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..))]
    calls: u32,
}

/// What one plugin costs.
struct Cost {
    bytes: u64,
    first_build: String,
    build: String,
    compile: Duration,
    load: Duration,
    cold: Duration,
    warm: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    sidenote::telemetry::init(false, tracing::Level::ERROR);
    match table(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn table(args: &Args) -> Result<()> {
    let bot = bot()?;
    print(
        "| language | size | first build | build after a change | compile | load from the cache | a note, fresh instance | a note, kept instance |",
    );
    print("|---|---|---|---|---|---|---|---|");
    for (word, title) in LANGUAGES {
        let cost = cost(word, &bot, args.calls).await.with_context(|| title.to_owned())?;
        print(&format!(
            "| {title} | {} | {} s | {} s | {} | {} | {} | {} |",
            size(cost.bytes),
            cost.first_build,
            cost.build,
            time(cost.compile),
            time(cost.load),
            time(cost.cold),
            time(cost.warm),
        ));
    }
    Ok(())
}

async fn cost(word: &str, bot: &str, calls: u32) -> Result<Cost> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages");
    let component = built.join(format!("my-{word}/my-{word}.wasm"));
    let stamp = std::fs::read_to_string(built.join(format!("my-{word}.stamp")))
        .context("it isn't built; run `cargo xtask languages`")?;
    let mut lines = stamp.lines().skip(1).map(str::to_owned);
    let (Some(first_build), Some(build)) = (lines.next(), lines.next()) else {
        bail!("its build wasn't measured; run `cargo xtask languages`");
    };
    let folder = tempfile::tempdir()?;
    let bytes = std::fs::copy(&component, folder.path().join("plugin.wasm"))?;
    let cached = tempfile::tempdir()?;
    let cache = Cache::at(cached.path());
    let plugins = |isolation| BTreeMap::from([("bot".into(), plugin(bot, isolation))]);

    let fresh = plugins(Isolation::Call);
    let (compile, registry) = timed(Registry::load_cached(folder.path(), &fresh, &cache)).await;
    drop(registry?);
    let (load, registry) = timed(Registry::load_cached(folder.path(), &fresh, &cache)).await;
    let cold = median(&registry?, calls / 10).await?;
    let kept = plugins(Isolation::Instance);
    let warm = median(&Registry::load_cached(folder.path(), &kept, &cache).await?, calls).await?;
    Ok(Cost { bytes, first_build, build, compile, load, cold, warm })
}

fn plugin(bot: &str, isolation: Isolation) -> Plugin {
    let mut plugin = Plugin::of("plugin.wasm");
    plugin.isolation = isolation;
    plugin.hosts = vec![bot.to_owned()];
    plugin.allow_private = true;
    plugin.config = [("url".to_owned(), format!("{bot}/notes"))].into();
    let token = PluginSecret { value: Secret::new("token"), hosts: vec![bot.to_owned()] };
    plugin.secrets = [("token".to_owned(), token)].into();
    plugin
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let done = work.await;
    (began.elapsed(), done)
}

/// How long a note takes, in the middle of so many after a tenth as many that don't count.
async fn median(registry: &Registry, calls: u32) -> Result<Duration> {
    let mut took = Vec::new();
    for n in 0..calls + calls / 10 {
        let (time, posted) = timed(post(registry)).await;
        posted?;
        if n >= calls / 10 {
            took.push(time);
        }
    }
    took.sort();
    Ok(took[took.len() / 2])
}

async fn post(registry: &Registry) -> Result<()> {
    let key = SessionKey { product: ProductId::new("p")?, session: SessionId::new("s")? };
    let note = Note {
        key,
        seq: 1,
        plugin: "bot".into(),
        conversation: ConversationId::new("c1")?,
        user_id: None,
        email: None,
        kind: NoteKind::Actions,
        body: "session_id: s\n[1] clicked \"Pay\"".to_owned(),
        actions: Packed::default(),
        idempotency_key: "key-1".to_owned(),
        through: 1,
        sealed_at: Timestamp(0),
        waits_since: None,
        begun: false,
        resent_of: None,
    };
    let call = Call {
        idempotency_key: "key-1".to_owned(),
        attempt: 1,
        timeout: Duration::from_secs(10),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        kv: CallKv::default(),
    };
    let posted =
        registry.post_note(call, &note).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    if posted.note_id.as_deref() != Some("n1") {
        bail!("the note's id is {:?}", posted.note_id);
    }
    Ok(())
}

/// A bot that answers at once, on threads of its own.
fn bot() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&socket));
        }
    });
    Ok(address)
}

/// Answers the requests of a connection until it is closed.
fn serve(mut socket: &TcpStream) {
    let mut reader = BufReader::new(socket);
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"id\":\"n1\"}";
        if length == 0 || reader.read_exact(&mut body).is_err() || socket.write_all(answer).is_err()
        {
            return;
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        1e3..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "this is a command line")]
fn eprint(line: &str) {
    eprintln!("{line}");
}
