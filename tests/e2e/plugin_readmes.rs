//! What people paste out of a plugin's README must be taken as it stands.

use std::path::Path;

use sidenote::config::Config;
use sidenote::plugin::manifest::{Manifest, Mismatch, effective};

const HOST: &str = r#"
[server]
token = { env = "API_TOKEN" }

[streams.main]
url = "https://connector.example.com/stream/acme"
token = { env = "STREAM_TOKEN" }
"#;

#[test]
fn the_configuration_in_each_plugins_readme_is_what_its_manifest_asks_for() {
    let plugins = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins"));
    let mut seen = 0;
    for folder in std::fs::read_dir(plugins).unwrap() {
        let folder = folder.unwrap().path();
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        let (readme, manifest) = (read("README.md"), read("manifest.json"));
        if manifest.is_empty() {
            continue;
        }
        seen += 1;
        let blocks = readme.split("```toml\n").skip(1).filter_map(|it| it.split_once("```"));
        let block = blocks.map(|(block, _)| block).find(|block| block.starts_with("[plugins."));
        let block = block.unwrap_or_else(|| panic!("{}: no [plugins.NAME]", folder.display()));
        let name = block["[plugins.".len()..].split(']').next().unwrap();
        let toml = format!("{HOST}\n{block}\n[products.acme]\nplugins = [\"{name}\"]\n");
        // Every secret is set; the overlay, whose names begin like this, isn't.
        let env = |name: &str| (!name.starts_with("SIDENOTE__")).then(|| "a-secret".to_owned());
        let config = Config::from_toml(&toml, &folder, &env);
        let config = config.unwrap_or_else(|errors| panic!("{}: {errors}", folder.display()));
        let manifest = Manifest::from_json(&manifest).unwrap_or_else(|error| panic!("{error}"));
        let (name, plugin) = config.plugins.iter().next().unwrap();
        manifest.validate(&plugin.config).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = effective(name, plugin, Some(&manifest)).unwrap();
        for mismatch in &found.mismatches {
            // Whether visitors are who they say is the operator's to set up: until then nobody is linked by it.
            let is_told = matches!(mismatch, Mismatch::PeopleUnverified { .. });
            assert!(mismatch.is_harmless() || is_told, "{}: {mismatch}", folder.display());
        }
    }
    assert!(seen >= 3, "{seen} plugins with a manifest");
}
