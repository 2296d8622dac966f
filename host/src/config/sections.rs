//! `[server]`, `[store]`, `[delivery]` and `[streams.NAME]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use url::Url;

use super::error::Fault;
use super::mcp::origin;
use super::model::{DeadHead, Delivery, Redis, Retention, Server, Store, Stream};
use super::origin::PageOrigin;
use super::scalar::{self, Refusal, Scalar};
use super::secret;
use super::section::Section;

/// `[server]`.
pub(super) fn server(section: Section<'_>) -> Server {
    let default = Server::default();
    let server = Server {
        listen: section.scalar_or("listen", default.listen, address),
        token: secret::bearer(&section, "token"),
        header_timeout: section.scalar_or(
            "header_timeout",
            default.header_timeout,
            scalar::duration,
        ),
        max_body_bytes: section.scalar_or("max_body", default.max_body_bytes, scalar::size),
        max_connections: section.scalar_or("max_connections", default.max_connections, connections),
        max_connections_per_peer: section.scalar_or(
            "max_connections_per_peer",
            default.max_connections_per_peer,
            connections,
        ),
        public_url: section.scalar("public_url", public_url),
        event_origins: origins(&section, "event_origins"),
        mcp: None,
    };
    if !server.listen.ip().is_loopback() && !section.has("token") {
        section.refuse(
            "listen",
            format!("{} can be reached from other machines, and no token is set", server.listen),
            "listen on 127.0.0.1, or add `token = { env = \"SIDENOTE_SERVER_TOKEN\" }` to [server]",
        );
    }
    section.finish();
    server
}

/// Origins of web pages.
fn origins(section: &Section<'_>, key: &str) -> Vec<PageOrigin> {
    let want = "a list of origins, for example [\"https://app.example.com\"]";
    let origins = section.list(key, want, origin).unwrap_or_default();
    origins.into_iter().map(|(_, origin)| origin).collect()
}

/// `[store]`.
pub(super) fn store(section: Section<'_>, base: &Path) -> Store {
    let kind = section.scalar_or("kind", StoreKind::Embedded, store_kind);
    let store = section.by_word("kind", kind, &STORES, |kind| match kind {
        StoreKind::Embedded => {
            let path = section.scalar_or("path", "sidenote.redb".to_owned(), scalar::text);
            let reserve = section.scalar_or("reserve", RESERVE, scalar::size);
            Store::Embedded { path: base.join(path), reserve }
        }
        StoreKind::Redis => {
            section.unwanted(
                "path",
                "the redis store keeps its rows on the server",
                "leave it out; `journal` names the file for when the server is away",
            );
            Store::Redis(redis(&section, base))
        }
        StoreKind::Memory => {
            let next = "leave it out, or set kind = \"embedded\"";
            section.unwanted("path", "the memory store keeps no file", next);
            Store::Memory
        }
    });
    section.finish();
    store
}

/// Space kept free beside the embedded store, in bytes.
pub(super) const RESERVE: usize = 16 << 20;

fn redis(section: &Section<'_>, base: &Path) -> Redis {
    let url = section.required("url", "url = \"redis://127.0.0.1:6379\"", redis_address);
    let default = Redis::at("");
    let plaintext_allowed = section.scalar_or("allow_plaintext", false, scalar::boolean);
    if let Some(url) = &url
        && url.scheme() == "redis"
        && !plaintext_allowed
        && !scalar::is_loopback(url)
    {
        section.refuse(
            "url",
            "redis:// to another machine lets everyone on the way read what people did",
            "use rediss://, or set allow_plaintext = true in this table if the network is private",
        );
    }
    Redis {
        url: url.as_ref().map(Url::to_string).unwrap_or_default(),
        user: section.scalar("user", scalar::text),
        password: secret::of_any_text(section, "password"),
        namespace: section.scalar_or("namespace", default.namespace, namespace),
        sdk_sessions: section.scalar_or("sdk_sessions", default.sdk_sessions, scalar::boolean),
        session_ttl: section.scalar_or("session_ttl", default.session_ttl, scalar::duration),
        timeout: section.scalar_or("timeout", default.timeout, scalar::duration),
        journal: base.join(
            section
                .scalar("journal", scalar::text)
                .map_or(default.journal, std::path::PathBuf::from),
        ),
        journal_max_bytes: section.scalar_or(
            "journal_max",
            default.journal_max_bytes,
            scalar::size,
        ),
    }
}

