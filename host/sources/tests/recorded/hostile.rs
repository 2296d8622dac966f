//! Recorded bodies, changed at random: nothing panics, and what comes out is bounded. 2,000 of them; as many as
//! `SIDENOTE_MUTATIONS` says.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::CLIENTS;
use super::requests::{Taken, of};

/// Bytes that mean something somewhere.
const PIECES: [&[u8]; 20] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b";",
    b":",
    b"=\"",
    b"%",
    b"\x00",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xf0\x9f",
    b"1e999",
    b"-1",
    b"null",
    b"\\ud83d",
    b"data=",
    b"\x1f\x8b",
];

#[test]
fn changed_bodies_harm_nothing() {
    let asked = std::env::var("SIDENOTE_MUTATIONS").ok().map(|it| it.parse().expect("a number"));
    let times: u64 = asked.unwrap_or(2000);
    let requests: Vec<_> = CLIENTS
        .iter()
        .flat_map(|(client, _)| of(client).into_iter().map(move |it| (*client, it.request())))
        .filter(|(_, it)| it.method != "OPTIONS" && !it.body.is_empty())
        .collect();
    let mut taken: Vec<Taken> = CLIENTS.iter().map(|(client, _)| Taken::again(client)).collect();
    let mut read = 0;
    for seed in 0..times {
        let random = &mut StdRng::seed_from_u64(seed);
        let (client, request) = requests.choose(random).expect("there are some");
        let mut request = request.clone();
        for _ in 0..random.random_range(1..6) {
            change(&mut request.body, random);
        }
        let at = CLIENTS.iter().position(|(it, _)| it == client).expect("it is one");
        let lines = taken[at].take(request);
        read += usize::from(lines.iter().any(|it| it.starts_with("  ")));
        for line in &lines {
            assert!(line.len() < 4096, "seed {seed}: {} bytes", line.len());
        }
        assert!(lines.len() < 500, "seed {seed}: {} lines", lines.len());
    }
    assert!(read as u64 > times / 10, "only {read} of {times} were read at all");
}

fn change(body: &mut Vec<u8>, random: &mut StdRng) {
    let at = random.random_range(0..=body.len());
    let end = (at + random.random_range(0..40)).min(body.len());
    match random.random_range(0..8) {
        0 => body.truncate(at),
        1 => drop(body.drain(at..end)),
        2 => drop(body.splice(at..end, PIECES.choose(random).expect("some").iter().copied())),
        3 => {
            let piece = body[at..end].to_vec();
            drop(body.splice(at..at, piece));
        }
        4 if at < body.len() => body[at] ^= 1 << random.random_range(0..8),
        // Within its form: other values in the same places.
        _ => {
            if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
                odd(&mut value, random);
                *body = value.to_string().into_bytes();
            }
        }
    }
}

/// Puts an odd value somewhere into another.
fn odd(value: &mut Value, random: &mut StdRng) {
    let within = match value {
        Value::Object(map) => {
            let at = random.random_range(0..map.len().max(1));
            map.iter_mut().nth(at).map(|(_, value)| value)
        }
        Value::Array(list) => {
            let at = random.random_range(0..list.len().max(1));
            list.get_mut(at)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    if let Some(within) = within
        && random.random_range(0..8) > 0
    {
        return odd(within, random);
    }
    *value = match random.random_range(0..10) {
        0 => Value::Null,
        1 => Value::from(u64::MAX),
        2 => Value::from(-1.5e300),
        3 => Value::from("\u{202e}x\u{0}\n".repeat(3)),
        4 => Value::from("a@b.example ".repeat(3000)),
        5 => Value::from(vec![Value::from(1); 50]),
        6 => Value::from(
            (0..200)
                .map(|at| (format!("k{at}"), Value::from("v")))
                .collect::<serde_json::Map<_, _>>(),
        ),
        7 => (0..80).fold(Value::from("deep"), |value, _| Value::from(vec![value])),
        8 => Value::from(r#"a:text="\";b:"#.repeat(400)),
        _ => Value::from(true),
    };
}
