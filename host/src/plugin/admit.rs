//! From a component to one that fits, or to an error that says what to do.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Store};

use super::bindings::v0_1;
use super::error::{AdmitError, cause};
use super::exports::{Exports, Indices, Interface, Misfit};
use super::ground::Ground;
use super::instance::{self, State};
use super::kv::KvOfCall;
use super::trap;
use crate::egress::Tape;

/// The imports that every plugin is linked to.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    v0_1::EveryInterfaceKvAndTimer::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// How names of our interfaces begin, whatever their version.
const OURS: &str = "sidenote:plugin/";

/// A component that fits.
pub(super) struct Admitted {
    pre: InstancePre<State>,
    indices: Box<Indices>,
}

/// An instance with the exports that its component has.
pub(super) struct Live {
    pub(super) store: Store<State>,
    pub(super) exports: Exports,
}

/// Links a component, looks for what it exports, and tries it out once: only a live instance shows
/// whether the exports have the right types. The instance that was tried is good for use.
pub(super) async fn admit(
    linker: &Linker<State>,
    component: &Component,
    ground: &Arc<Ground>,
) -> Result<(Admitted, Live), AdmitError> {
    if let Some(names) = unknown_imports(component) {
        return Err(AdmitError::Imports(names));
    }
    let pre = linker.instantiate_pre(component).map_err(|error| AdmitError::Link(cause(&error)))?;
    let indices = Box::new(Indices::find(&pre)?);
    let admitted = Admitted { pre, indices };
    if admitted.interfaces().is_empty() {
        return Err(no_exports(component));
    }
    let deadline = Instant::now() + ground.limits.call_timeout;
    let mut store = admitted.store(ground);
    instance::begin_call(&mut store, deadline, None, KvOfCall::none(), Tape::None);
    let instance =
        match tokio::time::timeout_at(deadline, admitted.pre.instantiate_async(&mut store)).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => {
                return Err(AdmitError::Trial(trap::told(&error, store.data()).message));
            }
            Err(_) => return Err(AdmitError::TrialTimeout(ground.limits.call_timeout)),
        };
    store.data().log.end();
    let exports = admitted.indices.load(&mut store, &instance)?;
    Ok((admitted, Live { store, exports }))
}

impl Admitted {
    /// Whether an interface is exported.
    pub(super) fn exports(&self, interface: Interface) -> bool {
        self.indices.has(interface)
    }

    /// The exported interfaces, by their short names.
    pub(super) fn interfaces(&self) -> Vec<&'static str> {
        let found = Interface::ALL.iter().filter(|interface| self.exports(**interface));
        found.map(|interface| interface.short()).collect()
    }

    /// A store to make an instance in.
    pub(super) fn store(&self, ground: &Arc<Ground>) -> Store<State> {
        instance::store(self.pre.engine(), ground)
    }

    /// Makes an instance.
    pub(super) async fn instantiate(
        &self,
        mut store: Store<State>,
    ) -> Result<Live, (wasmtime::Error, Store<State>)> {
        let made = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            self.indices.load(&mut store, &instance).map_err(|misfit| misfit.error)
        };
        match made.await {
            Ok(exports) => Ok(Live { store, exports }),
            Err(error) => Err((error, store)),
        }
    }
}

/// The packages of WASI that are linked.
const WASI: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// What a component imports that no host gives a plugin.
fn unknown_imports(component: &Component) -> Option<String> {
    let is_known = |name: &str| {
        let wasi = WASI.iter().any(|package| {
            let rest = name.strip_prefix("wasi:").and_then(|name| name.strip_prefix(package));
            rest.is_some_and(|rest| rest.starts_with('/') && rest.contains("@0.2."))
        });
        wasi || name.starts_with(OURS)
    };
    let ty = component.component_type();
    let imports = ty.imports(component.engine()).map(|(name, _)| name);
    listed(imports.filter(|name| !is_known(name)))
}

fn no_exports(component: &Component) -> AdmitError {
    let ty = component.component_type();
    let exports = || ty.exports(component.engine()).map(|(name, _)| name);
    match listed(exports().filter(|name| name.starts_with(OURS))) {
        Some(found) => AdmitError::OtherVersion(found),
        None => AdmitError::NoExports {
            known: Interface::list(),
            found: listed(exports()).unwrap_or_else(|| "nothing".to_owned()),
        },
    }
}

/// The first names, cleaned; `None` where there are none.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<_> = names.take(8).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| super::clean::clean(&names.join(", "), 400))
}

impl From<Misfit> for AdmitError {
    fn from(misfit: Misfit) -> Self {
        Self::Export { name: misfit.interface.full(), cause: cause(&misfit.error) }
    }
}
