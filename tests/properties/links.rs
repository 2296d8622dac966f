//! What a link must be answered, by what was told before.

use std::time::Duration;

use sidenote::engine::link::{
    Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Vouched, Who, Word as Given,
};
use sidenote::ids::ConversationId;
use sidenote_tests::world::product;
use tokio::time::sleep;

use crate::history::{History, Told, key};
use crate::steps::{CONVERSATIONS, Link, SESSIONS, WRITER, Word};

impl History {
    pub(crate) async fn link(&mut self, link: Link) -> Result<(), String> {
        if !self.is_asked(link) {
            return Ok(());
        }
        let (linked, again) = self.ask(request(link)).await;
        self.linked(link, linked, again)
    }

    /// What nobody vouches for is said of sessions only that are linked on a surer word, and must change nothing.
    pub(crate) fn is_asked(&self, link: Link) -> bool {
        link.word > Word::Claimed || self.sessions[link.session].linked.is_some()
    }

    /// Of the sessions of a person, the one that was active last.
    pub(crate) async fn link_person(
        &mut self,
        id: &str,
        user: &'static str,
        conversation: usize,
    ) -> Result<(), String> {
        let who = Who::Person {
            products: vec![product(id)],
            user_id: Some(user.to_owned()),
            email: None,
        };
        let (mode, word) = (LinkMode::Auto, Word::Operator);
        let of = |session| Link { session, conversation, mode, word };
        let by_key = request(of(0));
        let (linked, again) = self.ask(LinkCommand { who, ..by_key }).await;
        let candidates: Vec<_> = (0..SESSIONS.len())
            .filter(|n| (SESSIONS[*n].0, SESSIONS[*n].2) == (id, Some(user)))
            .filter(|n| self.sessions[*n].known)
            .collect();
        if let Err(LinkError::NotFound(_)) = linked {
            return match &candidates[..] {
                [] => Ok(()),
                [..] => Err(format!("no session of {user} was found: {candidates:?}")),
            };
        }
        let active = |n: &usize| self.sessions[*n].active;
        // Whatever the host can't know: what happened at the moment of a crash, or by a clock that was
        // set back since.
        let sure = self.now.back.is_zero() && candidates.iter().all(|n| active(n).is_some());
        let latest = candidates.iter().filter_map(active).max().unwrap_or_default();
        let found: Vec<_> = match &linked {
            Ok(linked) => candidates.iter().filter(|n| key(**n) == linked.key).collect(),
            Err(_) => candidates
                .iter()
                .filter(|n| self.sessions[**n].linked.is_none() || self.sessions[**n].basis < word)
                .collect(),
        };
        let found = found
            .into_iter()
            .find(|n| !sure || active(n).is_some_and(|(_, until)| until >= latest.0));
        let Some(found) = found else {
            return Err(format!("{linked:?} isn't the latest session of {user}: {candidates:?}"));
        };
        self.linked(of(*found), linked, again)
    }

    /// Compares an answer with what was told, and writes it down. What was asked for `again` may have
    /// been done the first time, which nobody was told.
    pub(crate) fn linked(
        &mut self,
        link: Link,
        linked: Result<Linked, LinkError>,
        again: bool,
    ) -> Result<(), String> {
        let Link { session, conversation, mode, word } = link;
        let person = &self.sessions[session];
        let (before, auto) = (person.linked, mode != LinkMode::Move);
        let elsewhere = before.filter(|before| *before != conversation);
        // A link is sticky, but for what is surer than it and for an operator's move.
        let kept = elsewhere.filter(|_| auto && word <= person.basis);
        let is_foreign = |other: &usize| {
            let user = |n: usize| SESSIONS[n].2.filter(|_| self.sessions[n].known);
            // Ids of two products say nothing against each other.
            auto && SESSIONS[session].0 == SESSIONS[*other].0
                && user(session).is_some()
                && user(*other).is_some_and(|u| Some(u) != user(session))
        };
        let owners = &self.ever[conversation];
        let comes = before != Some(conversation) && kept.is_none();
        let may_refuse = comes && owners.iter().any(is_foreign);
        let inside = |other: &&usize| self.sessions[**other].linked == Some(conversation);
        let as_sure = |other: &&usize| self.sessions[**other].basis >= word;
        let must_refuse = comes && owners.iter().filter(inside).filter(as_sure).any(is_foreign);
        let linked = match linked {
            Ok(linked) if !must_refuse => linked,
            Err(LinkError::Foreign) if may_refuse => return Ok(()),
            other => return Err(format!("answered {other:?} with the owners {owners:?}")),
        };
        let event = match before {
            _ if kept.is_some() => LinkEvent::Kept,
            Some(before) if before != conversation => LinkEvent::Moved,
            Some(_) if auto => LinkEvent::ReplyExisting,
            None if mode == LinkMode::Reply => LinkEvent::ReplyExisting,
            None if auto && owners.iter().any(|other| inside(&other)) => LinkEvent::ReplyExisting,
            None if auto && !owners.is_empty() => linked.event,
            Some(_) | None => LinkEvent::New,
        };
        let to = kept.unwrap_or(conversation);
        if linked.key != key(session)
            || linked.conversation.as_str() != CONVERSATIONS[to]
            || (linked.event != event && !again)
        {
            return Err(format!("answered {linked:?}, and it is {event:?} {}", CONVERSATIONS[to]));
        }
        if before != Some(to) {
            self.moved(link, elsewhere.filter(|_| auto));
        }
        let person = &mut self.sessions[session];
        if kept.is_none() {
            person.basis = if before == Some(to) { person.basis.max(word) } else { word };
        }
        person.touched = true;
        Ok(())
    }

    /// Writes down that a session goes to a conversation. `outranked` is the one that it was linked to on a word that
    /// was less sure: what waited for a note then goes to the new one.
    fn moved(&mut self, link: Link, outranked: Option<usize>) {
        let Link { session, conversation: to, .. } = link;
        self.ever[to].insert(session);
        if let Some(before) = outranked {
            self.ever[before].remove(&session);
        }
        let (begun, now, era) = (self.begun, self.moment(), self.sessions[session].era);
        let of_session =
            |told: &&mut Told| (told.session, told.era) == (session, era) && told.placed;
        for told in self.told.iter_mut().filter(of_session) {
            if told.belongs.is_none() {
                (told.belongs, told.linked) = (Some(to), Some((begun, now)));
            } else if outranked.is_some() && told.belongs == outranked {
                told.or = Some(to);
            }
        }
        let person = &mut self.sessions[session];
        (person.linked, person.active) = (Some(to), Some((begun.at, now.at)));
    }

    /// Asks again while the store takes nothing; says whether it did.
    async fn ask(&self, request: LinkCommand) -> (Result<Linked, LinkError>, bool) {
        let mut again = false;
        loop {
            match self.world().handle.link(request.clone()).await {
                Err(LinkError::Unavailable) => sleep(Duration::from_secs(2)).await,
                answered => return (answered, again),
            }
            again = true;
        }
    }
}

pub(crate) fn request(link: Link) -> LinkCommand {
    let Link { session, conversation, mode, word } = link;
    let conversation = ConversationId::new(CONVERSATIONS[conversation]).expect("not empty");
    let word = match word {
        Word::Claimed => Given::Platform(Vouched::default()),
        Word::Verified => Given::Platform(Vouched { session_id: true, ..Vouched::default() }),
        Word::Operator => Given::Operator,
    };
    let (who, told) = (Who::Session(key(session)), Identity::default());
    LinkCommand { plugin: WRITER.into(), conversation, who, mode, told, word }
}
