//! What compiling a component would cost, told from its parts alone: what costs more than any real component
//! does isn't begun.
//!
//! A compiler's work isn't bounded by the size of a file. A function of which every local lives through every
//! loop needs a value for each pair of them; a component that instantiates another twice, which does the same
//! with a third, doubles with each line. The limits stand far above what toolchains make, the large runtimes
//! of Python and JavaScript included; what they let through still has a process's memory and time.

mod function;

use std::fmt;

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, Encoding, Instance, Parser, Payload, TypeRef,
};

use function::Signatures;

use super::Refusal;
use crate::plugin::component_info::MAX_DEPTH;

/// Core modules and components in a component, at whatever depth. Python's has 18.
const MAX_PARTS: u64 = 1_000;
/// Functions of all modules. Python's has 13,400, JavaScript's 12,700.
const MAX_FUNCTIONS: u64 = 500_000;
/// Types, imports, exports, aliases, tables and the like of all modules and components. Python's has 12,400.
const MAX_ITEMS: u64 = 1_000_000;
/// What is instantiated when one is made of the component: instances, and functions that pass between them.
/// Python's has 145.
const MAX_INSTANTIATED: u64 = 10_000;
/// Entries of all tables that are given in the file. JavaScript's has 7,700.
const MAX_ELEMENTS: u64 = 1_000_000;
/// Memories and tables of all modules: each can be filled by a few bytes of the file. Python's has 23.
const MAX_MEMORIES: u64 = 1_000;
/// Values of one function that pass from block to block, see [`function`]. The largest of JavaScript's has 62,000.
const MAX_CARRIED: u64 = 1_000_000;
/// The same of all functions together. JavaScript's have 1,200,000.
const MAX_CARRIED_TOGETHER: u64 = 50_000_000;
/// Locals of all functions. JavaScript's have 87,000.
const MAX_LOCALS: u64 = 5_000_000;

/// Something of which there is more than any real component has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Excess {
    what: String,
    found: u64,
    limit: u64,
    next: &'static str,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, limit, next } = self;
        write!(f, "{what}: {found}, and at most {limit} are compiled; {next}")
    }
}

impl std::error::Error for Excess {}

const SMALLER: &str = "split it into smaller functions, or build it with optimisation";
const OTHER_TOOL: &str = "no toolchain makes such a component; build it again with a current one";

impl Excess {
    /// What came out of the compiler is out of proportion.
    pub(super) fn artifact(found: u64, limit: u64) -> Self {
        let what = "bytes of native code and data that it becomes".to_owned();
        Self { what, found, limit, next: OTHER_TOOL }
    }

    fn of(what: &str, found: u64, limit: u64) -> Result<(), Self> {
        match found > limit {
            true => Err(Self { what: what.to_owned(), found, limit, next: OTHER_TOOL }),
            false => Ok(()),
        }
    }
}

/// What was counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Weight {
    parts: u64,
    depth: u64,
    functions: u64,
    items: u64,
    instantiated: u64,
    elements: u64,
    memories: u64,
    carried: u64,
    heaviest: u64,
    locals: u64,
}

/// A module or component that is being read.
enum Part {
    Module(Signatures),
    Component(Scope),
}

/// What a component knows of components.
#[derive(Default)]
struct Scope {
    /// What comes of instantiating each component of its index space.
    components: Vec<u64>,
    /// What comes of instantiating itself.
    own: u64,
}

/// Refuses what costs more than any real component.
pub(super) fn check(component: &[u8]) -> Result<(), Refusal> {
    weigh(component).map(drop)
}

/// Counts, and stops where it is too much.
pub(super) fn weigh(component: &[u8]) -> Result<Weight, Refusal> {
    let (mut weight, mut inside) = (Weight::default(), Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(unsound)?;
        weight.take(&payload, &mut inside)?;
        weight.check()?;
    }
    Ok(weight)
}

impl Weight {
    fn check(&self) -> Result<(), Excess> {
        Excess::of("components within one another", self.depth, MAX_DEPTH as u64)?;
        Excess::of("modules and components in it", self.parts, MAX_PARTS)?;
        Excess::of("functions of its modules", self.functions, MAX_FUNCTIONS)?;
        Excess::of("types, imports, exports and other items of its parts", self.items, MAX_ITEMS)?;
        Excess::of("parts that an instance is made of", self.instantiated, MAX_INSTANTIATED)?;
        Excess::of("entries of its tables", self.elements, MAX_ELEMENTS)?;
        Excess::of("memories and tables of its modules", self.memories, MAX_MEMORIES)?;
        Excess::of("locals of its functions", self.locals, MAX_LOCALS)?;
        Excess::of("values between the blocks of its functions", self.carried, MAX_CARRIED_TOGETHER)
    }

