//! Which of the interfaces a component exports, and an instance's functions.

use wasmtime::component::{Instance, InstancePre};

use super::bindings::v0_1::exports::sidenote::plugin as v0_1;
use super::instance::State;
pub(super) use super::interface::Interface;
use super::interface::interfaces;
use crate::outbox::sink_delivery::Roles;
use wasmtime::Store;

/// Makes [`Indices`] and [`Exports`] of one version's list.
macro_rules! exports {
    ($version:ident, $number:literal: $($field:ident $name:ident $short:literal),* $(,)?) => {
        /// Where the exports of a component are.
        pub(super) struct Indices {
            $($field: Option<$version::$field::GuestIndices>),*
        }

        /// What an instance exports.
        pub(super) struct Exports {
            $(pub(super) $field: Option<$version::$field::Guest>),*
        }

        impl Indices {
            /// Looks for every interface. What is there and lacks a function is a misfit.
            pub(super) fn find(pre: &InstancePre<State>) -> Result<Self, Misfit> {
                Ok(Self {$(
                    $field: exported(pre, Interface::$name)
                        .then(|| $version::$field::GuestIndices::new(pre))
                        .transpose()
                        .map_err(|error| Misfit { interface: Interface::$name, error })?,
                )*})
            }

            /// Whether an interface is there.
            pub(super) fn has(&self, interface: Interface) -> bool {
                match interface { $(Interface::$name => self.$field.is_some()),* }
            }

            /// The functions of an instance. What has other types is a misfit.
            pub(super) fn load(
                &self,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> Result<Exports, Misfit> {
                Ok(Exports {$(
                    $field: self.$field.as_ref()
                        .map(|indices| indices.load(&mut *store, instance))
                        .transpose()
                        .map_err(|error| Misfit { interface: Interface::$name, error })?,
                )*})
            }
        }
    };
}

interfaces!(exports);

/// Calls an export of an instance, which is known to have it.
macro_rules! call {
    ($live:ident.$interface:ident.$function:ident($($argument:expr),*)) => {
        $live
            .exports
            .$interface
            .as_ref()
            .expect("an instance has the exports of its component, which were asked for before")
            .$function(&mut $live.store, $($argument),*)
            .await
    };
}
pub(super) use call;

/// An exported interface that isn't what its name says.
pub(super) struct Misfit {
    /// Which one.
    pub(super) interface: Interface,
    /// What doesn't fit.
    pub(super) error: wasmtime::Error,
}

fn exported(pre: &InstancePre<State>, interface: Interface) -> bool {
    pre.component().get_export_index(None, interface.full()).is_some()
}

/// What a plugin does with what people do, by the names of its exports.
pub(super) fn roles_of(exports: &[String]) -> Roles {
    let has = |interface: Interface| exports.iter().any(|name| name == interface.full());
    Roles { writer: has(Interface::Writer), sink: has(Interface::Sink) }
}
