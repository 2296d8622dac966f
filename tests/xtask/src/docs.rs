//! `cargo xtask docs`: the book's reference of the plugin interface, made from `wit/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Result_, Type, TypeDef, TypeDefKind, TypeId,
    TypeOwner, World, WorldItem,
};

/// Where the pages are, from the workspace's folder.
const PAGES: &str = "docs/src/wit";

/// The world that has every interface, for the host's bindings.
const EVERYTHING: &str = "every-interface-kv-and-timer";
/// The worlds that are the host's own. They are left out of the pages.
const OF_THE_HOST: [&str; 4] =
    ["host-side", "every-interface", "every-interface-and-kv", EVERYTHING];

/// Writes the pages, and removes those of interfaces that aren't there any more.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let pages = pages(&root.join("wit"))?;
    let folder = root.join(PAGES);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !pages.contains_key(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    for (name, text) in &pages {
        fs::write(folder.join(name), text).map_err(failed)?;
    }
    crate::say(&format!("{}: {} pages", folder.display(), pages.len()));
    Ok(())
}

/// The pages by their file names.
fn pages(wit: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut resolve = Resolve::default();
    let pushed = resolve.push_dir(wit);
    let (package, _) = pushed.map_err(|error| format!("{}: {error:#}", wit.display()))?;
    if let Some((_, odd)) = resolve.types.iter().find(|(_, it)| !has_form(&it.kind)) {
        return Err(format!("a {} has no form in the book", odd.kind.as_str()));
    }
    let package = &resolve.packages[package];
    let world = package.worlds.get(EVERYTHING).map(|id| &resolve.worlds[*id]);
    let world = world.ok_or_else(|| format!("{}: no world `{EVERYTHING}`", wit.display()))?;
    let book = Book { resolve: &resolve, exported: ids(world, false), imported: ids(world, true) };
    let mut pages = BTreeMap::new();
    for (name, id) in &package.interfaces {
        pages.insert(format!("{name}.md"), book.interface(name, *id)?);
    }
    let worlds = package.worlds.iter().filter(|(name, _)| !OF_THE_HOST.contains(&name.as_str()));
    let worlds = worlds.map(|(_, id)| &resolve.worlds[*id]).collect::<Vec<_>>();
    pages.insert("worlds.md".to_owned(), book.worlds(&worlds));
    let title = package.name.to_string();
    pages.insert("index.md".to_owned(), book.index(&title, &package.docs));
    Ok(pages)
}

/// Whether a page can show a type of this kind.
fn has_form(kind: &TypeDefKind) -> bool {
    matches!(
        kind,
        TypeDefKind::Record(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::List(_)
            | TypeDefKind::Option(_)
            | TypeDefKind::Tuple(_)
            | TypeDefKind::Result(_)
            | TypeDefKind::Type(_)
    )
}

fn ids(world: &World, imports: bool) -> Vec<InterfaceId> {
    let items = if imports { &world.imports } else { &world.exports };
    let interface = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    };
    items.values().filter_map(interface).collect()
}

struct Book<'a> {
    resolve: &'a Resolve,
    /// What plugins export.
    exported: Vec<InterfaceId>,
    /// What they may import.
    imported: Vec<InterfaceId>,
}

