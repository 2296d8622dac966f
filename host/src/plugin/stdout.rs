//! A guest's standard output in the host's own, where the operator grants it: whole lines, from a thread
//! of their own, so that a reader who stops reading holds up nobody but the plugin.
//!
//! A guest's write ends when its lines have left the host, and fails where they can't: what a plugin
//! posted this way was written.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::clean::clean;
use crate::ids::PluginName;
use crate::visible::steers;

/// Longest line accepted: a note with many actions as JSON.
const MAX_LINE_BYTES: usize = 1 << 20;
/// What a guest may write at a time.
const MAX_WRITE_BYTES: usize = 64 << 10;
/// Writes that wait for the thread.
const QUEUE: usize = 16;

/// The host's standard output, for plugins. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Stdout(Arc<OnceLock<mpsc::Sender<Job>>>);

/// Whole lines.
struct Job {
    lines: Vec<u8>,
    /// Told when they are written; nobody may wait for it any more.
    done: oneshot::Sender<io::Result<()>>,
}

impl Stdout {
    /// The standard output of one instance of a plugin. The first one starts the thread.
    pub(super) fn of(&self, plugin: &PluginName) -> GuestStdout {
        let jobs = self.0.get_or_init(|| start(io::stdout())).clone();
        GuestStdout {
            line: Arc::new(Mutex::new(Line { plugin: plugin.clone(), text: Vec::new() })),
            jobs,
        }
    }

    /// Writes to something else.
    #[cfg(test)]
    fn to(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(OnceLock::from(start(out))))
    }
}

