//! Hundreds of connections that mean harm, at default settings: health answers, and so do webhooks where the
//! host can tell.

use tokio::task::JoinSet;

use super::*;

/// More than there are connections.
const MANY: usize = 600;
/// A health check that takes longer has failed.
const HEALTHY: Duration = Duration::from_secs(5);

/// Opens connections that send this, and then a byte every three seconds, and read nothing. They stay open
/// until what is returned is dropped.
async fn attack(host: &Host, count: usize, begin: &[u8]) -> JoinSet<()> {
    let (mut tasks, address) = (JoinSet::new(), host.address);
    let begun = Arc::new(Semaphore::new(0));
    for _ in 0..count {
        let (begin, begun) = (begin.to_vec(), begun.clone());
        tasks.spawn(async move {
            let mut socket = TcpStream::connect(address).await.expect("it listens");
            // What the host doesn't take stays here.
            drop(tokio::time::timeout(PATIENCE / 20, socket.write_all(&begin)).await);
            begun.add_permits(1);
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                // Whoever is cut off comes again.
                if socket.try_write(b"x").is_err()
                    && let Ok(again) = TcpStream::connect(address).await
                {
                    socket = again;
                    drop(socket.try_write(&begin));
                }
            }
        });
    }
    let all = begun.acquire_many(u32::try_from(count).unwrap());
    tokio::time::timeout(PATIENCE * 2, all).await.expect("all are connected").unwrap().forget();
    tasks
}

impl Host {
    /// Asks this for several seconds; each answer must come in time.
    async fn answers_in_time(&self, method: &str, path: &str, body: &str) {
        for _ in 0..8 {
            let asked = tokio::time::timeout(HEALTHY, self.send(method, path, &[], body));
            let answer = asked.await.unwrap_or_else(|_| panic!("{path}: not within {HEALTHY:?}"));
            assert_eq!(answer.status(), 200, "{path}: {}", answer.0);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn attacked(server: Server, count: usize, begin: &str) {
    let host = Host::start(server).await;
    let attack = attack(&host, count, begin.as_bytes()).await;
    tokio::join!(
        host.answers_in_time("GET", "/healthz", ""),
        host.answers_in_time("POST", "/webhooks/mine", "{}"),
    );
    drop(attack);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_for_nobody() {
    let begin = "POST /webhooks/none HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    attacked(Server::default(), MANY, begin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_for_a_plugin() {
    let begin = "POST /webhooks/known HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    attacked(Server::default(), MANY, begin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads() {
    attacked(Server::default(), MANY, "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing() {
    attacked(Server::default(), MANY, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads() {
    let requests = "GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(432 * 1024 / 28);
    attacked(Server { max_connections: 16, ..Server::default() }, 16, &requests).await;
}
