//! A terminal that is drawn over again and again, and left as it was.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Another screen than the shell's, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top; what is left of a line; what is left of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST: &str = "\x1b[J";

/// The terminal. Dropped, it is as it was.
pub(super) struct Screen {
    /// How stdin was, where it is a terminal.
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal of stdout, and its keys where stdin is one, too.
    pub(super) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        let mut screen = Self { before: None };
        if stdin.is_terminal() {
            let before = tcgetattr(&stdin)?;
            let mut keys = before.clone();
            // A key is read at once, isn't shown, and isn't waited for. Ctrl-C stays a signal.
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            keys.special_codes[SpecialCodeIndex::VMIN] = 0;
            keys.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(&stdin, OptionalActions::Now, &keys)?;
            screen.before = Some(before);
        }
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows these lines in place of the ones before, as many as fit: in one write, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[String], height: usize) -> io::Result<()> {
        let shown = &lines[..lines.len().min(height)];
        let mut text = HOME.to_owned();
        for (n, line) in shown.iter().enumerate() {
            if n > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str(REST_OF_LINE);
        }
        text.push_str(REST);
        write(&text)
    }

    /// Whether `q` was pressed since it was asked last.
    pub(super) fn is_quit(&self) -> bool {
        let mut keys = [0; 64];
        let mut read = || rustix::io::read(io::stdin(), &mut keys[..]).unwrap_or_default();
        let read = self.before.as_ref().map_or(0, |_| read());
        keys[..read].iter().any(|key| matches!(key, b'q' | b'Q'))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        write(LEAVE).unwrap_or_default();
        if let Some(before) = &self.before {
            tcsetattr(io::stdin(), OptionalActions::Now, before).unwrap_or_default();
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
