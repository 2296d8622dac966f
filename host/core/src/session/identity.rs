//! Whom a name names, and whose word it is. Pure.
//!
//! | a value | is |
//! |---|---|
//! | that a program writes where it knows nobody (`undefined`, `null`, `0`, `guest`, blanks) | as if it weren't there: nobody is known by it |
//! | that an analytics tool made for a browser (a UUID) | a name that says nothing against another one |
//! | that a platform vouches for | *verified*: it links, contradicts and is learned |
//! | that a visitor says of himself | *claimed*: it links only where the operator accepts that, and contradicts nobody |

mod anonymous;
mod nobody;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use nobody::Names;

use crate::ids::PluginName;

/// Who a person is, as far as is known.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The user id.
    pub user_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The plugin whose platform the user id comes from, where it may be another than the product's; `None`
    /// for an id of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<PluginName>,
}

impl Identity {
    /// A person of whom the product or its operator says this.
    pub fn new(user_id: Option<String>, email: Option<String>) -> Self {
        Self { user_id, email, told_by: None }
    }

    /// Whether the two are known to be different people: by their user ids, where these are of one
    /// namespace and name people, and by their addresses otherwise.
    ///
    /// Ids of the product are of one namespace within `same_product`, those of a platform within its plugin.
    pub fn is_another_than(&self, other: &Self, same_product: bool, names: &Names) -> bool {
        if let (Some(one), Some(two)) = (&self.user_id, &other.user_id) {
            if one == two {
                return false;
            }
            if self.ids_differ(other, same_product, names) {
                return true;
            }
        }
        match (&self.email, &other.email) {
            (Some(one), Some(two)) => !is_same_address(one, two),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// Whether the user ids alone say that the two are different people.
    pub fn ids_differ(&self, other: &Self, same_product: bool, names: &Names) -> bool {
        let (Some(one), Some(two)) = (&self.user_id, &other.user_id) else { return false };
        let one_namespace = match (&self.told_by, &other.told_by) {
            (None, None) => same_product,
            (Some(one), Some(two)) => one == two,
            (None, Some(_)) | (Some(_), None) => false,
        };
        // An address in the place of an id: what stands for the person elsewhere may be another word.
        let is_address = |id: &String| {
            let mut known = self.email.iter().chain(&other.email);
            known.any(|address| is_same_address(address, id))
        };
        let names_one = |id: &String| !names.is_anonymous(id) && !is_address(id);
        one_namespace && one != two && names_one(one) && names_one(two)
    }

    /// Whether the two have a name in common. An address that stands for an id is an address all the same.
    pub fn shares_a_name_with(&self, other: &Self) -> bool {
        let by_id = self.user_id.is_some() && self.user_id == other.user_id;
        by_id || self.addresses().any(|one| other.addresses().any(|two| is_same_address(one, two)))
    }

    fn addresses(&self) -> impl Iterator<Item = &String> {
        self.email.iter().chain(self.user_id.iter().filter(|id| id.contains('@')))
    }

    /// The same where `other` says what isn't known.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let (user_id, told_by) = match self.user_id {
            Some(id) => (Some(id), self.told_by),
            None => (other.user_id.clone(), other.told_by.clone()),
        };
        Self { user_id, email: self.email.or_else(|| other.email.clone()), told_by }
    }
}

impl fmt::Debug for Identity {
    /// The person is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Mail systems don't tell capitals apart in practice, and platforms change them.
pub fn is_same_address(one: &str, two: &str) -> bool {
    one.trim().to_lowercase() == two.trim().to_lowercase()
}

/// Whether a platform's user id is the product's (`user_ids` of a plugin).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UserIds {
    /// It may be: one that is equal finds the person, one that isn't says nothing.
    #[default]
    Matching,
    /// It is: two that differ are two people's.
    Product,
    /// It is the platform's own: it is never compared nor looked up.
    Platform,
}

/// What a plugin's platform is believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Belief {
    /// Whether its user ids are the product's.
    pub user_ids: UserIds,
    /// Whether a person is linked by what a visitor says of himself (`accept_claims`).
    pub accept_claims: bool,
}

/// What a platform vouches for of what it tells; the rest is claimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The session's id.
    pub session_id: bool,
    /// The user id.
    pub user_id: bool,
    /// The e-mail address.
    pub email: bool,
}

impl Vouched {
    /// Everything.
    pub const ALL: Self = Self { session_id: true, user_id: true, email: true };

    /// Reads the value of the key `verified`: names of fields with a space between. Other words mean
    /// nothing.
    pub fn read(words: &str) -> Self {
        let mut vouched = Self::default();
        for word in words.split_ascii_whitespace() {
            match word {
                "session-id" => vouched.session_id = true,
                "external-user-id" => vouched.user_id = true,
                "email" => vouched.email = true,
                _ => {}
            }
        }
        vouched
    }
}

/// Whose word a wish to link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// The operator's: it is believed.
    Operator,
    /// A platform's, which vouches for some of it.
    Platform(Vouched),
}

/// What a link rests on, the weakest first. A stored link that doesn't say rests on nothing.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A session's id that nobody vouches for, or what a visitor says of himself.
    #[default]
    Unverified,
    /// A session, user id or address that the platform vouches for.
    Verified,
    /// The operator's word.
    Operator,
}

impl Basis {
    /// As a number, for rows.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Unverified => 0,
            Self::Verified => 1,
            Self::Operator => 2,
        }
    }

    /// Reads the number.
    pub(crate) fn coded(code: u8) -> Option<Self> {
        [Self::Unverified, Self::Verified, Self::Operator].into_iter().find(|it| it.code() == code)
    }
}

/// How a wish came to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// By the operator's word.
    Operator,
    /// By a name that the platform vouches for.
    Verified,
    /// By the session's id, for which nobody vouches.
    Named,
    /// By what a visitor says of himself.
    Claimed,
}

impl Tie {
    /// What the link rests on, where the session is known to be of `known` and the platform vouches that it
    /// is `told`.
    pub fn basis(self, known: &Identity, told: &Identity) -> Basis {
        match self {
            Self::Operator => Basis::Operator,
            Self::Verified => Basis::Verified,
            // The id says which session, and the platform that it is this person's.
            Self::Named if told.shares_a_name_with(known) => Basis::Verified,
            Self::Named | Self::Claimed => Basis::Unverified,
        }
    }
}

#[cfg(test)]
mod tests;
