//! A component on the bench: loaded by itself, with settings and grants for trying it out.

mod args;
mod grants;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use sidenote::address::Origin;
use sidenote::config::{Cache, Plugin as PluginConfig};
use sidenote::egress::Detour;
use sidenote::ids::PluginName;
use sidenote::plugin::manifest::effective;
use sidenote::plugin::{
    Compiler, Manifest, OwnImports, PluginState, Registry, Samples, TrialKv, own_imports,
};
use sidenote_terminal::{Unusable, about};

pub(super) use args::BenchArgs;
pub(super) use settings::Address;

/// What stands for the mock's address on the command line and in a configuration.
pub(super) const MOCK: &str = "{mock}";

/// A component that was loaded to be tried out.
pub(super) struct Bench {
    /// The plugins of the bench: this one.
    pub(super) registry: Registry,
    /// Its name in there.
    pub(super) name: PluginName,
    /// What it was given.
    pub(super) config: PluginConfig,
    /// What it says of itself.
    pub(super) manifest: Option<Manifest>,
    /// What was chosen for it, a line each.
    pub(super) chosen: Vec<String>,
    /// What it keeps under keys.
    pub(super) kept: TrialKv,
    /// Whether it keeps anything.
    pub(super) imports_kv: bool,
    /// Whether it imports `timer`.
    pub(super) imports_timer: bool,
    /// Whether anything that it was given leads to the mock.
    pub(super) pointed: bool,
    /// The folder that its file was copied to: other files beside it are nobody's business.
    folder: tempfile::TempDir,
}

impl Bench {
    /// Loads a component that reaches the mock and nothing else. What it computes is kept in `samples`.
    pub(super) async fn with_mock(
        file: &Path,
        args: &BenchArgs,
        mock: &str,
        samples: Option<Samples>,
    ) -> anyhow::Result<Self> {
        let component = sidenote::plugin::read(file).map_err(|error| about(file, error))?;
        // A component that can't be read is told of when it is loaded.
        let manifest = Manifest::read(&component).ok().flatten();
        let (name, mut config) = args.plugin(file, Some(mock), manifest.as_ref())?;
        let address = Address::of(mock);
        let mut chosen = settings::choose(manifest.as_ref(), &mut config.config, &address, args);
        let mut detours = args.detours(Some(mock))?;
        let led = config.config.values().any(|value| address.stands_in(value));
        if !led && detours.is_empty() {
            detours = grants::fixed_hosts(manifest.as_ref(), &config.config, &address.origin);
            chosen.extend(detours.iter().map(|it| format!("{} is led to the mock", it.from)));
        }
        let pointed = led || !detours.is_empty();
        grants::grant_only(&mut config, manifest.as_ref(), &address.origin, &mut detours);
        chosen.extend(grants::fill_secrets(&mut config, manifest.as_ref(), args));
        config.sha256 = None;
        let bench =
            Self::load(file, &component, name, config, detours, manifest, (args.cache(), samples))
                .await?;
        Ok(Self { chosen, pointed, ..bench })
    }

    /// Loads a component with the grants of its configuration. `instead`: everything that it may reach is
    /// led there.
    pub(super) async fn with_grants(
        file: &Path,
        args: &BenchArgs,
        instead: Option<&str>,
    ) -> anyhow::Result<Self> {
        let component = sidenote::plugin::read(file).map_err(|error| about(file, error))?;
        let manifest = Manifest::read(&component).ok().flatten();
        let (name, mut config) = args.plugin(file, None, manifest.as_ref())?;
        grants::give_secrets(&mut config, manifest.as_ref(), args);
        let detours = match instead {
            None => args.detours(None)?,
            Some(place) => {
                let to = origin(place)?;
                let from = config.hosts.iter().map(|host| origin(host));
                from.map(|from| Ok(Detour { from: from?, to: to.clone() }))
                    .collect::<Result<_, Unusable>>()?
            }
        };
        Self::load(file, &component, name, config, detours, manifest, (args.cache(), None)).await
    }

    async fn load(
        file: &Path,
        component: &[u8],
        name: PluginName,
        mut config: PluginConfig,
        detours: Vec<Detour>,
        manifest: Option<Manifest>,
        (cache, samples): (Option<Cache>, Option<Samples>),
    ) -> anyhow::Result<Self> {
        if let Some(manifest) = &manifest {
            manifest.validate(&config.config).map_err(|error| {
                Unusable(format!("{}: {error}; set it with --set KEY=VALUE", file.display()))
            })?;
        }
        let folder = tempfile::tempdir().context("no folder for the component can be made")?;
        config.file = "plugin.wasm".to_owned();
        // It keeps it in memory here, and nothing of it stays.
        (config.allow_kv, config.allow_timer) = (true, true);
        let kept = TrialKv::default();
        let OwnImports { kv: imports_kv, timer: imports_timer } = own_imports(component);
        let copy = folder.path().join(&config.file);
        std::fs::write(&copy, component)
            .with_context(|| format!("the component can't be copied to {}", copy.display()))?;
        let plugins = BTreeMap::from([(name.clone(), config.clone())]);
        let compiler =
            Compiler::of_this_program().context("the program's own file can't be told")?;
        let registry = Registry::load_on_trial(
            compiler,
            folder.path(),
            &plugins,
            detours,
            cache.as_ref(),
            samples,
        );
        let registry = registry.await?.with_store(kept.store());
        let (chosen, pointed) = (Vec::new(), false);
        Ok(Self {
            registry,
            name,
            config,
            manifest,
            chosen,
            kept,
            imports_kv,
            imports_timer,
            pointed,
            folder,
        })
    }

    /// How the plugin is.
    pub(super) fn state(&self) -> PluginState {
        let states = self.registry.states();
        states.into_iter().find(|state| state.name == self.name).expect("it was loaded")
    }

    /// Whether it exports an interface.
    pub(super) fn exports(&self, interface: &str) -> bool {
        self.state().interfaces.iter().any(|name| name == interface)
    }

    /// What is granted and asked for differently, for people. What it comes to is shown by the calls.
    pub(super) fn mismatches(&self) -> Vec<String> {
        match effective(&self.name, &self.config, self.manifest.as_ref()) {
            Ok(effective) => {
                let serious = effective.mismatches.iter().filter(|it| !it.is_harmless());
                serious.map(ToString::to_string).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    /// Puts another version of the component into its place, whole: whoever watches takes it in.
    pub(super) fn replace(&self, component: &[u8]) -> anyhow::Result<()> {
        let place = self.folder.path().join(&self.config.file);
        let part = self.folder.path().join("plugin.part");
        std::fs::write(&part, component)
            .and_then(|()| std::fs::rename(&part, &place))
            .with_context(|| format!("the component can't be copied to {}", place.display()))
    }

    /// The values that nobody shall read.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config.secrets.iter().map(|(name, secret)| (name.as_str(), secret.value.expose()))
    }
}

/// An origin of the command line.
fn origin(text: &str) -> Result<Origin, Unusable> {
    Origin::parse(text).map_err(|cause| {
        Unusable(format!(
            "--host: `{text}` can't be used: {cause}; write, for example, --host api.example.com={MOCK}"
        ))
    })
}
