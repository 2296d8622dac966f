//! Actions as they wait: packed into one piece of memory, which is what is stored too.
//!
//! An action has a dozen texts; a million of them that wait would be millions of small pieces of memory. They are
//! packed once, when they are accepted, and unpacked when they become a note. In JSON they are a list of actions as
//! anywhere else, which is how earlier versions stored them.

use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::action::Action;

/// Some actions, packed. A copy shares the memory.
#[derive(Clone, PartialEq)]
pub struct Packed {
    bytes: Arc<[u8]>,
    count: usize,
}

impl Packed {
    /// Packs actions.
    pub fn of(actions: &[Action]) -> Self {
        Self { bytes: pack(actions).into(), count: actions.len() }
    }

    /// How many actions there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// All of these, one behind the other.
    pub fn joined(parts: &[Self]) -> Self {
        if let [one] = parts {
            return one.clone();
        }
        let count = parts.iter().map(Self::len).sum();
        let mut bytes = Vec::with_capacity(5 + parts.iter().map(Self::bytes).sum::<usize>());
        let length = u32::try_from(count).expect("what waits is bounded far below that");
        rmp::encode::write_array_len(&mut bytes, length).expect("a Vec takes every byte");
        for part in parts {
            let mut rest = &*part.bytes;
            rmp::decode::read_array_len(&mut rest).expect("what is packed is a list");
            bytes.extend_from_slice(rest);
        }
        Self { bytes: bytes.into(), count }
    }

    /// The same in lists of at most so many.
    pub fn chunks(&self, most: usize) -> Vec<Self> {
        match self.count {
            0 => Vec::new(),
            count if count <= most => vec![self.clone()],
            _ => self.unpack().chunks(most.max(1)).map(Self::of).collect(),
        }
    }

    /// The actions.
    pub fn unpack(&self) -> Vec<Action> {
        unpack(&self.bytes).expect("what was packed, or was read before, can be read")
    }

    /// The actions, with the texts where they are.
    pub fn list(&self) -> Vec<Action<&str>> {
        unpack(&self.bytes).expect("what was packed, or was read before, can be read")
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl std::fmt::Debug for Packed {
    /// What was done is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("actions", &self.count).finish_non_exhaustive()
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.unpack())
        } else {
            serializer.serialize_bytes(&self.bytes)
        }
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsTheyAre)
    }
}

/// For a field of actions that is stored packed: `#[serde(with = "packed")]`.
pub fn serialize<S: Serializer>(actions: &[Action], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        actions.serialize(serializer)
    } else {
        serializer.serialize_bytes(&pack(actions))
    }
}

/// For a field of actions that is stored packed: `#[serde(with = "packed")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Action>, D::Error> {
    deserializer.deserialize_any(Actions)
}

const UNREADABLE: &str = "the packed actions can't be read";

/// A list of actions, packed or not, to be packed. What is packed is read all the same: it may be damaged.
struct AsTheyAre;

impl<'de> Visitor<'de> for AsTheyAre {
    type Value = Packed;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Actions.expecting(f)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        let list = unpack::<Action<&str>>(bytes).map_err(|_| E::custom(UNREADABLE))?;
        Ok(Packed { bytes: bytes.into(), count: list.len() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Actions.visit_seq(list).map(|actions| Packed::of(&actions))
    }
}

/// A list of actions, packed or not.
struct Actions;

impl<'de> Visitor<'de> for Actions {
    type Value = Vec<Action>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("actions")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        unpack(bytes).map_err(|_| E::custom(UNREADABLE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut actions = Vec::new();
        while let Some(action) = list.next_element()? {
            actions.push(action);
        }
        Ok(actions)
    }
}

/// Each action is the list of its fields, without their names: fields may be added at its end only.
fn pack(actions: &[Action]) -> Vec<u8> {
    rmp_serde::to_vec(actions).expect("actions are text and numbers")
}

fn unpack<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Vec<T>, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions() -> Vec<Action> {
        let full = Action {
            title: "Sähköposti".to_owned(),
            description: "d".repeat(70_000),
            index: i64::MIN,
            timestamp_start: Some(1_700_000_000.25),
            user_id: Some(String::new()),
            ..Action::default()
        };
        vec![Action::default(), full]
    }

    #[test]
    fn what_is_packed_is_unpacked_as_it_was_whichever_way_it_was_stored() {
        for actions in [Vec::new(), actions()] {
            let packed = Packed::of(&actions);
            assert_eq!((packed.len(), packed.unpack()), (actions.len(), actions.clone()));
            let json = serde_json::to_value(&packed).unwrap();
            assert_eq!(json, serde_json::to_value(&actions).unwrap());
            assert_eq!(serde_json::from_value::<Packed>(json).unwrap(), packed);
            let row = rmp_serde::to_vec_named(&packed).unwrap();
            assert_eq!(rmp_serde::from_slice::<Packed>(&row).unwrap(), packed);
        }
    }

    #[test]
    fn an_action_of_an_earlier_version_has_no_later_fields() {
        let earlier = rmp_serde::to_vec(&[("title", "description", "url", 7)]).unwrap();
        let [action] = &*unpack::<Action>(&earlier).unwrap() else { panic!("it is one") };
        assert_eq!((&*action.canonical_url, action.index, &*action.raw_url), ("url", 7, ""));
    }

    #[test]
    fn what_is_joined_is_as_if_packed_at_once() {
        let numbered = |count: i64| -> Vec<Action> {
            (0..count).map(|index| Action { index, ..actions()[1].clone() }).map(short).collect()
        };
        for counts in [vec![], vec![0], vec![3], vec![0, 15, 1, 0], vec![16, 20], vec![70_000, 9]] {
            let lists: Vec<_> = counts.iter().map(|count| numbered(*count)).collect();
            let parts: Vec<_> = lists.iter().map(|list| Packed::of(list)).collect();
            assert_eq!(Packed::joined(&parts), Packed::of(&lists.concat()), "{counts:?}");
        }
    }

    #[test]
    fn a_list_is_read_where_it_is() {
        let packed = Packed::of(&actions());
        let own = |action: Action<&str>| Action {
            title: action.title.to_owned(),
            description: action.description.to_owned(),
            canonical_url: action.canonical_url.to_owned(),
            index: action.index,
            kind: action.kind.to_owned(),
            timestamp_start: action.timestamp_start,
            timestamp_end: action.timestamp_end,
            raw_url: action.raw_url.to_owned(),
            session_id: action.session_id.map(str::to_owned),
            user_id: action.user_id.map(str::to_owned),
            email: action.email.map(str::to_owned),
            conversation_id: action.conversation_id.map(str::to_owned),
        };
        let list: Vec<_> = packed.list().into_iter().map(own).collect();
        assert!(list == packed.unpack() && list == actions());
    }

    fn short(action: Action) -> Action {
        Action { description: String::new(), ..action }
    }

    #[test]
    fn what_isnt_actions_is_refused() {
        let row = rmp_serde::to_vec(&serde_bytes(b"\xc1nothing")).unwrap();
        assert!(rmp_serde::from_slice::<Packed>(&row).is_err());
    }

    fn serde_bytes(bytes: &'static [u8]) -> impl Serialize {
        struct Bytes(&'static [u8]);
        impl Serialize for Bytes {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        Bytes(bytes)
    }
}
