//! What is told to a host and must not come out of it: each a text that stands nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sha2::{Digest, Sha256};

/// What a canary is, and so where it may be seen by whoever didn't ask for what people did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens something.
    Secret,
    /// Who somebody is, what they did, wrote or were told.
    Personal,
    /// A product, a session or a conversation: the log and lists name them by it.
    Id,
    /// What a plugin writes or cries out itself.
    Spoken,
    /// What a person says of what they do to a plugin: it stands with the plugin.
    Reason,
}

/// Where something could come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outlet {
    Log,
    Metrics,
    Traces,
    OperatorEvents,
    Audit,
    Health,
    /// The API's lists, without the text that can be asked for.
    Lists,
    Tap,
    Dashboard,
    Doctor,
    Check,
    Debug,
}

impl Kind {
    /// As the book has it.
    fn may_stand_in(self, outlet: Outlet) -> bool {
        match self {
            Self::Secret | Self::Personal => false,
            Self::Id => matches!(
                outlet,
                Outlet::Log | Outlet::Lists | Outlet::Tap | Outlet::Dashboard | Outlet::Audit
            ),
            Self::Spoken => matches!(outlet, Outlet::Log),
            Self::Reason => matches!(outlet, Outlet::Lists | Outlet::Dashboard),
        }
    }
}

/// What came out of somewhere.
pub(crate) struct Told {
    pub(crate) outlet: Outlet,
    /// Of which address, command or log it is.
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

impl Told {
    pub(crate) fn new(outlet: Outlet, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { outlet, name: name.into(), text: text.into() }
    }
}

struct Canary {
    kind: Kind,
    /// Which way it goes in.
    what: String,
    /// By which it is known, in whatever stands around it.
    core: String,
    /// Somebody took it, answered it, or told it.
    arrived: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Canaries(Mutex<Vec<Canary>>);

impl Canaries {
    /// A new one: a word of letters and digits.
    pub(crate) fn make(&self, kind: Kind, what: impl Into<String>) -> String {
        let (what, mut all) = (what.into(), self.all());
        let digest = Sha256::digest(format!("{} {what}", all.len()));
        let core = format!("cnry{}", &hex::encode(digest)[..16]);
        all.push(Canary { kind, what, core: core.clone(), arrived: false });
        core
    }

    /// One that somebody else made up.
    pub(crate) fn known(&self, kind: Kind, what: &str, core: &str) {
        let (what, core) = (what.to_owned(), core.to_owned());
        self.all().push(Canary { kind, what, core, arrived: false });
    }

    /// A new secret.
    pub(crate) fn secret(&self, what: impl Into<String>) -> String {
        self.make(Kind::Secret, what)
    }

    /// A new text of or about somebody.
    pub(crate) fn personal(&self, what: impl Into<String>) -> String {
        self.make(Kind::Personal, what)
    }

    /// A new name of a product, a session or a conversation.
    pub(crate) fn id(&self, what: impl Into<String>) -> String {
        self.make(Kind::Id, what)
    }

    /// Those in a text have arrived where it was read.
    pub(crate) fn arrived(&self, text: &str) {
        for canary in self.all().iter_mut().filter(|canary| text.contains(&canary.core)) {
            canary.arrived = true;
        }
    }

    /// Those that have arrived nowhere, of the ways that begin like this.
    pub(crate) fn missing(&self, what: &str) -> Vec<String> {
        let all = self.all();
        let missing = all.iter().filter(|canary| !canary.arrived && canary.what.starts_with(what));
        missing.map(|canary| format!("{} ({})", canary.what, canary.core)).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// What stands in these texts and may not, as it is, in base64 or in hexadecimal digits.
    pub(crate) fn leaks(&self, texts: &[Told]) -> Vec<String> {
        let mut found = BTreeMap::new();
        let outlets: BTreeSet<_> = texts.iter().map(|told| told.outlet).collect();
        for outlet in outlets {
            let all = self.all();
            let hidden = all.iter().filter(|canary| !canary.kind.may_stand_in(outlet));
            let forms = hidden.flat_map(|canary| {
                let plain = [canary.core.to_lowercase(), canary.core.to_uppercase()];
                let cores =
                    plain.into_iter().chain([canary.core.clone(), hex::encode(&canary.core)]);
                cores.chain(in_base64(&canary.core)).map(|form| (form, &canary.what))
            });
            let (forms, ways): (Vec<_>, Vec<_>) = forms.unzip();
            let searched = AhoCorasick::new(&forms).expect("they are few");
            for Told { name, text, .. } in texts.iter().filter(|told| told.outlet == outlet) {
                for at in searched.find_iter(text) {
                    let told = format!("{} came out of {outlet:?}, {name}", ways[at.pattern()]);
                    found.entry(told).or_insert_with(|| around(text, at.start()));
                }
            }
        }
        found.into_iter().map(|(told, around)| format!("{told}: …{around}…")).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Canary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The middle of a text in base64, wherever in a longer text it stands.
fn in_base64(core: &str) -> Vec<String> {
    let at = |offset: usize| {
        let padded = [&[0; 2][..offset], core.as_bytes()].concat();
        let (first, last) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        [
            STANDARD.encode(&padded)[first..last].to_owned(),
            URL_SAFE.encode(&padded)[first..last].to_owned(),
        ]
    };
    (0..3).flat_map(at).collect()
}

/// A piece of a text.
fn around(text: &[u8], at: usize) -> String {
    let piece = &text[at.saturating_sub(160)..text.len().min(at + 80)];
    String::from_utf8_lossy(piece).into_owned()
}

#[test]
fn what_comes_out_is_found_in_each_writing_and_only_where_it_may_not_stand() {
    let canaries = Canaries::default();
    let (secret, id) = (canaries.secret("a key"), canaries.id("a session"));
    let forms = [
        secret.clone(),
        secret.to_uppercase(),
        hex::encode(&secret),
        STANDARD.encode(format!("user:{secret}")),
        STANDARD.encode(format!("user1:{secret}x")),
        format!("{{\"a\":\"x{secret}y\"}}"),
    ];
    for form in forms {
        let found = canaries.leaks(&[Told::new(Outlet::Log, "a log", format!("a {form} b"))]);
        assert!(matches!(&*found, [one] if one.starts_with("a key came out of Log")), "{form}");
    }
    let log = canaries.leaks(&[Told::new(Outlet::Log, "a log", id.as_str())]);
    assert_eq!(log, Vec::<String>::new());
    assert_eq!(canaries.leaks(&[Told::new(Outlet::Metrics, "a scrape", id.as_str())]).len(), 1);
    canaries.arrived(&format!("{secret} came"));
    assert_eq!(canaries.missing("a "), [format!("a session ({id})")]);
    assert_eq!(canaries.count(), 2);
}