impl Book<'_> {
    fn index(&self, title: &str, docs: &Docs) -> String {
        let mut page = heading("package.wit", &format!("The interface `{title}`"));
        page.push_str(&text(docs, ""));
        page.push_str("\n## What a plugin exports\n\n");
        page.push_str(&self.list(&self.exported));
        page.push_str("\n## What a plugin imports\n\n");
        page.push_str(&self.list(&self.imported));
        page.push_str(
            "\n[Worlds](worlds.md) are a convenience for toolchains. `post-note` is `post_note` in Rust and Python and \
             `postNote` in JavaScript: how a name is written is the business of the toolchain.\n",
        );
        page
    }

    /// One line for each interface: its first sentence.
    fn list(&self, interfaces: &[InterfaceId]) -> String {
        let line = |id: &InterfaceId| {
            let interface = &self.resolve.interfaces[*id];
            let (name, docs) = (named(interface), interface.docs.contents.as_deref());
            let words = docs.unwrap_or_default().split("\n\n").next().unwrap_or_default();
            let words = words.replace('\n', " ");
            let first = words.split_inclusive(". ").next().unwrap_or_default();
            format!("- [`{name}`]({name}.md): {}\n", first.trim())
        };
        interfaces.iter().map(line).collect()
    }

    fn interface(&self, name: &str, id: InterfaceId) -> Result<String, String> {
        let interface = &self.resolve.interfaces[id];
        let mut page = heading(&format!("{name}.wit"), &format!("`{name}`"));
        page.push_str(&text(&interface.docs, ""));
        let role = match (self.exported.contains(&id), self.imported.contains(&id)) {
            (true, _) => "A plugin exports it.",
            (false, true) if interface.functions.is_empty() => "It has types only.",
            (false, true) => "A plugin imports it.",
            (false, false) => return Err(format!("{name}: no plugin can export or import it")),
        };
        page.push_str(&format!("\n{role}\n"));
        if !interface.functions.is_empty() {
            page.push_str("\n## Functions\n");
            for function in interface.functions.values() {
                page.push_str(&self.function(function, id));
            }
        }
        let own = interface.types.iter().filter(|(_, it)| self.origin(**it) == **it);
        let own = own.collect::<Vec<_>>();
        if !own.is_empty() {
            page.push_str("\n## Types\n");
            for (name, of) in own {
                page.push_str(&self.definition(name, &self.resolve.types[*of], id));
            }
        }
        Ok(page)
    }

    fn function(&self, function: &Function, within: InterfaceId) -> String {
        let ty = |ty: &Type| self.ty(ty, within);
        let params = function.params.iter().map(|it| format!("- `{}`: {}\n", it.name, ty(&it.ty)));
        let params = params.collect::<String>();
        let result = function.result.as_ref().map(|it| format!("- answers {}\n", ty(it)));
        let docs = text(&function.docs, "");
        format!("\n### {}\n\n{docs}\n{params}{}", function.name, result.unwrap_or_default())
    }

    fn definition(&self, name: &str, definition: &TypeDef, within: InterfaceId) -> String {
        let item = |name: &str, ty: Option<&Type>, docs: &Docs| {
            let ty = ty.map(|ty| format!(" ({})", self.ty(ty, within))).unwrap_or_default();
            format!("- `{name}`{ty}: {}", text(docs, "  ").trim_start())
        };
        let (kind, items) = if let TypeDefKind::Record(it) = &definition.kind {
            let field = |it: &wit_parser::Field| item(&it.name, Some(&it.ty), &it.docs);
            ("A record.".to_owned(), it.fields.iter().map(field).collect())
        } else if let TypeDefKind::Variant(it) = &definition.kind {
            let case = |it: &wit_parser::Case| item(&it.name, it.ty.as_ref(), &it.docs);
            ("A variant.".to_owned(), it.cases.iter().map(case).collect())
        } else if let TypeDefKind::Enum(it) = &definition.kind {
            let case = |it: &wit_parser::EnumCase| item(&it.name, None, &it.docs);
            ("An enum.".to_owned(), it.cases.iter().map(case).collect())
        } else {
            let shape = joined(&self.shape(&definition.kind, within));
            (format!("Another name for {shape}."), String::new())
        };
        let items = if items.is_empty() { items } else { format!("\n{items}") };
        format!("\n### {name}\n\n{}\n{kind}\n{items}", text(&definition.docs, ""))
    }

    /// The type that a name stands for, through every `use`.
    fn origin(&self, id: TypeId) -> TypeId {
        let definition = &self.resolve.types[id];
        if let TypeDefKind::Type(Type::Id(other)) = definition.kind
            && self.resolve.types[other].owner != definition.owner
        {
            self.origin(other)
        } else {
            id
        }
    }

    /// A type as Markdown, with a link for each name.
    fn ty(&self, ty: &Type, within: InterfaceId) -> String {
        joined(&self.pieces(ty, within))
    }

    fn pieces(&self, ty: &Type, within: InterfaceId) -> Vec<Piece> {
        let Type::Id(id) = ty else {
            return vec![Piece::Code(primitive(ty).to_owned())];
        };
        let id = self.origin(*id);
        let definition = &self.resolve.types[id];
        match (&definition.name, definition.owner) {
            (Some(name), TypeOwner::Interface(owner)) => {
                let page = if owner == within {
                    String::new()
                } else {
                    format!("{}.md", named(&self.resolve.interfaces[owner]))
                };
                vec![Piece::Link(name.clone(), format!("{page}#{name}"))]
            }
            _ => self.shape(&definition.kind, within),
        }
    }

    fn shape(&self, kind: &TypeDefKind, within: InterfaceId) -> Vec<Piece> {
        let none = || vec![Piece::Code("_".to_owned())];
        let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(none, |ty| self.pieces(ty, within));
        let (name, parts) = if let TypeDefKind::List(ty) = kind {
            ("list", vec![self.pieces(ty, within)])
        } else if let TypeDefKind::Option(ty) = kind {
            ("option", vec![self.pieces(ty, within)])
        } else if let TypeDefKind::Tuple(it) = kind {
            ("tuple", it.types.iter().map(|ty| self.pieces(ty, within)).collect())
        } else if let TypeDefKind::Result(Result_ { ok, err }) = kind {
            ("result", vec![maybe(ok), maybe(err)])
        } else if let TypeDefKind::Type(ty) = kind {
            return self.pieces(ty, within);
        } else {
            unreachable!("types without a form in the book were refused before")
        };
        let mut pieces = vec![Piece::Code(format!("{name}<"))];
        for (n, part) in parts.into_iter().enumerate() {
            if n > 0 {
                pieces.push(Piece::Code(", ".to_owned()));
            }
            pieces.extend(part);
        }
        pieces.push(Piece::Code(">".to_owned()));
        pieces
    }

    fn worlds(&self, worlds: &[&World]) -> String {
        let mut page = heading("worlds.wit", "Worlds");
        page.push_str(
            "A world tells a toolchain which interfaces to make bindings for. The host doesn't look at it.\n",
        );
        for world in worlds {
            page.push_str(&format!("\n## {}\n\n{}", world.name, text(&world.docs, "")));
            for (what, ids) in [("imports", ids(world, true)), ("exports", ids(world, false))] {
                let link = |id: &InterfaceId| {
                    let name = named(&self.resolve.interfaces[*id]);
                    format!("[`{name}`]({name}.md)")
                };
                let links = ids.iter().map(link).collect::<Vec<_>>().join(", ");
                if !links.is_empty() {
                    page.push_str(&format!("\nIt {what} {links}.\n"));
                }
            }
        }
        page
    }
}

