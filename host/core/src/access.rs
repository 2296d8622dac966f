//! Who may do what: scopes, products, and the names of keys. Values only; who is asked for which of them is decided where
//! requests come in.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// A kind of thing that may be done. None includes another: see [`Scopes::allow`].
#[derive(
    Debug,
    Clone,
    Copy,
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
pub enum Scope {
    /// States, counts, metrics, plugins, the outbox without texts.
    Read,
    /// What people did, and what is said: texts of notes, contexts, answers.
    Text,
    /// Changes of what runs: links, the outbox, help, reload, streams, tokens of events.
    Operate,
    /// Erasing, resetting, keys, the audit log.
    Admin,
}

impl Scope {
    /// Every scope, from less to more.
    pub const ALL: [Self; 4] = [Self::Read, Self::Text, Self::Operate, Self::Admin];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Text => "text",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Some scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// All of them.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether they open what needs this scope. The one place that could say that a scope includes another; none does, so
    /// that a key which erases people can't read what they did, and one that watches can't change anything.
    pub fn allow(&self, needed: Scope) -> bool {
        self.0.contains(&needed)
    }

    /// Whether all of these are among them.
    pub fn include(&self, others: &Self) -> bool {
        self.0.is_superset(&others.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, from less to more.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.name()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// Which products somebody may ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Products {
    /// All, and the host itself.
    All,
    /// These alone.
    Only(BTreeSet<ProductId>),
}

impl Products {
    /// Whether this product is one of them.
    pub fn allow(&self, product: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(products) => products.iter().any(|it| it.as_str() == product),
        }
    }

    /// These, where they are limited.
    pub fn limit(&self) -> Option<&BTreeSet<ProductId>> {
        match self {
            Self::All => None,
            Self::Only(products) => Some(products),
        }
    }
}

impl fmt::Display for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all products"),
            Self::Only(products) => {
                let names: Vec<_> = products.iter().map(ProductId::as_str).collect();
                write!(f, "{}", names.join(", "))
            }
        }
    }
}

/// The public part of a key, so that a log line names it: ten hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Arc<str>);

/// A text that is no key's id, or no key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKey(pub &'static str);

impl KeyId {
    /// Digits of an id.
    pub const LEN: usize = 10;

    /// Reads an id.
    ///
    /// # Errors
    /// It isn't one.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == Self::LEN && text.bytes().all(digit) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidKey("a key's id is ten hexadecimal digits, as `sidenote key list` shows it"))
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As shared text.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

/// What people call a key.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// Reads a name: up to 64 letters, digits, `.`, `_` and `-`.
    ///
    /// # Errors
    /// It has something else in it.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidKey("a key's name is 1 to 64 letters, digits, `.`, `_` and `-`"))
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidKey;
            fn try_from(text: String) -> Result<Self, InvalidKey> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.0.as_ref().to_owned()
            }
        }
    };
}

text!(KeyId);
text!(KeyName);

/// On whose account something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Who has a key.
    Key {
        /// Its public part.
        id: KeyId,
        /// What people call it.
        name: KeyName,
    },
    /// Who has `server.token`.
    Token,
    /// A program on the host's machine, where no token is set.
    Machine,
    /// A command that opened the store itself, with no host running.
    Offline,
}

impl Actor {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Key { id, name } => format!("key {name} ({id})"),
            Self::Token => "server.token".to_owned(),
            Self::Machine => "a program on this machine".to_owned(),
            Self::Offline => "offline command".to_owned(),
        }
    }
}

/// Whoever asks for something, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub actor: Actor,
    /// What they may do.
    pub scopes: Scopes,
    /// With which products.
    pub products: Products,
}

impl Caller {
    /// Who has `server.token`: everything.
    pub fn token() -> Self {
        Self { actor: Actor::Token, scopes: Scopes::all(), products: Products::All }
    }

    /// A program on the host's machine, where no token is set: everything but what people did.
    pub fn machine() -> Self {
        let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Text).collect();
        Self { actor: Actor::Machine, scopes, products: Products::All }
    }

    /// Whether they may do this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// Whether they may ask about this product.
    pub fn sees(&self, product: &ProductId) -> bool {
        self.products.allow(product.as_str())
    }

    /// What they are called.
    pub fn name(&self) -> String {
        self.actor.words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scope_includes_another() {
        for one in Scope::ALL {
            let scopes: Scopes = [one].into_iter().collect();
            for other in Scope::ALL {
                assert_eq!(scopes.allow(other), one == other, "{one:?} {other:?}");
            }
            assert!(Scopes::all().include(&scopes) && !scopes.include(&Scopes::all()));
            assert_eq!(Scope::named(one.name()), Some(one));
        }
        assert_eq!(Scope::named("write"), None);
    }

    #[test]
    fn ids_and_names_are_short_and_plain() {
        for id in ["", "0123456789a", "012345678", "012345678G", "012345678A", "0123 56789"] {
            assert!(KeyId::new(id).is_err(), "{id}");
        }
        assert!(KeyId::new("0123456789").is_ok() && KeyId::new("abcdefabcd").is_ok());
        for name in ["", " ", "a b", "a\n", "ann@example.com", &"x".repeat(65)] {
            assert!(KeyName::new(name).is_err(), "{name}");
        }
        assert!(KeyName::new("grafana-1.prod_x").is_ok());
    }

    #[test]
    fn a_limited_caller_may_its_products_alone() {
        let only: BTreeSet<_> = [ProductId::new("p").unwrap()].into();
        let products = Products::Only(only);
        assert!(products.allow("p") && !products.allow("q") && !products.allow(""));
        assert!(Products::All.allow("q") && Products::All.limit().is_none());
    }
}
