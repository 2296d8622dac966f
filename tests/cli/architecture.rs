//! ARCHITECTURE.md speaks of files and functions that are there.

use std::path::Path;

const TEXT: &str = include_str!("../../ARCHITECTURE.md");
/// The page that has every folder.
const MAP: &str = include_str!("../../docs/src/developers/map.md");

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The cells of the rows of the table under a heading.
fn table(text: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let text = text.split_once(heading).unwrap_or_else(|| panic!("there is no {heading}")).1;
    let rows = text.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between back quotes.
fn quoted(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn an_action_is_followed_in_ten_stops_at_most_each_a_file_and_a_function() {
    let stops = table(TEXT, "## One action, from the socket to the platform");
    assert!((5..=10).contains(&stops.len()), "{} stops", stops.len());
    for (place, stop) in stops.iter().enumerate() {
        assert_eq!(stop[0], (place + 1).to_string());
        let named: Vec<_> = quoted(stop[1]).collect();
        let [file, function] = named[..] else { panic!("{stop:?} is no file and function") };
        let source = std::fs::read_to_string(root().join(file)).expect(file);
        let (of, name) = function.split_once("::").expect(function);
        assert!(source.contains(&format!("fn {name}(")), "{file} has no {function}");
        assert!(source.contains(of), "{file} has no {function}");
    }
}

#[test]
fn the_code_map_names_what_is_there() {
    let (short, whole) = (table(TEXT, "## Code map"), table(MAP, "# The code map"));
    assert!(short.len() > 30 && whole.len() > 80, "{} and {}", short.len(), whole.len());
    for place in short.into_iter().chain(whole) {
        let first = quoted(place[0]).next().expect("a place");
        let folder = root().join(first);
        assert!(folder.exists(), "there is no {first}");
        if folder.is_dir() {
            for file in quoted(place[2]) {
                assert!(folder.join(file).exists(), "there is no {file} in {first}");
            }
        }
    }
}

#[test]
fn it_is_short_and_has_ten_invariants() {
    assert!(TEXT.lines().count() <= 200, "{} lines", TEXT.lines().count());
    let invariants = TEXT.split_once("## The ten invariants").expect("they are there").1;
    let numbered = invariants.lines().filter(|line| line.contains(". **")).count();
    assert_eq!(numbered, 10);
}