/// Starts the thread that writes. It ends when nobody can write any more.
fn start(mut out: impl Write + Send + 'static) -> mpsc::Sender<Job> {
    let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
    let work = move || {
        while let Some(job) = jobs.blocking_recv() {
            let written = out.write_all(&job.lines).and_then(|()| out.flush());
            if job.done.send(written).is_err() {
                tracing::debug!("a plugin's lines were written after its call had ended");
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("plugin-stdout".to_owned()).spawn(work) {
        // The channel is closed then, and every write says so.
        tracing::error!(%error, "plugins can't write to the standard output");
    }
    sender
}

/// The standard output of one instance.
pub(super) struct GuestStdout {
    line: Arc<Mutex<Line>>,
    jobs: mpsc::Sender<Job>,
}

/// A line that has no end yet.
struct Line {
    plugin: PluginName,
    text: Vec<u8>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            let (plugin, bytes) = (&self.plugin, self.text.len());
            tracing::warn!(%plugin, bytes, "the plugin ended within a line of its standard output; the line was left out");
        }
    }
}

impl Line {
    /// Adds bytes; what has an end is returned, cleaned.
    fn add(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if self.text.len() + text.len() > MAX_LINE_BYTES {
                self.text.clear();
                let message = format!("a line is longer than {MAX_LINE_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            self.text.extend_from_slice(text);
            if ends {
                let text = std::mem::take(&mut self.text);
                lines.extend_from_slice(harmless(&String::from_utf8_lossy(&text)).as_bytes());
                lines.push(b'\n');
            }
        }
        Ok(lines)
    }
}

/// A line without what steers a terminal. In a line of JSON it is escaped, so that the value stays what
/// it is; elsewhere it is left out.
fn harmless(line: &str) -> String {
    if !line.chars().any(steers) {
        return line.to_owned();
    }
    if serde_json::from_str::<IgnoredAny>(line).is_err() {
        return clean(line, MAX_LINE_BYTES);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        match c {
            // Between the tokens: in a text they would be no JSON.
            '\t' | '\r' => escaped.push(' '),
            c if steers(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").expect("text can always be added to a string");
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// One stream to the standard output of an instance; a guest may open several.
struct Stream {
    line: Arc<Mutex<Line>>,
    jobs: PollSender<Job>,
    /// Lines that aren't handed to the thread yet.
    lines: Vec<u8>,
    /// Lines that the thread has.
    written: Option<oneshot::Receiver<io::Result<()>>>,
    failed: Option<io::Error>,
}

impl GuestStdout {
    fn stream(&self) -> Stream {
        Stream {
            line: self.line.clone(),
            jobs: PollSender::new(self.jobs.clone()),
            lines: Vec::new(),
            written: None,
            failed: None,
        }
    }
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        self.lines.append(&mut line.add(bytes)?);
        Ok(())
    }

    /// Ready when every whole line was written. Dropped in between, it goes on where it was.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "nobody writes it");
        if self.written.is_none() && !self.lines.is_empty() {
            ready!(self.jobs.poll_reserve(context)).map_err(|_| gone())?;
            let (done, written) = oneshot::channel();
            let lines = std::mem::take(&mut self.lines);
            self.jobs.send_item(Job { lines, done }).map_err(|_| gone())?;
            self.written = Some(written);
        }
        if let Some(written) = &mut self.written {
            let outcome = ready!(Pin::new(written).poll(context));
            self.written = None;
            outcome.map_err(|_| gone())??;
        }
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for GuestStdout {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStdout {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.stream())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.stream())
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        if let Err(error) = std::future::poll_fn(|context| self.poll_written(context)).await {
            self.lines.clear();
            self.failed = Some(error);
        }
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes).map_err(failed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.failed.take() {
            Some(error) => Err(failed(error)),
            None if self.lines.is_empty() && self.written.is_none() => Ok(MAX_WRITE_BYTES),
            None => Ok(0),
        }
    }
}

fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(context))?;
        let bytes = &bytes[..bytes.len().min(MAX_WRITE_BYTES)];
        Poll::Ready(self.take(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// What is written goes through one by one, each after a permit.
    struct Reader {
        permits: std::sync::mpsc::Receiver<io::Result<()>>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permits.recv().unwrap_or(Ok(()))?;
            self.seen.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Pipe {
        stdout: Stdout,
        permits: std::sync::mpsc::Sender<io::Result<()>>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Pipe {
        fn new() -> Self {
            let (permits, receiver) = std::sync::mpsc::channel();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let stdout = Stdout::to(Reader { permits: receiver, seen: seen.clone() });
            Self { stdout, permits, seen }
        }

        fn allow(&self, outcome: io::Result<()>) {
            self.permits.send(outcome).unwrap();
        }

        fn seen(&self) -> String {
            String::from_utf8(self.seen.lock().unwrap().clone()).unwrap()
        }
    }

    #[tokio::test]
    async fn whole_lines_are_written_when_the_write_ends() {
        let pipe = Pipe::new();
        let guest = pipe.stdout.of(&"bot".into());
        let mut stream = guest.p2_stream();
        stream.blocking_write_and_flush("on".into()).await.unwrap();
        pipe.allow(Ok(()));
        // Another stream of the instance goes on with the line.
        guest.p2_stream().blocking_write_and_flush("e\ntwo\nthr".into()).await.unwrap();
        assert_eq!(pipe.seen(), "one\ntwo\n");
        pipe.allow(Ok(()));
        stream.blocking_write_and_flush("ee\n".into()).await.unwrap();
        assert_eq!(pipe.seen(), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn a_reader_that_stops_holds_up_the_writer_and_loses_nothing() {
        let pipe = Pipe::new();
        let guest = pipe.stdout.of(&"bot".into());
        let mut stream = guest.p2_stream();
        let stalled = stream.blocking_write_and_flush("one\n".into()).now_or_never();
        assert!(stalled.is_none(), "nobody has read it");
        assert!(matches!(stream.check_write(), Ok(0)));
        pipe.allow(Ok(()));
        assert!(stream.write_ready().await.unwrap() > 0);
        assert_eq!(pipe.seen(), "one\n");
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_fails_the_write_and_not_the_next() {
        let pipe = Pipe::new();
        let mut stream = pipe.stdout.of(&"bot".into()).p2_stream();
        pipe.allow(Err(io::ErrorKind::BrokenPipe.into()));
        let gone = stream.blocking_write_and_flush("one\n".into()).await;
        assert!(matches!(gone, Err(StreamError::LastOperationFailed(_))), "{gone:?}");
        pipe.allow(Ok(()));
        stream.blocking_write_and_flush("two\n".into()).await.unwrap();
        assert_eq!(pipe.seen(), "two\n");
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_refused() {
        let pipe = Pipe::new();
        let mut stream = pipe.stdout.of(&"bot".into()).p2_stream();
        let piece = Bytes::from(vec![b'x'; MAX_WRITE_BYTES]);
        let mut taken = 0;
        while stream.blocking_write_and_flush(piece.clone()).await.is_ok() {
            taken += piece.len();
            assert!(taken <= MAX_LINE_BYTES);
        }
        assert_eq!(taken, MAX_LINE_BYTES);
    }

    #[test]
    fn json_stays_what_it_is_and_steers_nothing() {
        let line = "{\"a\":\"\u{9b}2J\u{202e}\u{e0041}👩\u{200d}🚀\",\t\"b\":1}\r";
        let written = harmless(line);
        assert!(!written.chars().any(steers), "{written}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&written), read(line));
        assert_eq!(harmless("plain\u{1b}[2J\u{202e} text\r"), "plain[2J text ");
        assert_eq!(harmless("{\"naïve\":\"日本 🙂\"}"), "{\"naïve\":\"日本 🙂\"}");
    }
}
