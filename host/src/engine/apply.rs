//! What an input does: the pure core decides, its effects become rows of the round.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::feed::What;
use crate::engine::handle::Summary;
use crate::engine::inbox::Input;
use crate::engine::link::{Found, LinkCommand, LinkError, Linked, Who};
use crate::engine::round::{Answer, Engine, Round, gathers};
use crate::engine::rows::{
    Person, PersonRow, conversation_group, delete, person_group, put, session_group, session_number,
};
use crate::ids::{SessionKey, shown};
use crate::outbox::lane::Lane;
use crate::outbox::note::{Note, NoteKind};
use crate::session::identity::Tie;
use crate::session::link::{Identity, Link, LinkEvent, LinkMode, LinkRequest, Owner, Party};
use crate::session::note::{format_note, format_summary};
use crate::session::payload::SummaryPayload;
use crate::session::state::{Covers, Effect, Sealed, Summarized, Target};
use crate::session::wording::worded;
use crate::store::Table;

impl Engine {
    pub(super) fn apply(&mut self, round: &mut Round, input: Input, now: Timestamp) {
        match input {
            Input::Actions { key, mut batch, bytes, accepted_at, room, accepted } => {
                round.answers.extend(room.map(Answer::Room));
                let arrived = accepted_at.map_or(now, |at| at.min(now));
                // Here, where what the journal kept comes by too.
                self.counters.nobody_ids.add(self.settings.names().clean_batch(&mut batch));
                if self.settings.delivery(&key.product).is_none() {
                    // It was when they were handed over. Whoever waits is told that they weren't accepted.
                    self.counters.dropped_unknown_product.add(batch.actions.len() as u64);
                    return;
                }
                round.answers.extend(accepted.map(Answer::Accepted));
                self.keep_batch(round, &key, &batch, arrived);
                let roles = self.roles(round, &key.product, now);
                let rules = self.settings.rules(&key.product);
                let Some(live) = self.memory.sessions.get_mut(&key) else { return };
                if accepted_at.is_none() {
                    round.accepted += batch.actions.len() as u64;
                }
                let for_sinks = (!roles.sinks.is_empty()).then(|| batch.clone());
                let effects = if roles.writer.is_none() && live.session.record().link.is_none() {
                    live.session.on_passed(&batch, arrived)
                } else {
                    let gather = gathers(live, &self.accounts, rules, now);
                    live.session.on_actions(batch, bytes, arrived, rules, gather)
                };
                self.run_effects(round, &key, effects, now);
                if let Some(batch) = for_sinks {
                    self.send_batch(round, &key, &roles.sinks, batch, now);
                }
            }
            Input::Summary { key, text, covers, forwarded_at, accepted_at, room, reply } => {
                round.answers.extend(room.map(Answer::Room));
                let arrived = accepted_at.map_or(now, |at| at.min(now));
                let roles = self.roles(round, &key.product, now);
                let before = self.covered(&key);
                let for_sinks = (!roles.sinks.is_empty()).then(|| text.clone());
                let accepted = self.summarize(round, &key, text, covers, arrived, now);
                if let (Some(text), false) = (for_sinks, accepted == Summarized::Stale) {
                    let replaces = match covers {
                        Covers::Next(actions) => actions,
                        Covers::Through(_) => self.covered(&key) - before,
                    };
                    let summary = SummaryPayload {
                        product_id: key.product.as_str().to_owned(),
                        session_id: Some(key.session.as_str().to_owned()),
                        summary: text,
                        replaces,
                        forwarded_at,
                    };
                    self.send_summary(round, &key, &roles.sinks, &summary, now);
                }
                let answer = |reply| Answer::Summary(reply, Summary::Accepted(accepted));
                round.answers.extend(reply.map(answer));
            }
            Input::Link { request, reply } => {
                let result = self.link(round, request, now);
                round.answers.push(Answer::Link(reply, result));
            }
            Input::Decide { decision, notes, reply } => {
                let carried_out = self.decide(round, decision, notes, now);
                round.answers.push(Answer::Decided(reply, carried_out));
            }
            Input::Erase(order) => self.erase(round, order, now),
            Input::Scrubbed(scrubbed) => self.end_scrub(round, scrubbed, now),
            Input::Outcome(outcome) => self.end_attempt(round, outcome, now),
            Input::Redacted(redacted) => self.end_redaction(round, redacted, now),
            Input::Written(outcome) => self.end_attempt(round, outcome, now),
            Input::Settings(change) => round.settings.push(change),
            Input::Stop => {
                self.stopping = true;
                self.posts.abort_all();
                for live in self.memory.sessions.values_mut() {
                    round.changes.extend(live.notes.cut());
                    round.changes.extend(live.sinks.cut());
                }
                round.changes.extend(self.redactions.cut());
            }
            Input::Drain => {
                self.draining = true;
                let keys: Vec<_> = self.memory.sessions.keys().cloned().collect();
                for key in keys {
                    let Some(live) = self.memory.sessions.get_mut(&key) else { continue };
                    let effects = live.session.flush(self.settings.rules(&key.product));
                    self.run_effects(round, &key, effects, now);
                }
            }
        }
    }

