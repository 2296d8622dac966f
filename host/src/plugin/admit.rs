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

/// The imports that every plugin is linked to.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    v0_1::HostSide::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

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
    let pre = linker.instantiate_pre(component).map_err(|error| AdmitError::Link(cause(&error)))?;
    let indices = Box::new(Indices::find(&pre)?);
    let admitted = Admitted { pre, indices };
    if admitted.interfaces().is_empty() {
        return Err(AdmitError::NoExports {
            known: Interface::list(),
            found: exports_of(component),
        });
    }
    let deadline = Instant::now() + ground.limits.call_timeout;
    let mut store = admitted.store(ground);
    instance::begin_call(&mut store, deadline, None);
    let instance =
        match tokio::time::timeout_at(deadline, admitted.pre.instantiate_async(&mut store)).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(AdmitError::Trial(cause(&error))),
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

fn exports_of(component: &Component) -> String {
    let engine = component.engine();
    let names: Vec<_> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .take(8)
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        super::clean::clean(&names.join(", "), 400)
    }
}

impl From<Misfit> for AdmitError {
    fn from(misfit: Misfit) -> Self {
        Self::Export { name: misfit.interface.full(), cause: cause(&misfit.error) }
    }
}