/// A part of a type as it is written.
enum Piece {
    Code(String),
    Link(String, String),
}

/// Pieces as Markdown; what isn't a link stands in as few code spans as can be.
fn joined(pieces: &[Piece]) -> String {
    let (mut markdown, mut code) = (String::new(), String::new());
    let flush = |markdown: &mut String, code: &mut String| {
        if !code.is_empty() {
            markdown.push_str(&format!("`{code}`"));
            code.clear();
        }
    };
    for piece in pieces {
        match piece {
            Piece::Code(text) => code.push_str(text),
            Piece::Link(name, target) => {
                flush(&mut markdown, &mut code);
                markdown.push_str(&format!("[`{name}`]({target})"));
            }
        }
    }
    flush(&mut markdown, &mut code);
    markdown
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "_",
    }
}

/// The name of an interface; in this package each has one.
fn named(interface: &Interface) -> &str {
    interface.name.as_deref().unwrap_or_default()
}

fn heading(source: &str, title: &str) -> String {
    format!(
        "<!-- Made from wit/{source} by `cargo xtask docs`: change that file, not this one. -->\n\n# {title}\n\n"
    )
}

/// A doc comment, each line but the first indented, with a line end.
fn text(docs: &Docs, indent: &str) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    let line = |line: &str| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("{indent}{line}\n"),
    };
    text.trim().lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_the_book_are_those_of_the_interface() {
        let root = crate::root();
        let pages = pages(&root.join("wit")).expect("the interface can be read");
        let folder = root.join(PAGES);
        let there = fs::read_dir(&folder).expect("the pages are there");
        let there = there.map(|entry| entry.expect("a page").file_name());
        let mut there: Vec<_> = there.map(|name| name.to_string_lossy().into_owned()).collect();
        there.sort();
        assert_eq!(there, pages.keys().cloned().collect::<Vec<_>>(), "run `cargo xtask docs`");
        for (name, text) in &pages {
            let page = fs::read_to_string(folder.join(name)).expect("a page can be read");
            assert!(page == *text, "{name} isn't up to date: run `cargo xtask docs`");
        }
    }

    #[test]
    fn every_item_of_the_interface_is_on_a_page() {
        let pages = pages(&crate::root().join("wit")).expect("the interface can be read");
        let types = &pages["types.md"];
        for piece in [
            "### note\n",
            "- `retry-after-ms` (`option<u64>`): How long to wait at least",
            "- `actions` (`list<`[`action`](#action)`>`): The actions behind the text",
            "  - `limit-scope`: what a rate limit is for",
            "### note-id\n",
            "Another name for `list<tuple<string, string>>`.",
        ] {
            assert!(types.contains(piece), "{piece}: {types}");
        }
        let messenger = &pages["messenger.md"];
        let answers =
            "- answers `result<`[`posted`](types.md#posted)`, `[`failure`](types.md#failure)`>`";
        assert!(messenger.contains(answers), "{messenger}");
        assert!(messenger.contains("- `offer`: [`offer`](types.md#offer)"), "{messenger}");
        assert!(!pages["worlds.md"].contains(EVERYTHING));
    }
}
