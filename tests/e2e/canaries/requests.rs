//! What strangers and operators send to the API and the dashboard.

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::Trial;
use super::table::Kind;

/// What each address is asked with.
const WAYS: [&str; 3] = ["a stranger", "odd values", "no JSON"];

impl Trial {
    /// Every operation of the API, of each way: every name, value and header that can be written is a canary.
    pub(super) async fn everybody_asks_everything(&self, host: &str, document: &Value) {
        let paths = document["paths"].as_object().expect("they are there");
        let mut asked = 0;
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("an object") {
                for way in WAYS {
                    let method = method.to_uppercase();
                    let what = format!("{way} asks {method} {path}");
                    let method = method.parse().expect("a method");
                    self.ask(host, method, path, operation, way, &what).await;
                    asked += 1;
                }
            }
        }
        assert!(asked >= 100, "{asked} requests");
    }

    async fn ask(
        &self,
        host: &str,
        method: Method,
        path: &str,
        operation: &Value,
        way: &str,
        what: &str,
    ) {
        let make = |name: &str| {
            let named = |part: &str| name.contains(part);
            let is_id =
                named("product") || named("session") || named("conversation") || named("name");
            let is_id = is_id || named("plugin") || name == "id";
            let kind = if is_id { Kind::Id } else { Kind::Personal };
            self.canaries.make(kind, format!("{what}: {name}"))
        };
        let mut path = path.to_owned();
        let mut query = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            match parameter["in"] == "path" {
                true => path = path.replace(&format!("{{{name}}}"), &make(name)),
                false => query.push(format!("{name}={}", make(name))),
            }
        }
        let odd = self.canaries.personal(format!("{what}: another name in the query"));
        query.push(format!("{odd}={}", self.canaries.personal(format!("{what}: its value"))));
        let bodies = operation["requestBody"]["content"].as_object();
        let schema = bodies.and_then(|kinds| kinds.values().next()).map(|kind| &kind["schema"]);
        let body = schema.map(|schema| {
            let names = schema["properties"].as_object().into_iter().flat_map(Map::keys);
            let fields: Map<String, Value> =
                names.map(|name| (name.clone(), make(name).into())).collect();
            match way {
                "no JSON" => format!("{{\"nope\": {}", make("a broken body")),
                _ => json!(fields).to_string(),
            }
        });
        let token = match way {
            "a stranger" => self.canaries.secret(format!("{what}: the token")),
            _ => self.token.clone(),
        };
        let personal = |name: &str| self.canaries.personal(format!("{what}: {name}"));
        let mut request = self.client.request(method, format!("{host}{path}?{}", query.join("&")));
        request = request.bearer_auth(&token).header("user-agent", personal("user-agent"));
        if way == "a stranger" {
            request = request
                .header("x-sidenote-signature", self.canaries.secret(format!("{what}: signature")))
                .header("x-forwarded-for", personal("x-forwarded-for"))
                .header("cookie", self.canaries.secret(format!("{what}: cookie")))
                .header("traceparent", personal("traceparent"));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        // Its body isn't read: some never end.
        let answer = request.send().await.expect("the host answers");
        let status = answer.status();
        let busy = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE];
        assert!(!status.is_server_error() || busy.contains(&status), "{what}: {status}");
        self.canaries.arrived(&self.canaries.missing(what).join(" "));
    }

    async fn order(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(self.rig.url(path)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("the host answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let text = answer.text().await.expect("a text");
        self.canaries.arrived(&body.to_string());
        serde_json::from_str(&text).expect("JSON")
    }

    /// What is decided and done, and so on record.
    pub(super) async fn operators_decide(&self) {
        let personal = |what: &str| self.canaries.personal(format!("an order: {what}"));
        let reason = self.canaries.make(Kind::Reason, "an order: why a plugin is disabled");
        self.order("/plugins/trap/disable", json!({"reason": reason})).await;
        for erased in [
            json!({"product_id": "d", "user_id": personal("a user who is erased")}),
            json!({"product_id": "d", "email": format!("{}@example.com", personal("an address that is erased"))}),
        ] {
            self.order("/erase", erased).await;
        }
        let user = personal("a user who is reset");
        self.order(&format!("/admin/reset/{user}?product=d"), json!({})).await;
        self.canaries.arrived(&user);
        self.order("/outbox/retry", json!({"reason": personal("a reason to retry")})).await;
        self.order("/outbox/purge", json!({"reason": personal("a reason to purge")})).await;
        for n in 0..3 {
            let made = self
                .order(
                    "/keys",
                    json!({"name": format!("robot-{n}"), "scopes": ["read"], "all_products": true}),
                )
                .await;
            let key = made["secret"].as_str().unwrap_or_else(|| panic!("a key: {made}"));
            // Its secret is the host's to choose.
            self.canaries.known(
                Kind::Secret,
                "a key's secret",
                key.splitn(3, '_').nth(2).expect("a part"),
            );
            let url = self.rig.url("/outbox");
            let asked = self.client.get(url).bearer_auth(key).send().await.expect("it answers");
            assert_eq!(asked.status(), StatusCode::OK);
            self.canaries.arrived(key);
        }
    }

    pub(super) async fn strangers_at_the_dashboard(&self) {
        let origin = format!("http://{}", self.dashboard);
        let wrong = |what: &str| self.canaries.secret(format!("the dashboard: {what}"));
        let personal = |what: &str| self.canaries.personal(format!("the dashboard: {what}"));
        for n in 0..3 {
            let form = format!("key={}&next={}", wrong(&format!("key {n}")), personal("next"));
            let status = self.form(&form).await.status();
            assert!(status.is_client_error(), "{status}");
        }
        for path in [
            format!("/?{}", personal("a query")),
            format!("/{}", personal("a path")),
            format!("/sessions?q={}", personal("a search")),
            format!("/sessions/d/{}?text=1", personal("a session of a stranger")),
            format!("/outbox/decide?{}", personal("a decision")),
        ] {
            let asked = self.client.get(format!("{origin}{path}"));
            let asked = asked.header("cookie", format!("sidenote={}", wrong("a cookie")));
            let status = asked.send().await.expect("it answers").status();
            assert!(!status.is_server_error() && !status.is_success(), "{path}: {status}");
        }
        // Of an operator: what is searched for is shown to whoever searches, and nobody else.
        let cookie = self.log_in().await;
        let searched = personal("what an operator searches for");
        let asked =
            self.client.get(format!("{origin}/sessions?q={searched}")).header("cookie", &cookie);
        assert!(asked.send().await.expect("it answers").status().is_success());
        self.canaries.arrived(&self.canaries.missing("the dashboard: ").join(" "));
    }

    /// Sends the login's form.
    async fn form(&self, fields: &str) -> reqwest::Response {
        let origin = format!("http://{}", self.dashboard);
        let page = self.client.get(format!("{origin}/login")).send().await.expect("it answers");
        let cookie = cookie(&page);
        let page = page.text().await.expect("a text");
        let token =
            page.split("name=\"form_token\" value=\"").nth(1).and_then(|it| it.split('"').next());
        let token = token.unwrap_or_else(|| panic!("a token: {page}"));
        let login = self.client.post(format!("{origin}/login")).header("origin", &origin);
        let login = login.header("content-type", "application/x-www-form-urlencoded");
        let login = login.header("cookie", cookie).body(format!("form_token={token}&{fields}"));
        login.send().await.expect("it answers")
    }

    /// Logs in at the dashboard: the cookie.
    pub(super) async fn log_in(&self) -> String {
        cookie(&self.form(&format!("key={}", self.token)).await)
    }

    /// What opened something on the way: nothing of the above would have come about without it.
    pub(super) fn secrets_are_used(&self) {
        use super::mirror::{HOOK, LINES, MODEL, NOTES, TRACES};
        for path in [LINES, MODEL, TRACES] {
            self.canaries.arrived(&self.mirror.seen(path));
        }
        for path in [NOTES, LINES, HOOK] {
            assert!(self.mirror.seen(path).contains("signature"), "{path} is signed");
        }
        // They sign and verify, and never leave the host; the stream and the API were opened by theirs.
        for what in [
            "DESK_SIGNING",
            "LINES_SIGNING",
            "EVENTS",
            "SIGNING",
            "INCOMING",
            "STREAM_TOKEN",
            "API_TOKEN",
            "DESK_INCOMING",
            "DESK_SPARE",
        ] {
            self.canaries.arrived(self.secret(what));
        }
    }
}

/// What an answer sets.
fn cookie(answer: &reqwest::Response) -> String {
    let set = answer.headers().get("set-cookie").and_then(|it| it.to_str().ok());
    let set = set.unwrap_or_else(|| panic!("a cookie: {}", answer.status()));
    set.split(';').next().expect("a first part").to_owned()
}
