//! The Redis server that some tests run against.

use std::process::Command;

/// How to get it by hand.
const BY_HAND: &str =
    "install redis-server (on Debian: apt-get install redis-server), then run this again";

/// Installs `redis-server` where it is missing and this machine lets us.
pub(crate) fn install(run: impl Fn(&mut Command) -> Result<(), String>) -> Result<(), String> {
    if is_there("redis-server") {
        return Ok(());
    }
    if !is_root() || !is_there("apt-get") {
        return Err(format!("the tests need a Redis server: {BY_HAND}"));
    }
    let apt_get = |args: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(args))
    };
    apt_get(&["update"])?;
    // The tests start servers of their own; none is to run as a service.
    apt_get(&["install", "--yes", "--no-install-recommends", "redis-server"])?;
    if is_there("redis-server") { Ok(()) } else { Err(BY_HAND.to_owned()) }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}
