//! The SDKs for JavaScript and Python as npm and PyPI would have them. What `plugin new` puts beside a plugin is the same
//! package. With `SIDENOTE_RELEASE` the Python package is also built and checked as it is before an upload, and its types are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::sidenote::sidenote;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn npm_package() -> PathBuf {
    root().join("sdk-guest/js")
}

fn python_package() -> PathBuf {
    root().join("sdk-guest/python")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a program in a folder; what it says on stdout, and what on stderr.
fn run(folder: &Path, command: &mut Command) -> (String, String) {
    // Nothing is left in the sources.
    let output = command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(output.status.success(), "{command:?}:\n{out}\n{err}");
    (out, err)
}

fn below(folder: &Path, place: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(folder, &path, found);
        } else {
            found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// What `plugin new` puts beside a plugin, by its place in the package.
fn copy(language: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("written");
    let dir = place.to_str().unwrap();
    let new = sidenote(&["plugin", "new", "my-own", "--lang", language, "--dir", dir], &[]);
    assert_eq!(new.code, 0, "{language}: {}", new.stderr);
    let (package, mut found) = (place.join("sidenote-plugin"), BTreeSet::new());
    below(&package, &package, &mut found);
    found
}

#[test]
fn npm_gets_what_is_put_beside_a_plugin() {
    let pack = ["pack", "--dry-run", "--json", "--loglevel=error"];
    let (told, _) = run(&npm_package(), Command::new("npm").args(pack));
    let told: Value = serde_json::from_str(&told).unwrap();
    let files = told[0]["files"].as_array().unwrap().iter();
    let packed: BTreeSet<_> = files.map(|it| it["path"].as_str().unwrap().to_owned()).collect();
    for language in ["js", "ts"] {
        assert_eq!(copy(language), packed, "{language}");
    }
    assert_eq!(told[0]["name"], "@sidenote/plugin");
    let package: Value = serde_json::from_str(&read(&npm_package().join("package.json"))).unwrap();
    for module in package["exports"].as_object().unwrap().values() {
        let places = [module, &module["types"], &module["default"]].into_iter();
        for place in places.filter_map(Value::as_str) {
            let place = place.trim_start_matches("./");
            assert!(packed.contains(place), "{place} is named and isn't in the package");
        }
    }
}

/// A registry that has nothing, and tells what it was asked.
fn empty_registry() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let shared = Arc::clone(&asked);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.unwrap();
            let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
            let line = lines.next().unwrap_or_default();
            // The head ends with an empty line.
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            let answer =
                "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
            // It may have gone away.
            drop((&socket).write_all(answer.as_bytes()));
        }
    });
    (address, asked)
}

#[test]
fn the_npm_package_can_be_published() {
    let (registry, asked) = empty_registry();
    let mut publish = Command::new("npm");
    publish.args(["publish", "--dry-run", "--json", "--fetch-retries=0"]);
    publish.arg(format!("--registry={registry}"));
    let (told, said) = run(&npm_package(), &mut publish);
    assert!(told.contains(&format!("\"id\": \"@sidenote/plugin@{VERSION}\"")), "{told}");
    // npm repairs what is wrong with a `package.json` as it publishes, and says so.
    for word in ["auto-corrected", "errors corrected", "invalid"] {
        assert!(!said.contains(word), "{said}");
    }
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
}

#[test]
fn the_npm_package_does_what_its_tests_say() {
    let mut node = Command::new("node");
    node.args(["--import", "./testing/register.js", "--test", "--test-reporter=tap"]);
    // A test of ours may itself be run by one.
    let (told, _) = run(&npm_package(), node.env_remove("NODE_TEST_CONTEXT"));
    let number = |of: &str| -> usize {
        let line = told.lines().find_map(|line| line.strip_prefix(of));
        line.unwrap_or_else(|| panic!("{told}")).trim().parse().unwrap()
    };
    assert!(number("# pass ") >= 30, "{told}");
    assert_eq!((number("# fail "), number("# skipped ")), (0, 0), "{told}");
}

/// A Python with pip of its own, which is kept.
fn python(packages: &[&str]) -> PathBuf {
    let venv = root().join("target/python-packages");
    let python = venv.join("bin/python");
    if !python.is_file() {
        run(&root(), Command::new("python3").args(["-m", "venv"]).arg(&venv));
    }
    if !packages.is_empty() {
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&root(), Command::new(&python).args(install).args(packages));
    }
    python
}

/// The files of a wheel.
fn wheel(python: &Path, wheel: &Path) -> BTreeSet<String> {
    let names = "import sys, zipfile; print('\\n'.join(zipfile.ZipFile(sys.argv[1]).namelist()))";
    let (told, _) = run(&root(), Command::new(python).args(["-c", names]).arg(wheel));
    told.lines().map(str::to_owned).collect()
}

