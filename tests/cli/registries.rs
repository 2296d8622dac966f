//! Components in a real registry, Debian's `docker-registry`: pushed, pulled, pinned, tampered with, signed by the
//! wrong key, and run by a host whose registry is away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use minisign::KeyPair;
use serde_json::{Value, json};
use sidenote_tests::{
    DockerRegistry, Guard, binary, compiled, components, eventually, free_address,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::sidenote::{Run, sidenote};

/// A folder with a component, and two keys.
struct Desk {
    folder: TempDir,
    /// Whose secret half is `minisign.key`.
    key: String,
    /// Somebody else's.
    other: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(components().join("webhook.wasm"), folder.path().join("desk.wasm")).unwrap();
        let [mine, other] = [(), ()].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let secret = mine.sk.to_box(None).unwrap().into_string();
        std::fs::write(folder.path().join("minisign.key"), secret).unwrap();
        Self { folder, key: mine.pk.to_base64(), other: other.pk.to_base64() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// `plugin push` of the component, signed.
    fn push(&self, host: &str, env: &[(&str, &str)], further: &[&str]) -> Run {
        let (file, to) = (self.text("desk.wasm"), format!("{host}/acme/desk:1.2"));
        let key = self.text("minisign.key");
        let args = ["plugin", "push", &file, &to, "--sign", &key];
        sidenote(&[&args, further].concat(), env)
    }

    /// What a push prints, without what stands around it: `oci://…@sha256:…`.
    fn pushed(&self, host: &str) -> String {
        let run = self.push(host, &[], &[]);
        assert_eq!(run.code, 0, "{}", run.shown());
        let line = run.stdout.trim_end();
        let pinned = line.strip_prefix("file = \"").and_then(|rest| rest.strip_suffix('"'));
        let pinned = pinned.unwrap_or_else(|| panic!("{line}")).to_owned();
        assert!(pinned.starts_with(&format!("oci://{host}/acme/desk@sha256:")), "{pinned}");
        pinned
    }
}

fn failed(run: &Run, wanted: &str) {
    assert_eq!(run.code, 1, "{}", run.shown());
    assert!(run.stderr.contains(wanted), "{wanted}: {}", run.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_pushed_pulled_and_verified_and_not_once_it_was_tampered_with() {
    let Some(registry) = DockerRegistry::start(&Guard::Nobody).await else { return };
    let (desk, host) = (Desk::new(), registry.host());
    let pinned = desk.pushed(&host);
    let digest = pinned.rsplit(':').next().unwrap();

    // As wkg and the like read it.
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(registry.blob(digest)).unwrap()).unwrap();
    let layer = &manifest["layers"][0];
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(
        (&layer["mediaType"], manifest["layers"].as_array().unwrap().len()),
        (&json!("application/wasm"), 1)
    );
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "webhook");
    let config = manifest["config"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let config: Value =
        serde_json::from_slice(&std::fs::read(registry.blob(config)).unwrap()).unwrap();
    assert_eq!(
        (&config["os"], &config["layerDigests"]),
        (&json!("wasip2"), &json!([layer["digest"]]))
    );
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(
        exports
            .iter()
            .any(|it| it.as_str().is_some_and(|it| it.starts_with("sidenote:plugin/writer"))),
        "{exports:?}"
    );

    // By its tag and by its digest it is the same, and its signature comes with it.
    for (from, to) in
        [(format!("{host}/acme/desk:1.2"), "tag.wasm"), (pinned.clone(), "digest.wasm")]
    {
        let run = sidenote(&["plugin", "pull", &from, "--out", &desk.text(to)], &[]);
        assert_eq!((run.code, run.stdout), (0, format!("file = \"{pinned}\"\n")), "{}", run.stderr);
        assert_eq!(
            std::fs::read(desk.at(to)).unwrap(),
            std::fs::read(desk.at("desk.wasm")).unwrap()
        );
        let run = sidenote(&["plugin", "verify", &desk.text(to), "--key", &desk.key], &[]);
        assert_eq!(run.code, 0, "{}", run.shown());
    }
    let again = sidenote(&["plugin", "pull", &pinned, "--out", &desk.text("tag.wasm")], &[]);
    failed(&again, "is there already; add --force");

    let verified = sidenote(
        &["plugin", "verify", &pinned, "--key", &desk.other, "--key", &desk.key, "--json"],
        &[],
    );
    let told: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!((&told["key"], &told["subject"]), (&json!(desk.key), &json!(pinned)));
    let key_file = desk.at("minisign.pub");
    std::fs::write(&key_file, format!("untrusted comment: x\n{}\n", desk.other)).unwrap();
    for subject in [&pinned, &desk.text("tag.wasm")] {
        let wrong =
            sidenote(&["plugin", "verify", subject, "--key", key_file.to_str().unwrap()], &[]);
        failed(&wrong, "is by none of these keys");
    }
    let changed = [&std::fs::read(desk.at("tag.wasm")).unwrap()[..], &[0, 2, 1, b'x']].concat();
    std::fs::write(desk.at("tag.wasm"), changed).unwrap();
    let wrong = sidenote(&["plugin", "verify", &desk.text("tag.wasm"), "--key", &desk.key], &[]);
    failed(&wrong, "signature: it is by a trusted key, and of another content");

    // Another content on the registry's disk, of the component and then of the manifest, which it reads itself.
    let component = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    for (digest, what) in [(component, "the component"), (digest, "the manifest")] {
        let file = registry.blob(digest);
        let bytes = std::fs::read(&file).unwrap();
        let at = memchr::memmem::rfind(&bytes, b"webhook").unwrap();
        let changed = [&bytes[..at], b"webhoop", &bytes[at + b"webhook".len()..]].concat();
        std::fs::write(&file, changed).unwrap();
        let out = desk.text("tampered.wasm");
        let run = sidenote(&["plugin", "pull", &pinned, "--out", &out], &[]);
        failed(&run, what);
        assert!(run.stderr.contains("errors#registry-tampered"), "{}", run.shown());
        assert!(!desk.at("tampered.wasm").exists());
    }
    let gone = sidenote(
        &["plugin", "pull", &format!("{host}/acme/other:1"), "--out", &desk.text("x.wasm")],
        &[],
    );
    failed(&gone, "isn't there (404)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_a_password_gets_it_and_nobody_else_sees_it() {
    let Some(registry) = DockerRegistry::start(&Guard::Password).await else { return };
    let (desk, host) = (Desk::new(), registry.host());
    failed(&desk.push(&host, &[], &[]), "gives this to nobody in particular (401)");
    let named = ["--username", "ann"];
    let nothing = desk.push(&host, &[], &named);
    assert_eq!(nothing.code, 2, "{}", nothing.shown());
    assert!(nothing.stderr.contains("SIDENOTE_REGISTRY_PASSWORD"), "{}", nothing.shown());
    let wrong = desk.push(&host, &[("SIDENOTE_REGISTRY_PASSWORD", "password-of-his")], &named);
    failed(&wrong, "refuses the user or the password (401)");
    let secret = "password-of-his";
    let logged = [("SIDENOTE_REGISTRY_PASSWORD", secret), ("SIDENOTE_LOG", "trace")];
    let traced = desk.push(&host, &logged, &named).shown();
    let packed = STANDARD.encode(format!("ann:{secret}"));
    assert!(!traced.contains(secret) && !traced.contains(&packed), "{traced}");

    std::fs::write(desk.at("password"), "hers\n").unwrap();
    let file = desk.text("password");
    let pushed = desk.push(&host, &[], &[&named[..], &["--password-file", &file]].concat());
    assert_eq!(pushed.code, 0, "{}", pushed.shown());

    // What `docker login` writes.
    let docker = |config: Value| {
        std::fs::write(desk.at("config.json"), config.to_string()).unwrap();
        let from = format!("{host}/acme/desk:1.2");
        let args = ["plugin", "pull", &from, "--force", "--out", &desk.text("pulled.wasm")];
        sidenote(&args, &[("DOCKER_CONFIG", &desk.folder.path().display().to_string())])
    };
    let run = docker(json!({"auths": {&host: {"auth": STANDARD.encode("ann:hers")}}}));
    assert_eq!(run.code, 0, "{}", run.shown());
    failed(&docker(json!({"auths": {&host: {"auth": STANDARD.encode("ann:his")}}})), "refuses");
    let helper = docker(json!({"auths": {&host: {}}, "credsStore": "desktop"}));
    failed(&helper, "keeps the password of");
    assert!(
        helper.stderr.contains("credential helper desktop, which isn't asked"),
        "{}",
        helper.shown()
    );
}

/// Gives tokens to `ann`, signed as the registry trusts.
async fn token(State(folder): State<PathBuf>, headers: HeaderMap) -> Response {
    let wanted = format!("Basic {}", STANDARD.encode("ann:hers"));
    if headers.get("authorization").is_none_or(|it| *it != *wanted) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let der = openssl(&["x509", "-in", "cert.pem", "-outform", "DER"], &folder, b"");
    let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [STANDARD.encode(der)]});
    let access = json!([{"type": "repository", "name": "acme/desk", "actions": ["pull", "push"]}]);
    let claims = json!({"iss": "tests", "sub": "ann", "aud": "registry", "jti": "1", "nbf": 1, "iat": 1, "exp": 9_999_999_999_u64, "access": access});
    let parts = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = parts.join(".");
    let signature = openssl(&["dgst", "-sha256", "-sign", "key.pem"], &folder, signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    json!({"token": token}).to_string().into_response()
}

fn openssl(args: &[&str], folder: &Path, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().expect("openssl runs");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_tokens_gives_one_for_the_right_password_only() {
    let keys = tempfile::tempdir().unwrap();
    let make = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-subj",
        "/CN=tests",
    ];
    openssl(&make, keys.path(), b"");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let realm = format!("http://{}/token", listener.local_addr().unwrap());
    let router = Router::new().fallback(token).with_state(keys.path().to_owned());
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let guard = Guard::Token { realm, certificate: keys.path().join("cert.pem") };
    let Some(registry) = DockerRegistry::start(&guard).await else { return };
    let (desk, host) = (Desk::new(), registry.host());
    let push = |password| {
        desk.push(&host, &[("SIDENOTE_REGISTRY_PASSWORD", password)], &["--username", "ann"])
    };
    failed(&push("password-of-his"), "refuses the user or the password (401)");
    failed(&desk.push(&host, &[], &[]), "gives this to nobody in particular (401)");
    let pushed = push("hers");
    assert_eq!(pushed.code, 0, "{}", pushed.shown());
    let from = format!("{host}/acme/desk:1.2");
    let args = ["plugin", "pull", &from, "--out", &desk.text("x.wasm"), "--username", "ann"];
    let pulled = sidenote(&args, &[("SIDENOTE_REGISTRY_PASSWORD", "hers")]);
    assert_eq!(pulled.code, 0, "{}", pulled.shown());
}

/// A host with two plugins: one from a registry, and one beside it from a file.
struct Running {
    child: Child,
    config: PathBuf,
}

impl Running {
    fn start(desk: &Desk, file: &str, head: &str) -> Self {
        let config = configured(desk, file, head);
        let mut command = Command::new(binary());
        command.args(["run", "--config"]).arg(&config).env("API_TOKEN", "api-token");
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, config }
    }

    fn state(&self, name: &str) -> Option<Value> {
        let config = self.config.display().to_string();
        let args = ["plugin", "list", "--json", "--config", &config];
        let run = sidenote(&args, &[("API_TOKEN", "api-token")]);
        let listed: Value = serde_json::from_str(&run.stdout).ok()?;
        let plugins = listed["plugins"].as_array()?;
        plugins.iter().find(|plugin| plugin["name"] == name).cloned()
    }

    /// Waits until a plugin is so; why it failed, where it did.
    async fn becomes(&self, name: &str, health: &str) -> String {
        let mut last = Value::Null;
        eventually(|| {
            last = self.state(name).unwrap_or_default();
            if last["health"] == health { Ok(()) } else { Err(last.to_string()) }
        })
        .await;
        last["failed"].as_str().unwrap_or_default().to_owned()
    }

    fn reload(&self, desk: &Desk, file: &str, head: &str) -> Run {
        let config = configured(desk, file, head).display().to_string();
        sidenote(&["reload", "--config", &config], &[("API_TOKEN", "api-token")])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configured(desk: &Desk, file: &str, head: &str) -> PathBuf {
    let config = desk.at("sidenote.toml");
    let listen = desk.at("listen");
    if !listen.exists() {
        std::fs::write(&listen, free_address().to_string()).unwrap();
        // What other tests compiled needn't be compiled again.
        std::fs::create_dir_all(desk.at("cache")).unwrap();
        for artifact in std::fs::read_dir(compiled()).into_iter().flatten().flatten() {
            std::fs::copy(artifact.path(), desk.at("cache").join(artifact.file_name())).ok();
        }
    }
    let listen = std::fs::read_to_string(listen).unwrap();
    let text = format!(
        r#"plugins_folder = "."
{head}
[server]
listen = "{listen}"
token = {{ env = "API_TOKEN" }}
[store]
kind = "memory"
[plugins.desk]
file = "{file}"
config = {{ url = "http://127.0.0.1:9/notes" }}
grants = {{ hosts = ["http://127.0.0.1:9"], private = true }}
[plugins.beside]
file = "desk.wasm"
config = {{ url = "http://127.0.0.1:9/notes" }}
grants = {{ hosts = ["http://127.0.0.1:9"], private = true }}
[products.shop]
plugins = ["desk", "beside"]
ingest_secret = {{ env = "API_TOKEN" }}
"#
    );
    std::fs::write(&config, text).unwrap();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_pulls_once_and_runs_without_its_registry_from_then_on() {
    let Some(mut registry) = DockerRegistry::start(&Guard::Nobody).await else { return };
    let desk = Desk::new();
    let pinned = desk.pushed(&registry.host());

    // Nobody is asked by `check`, and a tag isn't enough.
    registry.kill();
    let check = |file: &str, head: &str| {
        let config = configured(&desk, file, head).display().to_string();
        sidenote(&["check", "--config", &config], &[("API_TOKEN", "api-token")])
    };
    let told = check(&pinned, "").shown();
    assert!(told.contains("(to be pulled)") && told.contains("the start pulls it from"), "{told}");
    let tag = check(&format!("oci://{}/acme/desk:1.2", registry.host()), "");
    assert_eq!(tag.code, 2, "{}", tag.shown());
    assert!(tag.shown().contains("sidenote plugin pull"), "{}", tag.shown());

    // Away, and nothing kept: this one fails alone, and is tried again.
    let host = Running::start(&desk, &pinned, "");
    let why = host.becomes("desk", "failed").await;
    assert!(why.contains("registry: ") && why.contains("can't be reached"), "{why}");
    host.becomes("beside", "loaded").await;
    registry.restart().await;
    host.becomes("desk", "loaded").await;
    drop(host);

    // Away, and kept.
    registry.kill();
    let host = Running::start(&desk, &pinned, "");
    host.becomes("desk", "loaded").await;
    assert!(check(&pinned, "").shown().contains("(found)"));
    let other = pinned.replace("/acme/desk@", "/acme/other@");
    // What was pulled is named by its digest: by whatever name, it is the same.
    let swapped = host.reload(&desk, &other, "");
    assert_eq!(swapped.code, 0, "{}", swapped.shown());
    let unknown = format!("{}{}", &pinned[..pinned.len() - 64], "0".repeat(64));
    let refused = host.reload(&desk, &unknown, "");
    failed(&refused, "can't be reached");
    host.becomes("desk", "loaded").await;
    drop(host);

    // Kept, and changed on this machine's disk: pulled again, or not run.
    let digest = pinned.rsplit(':').next().unwrap();
    let kept = desk.at("cache/pulled").join(format!("{digest}.wasm"));
    std::fs::write(&kept, b"\0asm\x0d\0\x01\0").unwrap();
    let host = Running::start(&desk, &pinned, "");
    host.becomes("desk", "failed").await;
    registry.restart().await;
    host.becomes("desk", "loaded").await;
    assert_eq!(std::fs::read(&kept).unwrap(), std::fs::read(desk.at("desk.wasm")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_keys_are_trusted_nothing_else_runs_from_wherever_it_came() {
    let Some(registry) = DockerRegistry::start(&Guard::Nobody).await else { return };
    let desk = Desk::new();
    let pinned = desk.pushed(&registry.host());
    let trusting = |key: &str| format!("trusted_keys = [\"{key}\"]");

    let host = Running::start(&desk, &pinned, &trusting(&desk.other));
    let why = host.becomes("desk", "failed").await;
    assert!(why.contains("signature: no key of `trusted_keys` made it"), "{why}");
    let why = host.becomes("beside", "failed").await;
    assert!(why.contains("signature: it has none"), "{why}");
    drop(host);

    let host = Running::start(&desk, &pinned, &trusting(&desk.key));
    host.becomes("desk", "loaded").await;
    host.becomes("beside", "failed").await;
    // A signature that comes later is seen, a wrong one first.
    let signature = desk.at("desk.wasm.minisig");
    std::fs::write(&signature, "untrusted comment: x\n").unwrap();
    eventually(|| match host.state("beside").unwrap_or_default()["failed"].to_string() {
        why if why.contains("can't be read as one of minisign") => Ok(()),
        why => Err(why),
    })
    .await;
    let pulled = desk.text("pulled.wasm");
    let run = sidenote(&["plugin", "pull", &pinned, "--out", &pulled], &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    std::fs::rename(desk.at("pulled.wasm.minisig"), &signature).unwrap();
    host.becomes("beside", "loaded").await;
    let told = sidenote(
        &["check", "--config", &desk.text("sidenote.toml")],
        &[("API_TOKEN", "api-token")],
    );
    let told = told.shown();
    assert!(told.contains("@sha256:") && !told.contains("signature"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_a_registry_is_added_by_its_digest_and_signed_as_the_host_wants_it() {
    let Some(registry) = DockerRegistry::start(&Guard::Nobody).await else { return };
    let (desk, host) = (Desk::new(), registry.host());
    let pinned = desk.pushed(&host);
    let tag = format!("{host}/acme/desk:1.2");
    let config = desk.text("sidenote.toml");
    let env = [("SIGNING", "of nobody")];
    let configure = |key: &str| {
        let listen = free_address();
        let text = format!(
            "plugins_folder = \"plugins\"\ntrusted_keys = [\"{key}\"]\n[server]\nlisten = \"{listen}\"\n[store]\nkind = \"memory\"\n[streams.main]\nurl = \"http://127.0.0.1:9/stream/p\"\n[plugins.other]\n[products.shop]\nplugins = [\"other\"]\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    let add = |subject: &str, name: &str| {
        let url = "url=http://127.0.0.1:9/notes";
        let args = ["plugin", "add", subject, "--name", name, "--config", &config, "--set", url];
        sidenote(&[&args[..], &["--secret", "signing=env:SIGNING", "--json"]].concat(), &env)
    };

    configure(&desk.other);
    for subject in [tag.as_str(), &desk.text("desk.wasm")] {
        failed(&add(subject, "front"), "signature: ");
        assert!(!desk.at("plugins.d").exists() && !desk.at("plugins").exists());
    }

    configure(&desk.key);
    let run = add(&tag, "front");
    assert_eq!(run.code, 0, "{}", run.shown());
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["reference"], &told["component"]), (&json!(pinned), &Value::Null));
    let table = std::fs::read_to_string(desk.at("plugins.d/front.toml")).unwrap();
    assert!(table.contains(&format!("[plugins.front]\nfile = \"{pinned}\"\n")), "{table}");
    assert!(!desk.at("plugins").exists(), "the host pulls it by itself");

    // A file is added with its signature beside it.
    let file = desk.text("signed.wasm");
    let run = sidenote(&["plugin", "pull", &pinned, "--out", &file], &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    let run = add(&file, "side");
    assert_eq!(run.code, 0, "{}", run.shown());
    assert_eq!(
        std::fs::read(desk.at("plugins/side.wasm.minisig")).unwrap(),
        std::fs::read(desk.at("signed.wasm.minisig")).unwrap()
    );
    let run =
        sidenote(&["plugin", "verify", &desk.text("plugins/side.wasm"), "--config", &config], &env);
    assert_eq!(run.code, 0, "{}", run.shown());

    for (name, left) in [("front", "side.toml"), ("side", "")] {
        let args = ["plugin", "remove", name, "--config", &config, "--yes"];
        let run = sidenote(&args, &env);
        assert_eq!(run.code, 0, "{}", run.shown());
        assert!(left.is_empty() || desk.at("plugins.d").join(left).exists(), "{name}");
    }
    let stays: Vec<_> = std::fs::read_dir(desk.at("plugins")).unwrap().flatten().collect();
    assert!(stays.is_empty(), "{stays:?}");
}
