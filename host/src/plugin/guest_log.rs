//! A guest's lines in the host's log: with the plugin's name, bounded per call.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::clean::clean;
use super::lines::Lines;
use crate::egress::SendError;
use crate::ids::PluginName;

/// Longest line kept.
const MAX_LINE_BYTES: usize = 4 << 10;
/// What a line costs at least: in the host's log even an empty one has its time, level and name.
const MIN_LINE_COST: usize = 100;
/// Lines of the standard streams that are written per call: they pay by the byte as they come, so that
/// line breaks alone would make many.
const MAX_STREAM_LINES: usize = 200;

/// The log of one instance; cloning shares it.
#[derive(Clone)]
pub(super) struct GuestLog(Arc<Shared>);

struct Shared {
    plugin: PluginName,
    /// The latest lines, for who asks.
    latest: Arc<Lines>,
    /// Bytes that a call may write.
    budget: usize,
    left: AtomicUsize,
    dropped: AtomicU64,
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
}

impl GuestLog {
    /// A log that takes `budget` bytes per call.
    pub(super) fn new(plugin: PluginName, budget: usize, latest: Arc<Lines>) -> Self {
        Self(Arc::new(Shared {
            plugin,
            latest,
            budget,
            left: AtomicUsize::new(budget),
            dropped: AtomicU64::new(0),
            stdout: Mutex::default(),
            stderr: Mutex::default(),
        }))
    }

    /// What the guest writes to its standard output.
    pub(super) fn stdout(&self) -> Output {
        Output { log: self.clone(), stderr: false }
    }

    /// What the guest writes to its standard error.
    pub(super) fn stderr(&self) -> Output {
        Output { log: self.clone(), stderr: true }
    }

    /// Gives the next call its whole budget.
    pub(super) fn begin(&self) {
        self.0.left.store(self.0.budget, Relaxed);
        self.0.dropped.store(0, Relaxed);
    }

    /// Writes one line, or counts it where the budget is used up.
    pub(super) fn line(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let bytes = message.len()
            + fields.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>();
        if !self.take(bytes.max(MIN_LINE_COST)) {
            return;
        }
        let mut line = clean(message, MAX_LINE_BYTES);
        for (key, value) in fields {
            line.push(' ');
            line.push_str(&clean(key, 64));
            line.push('=');
            line.push_str(&clean(value, MAX_LINE_BYTES.saturating_sub(line.len())));
        }
        self.emit(level, &line);
    }

    /// Tells the operator of a denial, with its line breaks: the TOML in it is there to be pasted. The
    /// text is the host's, and nothing of it is taken from the guest as it is.
    pub(super) fn denial(&self, error: &SendError) {
        let text = error.to_string();
        if self.take(text.len()) {
            tracing::warn!(plugin = %self.0.plugin, "{text}");
        }
    }

    /// Ends a call: writes what came over the standard streams, and says what was left out.
    pub(super) fn end(&self) {
        let mut lines_left = MAX_STREAM_LINES;
        for (stream, level) in [(&self.0.stdout, Level::INFO), (&self.0.stderr, Level::WARN)] {
            let bytes = std::mem::take(&mut *stream.lock().unwrap_or_else(PoisonError::into_inner));
            let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            for line in lines.by_ref().take(lines_left) {
                self.emit(level, &clean(&String::from_utf8_lossy(line), MAX_LINE_BYTES));
                lines_left -= 1;
            }
            self.0.dropped.fetch_add(lines.count() as u64, Relaxed);
        }
        let dropped = self.0.dropped.swap(0, Relaxed);
        if dropped > 0 {
            let (plugin, budget) = (&self.0.plugin, self.0.budget);
            tracing::warn!(%plugin, dropped, budget, "the plugin logs more than max_log_bytes, or more than {MAX_STREAM_LINES} lines to its standard streams, per call; the rest was left out");
        }
    }

    /// Whether the guest wrote to its standard error in this call, as a panic does.
    pub(super) fn has_stderr(&self) -> bool {
        let stderr = self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        !stderr.trim_ascii().is_empty()
    }

    /// Takes bytes from the call's budget.
    fn take(&self, bytes: usize) -> bool {
        let taken =
            self.0.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if !taken {
            self.0.dropped.fetch_add(1, Relaxed);
        }
        taken
    }

