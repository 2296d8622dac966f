//! What is not said, and what is said instead.

/// Words that are not said.
pub(crate) struct Rule {
    /// A regular expression, without regard to capitals unless it says so itself.
    pub(crate) pattern: &'static str,
    /// Words that make something else of them where they follow.
    pub(crate) unless_before: &'static [&'static str],
    pub(crate) say: &'static str,
    /// The words of the glossary that are meant.
    pub(crate) glossary: &'static [&'static str],
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        pattern: r"\b(take[ns]?|taking|took)( (it|them|a note|notes|the note|the notes|this note))? back\b",
        unless_before: &[],
        say: "redacted, redacts, redact",
        glossary: &["redact"],
    },
    Rule {
        pattern: r"\bparcels?\b",
        unless_before: &[],
        say: "sink delivery",
        glossary: &["sink delivery"],
    },
    Rule {
        pattern: r"\btaken\b",
        // "taken over from the SDK", "taken for an id", "taken out of an answer", "taken away", "taken from a file".
        unless_before: &["over", "for", "out", "away", "from", "up", "apart", "off", "as", "back"],
        say: "accepted",
        glossary: &["accepted"],
    },
    Rule {
        pattern: r"\b(given|gives?|giving|gave) up\b",
        unless_before: &[],
        say: "dead-lettered, a dead letter; of what isn't delivered: ended, dropped, let go",
        glossary: &["dead letter"],
    },
    Rule {
        pattern: r"\b(bury|buries|buried|burying)\b",
        unless_before: &[],
        say: "dead-letter",
        glossary: &["dead letter"],
    },
    Rule {
        pattern: r"\bhurr(y|ies|ied)\b",
        unless_before: &[],
        say: "retry now",
        glossary: &["retry"],
    },
    Rule {
        pattern: r"\breviv(e|es|ed|ing|al)\b",
        unless_before: &[],
        say: "requeue",
        glossary: &["requeue"],
    },
    Rule { pattern: r"\bstand-ins?\b", unless_before: &[], say: "fake", glossary: &["fake"] },
    Rule {
        pattern: r"\bthe reference\b",
        unless_before: &[],
        say: "autoplay-sdk",
        glossary: &["autoplay-sdk"],
    },
    Rule {
        pattern: r"\bseats?\b",
        unless_before: &[],
        say: "CPU permit",
        glossary: &["CPU permit"],
    },
    Rule {
        pattern: r"\broom\b",
        unless_before: &[],
        say: "capacity; of a disk: space",
        glossary: &["capacity"],
    },
    Rule {
        pattern: r"\b(is|are) spared\b|\bno ?one gets in\b|\b(is|are) never waited for\b",
        unless_before: &[],
        say: "what is done instead: a limit is honoured, a request is refused, a slow subscriber is dropped to a resync",
        glossary: &[],
    },
    Rule {
        pattern: r"\b(sum(s|med)?|summing) (it |them |sessions |a session )?up\b",
        unless_before: &[],
        say: "summarize",
        glossary: &["summary"],
    },
    Rule {
        pattern: r"\bplay(s|ed|ing)? (it )?back\b",
        unless_before: &[],
        say: "replay",
        glossary: &[],
    },
    Rule {
        pattern: r"\bburn(s|ed|t|ing)?\b",
        unless_before: &[],
        say: "use up (an attempt)",
        glossary: &["attempt"],
    },
    Rule {
        pattern: r"\bwhat (becomes|became) of\b|\bamount(s|ed)? to\b",
        unless_before: &[],
        say: "the outcome, the result; of settings: the effective settings",
        glossary: &["outcome"],
    },
    Rule {
        pattern: r"\bthe way out\b",
        unless_before: &[],
        say: "the remedy; of a request: when it is sent",
        glossary: &[],
    },
    Rule {
        pattern: r"\bnobody's word\b|\bvisitor's word\b",
        unless_before: &[],
        say: "without verification, a claim",
        glossary: &["verified", "claimed"],
    },
    Rule {
        pattern: r"\bput(s)? into words\b",
        unless_before: &[],
        say: "turn into lines",
        glossary: &["line"],
    },
    Rule {
        // As a word: the constant of the compiler's weights has it in capitals.
        pattern: r"(?-i:\b[Ss]eldom\b)",
        unless_before: &[],
        say: "at growing intervals; of what happens: rare",
        glossary: &[],
    },
    Rule {
        // As types: the words themselves are English.
        pattern: r"(?-i:`(Shelf|Roster|Desk|Board|Teller|Whom|Wish|Door|Vault|Anatomy|Front|Intake|Inlet)\b|\b(Shelf|Roster|Teller|Wish|Vault|Anatomy|Inlet)::)",
        unless_before: &[],
        say: "the type by its name: HistoryIndex, PluginRoles, AccountQueue, AccountStatus, Publisher, Subject, \
              LinkRequest, EgressClient, SecretStore, ComponentInfo, ApiBackend, IngestService, WebhookVerifier",
        glossary: &[],
    },
];