/// `[retention]`.
pub(super) fn retention(section: Section<'_>) -> Retention {
    let default = Retention::default();
    let retention = Retention {
        sessions: section.scalar_or("sessions", default.sessions, scalar::duration),
        dead_letters: section.scalar_or("dead_letters", default.dead_letters, scalar::duration),
    };
    section.finish();
    retention
}

/// `[delivery]` or `[products.ID.delivery]`: what isn't set is taken from `base`.
pub(super) fn delivery(section: Section<'_>, base: &Delivery) -> Delivery {
    let delivery = Delivery {
        debounce: section.scalar_or("debounce", base.debounce, scalar::duration),
        max_wait: section.scalar_or("max_wait", base.max_wait, scalar::duration),
        bin_seconds: section.scalar_or("bin_seconds", base.bin_seconds, scalar::seconds),
        pre_link_window: section.scalar_or(
            "pre_link_window",
            base.pre_link_window,
            scalar::duration,
        ),
        pre_link_max_actions: section.scalar_or(
            "pre_link_max_actions",
            base.pre_link_max_actions,
            items,
        ),
        pre_link_max_bytes: section.scalar_or(
            "pre_link_max_bytes",
            base.pre_link_max_bytes,
            scalar::size,
        ),
        max_note_actions: section.scalar_or("max_note_actions", base.max_note_actions, items),
        max_attempts: section.scalar_or("max_attempts", base.max_attempts, attempts),
        retry_initial: section.scalar_or("retry_initial", base.retry_initial, scalar::duration),
        retry_max: section.scalar_or("retry_max", base.retry_max, scalar::duration),
        call_timeout: section.scalar_or("call_timeout", base.call_timeout, scalar::duration),
        max_age: section.scalar_or("max_age", base.max_age, scalar::duration),
        dead_head: section.scalar_or("dead_head", base.dead_head, dead_head),
        max_lane_notes: section.scalar_or("max_lane_notes", base.max_lane_notes, items),
        max_gathered_actions: section.scalar_or(
            "max_gathered_actions",
            base.max_gathered_actions,
            items,
        ),
    };
    section.in_order(("debounce", delivery.debounce), ("max_wait", delivery.max_wait));
    section.in_order(("retry_initial", delivery.retry_initial), ("retry_max", delivery.retry_max));
    section.finish();
    delivery
}

/// `[streams.NAME]`: at least one, unless events come in otherwise too (`is_fed`); no two at the same address.
pub(super) fn streams(top: &Section<'_>, is_fed: bool) -> BTreeMap<String, Stream> {
    let parent = top.section("streams");
    let mut streams = BTreeMap::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (name, section) in parent.sections() {
        parent.check_name("stream", &name);
        let (stream, section) = stream(section);
        if let Some(stream) = stream {
            if let Some(owner) = owners.insert(stream.url.clone(), name.clone()) {
                section.refuse(
                    "url",
                    format!("[streams.{owner}] has the same one, so each event would come twice"),
                    "remove one of the two",
                );
            }
            streams.insert(name, stream);
        }
        section.finish();
    }
    if parent.names().is_empty() && !is_fed {
        let fault = Fault::MissingTable {
            table: "streams.NAME".to_owned(),
            cause: "without a stream there is nothing to read, unless a product has an `ingest_secret` or a plugin is a source"
                .to_owned(),
            example: "[streams.main]\nurl = \"https://connector.example.com/stream/PRODUCT\"\ntoken = { env = \"SIDENOTE_STREAM_TOKEN\" }".to_owned(),
        };
        top.report(parent.place(), fault);
    }
    streams
}