#[test]
fn pypi_gets_what_is_put_beside_a_plugin() {
    let (python, built) = (python(&[]), tempfile::tempdir().unwrap());
    let make = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let mut pip = Command::new(&python);
    pip.args(make).arg("--wheel-dir").arg(built.path()).arg(python_package());
    run(&root(), &mut pip);
    let file = built.path().join(format!("sidenote_plugin-{VERSION}-py3-none-any.whl"));
    let about = format!("sidenote_plugin-{VERSION}.dist-info");
    let (mut code, more): (BTreeSet<_>, BTreeSet<_>) =
        wheel(&python, &file).into_iter().partition(|name| name.starts_with("sidenote_plugin/"));
    code = code.iter().map(|name| format!("src/{name}")).collect();
    let rest = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "pyproject.toml"].map(str::to_owned);
    assert_eq!(copy("python"), code.into_iter().chain(rest).collect());
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        assert!(more.contains(&format!("{about}/licenses/{licence}")), "{more:?}");
    }
    let shown =
        "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]).decode())";
    let metadata = format!("{about}/METADATA");
    let (told, _) =
        run(&root(), Command::new(&python).args(["-c", shown]).arg(&file).arg(metadata));
    let (head, text) = told.split_once("\n\n").unwrap();
    for line in [
        "Name: sidenote-plugin",
        &format!("Version: {VERSION}"),
        "Requires-Python: >=3.10",
        "License-Expression: MIT OR Apache-2.0",
        "Description-Content-Type: text/markdown",
    ] {
        assert!(head.lines().any(|it| it == line), "{line}: {head}");
    }
    assert!(!head.contains("Requires-Dist"), "{head}");
    assert_eq!(text.trim(), read(&python_package().join("README.md")).trim());
}

/// As it is before an upload. It takes a quarter of a minute, most of it for tools from PyPI.
#[test]
fn the_python_package_can_be_published() {
    if std::env::var_os("SIDENOTE_RELEASE").is_none() {
        return;
    }
    let (python, built) = (python(&["build", "mypy", "twine"]), tempfile::tempdir().unwrap());
    let mut build = Command::new(&python);
    build.args(["-m", "build", "--outdir"]).arg(built.path()).arg(python_package());
    run(&root(), &mut build);
    let files = [
        format!("sidenote_plugin-{VERSION}-py3-none-any.whl"),
        format!("sidenote_plugin-{VERSION}.tar.gz"),
    ];
    let files = files.map(|name| built.path().join(name));
    let (told, _) =
        run(&root(), Command::new(&python).args(["-m", "twine", "check", "--strict"]).args(&files));
    assert_eq!(told.matches("PASSED").count(), 2, "{told}");
    for (plugin, left_out) in [("my-python", "source.py"), ("my-python-source", "webhook.py")] {
        let bindings = root().join("target/languages").join(plugin).join("bindings");
        let mut mypy = Command::new(&python);
        mypy.args(["-m", "mypy", "--strict", "--no-error-summary", "--cache-dir"]);
        mypy.arg(root().join("target/python-packages/mypy"));
        // The bindings aren't ours.
        mypy.args(["--follow-imports", "silent", "--exclude", left_out, "src/sidenote_plugin"]);
        mypy.env("MYPYPATH", bindings.canonicalize().unwrap());
        run(&python_package(), &mut mypy);
    }
}

#[test]
fn all_packages_have_one_version_and_the_projects_licences() {
    let package: Value = serde_json::from_str(&read(&npm_package().join("package.json"))).unwrap();
    assert_eq!(
        (&package["version"], &package["license"]),
        (&VERSION.into(), &"MIT OR Apache-2.0".into())
    );
    let project: toml::Table = read(&python_package().join("pyproject.toml")).parse().unwrap();
    assert_eq!(project["project"]["version"].as_str(), Some(VERSION));
    let init = read(&python_package().join("src/sidenote_plugin/__init__.py"));
    assert!(init.contains(&format!("__version__ = \"{VERSION}\"")), "{init}");
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        for package in [npm_package(), python_package()] {
            assert_eq!(read(&package.join(licence)), read(&root().join(licence)), "{licence}");
        }
    }
    for (example, named) in [
        ("javascript-bot", "@sidenote/plugin@"),
        ("javascript-source", "@sidenote/plugin@"),
        ("javascript-trigger", "@sidenote/plugin@"),
        ("typescript-bot", "@sidenote/plugin@"),
        ("python-bot", "sidenote-plugin=="),
        ("python-source", "sidenote-plugin=="),
    ] {
        let page = read(&root().join("examples").join(example).join("README.md"));
        assert!(page.contains(&format!("{named}{VERSION}`")), "{example}: which version?");
    }
}
