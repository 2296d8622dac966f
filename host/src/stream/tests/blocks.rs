//! Bytes to bounded blocks, without a socket.

use std::convert::Infallible;

use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use crate::stream::blocks::{Blocks, Found};

/// What came out, as (event, data), or `None` for an oversized one.
fn read(limit: usize, chunks: &[&[u8]]) -> Vec<Option<(String, String)>> {
    let mut blocks = Blocks::new(limit);
    let mut found = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        while let Some(next) = blocks.next_in(&mut rest) {
            match next {
                Found::Oversized => found.push(None),
                Found::Block(block) => {
                    let event = block.parse().expect("a block is an event");
                    if block.has_data {
                        found.push(Some((event.event, event.data)));
                    }
                }
            }
        }
        assert!(rest.is_empty());
    }
    found
}

fn message(data: &str) -> Option<(String, String)> {
    Some(("message".into(), data.into()))
}

#[test]
fn line_ends_fields_and_comments_follow_the_specification() {
    let cases: &[(&str, &[&str])] = &[
        ("data: a\n\ndata: b\n\n", &["a", "b"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
        ("data: a\r\rdata: b\r\r", &["a", "b"]),
        ("data: a\r\n\rdata: b\n\r\n", &["a", "b"]),
        ("data:a\ndata: b\ndata:  c\n\n", &["a\nb\n c"]),
        ("data\n\n", &[""]),
        ("data\ndata\n\n", &["\n"]),
        (": hi\ndata: a\n:\n\n: only a comment\n\n", &["a"]),
        ("DATA: a\n data: b\ndatas: c\ndat: d\nfoo\n\n", &[]),
        ("\n\n\r\n\r\r\n\ndata: a\n\n", &["a"]),
        ("data: a\u{2028}b\u{85}c\n\n", &["a\u{2028}b\u{85}c"]),
        ("data: a:b\n\n", &["a:b"]),
        ("event: x\nid: 1\n\ndata: a\n\n", &["a"]),
        ("data: a\n", &[]),
        ("data: a", &[]),
        ("", &[]),
    ];
    for (bytes, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|data| message(data)).collect();
        assert_eq!(read(1000, &[bytes.as_bytes()]), expected, "{bytes:?} whole");
        let single: Vec<_> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(read(1000, &single), expected, "{bytes:?} byte by byte");
    }
}

#[test]
fn a_byte_order_mark_is_swallowed_at_the_start_only() {
    let bytes = "\u{feff}data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n".as_bytes();
    let expected = [message("a"), message("\u{feff}c")];
    assert_eq!(read(1000, &[bytes]), expected);
    assert_eq!(read(1000, &bytes.chunks(1).collect::<Vec<_>>()), expected);
    assert_eq!(read(1000, &["\u{feff}".as_bytes(), b"\ndata: a\n\n"]), [message("a")]);
    assert_eq!(
        read(1000, &[b"\xef\xbbdata: a\ndata: b\n\n"]),
        [message("b")],
        "half a mark spoils its line only"
    );
}

#[test]
fn invalid_utf8_is_replaced_and_goes_on() {
    let expected = [message("\u{fffd}\u{fffd}"), message("\u{fffd}"), message("ok")];
    assert_eq!(read(1000, &[b"data: \xff\xfe\n\ndata: \xf0\x9f\x99\n\ndata: ok\n\n"]), expected);
}

#[test]
fn ids_and_retries_are_known_even_without_data() {
    let mut blocks = Blocks::new(1000);
    let mut rest = &b"id: 5\nretry: 70\n\ndata: a\n\nid\ndata: b\n\nid: 4\x002\nretry: +5\nretry: 1x\ndata: c\n\n"[..];
    let mut found = Vec::new();
    while let Some(Found::Block(block)) = blocks.next_in(&mut rest) {
        let event = block.parse().expect("a block is an event");
        found.push((
            block.has_data,
            block.has_id.then_some(event.id),
            event.retry.map(|retry| retry.as_millis()),
        ));
    }
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(
        found,
        [
            (false, some("5"), Some(70)),
            (true, None, None),
            (true, some(""), None),
            (true, None, None)
        ]
    );
}

#[test]
fn an_oversized_block_is_found_once_and_reading_resumes_behind_it() {
    let big = "x".repeat(500);
    let one_line = format!("data: a\n\ndata: {big}{big}\ndata: still\n\ndata: b\n\n");
    let many_lines = format!("data: a\n\n{}\ndata: b\n\n", "data: yyy\n".repeat(200));
    let no_values = format!("data: a\n\n{}\ndata: b\n\n", "data\n".repeat(500));
    for bytes in [one_line, many_lines, no_values] {
        for size in [1, 7, 64, 10_000] {
            let chunks: Vec<_> = bytes.as_bytes().chunks(size).collect();
            assert_eq!(
                read(400, &chunks),
                [message("a"), None, message("b")],
                "in chunks of {size}"
            );
        }
    }
}

#[test]
fn a_block_of_just_the_limit_is_taken() {
    assert_eq!(read(8, &[b"data: ab\n\n"]), [message("ab")]);
    assert_eq!(read(7, &[b"data: ab\n\n"]), [None]);
}

#[test]
fn comments_and_unknown_fields_cost_nothing_however_long() {
    let mut blocks = Blocks::new(100);
    for start in [": ", "unknown: ", "x"] {
        let mut rest = start.as_bytes();
        assert_eq!(blocks.next_in(&mut rest), None);
        for _ in 0..1000 {
            let mut rest = &[b'z'; 1000][..];
            assert_eq!(blocks.next_in(&mut rest), None);
        }
        assert!(blocks.held() < 1000, "{} bytes are held", blocks.held());
        assert_eq!(blocks.next_in(&mut &b"\n"[..]), None);
    }
    assert_eq!(blocks.next_in(&mut &b"data: a\n"[..]), None);
    assert!(matches!(blocks.next_in(&mut &b"\n"[..]), Some(Found::Block(_))));
}

#[test]
fn a_block_of_a_hundred_thousand_lines_is_parsed_in_linear_time() {
    let bytes = format!("{}\n", "data:x\n".repeat(100_000));
    let found = read(1 << 20, &[bytes.as_bytes()]);
    assert_eq!(found, [message("x\n".repeat(100_000).trim_end())]);
}

fn stream_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-c :é🙂]{0,12}",
        "(data|event|id|retry|:|dat)(:| |: |:  )?[a-c:0-9é🙂\u{feff}]{0,12}",
        Just(String::new()),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    prop::collection::vec((line, end), 0..40)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