/// Texts, and what is said in their place by the rules that they break.
pub(crate) const EXAMPLES: &[(&str, &[&str])] = &[
    ("The note is taken back.", &[RULES[0].say]),
    ("It takes them back, and a session takes 5 s back and forth", &[RULES[0].say]),
    ("parcels of a sink", &[RULES[1].say]),
    ("The actions are taken when they are stored", &[RULES[2].say]),
    ("sessions are taken over, numbers are taken for ids, secrets taken out", &[]),
    ("A note is given up after 20 attempts; giving up", &[RULES[3].say, RULES[3].say]),
    ("its state is `given_up`, \"given_up\"", &[]),
    ("the note is buried", &[RULES[4].say]),
    ("hurried on", &[RULES[5].say]),
    ("a revived note", &[RULES[6].say]),
    ("a stand-in for the vendor", &[RULES[7].say]),
    (
        "as the reference does; the reference's bugs; a reference to it",
        &[RULES[8].say, RULES[8].say],
    ),
    ("four seats", &[RULES[9].say]),
    ("no room in the inbox; no mushroom", &[RULES[10].say]),
    ("Platforms are spared; no one gets in; it is never waited for", &[RULES[11].say; 3]),
    ("sessions are summed up; it sums them up; 5 sums, up to 7", &[RULES[12].say, RULES[12].say]),
    ("the journal is played back; it plays back", &[RULES[13].say, RULES[13].say]),
    ("no attempt is burned", &[RULES[14].say]),
    (
        "what became of a note; what the file amounts to; the amount",
        &[RULES[15].say, RULES[15].say],
    ),
    ("with the way out; put in on the way out; on its way", &[RULES[16].say, RULES[16].say]),
    ("there on nobody's word", &[RULES[17].say]),
    ("not yet put into words", &[RULES[18].say]),
    ("ever more seldom; SELDOM", &[RULES[19].say]),
    ("`Shelf` and `Desk`, on a desk; `DeskTop`", &[RULES[20].say, RULES[20].say]),
];

/// A place that may say what a rule refuses.
pub(crate) struct Allowed {
    /// The file, or how its path begins.
    pub(crate) file: &'static str,
    /// What the line has in it.
    pub(crate) text: &'static str,
    /// Why it may.
    pub(crate) reason: &'static str,
}

pub(crate) const ALLOWED: &[Allowed] = &[
    Allowed {
        file: "host/src/prompts/summary.md",
        text: " up",
        reason: "the prompt's words are its version's",
    },
    Allowed {
        file: "plugins/intercom/README.md",
        text: "a seat of its own is best",
        reason: "what Intercom sells per teammate is called so",
    },
    Allowed {
        file: "docs/src/plugins/intercom.md",
        text: "a seat of its own is best",
        reason: "the same page",
    },
    Allowed {
        file: "ARCHITECTURE.md",
        text: "a room for each thing that has a state",
        reason: "a part of the engine's core, which bounds nothing",
    },
    Allowed {
        file: "docs/src/developers/map.md",
        text: "a room for each thing that has a state",
        reason: "a part of the engine's core, which bounds nothing",
    },
    Allowed {
        file: "host/core/src/engine/mod.rs",
        text: "A room's state is its own",
        reason: "a part of the engine's core, which bounds nothing",
    },
    Allowed { file: "host/core/src/session/state.rs", text: "parcels", reason: "the stored form" },
    Allowed { file: "host/src/store/embedded/rows.rs", text: "parcel", reason: "the stored form" },
    Allowed { file: "host/src/store/redis/keys.rs", text: "parcel", reason: "the stored form" },
    Allowed { file: "host/core/src/outbox/lane.rs", text: "revived", reason: "the stored form" },
    Allowed {
        file: "host/sim/src/demo/story.rs",
        text: "25 seats",
        reason: "what somebody buys in the demo's product",
    },
];
