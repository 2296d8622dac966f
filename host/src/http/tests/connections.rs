//! Clients that are slow, large or many, and the end of serving.

use super::*;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_is_declared_or_not() {
    let host = Host::start(Server { max_body_bytes: 1000, ..Server::default() }).await;
    let fits = "x".repeat(1000);
    assert_eq!(host.send("POST", "/webhooks/x", &[], &fits).await.status(), 200);

    let declared =
        host.raw("POST /webhooks/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n").await;
    assert_eq!((declared.status(), declared.code().as_str()), (413, "body_too_large"));

    let chunked = format!(
        "POST /webhooks/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{fits}x\r\n"
    );
    let chunked = host.raw(chunked).await;
    assert_eq!((chunked.status(), chunked.code().as_str()), (413, "body_too_large"));

    let link = host.send("POST", "/sessions/link", &[JSON], &format!("\"{fits}\"")).await;
    assert_eq!((link.status(), link.code().as_str()), (413, "body_too_large"));
    assert_eq!(host.backend.webhooks.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_cut() {
    let host =
        Host::start(Server { header_timeout: Duration::from_millis(100), ..Server::default() })
            .await;
    let mut silent = TcpStream::connect(host.address).await.unwrap();
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost").await.unwrap();
    // Served once, then silent on the same connection.
    let mut kept = TcpStream::connect(host.address).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();

    assert_eq!(read_answer(&mut silent).await.0, "");
    let answer = read_answer(&mut slow).await.0;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(read_answer(&mut kept).await.status(), 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let host = Host::start(Server::default()).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    socket
        .write_all(format!("GET /{} HTTP/1.1\r\nhost: x\r\n", "x".repeat(70_000)).as_bytes())
        .await
        .unwrap();
    assert!(matches!(read_answer(&mut socket).await.status(), 414 | 431));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let host = Host::start(Server::default()).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    let part = "POST /webhooks/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc";
    socket.write_all(part.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Paused time jumps to the deadline while everyone waits.
    socket.read_to_end(&mut bytes).await.unwrap();
    let answer = Answer(String::from_utf8(bytes).unwrap());
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_is_given_up_before_its_time_is_over() {
    let host = Host::start(Server::default()).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    let head =
        "POST /webhooks/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let begun = tokio::time::Instant::now();
    let (mut reading, mut writing) = socket.into_split();
    let trickle = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    let mut bytes = Vec::new();
    tokio::select! {
        _ = reading.read_to_end(&mut bytes) => {}
        () = trickle => {}
    }
    let answer = Answer(String::from_utf8(bytes).unwrap());
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn while_the_host_is_busy_with_all_connections_health_and_the_api_are_served_alone() {
    let token = Some(Secret::new("right"));
    let host = Host::start(Server { max_connections: 1, token, ..Server::default() }).await;
    host.backend.gate.forget_permits(1000);
    let first = async {
        let answer = host.send("POST", "/webhooks/first", &[], "").await;
        (answer.status(), "first")
    };
    let others = async {
        host.backend.entered.notified().await;
        let bearer = [("authorization", "Bearer right")];
        for (method, path, headers, status) in [
            ("GET", "/healthz", &[][..], 200),
            ("GET", "/readyz", &[], 200),
            ("GET", "/plugins", &bearer, 200),
            ("GET", "/plugins", &[], 401),
            ("GET", "/nowhere", &[], 404),
        ] {
            let answer = host.send(method, path, headers, "").await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.header("connection"), Some("close"), "{path}");
        }
        // Kept waiting for a moment, then told to come again.
        let refused = host.send("POST", "/webhooks/second", &[], "").await;
        assert_eq!((refused.status(), refused.code().as_str()), (503, "too_many_connections"));
        assert_eq!(refused.header("retry-after"), Some("5"));
        let third = host.send("POST", "/webhooks/third", &[], "");
        let freed = async {
            tokio::task::yield_now().await;
            host.backend.gate.add_permits(2);
        };
        let (third, ()) = tokio::join!(third, freed);
        third.status()
    };
    assert_eq!(tokio::join!(first, others), ((200, "first"), 200));
}

#[tokio::test]
async fn a_request_under_way_is_answered_at_shutdown_and_idle_connections_do_not_hold_it_up() {
    let host = Host::start(Server::default()).await;
    host.backend.gate.forget_permits(1000);
    let idle = TcpStream::connect(host.address).await.unwrap();
    let under_way = host.send("POST", "/webhooks/x", &[], "");
    let shutdown = async {
        host.backend.entered.notified().await;
        host.stop.cancel();
        // The listener closes first.
        let refused = async { while TcpStream::connect(host.address).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, refused).await.expect("no further connections are taken");
        assert!(!host.serving.is_finished());
        host.backend.gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(under_way, shutdown);
    assert_eq!(answer.status(), 200);
    tokio::time::timeout(Duration::from_secs(5), host.serving)
        .await
        .expect("idle clients don't hold it up")
        .unwrap()
        .unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_at_the_deadline_of_the_shutdown() {
    let host = Host::start(Server::default()).await;
    host.backend.gate.forget_permits(1000);
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    socket.write_all(b"POST /webhooks/x HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    host.backend.entered.notified().await;
    tokio::time::pause();
    host.stop.cancel();
    host.serving.await.unwrap().unwrap();
    assert_eq!(read_answer(&mut socket).await.0, "");
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_the_serving() {
    let host = Host::start(Server::default()).await;
    assert_eq!(host.send("POST", "/webhooks/panics", &[], "").await.0, "");
    let ended = tokio::time::timeout(PATIENCE, host.serving).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(ServeError::Panicked)));
}
