//! What the demo shows: one line after the other, with colours where a terminal takes them.

use std::io::{self, Write};
use std::time::Duration;

use crate::platform::{Fault, Note, Trouble};

/// Writes the demo's lines.
pub(super) struct Screen<W> {
    out: W,
    colours: bool,
}

/// Select Graphic Rendition codes.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, colours: bool) -> Self {
        Self { out, colours }
    }

    pub(super) fn opening(
        &mut self,
        connector: &str,
        platform: &str,
        host: &str,
    ) -> io::Result<()> {
        let title = self.paint(Style::Bold, "Sidenote demo");
        writeln!(self.out, "{title}: everything runs on this machine, no account is needed.\n")?;
        for (name, url, what) in [
            ("connector", connector, "streams what three people do in a product"),
            ("host", host, "Sidenote, with its embedded store and the webhook plugin"),
            ("platform", platform, "a support chat with conversations and notes"),
        ] {
            let url = self.paint(Style::Dim, url);
            writeln!(self.out, "  {name:<10} {url}  {what}")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// Somebody does something in the product.
    pub(super) fn act(&mut self, at: Duration, name: &str, description: &str) -> io::Result<()> {
        let (at, name) = (self.at(at), self.paint(Style::Cyan, &format!("{name:<6}")));
        writeln!(self.out, "{at} {name} {description}")?;
        self.out.flush()
    }

    /// Somebody of a recording did something.
    pub(super) fn recorded(&mut self, at: Duration, session: &str, count: usize) -> io::Result<()> {
        let shown = session.chars().filter(|c| !sidenote::visible::steers(*c)).take(40);
        let (at, session) = (self.at(at), self.paint(Style::Cyan, &shown.collect::<String>()));
        let actions = if count == 1 { "action" } else { "actions" };
        writeln!(self.out, "{at} {session} {count} {actions}")?;
        self.out.flush()
    }

    /// Somebody begins a conversation.
    pub(super) fn ask(
        &mut self,
        at: Duration,
        name: &str,
        conversation: &str,
        text: &str,
    ) -> io::Result<()> {
        let (at, name) = (self.at(at), self.paint(Style::Cyan, &format!("{name:<6}")));
        let opens = self.paint(Style::Bold, &format!("asks support in {conversation}: {text}"));
        writeln!(self.out, "{at} {name} {opens}")?;
        self.out.flush()
    }

    /// A note arrived beside a conversation, after it was refused so many times. The first one is shown
    /// as it is, the others without the lines that say the same again.
    pub(super) fn note(
        &mut self,
        at: Duration,
        note: &Note,
        first: bool,
        refused: u32,
    ) -> io::Result<()> {
        let count = note.actions.len();
        let actions = if count == 1 { "action" } else { "actions" };
        let mut head =
            format!("note {} beside {}: {count} {actions}", note.id, note.conversation_id);
        if first {
            head.push_str(" from before the conversation");
        }
        if refused > 0 {
            head.push_str(&format!(", at attempt {}", refused + 1));
        }
        let (at, head) = (self.at(at), self.paint(Style::Green, &head));
        writeln!(self.out, "{at}        {head}")?;
        let bar = self.paint(Style::Green, "|");
        let text = match note.body.split_once("\n\n") {
            Some((_, actions)) if !first => actions,
            Some(_) | None => note.body.as_str(),
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            writeln!(self.out, "                 {bar} {line}")?;
        }
        self.out.flush()
    }

    /// The platform failed on a note.
    pub(super) fn struck(
        &mut self,
        at: Duration,
        conversation: &str,
        fault: &Fault,
    ) -> io::Result<()> {
        let what = match &fault.trouble {
            Trouble::Status { code, retry_after: Some(after) } => {
                format!("answers {code} and asks for {} s of patience", after.as_secs())
            }
            Trouble::Status { code, retry_after: None } => format!("answers {code}"),
            Trouble::Hang => "doesn't answer".to_owned(),
            Trouble::Reset => "resets the connection".to_owned(),
            Trouble::Slow(by) => format!("takes {} ms longer", by.as_millis()),
            Trouble::Drip { .. } => "answers a byte at a time".to_owned(),
            Trouble::Flood { bytes } => format!("answers with {bytes} bytes"),
        };
        let line = format!("the platform {what} for {conversation}; the note stays queued");
        let (at, line) = (self.at(at), self.paint(Style::Yellow, &line));
        writeln!(self.out, "{at}        {line}")?;
        self.out.flush()
    }

    /// How it went.
    pub(super) fn closing(&mut self, summary: &Summary) -> io::Result<()> {
        let Summary { notes, conversations, .. } = summary;
        let verdict = match (summary.interrupted, summary.faithful) {
            (_, true) => {
                let text = "Every action arrived once, in order, beside the right conversation.";
                self.paint(Style::Green, text)
            }
            (true, false) => {
                self.paint(Style::Yellow, "Interrupted: what was still under way is not shown.")
            }
            (false, false) => {
                self.paint(Style::Red, "Some actions did not arrive as they should have.")
            }
        };
        writeln!(
            self.out,
            "\n{} actions, {conversations} conversations, {notes} notes with {} actions. {verdict}\n",
            summary.done, summary.arrived
        )?;
        let head = self.paint(Style::Bold, "Try next");
        writeln!(self.out, "{head}")?;
        for (command, what) in [
            ("sidenote check --config examples/sidenote.toml", "what a configuration still needs"),
            ("sidenote run --config sidenote.toml", "the same with your stream and your platform"),
            ("sidenote --help", "everything else"),
        ] {
            let what = self.paint(Style::Dim, what);
            writeln!(self.out, "  {command:<48} {what}")?;
        }
        self.out.flush()
    }

    fn at(&self, at: Duration) -> String {
        self.paint(Style::Dim, &format!("{:>6.1} s ", at.as_secs_f64()))
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Cyan => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// How the demo went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// Actions of people with a conversation.
    pub(super) done: usize,
    /// Actions that arrived.
    pub(super) arrived: usize,
    /// Whether what arrived is what was done: all of it, once, in order.
    pub(super) faithful: bool,
    /// Notes that arrived.
    pub(super) notes: usize,
    /// Conversations opened.
    pub(super) conversations: usize,
    /// Whether it was ended by hand.
    pub(super) interrupted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::NoteAction;
    use sidenote::clock::Timestamp;

    fn shown(colours: bool, show: impl FnOnce(&mut Screen<Vec<u8>>)) -> String {
        let mut screen = Screen::new(Vec::new(), colours);
        show(&mut screen);
        String::from_utf8(screen.out).unwrap()
    }

    fn note() -> Note {
        let action = NoteAction {
            description: "Opened Billing".to_owned(),
            title: String::new(),
            kind: String::new(),
            index: 0,
            canonical_url: String::new(),
            timestamp_start: None,
        };
        Note {
            id: "n-1".to_owned(),
            received: Timestamp(0),
            product_id: "demo".to_owned(),
            session_id: "s".to_owned(),
            conversation_id: "c-1".to_owned(),
            user_id: None,
            email: None,
            kind: "actions".to_owned(),
            seq: 1,
            body: "session_id: s\n\n[1] Opened Billing".to_owned(),
            actions: vec![action],
            idempotency_key: "k".to_owned(),
            attempt: 1,
        }
    }

    #[test]
    fn a_note_is_shown_with_its_text_and_what_is_special_about_it() {
        let at = Duration::from_millis(5_900);
        let first = shown(false, |screen| screen.note(at, &note(), true, 0).unwrap());
        assert_eq!(
            first,
            "   5.9 s         note n-1 beside c-1: 1 action from before the conversation\n\
             \x20                | session_id: s\n\
             \x20                | [1] Opened Billing\n"
        );
        let retried = shown(false, |screen| screen.note(at, &note(), false, 1).unwrap());
        assert!(retried.contains("1 action, at attempt 2\n"), "{retried}");
        assert!(
            retried.contains("| [1] Opened Billing") && !retried.contains("session_id"),
            "{retried}"
        );
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let act = |screen: &mut Screen<Vec<u8>>| {
            screen.act(Duration::ZERO, "Maya", "Opened Billing").unwrap()
        };
        assert!(shown(true, act).contains("\x1b[36m"));
        assert_eq!(shown(false, act), "   0.0 s  Maya   Opened Billing\n");
    }

    #[test]
    fn the_closing_says_how_it_went() {
        let good = Summary {
            done: 3,
            arrived: 3,
            faithful: true,
            notes: 2,
            conversations: 1,
            interrupted: false,
        };
        let closing = |summary: Summary| shown(false, |screen| screen.closing(&summary).unwrap());
        assert!(closing(good.clone()).contains("Every action arrived once, in order"));
        assert!(
            closing(Summary { arrived: 2, faithful: false, ..good.clone() })
                .contains("did not arrive")
        );
        assert!(
            closing(Summary { faithful: false, interrupted: true, ..good }).contains("Interrupted")
        );
    }
}
