//! Programs of PyPI's, as a file of this package pins them with all that they need.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Installs what `requirements.txt` in a folder of this package pins, into an environment of its own below `target/tools`,
/// where it isn't there yet. The folder of its programs.
///
/// # Errors
/// It can't be had on this machine, and why.
pub async fn pypi_package(folder: &str) -> Result<PathBuf, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pinned = own.join(folder).join("requirements.txt");
    let to = own.join("../target/tools").join(folder);
    let (programs, stamp) = (to.join("bin"), to.join("installed.txt"));
    let wanted = std::fs::read(&pinned).map_err(|error| format!("{folder}: {error}"))?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    let mut make = Command::new("python3");
    run(make.args(["-m", "venv", "--clear"]).arg(&to)).await?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
    // What is pinned was tried; some packages merely say that they want a later Python.
    install.args(["--ignore-requires-python", "--requirement"]);
    run(install.arg(&pinned)).await?;
    std::fs::write(stamp, wanted).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(programs)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("python3: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
