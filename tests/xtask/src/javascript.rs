//! The test component in JavaScript: another toolchain than the workspace's, so it isn't cargo that knows
//! when it must be built.

use std::path::Path;
use std::process::Command;

use crate::built::Kept;
use crate::made_of::made_of;

const FOLDER: &str = "tests/guests-js";
/// The interface.
const WIT: &str = "wit";
const SOURCE: &str = "post-note.js";
const COMPONENT: &str = "guest_fetch";
/// The oldest major version of Node.js that it is built with; `package.json` says the same.
const OLDEST_NODE: u32 = 20;
/// How to get what it is built with.
const BY_HAND: &str = "the JavaScript component of the tests is built with Node.js 20 or later and npm; \
                       install them (https://nodejs.org, or on Debian: apt-get install nodejs npm), then run this again";

/// Builds the component, unless what lies in `target/` was made of the same files. Only a build needs
/// Node.js and the network.
pub(crate) fn build(
    root: &Path,
    run: impl Fn(&mut Command) -> Result<(), String>,
) -> Result<(), String> {
    let folder = root.join("target/test-guests");
    let output = folder.join(COMPONENT).with_extension("wasm");
    let stamp = output.with_extension("stamp");
    let made_of = made_of(root, &[FOLDER, WIT])?;
    if output.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|text| text == made_of) {
        return Ok(());
    }
    let own = root.join("target/guests-js");
    let built = own.join(COMPONENT).with_extension("wasm");
    let kept = Kept::of("guests-js", &made_of);
    if !kept.fetch(&own)? {
        componentize(root, &built, run)?;
        kept.keep(&own);
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // A rename is one step, and the stamp comes last: what a broken build leaves is built again.
    let part = output.with_extension("part");
    std::fs::copy(&built, &part)
        .and_then(|_| std::fs::rename(&part, &output))
        .and_then(|()| std::fs::write(&stamp, made_of))
        .map_err(|error| format!("{}: {error}", output.display()))
}

/// Builds it.
fn componentize(
    root: &Path,
    to: &Path,
    run: impl Fn(&mut Command) -> Result<(), String>,
) -> Result<(), String> {
    check_tools(BY_HAND)?;
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).args([
        "--loglevel=error",
        "--prefix",
        FOLDER,
    ]))?;
    let own = to.parent().unwrap_or(root);
    std::fs::create_dir_all(own).map_err(|error| format!("{}: {error}", own.display()))?;
    let (script, source) = (format!("{FOLDER}/build.mjs"), format!("{FOLDER}/{SOURCE}"));
    run(Command::new("node").args([&*script, &*source, WIT]).arg(to))
}

/// Whether what it is built with is there, and new enough.
pub(crate) fn check_tools(by_hand: &str) -> Result<(), String> {
    let node = version("node", by_hand)?;
    let major = node.trim_start_matches('v').split('.').next().and_then(|it| it.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_NODE) {
        return Err(format!("node is {node}, which is too old: {by_hand}"));
    }
    version("npm", by_hand).map(drop)
}

fn version(program: &str, by_hand: &str) -> Result<String, String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) | Err(_) => Err(format!("{program} isn't there: {by_hand}")),
    }
}