    fn emit(&self, level: Level, line: &str) {
        self.0.latest.add(level, line);
        let plugin = &self.0.plugin;
        match level {
            Level::ERROR => tracing::error!(target: "sidenote::guest", %plugin, "{line}"),
            Level::WARN => tracing::warn!(target: "sidenote::guest", %plugin, "{line}"),
            Level::INFO => tracing::info!(target: "sidenote::guest", %plugin, "{line}"),
            Level::DEBUG => tracing::debug!(target: "sidenote::guest", %plugin, "{line}"),
            Level::TRACE => tracing::trace!(target: "sidenote::guest", %plugin, "{line}"),
        }
    }
}

/// One standard stream. It never blocks and never fails: what is over the budget is counted.
pub(super) struct Output {
    log: GuestLog,
    stderr: bool,
}

impl Output {
    fn again(&self) -> Self {
        Self { log: self.log.clone(), stderr: self.stderr }
    }

    fn take(&self, bytes: &[u8]) {
        if self.log.take(bytes.len()) {
            let shared = &self.log.0;
            let stream = if self.stderr { &shared.stderr } else { &shared.stdout };
            stream.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.again())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.again())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::egress::SecretError;

    /// What is logged while `work` runs.
    fn logged(work: impl FnOnce(&GuestLog)) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            work(&GuestLog::new("bot".into(), 500, Arc::default()))
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_the_plugin_its_level_and_its_fields_and_steers_nothing() {
        let fields = [("status".to_owned(), "2\u{1b}[2J00\n".to_owned())];
        let text = logged(|log| log.line(Level::INFO, "posted\nERROR forged", &fields));
        assert_eq!(text, " INFO sidenote::guest: posted ERROR forged status=2[2J00  plugin=bot\n");
    }

    #[test]
    fn what_is_over_the_budget_is_counted_and_told_once() {
        let text = logged(|log| {
            for _ in 0..50 {
                log.line(Level::INFO, "0123456789", &[]);
                log.stderr().take(b"0123456789\n");
            }
            log.end();
        });
        // Four lines at 100 bytes each, and nine times 11 bytes.
        assert_eq!(text.matches("0123456789").count(), 4 + 9, "{text}");
        assert!(text.contains("dropped=87 budget=500"), "{text}");
        let text = logged(|log| {
            log.line(Level::INFO, &"x".repeat(600), &[]);
            log.begin();
            log.line(Level::INFO, "fits again", &[]);
            log.end();
        });
        assert!(text.contains("fits again") && !text.contains("dropped"), "{text}");
    }

    #[test]
    fn empty_lines_and_bare_line_breaks_flood_nothing() {
        let text = logged(|log| {
            for _ in 0..500 {
                log.line(Level::INFO, "", &[]);
            }
            log.end();
        });
        assert_eq!(text.lines().count(), 5 + 1, "{text}");
        assert!(text.contains("dropped=495"), "{text}");
        let text = logged(|log| {
            log.stdout().take("a\n".repeat(150).as_bytes());
            log.stderr().take("b\n".repeat(100).as_bytes());
            log.end();
        });
        assert_eq!(text.matches("guest: a").count(), 150, "{text}");
        assert_eq!(text.matches("guest: b").count(), 50, "{text}");
        assert!(text.contains("dropped=50"), "{text}");
    }

    #[test]
    fn the_standard_streams_are_logged_by_line_when_the_call_ends() {
        let text = logged(|log| {
            log.stdout().take(b"one\ntwo");
            log.stderr().take(b"panicked at \x1b[31mlib.rs\n");
            assert!(log.has_stderr());
            log.end();
            assert!(!log.has_stderr());
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with(" INFO") && lines[2].starts_with(" WARN"), "{text}");
    }

    #[test]
    fn a_denial_keeps_the_lines_of_its_toml() {
        let error = SecretError::Missing {
            name: "token".into(),
            toml: "[plugins.bot.secrets.token]\nenv = \"X\"".into(),
        };
        let text = logged(|log| log.denial(&error.into()));
        assert!(text.contains("\n[plugins.bot.secrets.token]\nenv = \"X\""), "{text}");
    }
}
