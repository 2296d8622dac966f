//! No file of the host's crates imports another in a circle, save parent and child: each can be read, and moved, with
//! what is below it alone. Tests within the sources aren't looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The crates.
const CRATES: [&str; 8] = ["cluster", "core", "sources", ".", "cli", "authors", "sim", "terminal"];

/// A module's path in its crate; the crate itself has none.
type Module = Vec<String>;

/// The files of a crate by module.
fn files(root: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let below = path.strip_prefix(root).expect("it is below").with_extension("");
                let mut module: Module =
                    below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                module.pop_if(|last| ["mod", "lib", "main"].contains(&&**last));
                found.insert(module, path);
            }
        }
    }
    found
}

/// The paths that a file names, each from the crate's root on; what is of another crate is among them, and is no
/// module of this one.
struct Named<'a> {
    here: &'a [String],
    paths: Vec<Vec<String>>,
}

impl Named<'_> {
    fn add(&mut self, path: &[String]) {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let (from, rest) = match path.first().map(String::as_str) {
            Some("crate") => (&[][..], &path[1..]),
            Some("self") => (self.here, &path[1..]),
            Some("super") => (&self.here[..self.here.len().saturating_sub(ups)], &path[ups..]),
            _ => (self.here, path),
        };
        self.paths.push(from.iter().chain(rest).cloned().collect());
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(before, tree));
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg") && it.parse_args::<syn::Ident>().is_ok_and(|it| it == "test")
    })
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        if parts.first().is_some_and(|it| it == "crate" || it == "super") {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }
}

/// Which files each file names. Modules that are for tests alone are left out.
fn imports(root: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let files = files(root);
    let mut tests: BTreeSet<Module> = BTreeSet::new();
    let mut named = BTreeMap::new();
    for (module, path) in &files {
        let text = std::fs::read_to_string(path).expect("a source can be read");
        let syntax = syn::parse_file(&text).expect("it compiles");
        for item in &syntax.items {
            if let syn::Item::Mod(child) = item
                && is_test(&child.attrs)
            {
                tests.insert([&module[..], &[child.ident.to_string()]].concat());
            }
        }
        let mut found = Named { here: module, paths: Vec::new() };
        found.visit_file(&syntax);
        named.insert(module.clone(), found.paths);
    }
    let is_of_tests = |module: &Module| tests.iter().any(|test| module.starts_with(test));
    let file = |path: Vec<String>| {
        (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|it| files.contains_key(it))
    };
    let mut imports = BTreeMap::new();
    for (module, paths) in named {
        let related = |other: &Module| other.starts_with(&module) || module.starts_with(other);
        let others: BTreeSet<_> = paths
            .into_iter()
            .filter_map(file)
            .filter(|other| !related(other) && !is_of_tests(other))
            .collect();
        if !is_of_tests(&module) {
            imports.insert(module, others);
        }
    }
    imports
}

/// What can be reached from a file, step by step.
fn reached<'a>(
    imports: &'a BTreeMap<Module, BTreeSet<Module>>,
    from: &'a Module,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = imports[from].iter().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(imports.get(module).into_iter().flatten());
        }
    }
    reached
}

/// The files that stand in a circle, each with those of the circle that it names.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let reach: BTreeMap<_, _> =
        imports.keys().map(|module| (module, reached(imports, module))).collect();
    let told = |module: &Module| module.join("::");
    let mut found = Vec::new();
    for (module, others) in imports {
        let back: Vec<_> = others
            .iter()
            .filter(|other| reach.get(other).is_some_and(|it| it.contains(module)))
            .map(told)
            .collect();
        if !back.is_empty() {
            found.push(format!("{} -> {}", told(module), back.join(", ")));
        }
    }
    found
}

#[test]
fn no_file_imports_another_in_a_circle() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host");
    let mut faults = Vec::new();
    for name in CRATES {
        let imports = imports(&host.join(name).join("src"));
        assert!(imports.len() > 3, "{name} has files");
        faults.extend(circles(&imports).iter().map(|circle| format!("host/{name}: {circle}")));
    }
    assert!(faults.is_empty(), "files that import each other:\n{}", faults.join("\n"));
}

#[test]
fn a_circle_is_found_and_a_parent_and_its_child_are_none() {
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    let imports = |of: &[(&str, &[&str])]| -> BTreeMap<Module, BTreeSet<Module>> {
        of.iter().map(|(a, bs)| (module(a), bs.iter().map(|b| module(b)).collect())).collect()
    };
    let circle = imports(&[("a", &["b"]), ("b", &["c::d"]), ("c::d", &["a"]), ("e", &["a"])]);
    assert_eq!(circles(&circle), ["a -> b", "b -> c::d", "c::d -> a"]);
    assert!(circles(&imports(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])).is_empty());

    let text = "use super::{x, y::Z}; use crate::p::q as r; fn f() { super::w::g(); crate::v(); }\n\
        #[cfg(test)] mod tests { use crate::hidden; }";
    let here = module("a::b");
    let mut named = Named { here: &here, paths: Vec::new() };
    named.visit_file(&syn::parse_file(text).expect("it is Rust"));
    let paths: Vec<_> = named.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::x", "a::y::Z", "p::q", "a::w::g", "v"]);
}
