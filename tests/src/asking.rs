//! Asking a rig's host as its operator's tools do, with the token.

use reqwest::{Client, Method};
use serde_json::Value;

use crate::patience::DEADLINE;
use crate::rig::{API_TOKEN, Rig};

impl Rig {
    /// What the host answers to a GET: the status and the JSON.
    ///
    /// # Panics
    /// When it doesn't answer, or not with JSON.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, Some(API_TOKEN)).await
    }

    /// What the host answers to a request of this method and token.
    ///
    /// # Panics
    /// When it doesn't answer, or not with JSON.
    pub async fn ask(&self, method: Method, path: &str, token: Option<&str>) -> (u16, Value) {
        sidenote::tls::install_provider();
        let client = Client::builder().no_proxy().timeout(DEADLINE).build();
        let request = client.expect("a plain client").request(method, self.url(path));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.expect("the host answers");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("the answer is whole");
        (status, serde_json::from_slice(&body).expect("the answer is JSON"))
    }
}
