//! Where a message leads: the headings of the book's page of errors.

use std::fmt;

/// An error that has a part of `docs/src/operators/errors.md`, with its cause and what to do. A message of it ends with
/// one of these, which reads `(docs: errors#NAME)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum See {
    /// The connector answers 401, 403 or 404.
    StreamRefused,
    /// The connector can't be reached, or its certificate isn't accepted.
    StreamUnreachable,
    /// The platform refuses a plugin's credentials.
    CredentialsRefused,
    /// The platform fails, and its breaker is open.
    PlatformFails,
    /// A note isn't tried any more.
    DeadLetter,
    /// A note couldn't be delivered in time.
    Expired,
    /// A plugin's file isn't the pinned one.
    PinMismatch,
    /// No registry gives a plugin's component.
    RegistryAway,
    /// What a registry gives isn't what was asked for.
    RegistryTampered,
    /// A component isn't signed by a key that is trusted.
    NotSigned,
    /// A plugin asks for what it wasn't granted.
    GrantMissing,
    /// A plugin was built for another interface.
    OtherInterface,
    /// A plugin wanted more memory than it may have.
    MemoryLimit,
    /// A plugin didn't answer in time.
    CallTimeout,
    /// Another process or host has the store.
    StoreInUse,
    /// The Redis server can't be used as it is set up.
    RedisRefused,
    /// The Redis server doesn't answer.
    RedisAway,
    /// The disk is full.
    DiskFull,
    /// The address is in use.
    AddressInUse,
    /// The configuration has a key that means nothing.
    UnknownKey,
    /// Others can read a secret's file.
    SecretReadable,
    /// A webhook's signature doesn't fit.
    WebhookRefused,
    /// A webhook has claims alone.
    ClaimsOnly,
    /// A key lacks a scope.
    ScopeMissing,
    /// Two clocks differ.
    ClockOff,
}

impl See {
    /// Each of them.
    pub const ALL: [Self; 25] = [
        Self::StreamRefused,
        Self::StreamUnreachable,
        Self::CredentialsRefused,
        Self::PlatformFails,
        Self::DeadLetter,
        Self::Expired,
        Self::PinMismatch,
        Self::RegistryAway,
        Self::RegistryTampered,
        Self::NotSigned,
        Self::GrantMissing,
        Self::OtherInterface,
        Self::MemoryLimit,
        Self::CallTimeout,
        Self::StoreInUse,
        Self::RedisRefused,
        Self::RedisAway,
        Self::DiskFull,
        Self::AddressInUse,
        Self::UnknownKey,
        Self::SecretReadable,
        Self::WebhookRefused,
        Self::ClaimsOnly,
        Self::ScopeMissing,
        Self::ClockOff,
    ];

    /// The anchor of its heading.
    pub fn anchor(self) -> &'static str {
        match self {
            Self::StreamRefused => "stream-refused",
            Self::StreamUnreachable => "stream-unreachable",
            Self::CredentialsRefused => "credentials-refused",
            Self::PlatformFails => "platform-fails",
            Self::DeadLetter => "dead-letter",
            Self::Expired => "expired",
            Self::PinMismatch => "pin-mismatch",
            Self::RegistryAway => "registry-away",
            Self::RegistryTampered => "registry-tampered",
            Self::NotSigned => "not-signed",
            Self::GrantMissing => "grant-missing",
            Self::OtherInterface => "other-interface",
            Self::MemoryLimit => "memory-limit",
            Self::CallTimeout => "call-timeout",
            Self::StoreInUse => "store-in-use",
            Self::RedisRefused => "redis-refused",
            Self::RedisAway => "redis-away",
            Self::DiskFull => "disk-full",
            Self::AddressInUse => "address-in-use",
            Self::UnknownKey => "unknown-key",
            Self::SecretReadable => "secret-readable",
            Self::WebhookRefused => "webhook-refused",
            Self::ClaimsOnly => "claims-only",
            Self::ScopeMissing => "scope-missing",
            Self::ClockOff => "clock-off",
        }
    }
}

impl fmt::Display for See {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(docs: errors#{})", self.anchor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_heading_on_the_page_and_every_heading_its_error() {
        let page = include_str!("../../../docs/src/operators/errors.md");
        let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
        let anchors: Vec<_> = headings.map(|it| it.to_lowercase().replace(' ', "-")).collect();
        assert_eq!(anchors, See::ALL.map(See::anchor));
        for part in page.split("\n## ").skip(1) {
            let name = part.lines().next().unwrap_or_default();
            for what in ["**What you see.**", "**Why.**", "**What to do.**"] {
                assert!(part.contains(what), "{name}: {what}");
            }
        }
    }
}
