//! The table file of an added plugin: what stands in it, and its head, by which `plugin remove` knows what `add` made.

use super::answers::{Answers, Kept};
use crate::ask::quoted;

const MARK: &str = "# Written by `sidenote plugin add`: `sidenote plugin remove` removes it, and what is named here.";
const COMPONENT: &str = "# component: ";
const SECRET: &str = "# secret: ";

/// What `add` made beside the table file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::plugin) struct Head {
    /// The component's file in the plugins folder.
    pub(in crate::plugin) component: Option<String>,
    /// The files of secrets.
    pub(in crate::plugin) secrets: Vec<String>,
}

impl Head {
    /// Reads it off a table file; `None` where `add` didn't write that.
    pub(in crate::plugin) fn of(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(MARK) {
            return None;
        }
        let mut head = Self::default();
        // A name of a file, and no way out of its folder.
        let plain = |name: &str| !name.is_empty() && !name.contains('/') && name != "..";
        for line in lines.take_while(|line| line.starts_with('#')) {
            if let Some(name) = line.strip_prefix(COMPONENT).filter(|name| plain(name)) {
                head.component = Some(name.to_owned());
            }
            if let Some(name) = line.strip_prefix(SECRET).filter(|name| plain(name)) {
                head.secrets.push(name.to_owned());
            }
        }
        Some(head)
    }

    fn written(&self) -> String {
        let component = self.component.iter().map(|name| format!("{COMPONENT}{name}\n"));
        let secrets = self.secrets.iter().map(|name| format!("{SECRET}{name}\n"));
        component.chain(secrets).fold(format!("{MARK}\n"), |text, line| text + &line)
    }
}

/// The folder of a plugin's secrets, beside its table file.
pub(in crate::plugin) fn secrets_folder(plugin: &str) -> String {
    format!("{plugin}.secrets")
}

/// The table file, with these lines of the component.
pub(super) fn text(
    name: &str,
    component: &str,
    answers: &Answers,
    head: &Head,
    products: &[&String],
) -> String {
    let list = |items: &mut dyn Iterator<Item = &String>| {
        format!("[{}]", items.map(|it| quoted(it)).collect::<Vec<_>>().join(", "))
    };
    let mut text = head.written();
    text += &format!("\n[plugins.{name}]\n{component}");
    if !answers.hosts.is_empty() || answers.kv || answers.timer {
        text += &format!("\n[plugins.{name}.grants]\n");
    }
    if !answers.hosts.is_empty() {
        text += &format!("hosts = {}\n", list(&mut answers.hosts.iter()));
    }
    if answers.kv {
        text += "kv = true\n";
    }
    if answers.timer {
        text += "timer = true\n";
    }
    if !answers.settings.is_empty() {
        text += &format!("\n[plugins.{name}.config]\n");
        for (key, value) in &answers.settings {
            text += &format!("{} = {value}\n", quoted(key));
        }
    }
    for (secret, (kept, hosts)) in &answers.secrets {
        text += &format!("\n[plugins.{name}.secrets.{}]\n", quoted(secret));
        text += &match kept {
            Kept::Env(variable) => format!("env = {}\n", quoted(variable)),
            Kept::File(path) => format!("file = {}\n", quoted(path)),
            Kept::Made => {
                let path = format!("plugins.d/{}/{secret}", secrets_folder(name));
                format!("file = {}\n", quoted(&path))
            }
        };
        if !hosts.is_empty() {
            text += &format!("hosts = {}\n", list(&mut hosts.iter()));
        }
    }
    for id in products {
        text += &format!("\n[products.{}]\nplugins = [{}]\n", quoted(id), quoted(name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_says_what_add_made_and_names_no_other_folder() {
        let head = Head { component: Some("b.wasm".into()), secrets: vec!["token".into()] };
        let text = text("b", "file = \"b.wasm\"\n", &Answers::default(), &head, &[]);
        assert_eq!(Head::of(&text), Some(head));
        assert_eq!(Head::of("# by hand\n[plugins.b]\n"), None);
        let odd = format!("{MARK}\n{SECRET}../../etc/passwd\n{COMPONENT}/x.wasm\n");
        assert_eq!(Head::of(&odd), Some(Head::default()));
    }
}