    /// Ordinal of the last action of a session that a summary covers.
    fn covered(&self, key: &SessionKey) -> u64 {
        self.memory.sessions.get(key).map_or(0, |live| live.session.record().covered)
    }

    fn summarize(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        text: String,
        covers: Covers,
        arrived: Timestamp,
        now: Timestamp,
    ) -> Summarized {
        let rules = self.settings.rules(&key.product);
        let Some(live) = self.memory.sessions.get_mut(key) else { return Summarized::Unlinked };
        let kept = self.settings.history.is_some().then(|| text.clone());
        let (summarized, effects) = live.session.on_summary(text, covers, arrived, rules);
        match summarized {
            Summarized::Queued { .. } => self.counters.summaries_sealed.add(1),
            Summarized::Unlinked => self.counters.summaries_unlinked.add(1),
            Summarized::Stale => self.counters.summaries_ignored.add(1),
        }
        self.run_effects(round, key, effects, now);
        if let Some(text) = kept {
            self.keep_summary(round, key, text, summarized, arrived);
        }
        summarized
    }

    fn link(
        &mut self,
        round: &mut Round,
        request: LinkCommand,
        now: Timestamp,
    ) -> Result<Linked, LinkError> {
        let (key, found) = self.resolve(&request)?;
        if self.settings.delivery(&key.product).is_none() {
            return Err(LinkError::NotFound("its product isn't configured"));
        }
        let tie = request.tie(found);
        let LinkCommand { plugin, conversation, mode, told, .. } = request;
        self.link_to(round, &key, (plugin, conversation), mode, (&told, tie), now)
    }