    fn take(&mut self, payload: &Payload<'_>, inside: &mut Vec<Part>) -> Result<(), Refusal> {
        if let Payload::Version { encoding, .. } = payload {
            self.parts += 1;
            inside.push(match encoding {
                Encoding::Module => Part::Module(Signatures::default()),
                Encoding::Component => Part::Component(Scope::default()),
            });
            self.depth = self.depth.max(inside.len() as u64);
            return Ok(());
        }
        if let Payload::End(_) = payload {
            let ended = inside.pop();
            if let Some(Part::Component(ended)) = ended {
                match inside.last_mut() {
                    Some(Part::Component(around)) => around.components.push(ended.own),
                    Some(Part::Module(_)) => {}
                    None => self.instantiated = ended.own,
                }
            }
            return Ok(());
        }
        match inside.split_last_mut() {
            Some((Part::Module(signatures), _)) => self.take_of_module(payload, signatures),
            Some((Part::Component(scope), around)) => {
                self.take_of_component(payload, scope, around)?;
                Ok(Excess::of("parts that an instance is made of", scope.own, MAX_INSTANTIATED)?)
            }
            None => Ok(()),
        }
    }

    fn take_of_module(
        &mut self,
        payload: &Payload<'_>,
        signatures: &mut Signatures,
    ) -> Result<(), Refusal> {
        if let Payload::CodeSectionEntry(body) = payload {
            let found = signatures.weigh(body).map_err(unsound)?;
            self.locals += found.locals;
            self.carried += found.carried;
            self.heaviest = self.heaviest.max(found.carried);
            if found.carried > MAX_CARRIED {
                return Err(Excess {
                    what: format!(
                        "values between the {} blocks and calls of function {}, which has {} locals",
                        found.blocks, found.index, found.locals
                    ),
                    found: found.carried,
                    limit: MAX_CARRIED,
                    next: SMALLER,
                }
                .into());
            }
        } else if let Payload::TypeSection(reader) = payload {
            self.items += u64::from(reader.count());
            signatures.take_types(reader.clone()).map_err(unsound)?;
        } else if let Payload::ImportSection(reader) = payload {
            for import in reader.clone().into_imports() {
                self.items += 1;
                match import.map_err(unsound)?.ty {
                    TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                        signatures.functions.push(index)
                    }
                    TypeRef::Memory(_) | TypeRef::Table(_) => self.memories += 1,
                    TypeRef::Global(_) | TypeRef::Tag(_) => {}
                }
            }
        } else if let Payload::FunctionSection(reader) = payload {
            self.functions += u64::from(reader.count());
            Excess::of("functions of its modules", self.functions, MAX_FUNCTIONS)?;
            signatures.take_functions(reader.clone()).map_err(unsound)?;
        } else if let Payload::ElementSection(reader) = payload {
            self.items += u64::from(reader.count());
            for element in reader.clone() {
                self.elements += match element.map_err(unsound)?.items {
                    wasmparser::ElementItems::Functions(items) => u64::from(items.count()),
                    wasmparser::ElementItems::Expressions(_, items) => u64::from(items.count()),
                };
            }
        } else if let Payload::TableSection(reader) = payload {
            self.memories += u64::from(reader.count());
        } else if let Payload::MemorySection(reader) = payload {
            self.memories += u64::from(reader.count());
        } else if let Payload::GlobalSection(reader) = payload {
            self.items += u64::from(reader.count());
        } else if let Payload::ExportSection(reader) = payload {
            self.items += u64::from(reader.count());
        } else if let Payload::DataSection(reader) = payload {
            self.items += u64::from(reader.count());
        }
        Ok(())
    }

    fn take_of_component(
        &mut self,
        payload: &Payload<'_>,
        scope: &mut Scope,
        around: &[Part],
    ) -> Result<(), Refusal> {
        if let Payload::InstanceSection(reader) = payload {
            for instance in reader.clone() {
                self.items += 1;
                if let Instance::Instantiate { args, .. } = instance.map_err(unsound)? {
                    scope.own += 1;
                    self.items += args.len() as u64;
                }
            }
        } else if let Payload::ComponentInstanceSection(reader) = payload {
            for instance in reader.clone() {
                self.items += 1;
                if let ComponentInstance::Instantiate { component_index, args } =
                    instance.map_err(unsound)?
                {
                    self.items += args.len() as u64;
                    let given =
                        args.iter().filter(|arg| arg.kind == ComponentExternalKind::Component);
                    // One that is handed in may be instantiated wherever the other one instantiates.
                    let most = given.map(|arg| scope.component(arg.index)).max().unwrap_or(1);
                    let made = scope.component(component_index).saturating_mul(most);
                    scope.own = scope.own.saturating_add(made);
                }
            }
        } else if let Payload::ComponentAliasSection(reader) = payload {
            for alias in reader.clone() {
                self.items += 1;
                match alias.map_err(unsound)? {
                    ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::Component,
                        count,
                        index,
                    } => {
                        let known = match count.checked_sub(1) {
                            None => scope.component(index),
                            Some(up) => outer(around, up, index),
                        };
                        scope.components.push(known);
                    }
                    ComponentAlias::InstanceExport {
                        kind: ComponentExternalKind::Component,
                        ..
                    } => {
                        // Which one it is isn't followed.
                        scope.components.push(scope.components.iter().copied().max().unwrap_or(1));
                    }
                    ComponentAlias::Outer { .. }
                    | ComponentAlias::InstanceExport { .. }
                    | ComponentAlias::CoreInstanceExport { .. } => {}
                }
            }
        } else if let Payload::ComponentImportSection(reader) = payload {
            for import in reader.clone() {
                self.items += 1;
                if import.map_err(unsound)?.ty.kind() == ComponentExternalKind::Component {
                    scope.components.push(1);
                }
            }
        } else if let Payload::ComponentExportSection(reader) = payload {
            for export in reader.clone() {
                self.items += 1;
                let export = export.map_err(unsound)?;
                if export.kind == ComponentExternalKind::Component {
                    scope.components.push(scope.component(export.index));
                }
            }
        } else if let Payload::ComponentCanonicalSection(reader) = payload {
            scope.own += u64::from(reader.count());
            self.items += u64::from(reader.count());
        } else if let Payload::ComponentTypeSection(reader) = payload {
            self.items += u64::from(reader.count());
        } else if let Payload::CoreTypeSection(reader) = payload {
            self.items += u64::from(reader.count());
        }
        Ok(())
    }
}

