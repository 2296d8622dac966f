//! What a component says of itself without being compiled: imports, exports and manifest sections.

use std::ops::Range;

use wasmparser::{Encoding, Parser, Payload};

use super::kind::{self, NotAComponent};

/// The custom section that holds a manifest.
pub(super) const SECTION: &str = "sidenote:manifest";
/// Most imports, and most exports, that are kept of a component.
const MAX_NAMES: usize = 1000;
/// Most components and modules within one another. Components are composed of others, which are two or three
/// deep.
pub(super) const MAX_DEPTH: usize = 32;
/// Most sections of a component and of all that is in it. Those of toolchains have hundreds.
const MAX_SECTIONS: usize = 100_000;

/// The parts of a component.
#[derive(Debug, Default)]
pub(super) struct ComponentInfo<'a> {
    /// The names of the imports, in order.
    pub(super) imports: Vec<&'a str>,
    /// The names of the exports, in order.
    pub(super) exports: Vec<&'a str>,
    /// The manifest sections of the component and of its core modules.
    pub(super) manifests: Vec<Section<'a>>,
    /// The sections of the component, in order; their bytes and the header follow one another.
    pub(super) sections: Vec<TopSection>,
}

/// A manifest section.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// What is in it.
    pub(super) data: &'a [u8],
    /// Where all of it is in the file, its head included.
    pub(super) range: Range<usize>,
    /// Whether it is in a core module, where a linker put it, and not in the component itself.
    pub(super) nested: bool,
}

/// A section of the component itself.
#[derive(Debug)]
pub(super) struct TopSection {
    /// What kind it is.
    pub(super) id: u8,
    /// Where all of it is in the file, its head included.
    pub(super) range: Range<usize>,
    /// Where its content is.
    pub(super) content: Range<usize>,
}

/// Why a file has no parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The file is no component, or not a whole one.
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    /// The file is cut off or broken.
    #[error("the component can't be read: {0}; build it again, or copy it again")]
    Broken(String),
    /// It has more of something than any real component.
    #[error(
        "the component has more than {limit} {what}; no toolchain makes such a component: build it again with a current one"
    )]
    TooMuch {
        /// What it has too many of.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
}

/// Which of the imports are there that need a grant by their name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnImports {
    /// `kv`.
    pub kv: bool,
    /// `timer`.
    pub timer: bool,
}

impl OwnImports {
    /// Of these names, of whatever version.
    pub(super) fn among<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for name in names {
            all.kv |= name.starts_with("sidenote:plugin/kv@");
            all.timer |= name.starts_with("sidenote:plugin/timer@");
        }
        all
    }
}

impl<'a> ComponentInfo<'a> {
    /// What it imports that needs a grant.
    pub(super) fn own_imports(&self) -> OwnImports {
        OwnImports::among(self.imports.iter().copied())
    }

    /// Reads the parts of a component. Nothing is validated beyond what reading needs.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ComponentError> {
        kind::look(bytes)?;
        let mut component_info = Self::default();
        // What is being read, outermost first, with the place up to which it was read.
        let mut inside: Vec<(Encoding, usize)> = Vec::new();
        let mut sections = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(broken)?;
            if let Payload::Version { encoding, range, .. } = &payload {
                inside.push((*encoding, range.end));
                few(inside.len(), MAX_DEPTH, "components within one another")?;
                continue;
            }
            if let Payload::End(_) = payload {
                inside.pop();
                continue;
            }
            let depth = inside.len();
            let (Some((id, content)), Some((encoding, read))) =
                (payload.as_section(), inside.last_mut())
            else {
                continue;
            };
            sections += 1;
            few(sections, MAX_SECTIONS, "sections")?;
            let range = *read..content.end;
            *read = content.end;
            let nested = depth == 2 && matches!(encoding, Encoding::Module);
            if depth == 1 {
                component_info.sections.push(TopSection { id, range: range.clone(), content });
            }
            if depth == 1 || nested {
                component_info.take(&payload, range, nested)?;
            }
        }
        Ok(component_info)
    }

    fn take(
        &mut self,
        payload: &Payload<'a>,
        range: Range<usize>,
        nested: bool,
    ) -> Result<(), ComponentError> {
        if let Payload::ComponentImportSection(reader) = payload {
            for import in reader.clone() {
                let name = import.map_err(broken)?.name.name;
                push(&mut self.imports, name);
            }
        } else if let Payload::ComponentExportSection(reader) = payload {
            for export in reader.clone() {
                let name = export.map_err(broken)?.name.name;
                push(&mut self.exports, name);
            }
        } else if let Payload::CustomSection(custom) = payload
            && custom.name() == SECTION
        {
            self.manifests.push(Section { data: custom.data(), range, nested });
        }
        Ok(())
    }

    /// The interfaces of our package that are exported, of whatever version, sorted.
    pub(super) fn interfaces(&self) -> Vec<String> {
        let ours = self.exports.iter().filter(|name| name.starts_with("sidenote:plugin/"));
        let mut ours: Vec<_> = ours.map(|name| (*name).to_owned()).collect();
        ours.sort();
        ours.dedup();
        ours
    }
}

fn few(found: usize, limit: usize, what: &'static str) -> Result<(), ComponentError> {
    if found > limit { Err(ComponentError::TooMuch { what, limit }) } else { Ok(()) }
}

fn push<'a>(names: &mut Vec<&'a str>, name: &'a str) {
    if names.len() < MAX_NAMES {
        names.push(name);
    }
}

fn broken(error: wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::Broken(super::clean::clean(&error.to_string(), 200))
}