fn stream(section: Section<'_>) -> (Option<Stream>, Section<'_>) {
    let url = section.required(
        "url",
        "url = \"https://connector.example.com/stream/PRODUCT\"",
        scalar::web_address,
    );
    let default = Stream::at("");
    let stream = Stream {
        url: url.as_ref().map(Url::to_string).unwrap_or_default(),
        token: secret::bearer(&section, "token"),
        idle_timeout: section.scalar_or("idle_timeout", default.idle_timeout, scalar::duration),
        retry_initial: section.scalar_or("retry_initial", default.retry_initial, scalar::duration),
        retry_max: section.scalar_or("retry_max", default.retry_max, scalar::duration),
        refused_retry_initial: section.scalar_or(
            "refused_retry_initial",
            default.refused_retry_initial,
            scalar::duration,
        ),
        refused_retry_max: section.scalar_or(
            "refused_retry_max",
            default.refused_retry_max,
            scalar::duration,
        ),
        max_event_bytes: section.scalar_or("max_event", default.max_event_bytes, scalar::size),
    };
    section.in_order(("retry_initial", stream.retry_initial), ("retry_max", stream.retry_max));
    section.in_order(
        ("refused_retry_initial", stream.refused_retry_initial),
        ("refused_retry_max", stream.refused_retry_max),
    );
    let plaintext_allowed = section.scalar_or("allow_plaintext", false, scalar::boolean);
    if let Some(url) = &url
        && url.scheme() == "http"
        && !plaintext_allowed
        && !scalar::is_loopback(url)
    {
        section.refuse(
            "url",
            "http:// to another machine lets everyone on the way read the token and the events",
            "use https://, or set allow_plaintext = true in this table if the network is private",
        );
    }
    (url.map(|_| stream), section)
}

#[derive(Clone, Copy)]
enum StoreKind {
    Memory,
    Embedded,
    Redis,
}

/// The first is the default.
const STORES: [(&str, StoreKind); 3] =
    [("embedded", StoreKind::Embedded), ("redis", StoreKind::Redis), ("memory", StoreKind::Memory)];

fn store_kind(value: Scalar<'_>) -> Result<StoreKind, Refusal> {
    scalar::word(value, &STORES, |other| {
        Refusal::value(
            format!("there is no store \"{other}\""),
            "write \"embedded\" (one file, durable), \"redis\" (a server), or \"memory\" (lost at the end)",
        )
    })
}

fn dead_head(value: Scalar<'_>) -> Result<DeadHead, Refusal> {
    scalar::word(value, &[("free", DeadHead::Free), ("hold", DeadHead::Hold)], |other| {
        Refusal::value(
            format!("\"{other}\" is neither free nor hold"),
            "write \"free\" (the notes behind it go on) or \"hold\" (they wait for a person)",
        )
    })
}

/// The first part of every key: no blanks, and no braces, which mean something to Redis Cluster.
fn namespace(value: Scalar<'_>) -> Result<String, Refusal> {
    let text = scalar::text(value)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if text.len() > 64 || !text.bytes().all(fits) {
        return Err(Refusal::value(
            "this can't be a namespace",
            "use up to 64 letters, digits, -, _, . and :",
        ));
    }
    Ok(text)
}

/// A Redis address. Its text isn't repeated in errors: it may hold a credential.
fn redis_address(value: Scalar<'_>) -> Result<Url, Refusal> {
    const NEXT: &str =
        "write an address such as \"redis://127.0.0.1:6379\" or \"rediss://redis.example.com\"";
    value.is(serde_json::json!({"pattern": "^[Rr][Ee][Dd][Ii][Ss][Ss]?:"}));
    let url = Url::parse(&scalar::text(value)?)
        .map_err(|error| Refusal::value(format!("it isn't a whole address ({error})"), NEXT))?;
    if !matches!(url.scheme(), "redis" | "rediss") || url.host_str().is_none() {
        return Err(Refusal::value("it isn't a Redis address", NEXT));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::value(
            "it has credentials in it",
            "leave them out and use `user` and `password`",
        ));
    }
    Ok(url)
}

pub(super) fn address(value: Scalar<'_>) -> Result<SocketAddr, Refusal> {
    let text = scalar::text(value)?;
    text.parse().map_err(|_| {
        Refusal::value(
            format!("\"{text}\" isn't an address and a port"),
            "write an IP address and a port, for example \"127.0.0.1:8787\"",
        )
    })
}

fn items(value: Scalar<'_>) -> Result<usize, Refusal> {
    scalar::up_to(value, 1_000_000).map(|number| number as usize)
}

fn connections(value: Scalar<'_>) -> Result<usize, Refusal> {
    scalar::up_to(value, 65_535).map(|number| number as usize)
}

fn attempts(value: Scalar<'_>) -> Result<u32, Refusal> {
    scalar::up_to(value, 1_000_000)
}

pub(super) fn public_url(value: Scalar<'_>) -> Result<String, Refusal> {
    let url = scalar::web_address(value)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::value(
            "it has a query or a fragment",
            "write the address that stands before /webhooks/…",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