impl Scope {
    /// What comes of instantiating a component, the instance itself included.
    fn component(&self, index: u32) -> u64 {
        let known = self.components.get(index as usize).copied().unwrap_or(0);
        known.saturating_add(1)
    }
}

fn outer(around: &[Part], up: u32, index: u32) -> u64 {
    let scope = (around.len() as u64).checked_sub(1 + u64::from(up));
    let scope = scope.and_then(|at| around.get(usize::try_from(at).ok()?));
    match scope {
        Some(Part::Component(scope)) => scope.components.get(index as usize).copied().unwrap_or(0),
        Some(Part::Module(_)) | None => 0,
    }
}

fn unsound(error: BinaryReaderError) -> Refusal {
    Refusal::Unsound(crate::plugin::clean::clean(&error.to_string(), 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every component that is built beside the tests, and those of `SIDENOTE_COMPONENTS`, a folder.
    fn components() -> Vec<(String, Vec<u8>)> {
        let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let mut folders = vec![target.join("plugins"), target.join("test-guests")];
        folders.extend(std::env::var_os("SIDENOTE_COMPONENTS").map(std::path::PathBuf::from));
        let mut found = Vec::new();
        for file in folders.iter().filter_map(|it| it.read_dir().ok()).flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with(".wasm") {
                found.push((name, std::fs::read(file.path()).unwrap()));
            }
        }
        assert!(!found.is_empty(), "nothing is built; run `cargo xtask guests`");
        found
    }

    #[test]
    fn what_toolchains_make_stands_far_below_every_limit() {
        for (name, bytes) in components() {
            let weight = weigh(&bytes).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            println!("{name}: {weight:?}");
            let far = [
                (weight.parts, MAX_PARTS),
                (weight.functions, MAX_FUNCTIONS),
                (weight.items, MAX_ITEMS),
                (weight.instantiated, MAX_INSTANTIATED),
                (weight.elements, MAX_ELEMENTS),
                (weight.memories, MAX_MEMORIES),
                (weight.heaviest, MAX_CARRIED),
                (weight.carried, MAX_CARRIED_TOGETHER),
                (weight.locals, MAX_LOCALS),
            ];
            for (place, (found, limit)) in far.into_iter().enumerate() {
                assert!(found * 2 <= limit, "{name}, limit {place}: {found} of {limit}");
            }
        }
    }
}
