//! What a supervisor passes to the host and is told by it. A socket of the test's own is in the place of systemd's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sidenote_tests::{DEADLINE, binary, compiled, components, free_address};
use tokio::time::Instant;

use crate::sidenote::sidenote;

/// Opens the socket that it is told, as systemd does for a service, and becomes the service.
const PASS: &str = "
import os, socket, sys
host, port, name = sys.argv[1:4]
opened = socket.create_server((host, int(port)))
os.dup2(opened.fileno(), 3) if opened.fileno() != 3 else os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES=name)
os.execv(sys.argv[4], sys.argv[4:])
";

/// A host that a supervisor runs.
struct Service {
    child: Child,
    told: UnixDatagram,
    listen: SocketAddr,
    folder: tempfile::TempDir,
}

/// What is passed to it.
#[derive(Default)]
struct Passed<'a> {
    /// The name of a socket, and where it is open; by default where the configuration says.
    socket: Option<(&'a str, Option<SocketAddr>)>,
    watchdog: Option<Duration>,
}

/// A connector pushes, and the console has what people did.
fn configuration(listen: SocketAddr) -> String {
    format!(
        r#"plugins_folder = "{}"
cache_folder = "{}"
[server]
listen = "{listen}"
[store]
kind = "memory"
[plugins.console]
file = "console.wasm"
[plugins.console.grants]
stdout = true
[products.shop]
plugins = ["console"]
ingest_secret = {{ file = "secret" }}
"#,
        components().display(),
        compiled().display()
    )
}

impl Service {
    fn start(passed: Passed<'_>) -> Self {
        let (folder, listen) = (tempfile::tempdir().expect("a step of the test"), free_address());
        let config = folder.path().join("sidenote.toml");
        std::fs::write(&config, configuration(listen)).expect("a step of the test");
        std::fs::write(folder.path().join("secret"), "connector-secret")
            .expect("a step of the test");
        let path = folder.path().join("notify");
        let told = UnixDatagram::bind(&path).expect("a step of the test");
        told.set_read_timeout(Some(DEADLINE)).expect("a step of the test");
        let mut command = match passed.socket {
            None => Command::new(binary()),
            Some((name, addr)) => {
                let addr = addr.unwrap_or(listen);
                let mut command = Command::new("python3");
                command.args(["-c", PASS, &addr.ip().to_string(), &addr.port().to_string(), name]);
                command.arg(binary());
                command
            }
        };
        command.args(["run", "--config"]).arg(&config);
        command.env("NOTIFY_SOCKET", &path).stderr(Stdio::piped());
        if let Some(watchdog) = passed.watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let child = command.spawn().expect("the host runs");
        Self { child, told, listen, folder }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("sidenote.toml")
    }

    /// The next word to the supervisor that begins so, with all that is said beside it.
    fn says(&mut self, wanted: &str) -> String {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while began.elapsed() < DEADLINE {
            let length = self.told.recv(&mut buffer);
            let Ok(length) = length else { break };
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.lines().any(|line| line.starts_with(wanted)) {
                return said;
            }
        }
        self.signal("-KILL");
        let mut log = String::new();
        let read = self.child.stderr.take().map(|mut it| it.read_to_string(&mut log));
        panic!("{wanted} isn't said: {read:?}\n{log}");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.expect("a step of the test").success());
    }

    /// Waits for its end: the exit code, and what it wrote.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .expect("a step of the test")
            .read_to_string(&mut said)
            .expect("a step of the test");
        (self.child.wait().expect("a step of the test").code(), said)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_supervisor_is_told_when_the_host_starts_reloads_goes_on_and_stops() {
    let watchdog = Some(Duration::from_millis(600));
    let mut service = Service::start(Passed { watchdog, ..Passed::default() });
    let starting = service.says("STATUS=starting");
    assert!(starting.contains("EXTEND_TIMEOUT_USEC=30000000"), "{starting}");
    service.says("READY=1");
    TcpStream::connect(service.listen).expect("it listens when it says that it is ready");
    for _ in 0..3 {
        service.says("WATCHDOG=1");
    }
    service.signal("-HUP");
    let reloading = service.says("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    service.says("READY=1");
    service.says("WATCHDOG=1");
    service.signal("-TERM");
    service.says("STOPPING=1");
    let (code, said) = service.ended();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_socket_that_was_opened_for_the_host_is_the_one_that_it_serves() {
    let mut service =
        Service::start(Passed { socket: Some(("server", None)), ..Passed::default() });
    // The socket is open before the host runs: who calls meanwhile waits.
    service.says("READY=1");
    let mut call = TcpStream::connect(service.listen).unwrap();
    call.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    call.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let config = service.config().display().to_string();
    let alive = sidenote(&["health", "--config", &config, "--json"], &[]);
    assert_eq!(alive.code, 0, "{}", alive.stderr);
    assert!(alive.stdout.contains("\"status\":\"ok\""), "{}", alive.stdout);
    let wait = Instant::now();
    while sidenote(&["health", "--config", &config, "--ready"], &[]).code != 0 {
        assert!(wait.elapsed() < DEADLINE, "it never gets ready");
    }
    service.signal("-TERM");
    assert_eq!(service.ended().0, Some(0));
}

#[test]
fn a_socket_that_the_configuration_does_not_tell_of_is_refused() {
    let other = free_address();
    let socket = Some(("server", Some(other)));
    let (code, said) = Service::start(Passed { socket, ..Passed::default() }).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("is open at {other}")), "{said}");
    assert!(said.contains("Make them equal"), "{said}");
    let socket = Some(("dashboard", None));
    let (code, said) = Service::start(Passed { socket, ..Passed::default() }).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no [dashboard]"), "{said}");
}

#[test]
fn health_of_a_host_that_is_not_there_is_no_success() {
    let url = format!("http://{}", free_address());
    let run = sidenote(&["health", "--host", &url], &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
}
