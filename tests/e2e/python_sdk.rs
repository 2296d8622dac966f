//! The Python package's own tests, with the interface's bindings as the plugins of `target/languages` have them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Which of its tests need the bindings of which plugin.
const TESTS: [(&str, &[&str]); 2] = [
    ("my-python", &["config", "failure", "http", "readme", "text", "values", "webhook"]),
    ("my-python-source", &["source"]),
];

#[test]
fn the_python_package_does_what_its_tests_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tests = root.join("sdk-guest/python/tests");
    let entries = std::fs::read_dir(&tests).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<_> = names.filter(|name| name.ends_with(".py")).collect();
    let mut named = BTreeSet::new();
    for (plugin, modules) in TESTS {
        let bindings = root.join("target/languages").join(plugin).join("bindings");
        assert!(bindings.is_dir(), "{} isn't there; run `cargo xtask test`", bindings.display());
        let paths = [bindings.canonicalize().unwrap(), "../src".into(), ".".into()];
        let modules = modules.iter().map(|name| format!("test_{name}"));
        named.extend(modules.clone().map(|name| format!("{name}.py")));
        let mut python = Command::new("python3");
        python.args(["-W", "error", "-m", "unittest"]).args(modules).current_dir(&tests);
        // Nothing is left in the sources.
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        let output =
            python.env("PYTHONPATH", std::env::join_paths(paths).unwrap()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.ends_with("OK\n") && !said.contains("Ran 0"), "{said}");
    }
    assert_eq!(there, named, "every file of tests is run");
}
