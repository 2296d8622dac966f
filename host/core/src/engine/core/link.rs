//! Links: which session is meant, and what it does to those that are in the conversation already.

use crate::engine::core::Core;
use crate::engine::link::{Found, LinkCommand, LinkError, Linked, Who, not_found};
use crate::engine::rows::Person;
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::session::identity::{Identity, Tie};
use crate::session::link::{LinkEvent, LinkMode, LinkRequest, Owner, Party};
use crate::session::state::{Session, Target};

impl Core {
    pub(super) fn link(&mut self, command: LinkCommand, tx: &mut Tx) -> Result<Linked, LinkError> {
        let (key, found) = self.resolve(&command)?;
        if self.settings.delivery(&key.product).is_none() {
            return Err(LinkError::NotFound(not_found::PRODUCT));
        }
        let tie = command.tie(found);
        let LinkCommand { plugin, conversation, mode, told, .. } = command;
        self.link_to(&key, &(plugin, conversation), mode, (&told, tie), tx)
    }

    /// Links this very session. The conversation's owners must be in memory, and those that are there
    /// without verification with their sessions. `tie` says how the session was found, `told` whom the platform
    /// vouches for.
    pub(super) fn link_to(
        &mut self,
        key: &SessionKey,
        target: &Target,
        mode: LinkMode,
        (told, tie): (&Identity, Tie),
        tx: &mut Tx,
    ) -> Result<Linked, LinkError> {
        let settings = self.settings.clone();
        let (rules, names) = (settings.rules(&key.product), settings.names());
        let (plugin, conversation) = target;
        let session = self.sessions.get_mut(key, tx.now).ok_or(LinkError::Unavailable)?;
        let same = session.is_linked_to(plugin, conversation);
        let request = LinkRequest { plugin, conversation, mode, told, tie, names };
        let linked = session.on_link(request, self.directory.owners(target), tx.now, rules);
        let (event, effects) = linked.map_err(|foreign| {
            self.counters.links_refused.add(1);
            tracing::warn!(%plugin, "link: refused: {foreign}");
            LinkError::Foreign
        })?;
        let who = session.record().identity();
        let link = session.record().link.as_ref();
        let basis = link.map(|link| link.basis).unwrap_or_default();
        let goes_to = link.map_or(conversation, |link| &link.conversation).clone();
        match event {
            LinkEvent::Kept => {}
            LinkEvent::New | LinkEvent::ReplyExisting if same => self.deliveries.nudge(key, tx),
            LinkEvent::New | LinkEvent::ReplyExisting | LinkEvent::Moved => {
                if event == LinkEvent::Moved {
                    let why = match mode {
                        LinkMode::Move => "the operator says so",
                        LinkMode::Auto | LinkMode::Reply => {
                            self.counters.links_outranked.add(1);
                            "it rests on more than the one before"
                        }
                    };
                    tracing::info!(%plugin, "link: a session was moved to another conversation: {why}");
                }
                self.counters.links_made.add(1);
                let owner = Owner { key: key.clone(), who: who.clone(), since: tx.now, basis };
                self.directory.enter(target, owner, tx);
            }
        }
        let outranked = match event {
            LinkEvent::Kept => Vec::new(),
            LinkEvent::New | LinkEvent::ReplyExisting | LinkEvent::Moved => {
                let party = Party { key, who: &who, basis };
                self.directory.owners(target).outranked_by(party, names)
            }
        };
        let is_news = event != LinkEvent::Kept && !same;
        if is_news {
            self.watch_link(key, tx);
        }
        self.run_effects(key, effects, tx);
        if is_news {
            self.tell_link(key, tx);
        }
        for other in outranked {
            self.outrank(&other, target, tx);
        }
        Ok(Linked { key: key.clone(), conversation: goes_to, event })
    }

    /// Has a session leave a conversation that turned out to be another person's.
    fn outrank(&mut self, key: &SessionKey, target: &Target, tx: &mut Tx) {
        let Some(session) = self.sessions.get_mut(key, tx.now) else { return };
        let effects = session.on_outranked(target);
        self.counters.links_outranked.add(1);
        tracing::info!(
            plugin = %target.0,
            "link: a session left a conversation that is another person's: nobody had vouched for its link"
        );
        self.watch_link(key, tx);
        self.run_effects(key, effects, tx);
        self.tell_link(key, tx);
    }

    /// The session that a command means. Of several sessions of one person, the one that was active last.
    fn resolve(&self, command: &LinkCommand) -> Result<(SessionKey, Found), LinkError> {
        let known = |key: &&SessionKey| self.sessions.get(key).is_some_and(Session::is_known);
        match &command.who {
            Who::Session(key) => Ok((key.clone(), Found::Session)),
            Who::SessionOf(products, session) => {
                let keys: Vec<_> = SessionKey::of(products, session).collect();
                if let [only] = &keys[..] {
                    return Ok((only.clone(), Found::Session));
                }
                let mut known = keys.iter().filter(known);
                match (known.next(), known.next()) {
                    (Some(key), None) => Ok((key.clone(), Found::Session)),
                    (Some(_), Some(_)) => Err(LinkError::Ambiguous),
                    (None, _) => Err(LinkError::NotFound(not_found::SESSION)),
                }
            }
            Who::Person { products, user_id, email } => {
                for (person, found) in Person::sought(user_id.as_deref(), email.as_deref()) {
                    let sessions = self.directory.sessions_of(products, &person).filter(known);
                    let active_at =
                        |key: &&SessionKey| self.sessions.record(key).map(|it| it.active_at);
                    if let Some(key) = sessions.max_by_key(active_at) {
                        return Ok((key.clone(), found));
                    }
                }
                Err(LinkError::NotFound(not_found::PERSON))
            }
        }
    }
}