    /// Links this very session. The conversation's owners must be in memory, and those that are there on
    /// nobody's word with their sessions. `tie` says how the session was found, `told` whom the platform
    /// vouches for.
    pub(super) fn link_to(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        (plugin, conversation): Target,
        mode: LinkMode,
        (told, tie): (&Identity, Tie),
        now: Timestamp,
    ) -> Result<Linked, LinkError> {
        let rules = self.settings.rules(&key.product);
        let names = self.settings.names().clone();
        let live = self.memory.sessions.get_mut(key).ok_or(LinkError::Unavailable)?;
        let owners = self.memory.owners.entry((plugin.clone(), conversation.clone())).or_default();
        let same = live.session.is_linked_to(&plugin, &conversation);
        let (plugin, conversation) = (&plugin, &conversation);
        let request = LinkRequest { plugin, conversation, mode, told, tie, names: &names };
        let linked = live.session.on_link(request, owners, now, rules);
        let (event, effects) = linked.map_err(|foreign| {
            self.counters.links_refused.add(1);
            tracing::warn!(%plugin, "link: refused: {foreign}");
            LinkError::Foreign
        })?;
        match event {
            LinkEvent::Kept => {}
            LinkEvent::New | LinkEvent::ReplyExisting if same => {
                live.notes.iter_mut().for_each(Lane::nudge);
            }
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
                let group = conversation_group(plugin, conversation);
                let record = live.session.record();
                let basis = record.link.as_ref().map(|link| link.basis).unwrap_or_default();
                let owner = Owner { key: key.clone(), who: record.identity(), since: now, basis };
                round.changes.push(put(
                    Table::Conversation,
                    group.clone(),
                    session_number(key),
                    &owner,
                ));
                if let Some(forgotten) = owners.add(owner) {
                    let number = session_number(&forgotten.key);
                    round.changes.push(delete(Table::Conversation, group, number));
                }
            }
        }
        let link = live.session.record().link.as_ref();
        let who = live.session.record().identity();
        let basis = link.filter(|_| event != LinkEvent::Kept).map(|link| link.basis);
        let outranked = basis.map_or_else(Vec::new, |basis| {
            owners.outranked_by(Party { key, who: &who, basis }, &names)
        });
        let target = (plugin.clone(), conversation.clone());
        let conversation = link.map_or(conversation, |link| &link.conversation).clone();
        self.run_effects(round, key, effects, now);
        for other in outranked {
            self.outrank(round, &other, &target, now);
        }
        Ok(Linked { key: key.clone(), conversation, event })
    }

    /// Has a session leave a conversation that turned out to be another person's.
    fn outrank(&mut self, round: &mut Round, key: &SessionKey, target: &Target, now: Timestamp) {
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        let effects = live.session.on_outranked(target);
        self.counters.links_outranked.add(1);
        tracing::info!(
            plugin = %target.0,
            "link: a session left a conversation that is another person's: nobody had vouched for its link"
        );
        self.run_effects(round, key, effects, now);
    }

    /// The session that a request means. Of several sessions of one person, the one that was active last.
    fn resolve(&self, request: &LinkCommand) -> Result<(SessionKey, Found), LinkError> {
        let known = |key: &&SessionKey| {
            self.memory.sessions.get(*key).is_some_and(|live| live.session.is_known())
        };
        match &request.who {
            Who::Session(key) => Ok((key.clone(), Found::Session)),
            Who::SessionOf(products, session) => {
                let keys: Vec<_> = products
                    .iter()
                    .map(|product| SessionKey {
                        product: product.clone(),
                        session: session.clone(),
                    })
                    .collect();
                if let [only] = &keys[..] {
                    return Ok((only.clone(), Found::Session));
                }
                let mut known = keys.iter().filter(known);
                match (known.next(), known.next()) {
                    (Some(key), None) => Ok((key.clone(), Found::Session)),
                    (Some(_), Some(_)) => Err(LinkError::Ambiguous),
                    (None, _) => {
                        Err(LinkError::NotFound("no product of this plugin knows the session"))
                    }
                }
            }
            Who::Person { products, user_id, email } => {
                for (person, found) in Person::sought(user_id.as_deref(), email.as_deref()) {
                    let latest =
                        self.memory.sessions_of(products, &person).filter(known).max_by_key(
                            |key| {
                                let live = self.memory.sessions.get(*key);
                                live.map(|live| live.session.record().active_at)
                            },
                        );
                    if let Some(key) = latest {
                        return Ok((key.clone(), found));
                    }
                }
                Err(LinkError::NotFound("no session of this person is known"))
            }
        }
    }

    pub(super) fn run_effects(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        effects: Vec<Effect>,
        now: Timestamp,
    ) {
        round.touched.push(key.clone());
        for effect in effects {
            match effect {
                Effect::Save => drop(round.records.insert(key.clone())),
                Effect::Identity(before) => self.rekey(round, key, &before, now),
                Effect::Leave((plugin, conversation)) => {
                    if let Some(owners) =
                        self.memory.owners.get_mut(&(plugin.clone(), conversation.clone()))
                    {
                        owners.remove(key);
                    }
                    let group = conversation_group(&plugin, &conversation);
                    round.changes.push(delete(Table::Conversation, group, session_number(key)));
                }
                Effect::Keep(row, entry) => {
                    round.changes.push(put(Table::Open, session_group(key), row, &entry));
                }
                Effect::Forget(rows) => {
                    let group = session_group(key);
                    let forget = |row| delete(Table::Open, group.clone(), row);
                    round.changes.extend(rows.into_iter().map(forget));
                }
                Effect::Dropped(actions) => {
                    if let Some(total) = self.counters.dropped_window.add_told(actions as u64) {
                        tracing::info!(
                            product = shown(key.product.as_str()),
                            session = shown(key.session.as_str()),
                            total,
                            "session: actions left the window before a conversation opened and are in no note \
                             (`pre_link_window`); this is said again when the total has doubled"
                        );
                    }
                }
                Effect::Seal(sealed) => self.seal(round, key, sealed, now),
            }
        }
        if let Some(live) = self.memory.sessions.get_mut(key) {
            live.touched = now;
        }
    }

    /// Brings the indexes up to date: a session stands under its person and nobody else, and the
    /// conversation that it is in knows whose it is.
    fn rekey(&mut self, round: &mut Round, key: &SessionKey, before: &Identity, now: Timestamp) {
        let Some(live) = self.memory.sessions.get(key) else { return };
        let record = live.session.record();
        if self.settings.history.is_some() {
            let Identity { user_id, email, .. } = record.identity();
            let person = What::Person { user_id, email, active_at: record.active_at };
            round.told.push((key.clone(), person));
        }
        if let Some(link) = &record.link {
            let Link { since, basis, .. } = *link;
            let owner = Owner { key: key.clone(), who: record.identity(), since, basis };
            let group = conversation_group(&link.plugin, &link.conversation);
            round.changes.push(put(Table::Conversation, group, session_number(key), &owner));
            let target = (link.plugin.clone(), link.conversation.clone());
            if let Some(owners) = self.memory.owners.get_mut(&target) {
                owners.update(owner);
            }
        }
        let before: Vec<_> =
            Person::of(before.user_id.as_deref(), before.email.as_deref()).collect();
        let after: Vec<_> =
            Person::of(record.user_id.as_deref(), record.email.as_deref()).collect();
        let number = session_number(key);
        for person in before.iter().filter(|person| !after.contains(person)) {
            self.memory.forget_person(&key.product, person, key);
            let group = person_group(&key.product, person);
            round.changes.push(delete(Table::Person, group, number));
        }
        for person in after.iter().filter(|person| !before.contains(person)) {
            self.memory.add_person(&key.product, person, key);
            let row = PersonRow { key: key.clone(), since: now };
            let group = person_group(&key.product, person);
            round.changes.push(put(Table::Person, group, number, &row));
        }
    }

    fn seal(&mut self, round: &mut Round, key: &SessionKey, sealed: Sealed, now: Timestamp) {
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        let record = live.session.record();
        let session = Some(key.session.as_str());
        let actions = worded(sealed.actions);
        let (kind, body) = match sealed.summary {
            None => {
                let body = format_note(session, &actions, sealed.bin_seconds, now);
                (NoteKind::Actions, body)
            }
            Some(text) => (NoteKind::Summary, format_summary(session, &text, now)),
        };
        let note = Arc::new(Note {
            key: key.clone(),
            seq: sealed.seq,
            plugin: sealed.link.plugin,
            conversation: sealed.link.conversation,
            user_id: record.user_id.clone(),
            email: record.email.clone(),
            kind,
            body,
            actions,
            through: sealed.through,
            idempotency_key: Note::idempotency_key(key, sealed.seq, now),
            sealed_at: now,
        });
        round.changes.push(put(Table::Outbox, session_group(key), note.seq, &*note));
        live.notes.of(&note.plugin).lane.push(note.clone());
        self.counters.notes_sealed.add(1);
        self.counters.notes_gathered.add(u64::from(sealed.gathered));
    }
}
