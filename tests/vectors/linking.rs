//! Which conversation a session goes to: the vectors of `linking.json` on the pure core.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::config::Delivery;
use sidenote::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use sidenote::session::identity::{Basis, Names, Tie};
use sidenote::session::link::{Identity, Link, LinkEvent, LinkMode, LinkRequest, Owner, Owners};
use sidenote::session::state::{Record, Session};

use crate::values::input;

/// Runs one case.
pub(crate) fn check(case: &Value) -> Result<(), String> {
    let case = input(case);
    let mut world = World::new(&case["given"]["states"])?;
    let steps = case["when"]["steps"].as_array().ok_or("no steps")?;
    for (n, step) in steps.iter().enumerate() {
        let expected = &case["then"]["steps"][n];
        let got = world.link(step);
        match (&got, expected.get("error")) {
            (Ok(got), None) if *got == expected["link"] => {}
            (Err(_), Some(_)) => {}
            _ => return Err(format!("step {n}: got {got:?}, expected {expected}")),
        }
    }
    world.compare(&case["then"])
}

struct World {
    plugin: PluginName,
    sessions: HashMap<String, Session>,
    /// The session that a state without an id was said to be of.
    named: HashMap<String, String>,
    conversations: HashMap<String, Owners>,
    /// Conversations that a linked session was heard in and not moved to: we don't index it there.
    elsewhere: HashSet<String>,
}

impl World {
    fn new(states: &Value) -> Result<Self, String> {
        let mut world = Self {
            plugin: "bot".into(),
            sessions: HashMap::new(),
            named: HashMap::new(),
            conversations: HashMap::new(),
            elsewhere: HashSet::new(),
        };
        for (name, state) in states.as_object().into_iter().flatten().filter(|s| !s.0.is_empty()) {
            let linked = state["conversation_linked"] == true;
            let conversation = state["conversation_id"].as_str().filter(|_| linked);
            let link = conversation.map(|id| world.stored_link(id)).transpose()?;
            let record = Record { link, ..Record::default() };
            world
                .sessions
                .insert(name.clone(), Session::load(key(name)?, Some(record), Vec::new()));
        }
        Ok(world)
    }

    fn stored_link(&self, conversation: &str) -> Result<Link, String> {
        let conversation = ConversationId::new(conversation).map_err(|e| e.to_string())?;
        let (plugin, basis) = (self.plugin.clone(), Basis::Unverified);
        Ok(Link { plugin, conversation, since: Timestamp(0), moves: 0, basis })
    }

    /// Runs a step and returns autoplay-sdk's form of what came of it.
    fn link(&mut self, step: &Value) -> Result<Value, String> {
        let state = step["session"].as_str().ok_or("a session is named by text")?;
        let name = match step["session_id"].as_str() {
            Some("") => state,
            Some(name) => name,
            None if step["session_id"].is_null() => state,
            None => return Err("a session is named by text".to_owned()),
        };
        if state.is_empty() && !name.is_empty() {
            self.named.insert(state.to_owned(), name.to_owned());
        }
        let conversation =
            step["conversation_id"].as_str().ok_or("a conversation is named by text")?;
        let target = ConversationId::new(conversation).map_err(|e| e.to_string())?;
        let mode = match step["event"].as_str() {
            None => LinkMode::Auto,
            Some("NEW") => LinkMode::Move,
            Some("REPLY_EXISTING") => LinkMode::Reply,
            Some(other) => return Err(format!("unknown event {other}")),
        };
        let key = key(name)?;
        let session = self
            .sessions
            .entry(name.to_owned())
            .or_insert_with(|| Session::load(key.clone(), None, Vec::new()));
        let owners = self.conversations.entry(conversation.to_owned()).or_default();
        let rules = Delivery::default();
        let told = Identity::default();
        let names = Names::default();
        let request = LinkRequest {
            plugin: &self.plugin,
            conversation: &target,
            mode,
            told: &told,
            tie: Tie::Named,
            names: &names,
        };
        let (event, _) =
            session.on_link(request, owners, Timestamp(0), &rules).map_err(|e| e.to_string())?;
        let event = match event {
            LinkEvent::New | LinkEvent::Moved => "NEW",
            LinkEvent::ReplyExisting => "REPLY_EXISTING",
            // It is a reply, in a conversation that the session doesn't move to.
            LinkEvent::Kept if mode == LinkMode::Reply => "REPLY_EXISTING",
            LinkEvent::Kept => "KEPT",
        };
        let linked_here = session.record().link.as_ref().is_some_and(|l| l.conversation == target);
        if !linked_here {
            self.elsewhere.insert(conversation.to_owned());
        } else {
            let since = Timestamp(owners.sessions().count() as i64);
            owners.add(Owner { key, who: Identity::default(), since, basis: Basis::Unverified });
        }
        Ok(json!({
            "session_id": name,
            "conversation_id": conversation,
            "event": event,
            "is_reply_existing": event == "REPLY_EXISTING",
        }))
    }

    /// The end state. autoplay-sdk keeps the last session of a conversation, we keep all of them.
    fn compare(&self, then: &Value) -> Result<(), String> {
        for (name, state) in then["states"].as_object().into_iter().flatten() {
            let session = self.sessions.get(self.named.get(name).unwrap_or(name));
            let link = session.and_then(|session| session.record().link.as_ref());
            let conversation = link.map(|link| link.conversation.as_str());
            let linked = state["conversation_linked"] == true;
            if conversation.is_some() != linked
                || (linked && conversation != state["conversation_id"].as_str())
            {
                return Err(format!(
                    "session {name}: linked to {conversation:?}, expected {state}"
                ));
            }
            if conversation != then["routes"][name].as_str() {
                return Err(format!(
                    "session {name}: its notes go to {conversation:?}, not as the routes say"
                ));
            }
        }
        for (conversation, session) in then["store"].as_object().into_iter().flatten() {
            if self.elsewhere.contains(conversation) {
                continue;
            }
            let owners = self.conversations.get(conversation);
            let mut sessions = owners.into_iter().flat_map(Owners::sessions);
            if !sessions.any(|key| Some(key.session.as_str()) == session.as_str()) {
                return Err(format!(
                    "conversation {conversation}: {session} isn't among its sessions"
                ));
            }
        }
        Ok(())
    }
}

fn key(session: &str) -> Result<SessionKey, String> {
    let session = SessionId::new(session).map_err(|e| e.to_string())?;
    Ok(SessionKey { product: ProductId::new("p").map_err(|e| e.to_string())?, session })
}
