//! Programs of npm's, as a lock file of this package pins them.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::Mutex;

/// One installs at a time: two tests may want the same package.
static INSTALLING: Mutex<()> = Mutex::const_new(());

/// Installs the package of a folder of this one where it isn't yet, as it is locked. The folder that it is
/// installed in, below `target`.
///
/// # Panics
/// When it can't be installed.
pub async fn npm_package(folder: &str) -> PathBuf {
    let _alone = INSTALLING.lock().await;
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (from, to) = (own.join(folder), own.join("../target").join(folder));
    let (lock, stamp) = (from.join("package-lock.json"), to.join("installed-lock.json"));
    let locked = std::fs::read(&lock).expect("the lock file");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == locked) {
        return to;
    }
    std::fs::create_dir_all(&to).expect("a folder in target");
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(from.join(file), to.join(file)).expect("a copy in target");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    let status =
        npm.current_dir(&to).status().await.expect("npm is there: install Node.js 20 or later");
    assert!(status.success(), "npm ci in {}: {status}", to.display());
    std::fs::write(stamp, locked).expect("a stamp in target");
    to
}
