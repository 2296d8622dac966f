//! Programs of Debian that some tests need.

use std::process::Command;
use std::sync::OnceLock;

/// Installs what the tests use. Fails where something is missing that they can't be without.
pub(crate) fn programs(
    run: fn(&mut Command) -> Result<(), String>,
    say: fn(&str),
) -> Result<(), String> {
    redis(run)?;
    registry(run)?;
    chromium(run, say);
    prometheus(run, say);
    Ok(())
}

/// Installs `redis-server` where it is missing and this machine lets us.
fn redis(run: impl Fn(&mut Command) -> Result<(), String>) -> Result<(), String> {
    const BY_HAND: &str =
        "install redis-server (on Debian: apt-get install redis-server), then run this again";
    if is_there("redis-server") {
        return Ok(());
    }
    if !can_install() {
        return Err(format!("the tests need a Redis server: {BY_HAND}"));
    }
    // The tests start servers of their own; none is to run as a service.
    install("redis-server", run)?;
    if is_there("redis-server") { Ok(()) } else { Err(BY_HAND.to_owned()) }
}

/// Installs an OCI registry where it is missing and this machine lets us.
fn registry(run: impl Fn(&mut Command) -> Result<(), String>) -> Result<(), String> {
    const BY_HAND: &str =
        "install docker-registry (on Debian: apt-get install docker-registry), then run this again";
    if is_there("docker-registry") {
        return Ok(());
    }
    if !can_install() {
        return Err(format!("the tests need an OCI registry: {BY_HAND}"));
    }
    // The tests start their own; none is to run as a service.
    install("docker-registry", run)?;
    if is_there("docker-registry") { Ok(()) } else { Err(BY_HAND.to_owned()) }
}

/// Installs a C compiler for static binaries where it is missing and this machine lets us.
pub(crate) fn musl(run: impl Fn(&mut Command) -> Result<(), String>) -> Result<(), String> {
    if is_there("musl-gcc") {
        return Ok(());
    }
    if !can_install() {
        return Err("a static binary needs musl-gcc: install musl-tools (on Debian: apt-get install musl-tools), then run this again".to_owned());
    }
    install("musl-tools", run)
}

/// Installs what runs programs of other processors where it is missing and this machine lets us.
pub(crate) fn qemu(
    program: &str,
    run: impl Fn(&mut Command) -> Result<(), String>,
) -> Result<(), String> {
    if is_there(program) {
        return Ok(());
    }
    if !can_install() {
        return Err(format!(
            "a binary for another processor is run by {program}: install qemu-user-static (on Debian: apt-get install qemu-user-static), then run this again"
        ));
    }
    install("qemu-user-static", run)
}

/// Installs Chromium and its driver where they are missing and this machine lets us. Where they can't be had, the tests that need
/// them say so and are left out.
fn chromium(run: impl Fn(&mut Command) -> Result<(), String>, say: impl Fn(&str)) {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    for (package, is_here) in [
        ("chromium", NAMES.into_iter().any(is_there)),
        ("chromium-driver", is_there("chromedriver")),
    ] {
        let wanted = !is_here && can_install();
        if let Err(error) = if wanted { install(package, &run) } else { Ok(()) } {
            say(&error);
        }
    }
    if !is_there("chromedriver") {
        say(
            "no driver of Chromium is here and none can be installed: what the dashboard's pages do isn't tested",
        );
    }
    if !NAMES.into_iter().any(is_there) {
        say(
            "no Chromium is here and none can be installed: what a page in a browser hears isn't tested",
        );
    }
}

/// Installs Prometheus and its `promtool` where they are missing and this machine lets us. Where they can't be had, the tests
/// that need them say so and show nothing.
fn prometheus(run: impl Fn(&mut Command) -> Result<(), String>, say: impl Fn(&str)) {
    if is_there("promtool") {
        return;
    }
    let installed = if can_install() { install("prometheus", run) } else { Ok(()) };
    if let Err(error) = installed {
        say(&error);
    }
    if !is_there("promtool") {
        say(
            "no Prometheus is here and none can be installed: whether it reads the metrics isn't tested",
        );
    }
}

fn install(package: &str, run: impl Fn(&mut Command) -> Result<(), String>) -> Result<(), String> {
    let apt_get = |args: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(args))
    };
    // Once is enough for all of them.
    static LISTS: OnceLock<Result<(), String>> = OnceLock::new();
    LISTS.get_or_init(|| apt_get(&["update"])).clone()?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])
}

fn can_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0");
    is_root && is_there("apt-get")
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
