//! What a link must be answered, by what was told before.

use std::time::Duration;

use sidenote::engine::link::{
    Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Who, Word,
};
use sidenote::ids::ConversationId;
use sidenote_tests::world::product;
use tokio::time::sleep;

use crate::history::{History, Told, key};
use crate::steps::{CONVERSATIONS, SESSIONS};

impl History {
    pub(crate) async fn link(
        &mut self,
        session: usize,
        conversation: usize,
        mode: LinkMode,
    ) -> Result<(), String> {
        let (linked, again) = self.ask(request(session, conversation, mode)).await;
        self.linked(session, conversation, mode, linked, again)
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
        let by_key = request(0, conversation, LinkMode::Auto);
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
            Err(_) => candidates.iter().filter(|n| self.sessions[**n].linked.is_none()).collect(),
        };
        let found = found
            .into_iter()
            .find(|n| !sure || active(n).is_some_and(|(_, until)| until >= latest.0));
        let Some(found) = found else {
            return Err(format!("{linked:?} isn't the latest session of {user}: {candidates:?}"));
        };
        self.linked(*found, conversation, LinkMode::Auto, linked, again)
    }

    /// Compares an answer with what was told, and writes it down. What was asked for `again` may have
    /// been done the first time, which nobody was told.
    pub(crate) fn linked(
        &mut self,
        session: usize,
        conversation: usize,
        mode: LinkMode,
        linked: Result<Linked, LinkError>,
        again: bool,
    ) -> Result<(), String> {
        let person = &self.sessions[session];
        let (before, auto) = (person.linked, mode != LinkMode::Move);
        let is_foreign = |other: &usize| {
            let user = |n: usize| SESSIONS[n].2.filter(|_| self.sessions[n].known);
            // Ids of two products say nothing against each other.
            auto && SESSIONS[session].0 == SESSIONS[*other].0
                && user(session).is_some()
                && user(*other).is_some_and(|u| Some(u) != user(session))
        };
        let owners = &self.ever[conversation];
        let may_refuse = before.is_none() && owners.iter().any(is_foreign);
        let inside = |other: &&usize| self.sessions[**other].linked == Some(conversation);
        let must_refuse = before.is_none() && owners.iter().filter(inside).any(is_foreign);
        let linked = match linked {
            Ok(linked) if !must_refuse => linked,
            Err(LinkError::Foreign) if may_refuse => return Ok(()),
            other => return Err(format!("answered {other:?} with the owners {owners:?}")),
        };
        let kept = before.filter(|before| *before != conversation && auto);
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
            self.ever[to].insert(session);
            let (begun, now) = (self.begun, self.moment());
            let waited =
                |told: &&mut Told| told.session == session && told.placed && told.belongs.is_none();
            for told in self.told.iter_mut().filter(waited) {
                (told.belongs, told.linked) = (Some(to), Some((begun, now)));
            }
            let person = &mut self.sessions[session];
            (person.linked, person.active) = (Some(to), Some((begun.at, now.at)));
        }
        Ok(())
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

pub(crate) fn request(session: usize, conversation: usize, mode: LinkMode) -> LinkCommand {
    let conversation = ConversationId::new(CONVERSATIONS[conversation]).expect("not empty");
    LinkCommand {
        plugin: "bot".into(),
        conversation,
        who: Who::Session(key(session)),
        mode,
        told: Identity::default(),
        word: Word::Operator,
    }
}
