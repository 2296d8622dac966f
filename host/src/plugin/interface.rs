//! The interfaces that a plugin can export, and what they are called.

/// Hands the list of them to a macro: version, its number, and each with its field, its name and its name in the package.
macro_rules! interfaces {
    ($then:ident) => {
        $then! {
            v0_1, "0.1.0":
            writer Writer "writer",
            redactor Redactor "redactor",
            finder Finder "finder",
            webhook Webhook "webhook",
            messenger Messenger "messenger",
            sink Sink "sink",
            trigger Trigger "trigger",
            source Source "source",
            on_timer OnTimer "on-timer",
        }
    };
}
pub(super) use interfaces;

macro_rules! interface {
    ($version:ident, $number:literal: $($field:ident $name:ident $short:literal),* $(,)?) => {
        /// An interface that a plugin can export.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Interface {
            $(#[doc = concat!("`", $short, "`")] $name),*
        }

        impl Interface {
            /// All of them, in the order in which they are told.
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            /// The name within the package.
            pub(super) const fn short(self) -> &'static str {
                match self { $(Self::$name => $short),* }
            }

            /// The name by which a component exports it.
            pub(super) fn full(self) -> &'static str {
                match self { $(Self::$name => concat!("sidenote:plugin/", $short, "@", $number)),* }
            }
        }
    };
}

interfaces!(interface);

impl Interface {
    /// The full names of all, for people.
    pub(super) fn list() -> String {
        Self::ALL.iter().map(|it| it.full()).collect::<Vec<_>>().join(", ")
    }
}