proptest! {
    /// Wherever the bytes are cut, the same comes out, and never more than the limit is held.
    #[test]
    fn cuts_do_not_matter(
        text in stream_text(), noise in prop::collection::vec(any::<u8>(), 0..40), size in 1usize..9, limit in 8usize..200,
    ) {
        let bytes = [text.as_bytes(), &noise, text.as_bytes()].concat();
        prop_assert_eq!(read(limit, &[&bytes]), read(limit, &bytes.chunks(size).collect::<Vec<_>>()));
        let mut blocks = Blocks::new(limit);
        for byte in &bytes {
            blocks.next_in(&mut &[*byte][..]);
            prop_assert!(blocks.held() <= (limit + 8).next_power_of_two().max(16));
        }
    }

    /// On a well-formed stream, what comes out is what the parser makes of the raw stream.
    #[test]
    fn blocks_change_nothing_of_a_well_formed_stream(text in stream_text()) {
        // A CR that ends the stream would make the parser wait for an LF behind it.
        let text = format!("\n{}\n", text.trim_start_matches('\u{feff}'));
        let whole = stream::iter([Ok::<_, Infallible>(&text)]).eventsource();
        let expected: Vec<_> = whole
            .map(|event| event.map(|event| (event.event, event.data)).ok())
            .collect::<Vec<_>>()
            .now_or_never()
            .expect("it never waits");
        prop_assert_eq!(read(100_000, &[text.as_bytes()]), expected);
    }
}
