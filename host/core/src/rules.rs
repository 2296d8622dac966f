//! The rules that deliveries, accounts and rows go by, each with its default: what a configuration says of them.

use serde::{Deserialize, Serialize};

use std::sync::Arc;
use std::time::Duration;

use crate::ids::PluginName;
use crate::triggers::Triggers;

/// `[delivery]`: when notes are sealed and how often they are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// A note is due this long after the last action. It is sealed when it can be sent: what happens before that
    /// gathers in it.
    pub debounce: Duration,
    /// A note is due this long after its first action at the latest.
    pub max_wait: Duration,
    /// Width of the time bins in a note, in seconds; 0 for none.
    pub bin_seconds: f64,
    /// Actions before the link are kept this long, by arrival.
    pub pre_link_window: Duration,
    /// At most so many actions before the link.
    pub pre_link_max_actions: usize,
    /// At most so many bytes of actions before the link.
    pub pre_link_max_bytes: usize,
    /// At most so many actions in one note.
    pub max_note_actions: usize,
    /// A note is dead-lettered after so many failed attempts.
    pub max_attempts: u32,
    /// First pause between attempts; it doubles.
    pub retry_initial: Duration,
    /// Longest pause between attempts.
    pub retry_max: Duration,
    /// How long one attempt may take.
    pub call_timeout: Duration,
    /// A note that could not be delivered for so long is dead-lettered, however often it was tried.
    pub max_age: Duration,
    /// What happens to the notes behind a dead letter.
    pub dead_head: DeadHead,
    /// While so many deliveries of a session wait for a sink, or the sink takes none, further actions join the last one.
    pub max_lane_notes: usize,
    /// At most so many actions gather in a note while it waits for its turn, or join in a delivery to a sink.
    pub max_gathered_actions: usize,
}

/// What happens to the notes behind a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadHead {
    /// They go on without it.
    Free,
    /// They wait until a person has it sent again, or purges it.
    Hold,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(150),
            max_wait: Duration::from_secs(2),
            bin_seconds: 3.0,
            pre_link_window: Duration::from_secs(120),
            pre_link_max_actions: 1000,
            pre_link_max_bytes: 512 << 10,
            max_note_actions: 100,
            max_attempts: 20,
            retry_initial: Duration::from_secs(1),
            retry_max: Duration::from_secs(600),
            call_timeout: Duration::from_secs(20),
            max_age: Duration::from_secs(24 * 3600),
            dead_head: DeadHead::Free,
            max_lane_notes: 64,
            max_gathered_actions: 500,
        }
    }
}

/// `[products.ID]`: a product, its plugins and its delivery settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Plugins that serve it; the first one that writes is the default of `POST /sessions/link`.
    pub plugins: Vec<PluginName>,
    /// `[delivery]` with this product's own settings over it.
    pub delivery: Delivery,
    /// `[products.ID.offers]`; `None` where no help is offered.
    pub offers: Option<Arc<Offers>>,
    /// `[[products.ID.offers.triggers]]`: what is a reason to offer help, in order. Without a judge those that need
    /// one aren't among them.
    pub triggers: Arc<Triggers>,
    /// `[products.ID.reply]`; `None` where what people write isn't answered.
    pub reply: Option<Arc<Reply>>,
}

impl Product {
    /// A product that these plugins serve, where no help is offered.
    pub fn of(plugins: Vec<PluginName>, delivery: Delivery) -> Self {
        Self { plugins, delivery, offers: None, triggers: Arc::default(), reply: None }
    }

    /// The same, where help is offered by these rules.
    #[must_use]
    pub fn with_offers(mut self, offers: Offers) -> Self {
        self.offers = Some(Arc::new(offers));
        self
    }

    /// The same, where these are the reasons to offer help.
    #[must_use]
    pub fn with_triggers(mut self, triggers: Triggers) -> Self {
        self.triggers = Arc::new(triggers);
        self
    }

    /// The same, where what people write is answered by these rules.
    #[must_use]
    pub fn with_reply(mut self, reply: Reply) -> Self {
        self.reply = Some(Arc::new(reply));
        self
    }
}

/// `[products.ID.offers]`: when help may be offered to the people of a product. What is offered is said by its
/// triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    /// An offer that the platform didn't accept within so long of its decision is dropped and counted.
    pub expires: Duration,
    /// Between two offers of one session lies at least so long.
    pub min_interval: Duration,
    /// At most so many offers of one session within an hour; 0 for no limit.
    pub per_session_hour: u32,
    /// At most so many offers to one user within 24 hours; 0 for no limit.
    pub per_user_day: u32,
    /// At most so many offers of the product within a minute; 0 for no limit.
    pub per_product_minute: u32,
    /// No offer for so long after a human agent wrote in the conversation.
    pub quiet_after_agent: Duration,
    /// No offer for so long after the person wrote or typed.
    pub quiet_after_person: Duration,
    /// How long decisions are kept, the refused ones with their reason.
    pub keep_decisions: Duration,
    /// Whether an offer that nobody answered in its time is removed from the platform, where its plugin can do that.
    pub tear_down: bool,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            expires: Duration::from_secs(10),
            min_interval: Duration::from_secs(300),
            per_session_hour: 0,
            per_user_day: 0,
            per_product_minute: 0,
            quiet_after_agent: Duration::from_secs(24 * 3600),
            quiet_after_person: Duration::from_secs(60),
            keep_decisions: Duration::from_secs(24 * 3600),
            tear_down: false,
        }
    }
}

/// `[products.ID.reply]`: how a model answers what the people of a product write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether an answer is posted as a note for people instead of being sent.
    pub dry_run: bool,
    /// Who writes one of these words or phrases asks for a human: nothing is answered, and that is noted.
    pub hand_over: Vec<String>,
    /// An answer that the platform didn't accept within so long of the message is dropped and counted.
    pub expires: Duration,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            dry_run: false,
            hand_over: ["human", "agent", "real person", "representative"].map(Into::into).into(),
            expires: Duration::from_secs(120),
        }
    }
}

/// `[plugins.NAME.breaker]`: when a plugin's calls are held back, so that a platform that is down is
/// asked by one call at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// It opens after so many failures in a row, each within a day of the one before; also when half of the last 32
    /// calls failed. 0: it never opens.
    pub failures: u32,
    /// First pause before a probe; it doubles.
    pub pause_initial: Duration,
    /// Longest pause before a probe.
    pub pause_max: Duration,
    /// After so long without a success the plugin is disabled until a person enables it.
    pub disable_after: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            pause_initial: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            disable_after: Duration::from_secs(5 * 24 * 3600),
        }
    }
}

/// `[retention]`: how long rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Everything of a session, its link and the keys of its sent notes included, after its last
    /// activity.
    pub sessions: Duration,
    /// Dead letters.
    pub dead_letters: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            sessions: Duration::from_secs(24 * 3600),
            dead_letters: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// What is stored of each session for `[context]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// For so long at most.
    pub keep: Duration,
    /// At most so many actions, the latest.
    pub max_actions: u64,
    /// At most so many bytes; the latest batch is kept whatever its size.
    pub max_bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { keep: Duration::from_secs(24 * 3600), max_actions: 1000, max_bytes: 1 << 20 }
    }
}
