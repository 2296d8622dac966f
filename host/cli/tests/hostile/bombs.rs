//! Small components that would eat the machine while they are compiled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Compile;
use sidenote::plugin::{Compiler, Health, PluginState, Registry};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasm_encoder::{
    Alias, BlockType, CodeSection, Component, ComponentAliasSection, ComponentInstanceSection,
    ComponentOuterAliasKind, ConstExpr, DataSection, ElementSection, Elements, Function,
    FunctionSection, Instruction, MemorySection, MemoryType, Module, ModuleSection,
    NestedComponentSection, RefType, TableSection, TableType, TypeSection, ValType,
};

use crate::guests::{answer_of, eventually, id, plugin, version};
use crate::machine::{Peak, resident};
use crate::storm::ALONE;

/// What the host's memory may grow by, whatever is put into its folder.
const MARGIN: u64 = 64 << 20;
/// How long a refusal may take. It is a matter of milliseconds; the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

/// What is compiled takes a process of the program that is tested.
fn compiler() -> Compiler {
    Compiler::child(env!("CARGO_BIN_EXE_sidenote"))
}

/// Every kind of bomb, with what is said of it.
fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("loops-of-locals", loops_of_locals(300, 10_000), "values between the 300 blocks"),
        ("nested-components", nested_components(20_000), "components within one another"),
        ("doubling-instances", doubling_instances(40), "parts that an instance is made of"),
        ("loops-of-params", loops_of_params(20_000), "values between the 20000 blocks"),
        ("large-answers", large_answers(20_000), "values between the"),
        ("branch-tables", branch_tables(4), "values between the"),
        ("branches", branches(20_000), "values between the"),
        ("locals-of-many", locals_of_many(10_000), "locals of its functions"),
        ("types", types(1_000_001), "types, imports, exports and other items"),
        ("functions", functions(600_000), "functions of its modules"),
        ("elements", elements(9_000_000), "entries of its tables"),
        ("memories", memories(20), "memories and tables of its modules"),
        ("images", images(12), "bytes of native code and data that it becomes"),
        ("modules", many_modules(1_500), "modules and components in it"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_is_refused_in_words_within_bounds_and_other_plugins_are_reloaded_meanwhile() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.wasm"), version(0)).unwrap();
    let bombs = bombs();
    for (name, bytes, _) in &bombs {
        std::fs::write(folder.path().join(format!("{name}.wasm")), bytes).unwrap();
    }
    let names = bombs.iter().map(|(name, ..)| *name).chain(["good"]);
    let plugins = names.map(|name| (name.into(), plugin(&format!("{name}.wasm")))).collect();
    let sizes: Vec<_> = bombs.iter().map(|(name, bytes, _)| (*name, bytes.len())).collect();
    println!("{sizes:?}");

    let before = resident();
    let (peak, began) = (Peak::watch(), Instant::now());
    let registry = Registry::open(compiler(), folder.path(), &plugins, None).unwrap();
    let watched = Watched::begin(registry);
    // While they are worked on, another version of a good one comes.
    eventually("the good one runs", async || state(&watched.registry, "good").version.is_some())
        .await;
    put(folder.path(), "good.wasm", &version(1));
    eventually("it is swapped", async || state(&watched.registry, "good").swaps == 1).await;
    assert_eq!(id(&watched.registry, "good", "version").await, answer_of(1));
    tokio::time::timeout(SOON, watched.registry.loaded()).await.expect("all of them are judged");
    println!(
        "{} bombs in {:?}; memory grew by {} MiB",
        bombs.len(),
        began.elapsed(),
        peak.bytes().saturating_sub(before) >> 20
    );
    for (name, _, wanted) in &bombs {
        let failed = state(&watched.registry, name).failed.unwrap_or_else(|| panic!("{name} runs"));
        println!("{name}: {failed}");
        assert!(failed.starts_with("compile: it has too many "), "{name}: {failed}");
        assert!(failed.contains(wanted), "{name}: {failed}");
        assert!(failed.contains(", and at most "), "{name}: {failed}");
    }
    let grown = peak.bytes().saturating_sub(before);
    assert!(grown <= MARGIN, "the host's memory grew by {} MiB", grown >> 20);
    watched.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_that_is_begun_is_ended_at_its_limits_and_another_content_ends_it_at_once() {
    let _alone = ALONE.lock().await;
    // It passes for a component that is only large.
    let bomb = loops_of_locals(90, 10_000);
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "bomb.wasm", &bomb);
    let plugins = [("bomb".into(), plugin("bomb.wasm"))].into();
    let cases = [
        (
            Compile { memory_bytes: 64 << 20, timeout: SOON },
            "compile: the compiler wanted more than 64 MiB",
        ),
        (
            Compile { memory_bytes: 2 << 30, timeout: Duration::from_millis(200) },
            "compile: not done after 200ms, so it was ended",
        ),
    ];
    for (limits, wanted) in cases {
        let before = resident();
        let peak = Peak::watch();
        let compiler = compiler().within(limits);
        let registry = Registry::load_by(compiler, folder.path(), &plugins, None).await.unwrap();
        let failed = state(&registry, "bomb").failed.unwrap();
        assert!(failed.starts_with(wanted), "{failed}");
        assert!(peak.bytes().saturating_sub(before) <= MARGIN);
        eventually("its process is gone", async || children().is_empty()).await;
    }

    let registry = Registry::open(compiler(), folder.path(), &plugins, None).unwrap();
    let watched = Watched::begin(registry);
    eventually("it is compiled", async || !children().is_empty()).await;
    assert_eq!(state(&watched.registry, "bomb").health, Health::Compiling);
    put(folder.path(), "bomb.wasm", &version(3));
    eventually("the other content runs", async || {
        state(&watched.registry, "bomb").version.is_some()
    })
    .await;
    assert_eq!(id(&watched.registry, "bomb", "version").await, answer_of(3));
    watched.end().await;
    eventually("no process is left", async || children().is_empty()).await;
}

#[tokio::test]
async fn a_compiler_that_dies_or_is_none_is_told_with_its_cause() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "good.wasm", &version(0));
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let cases = [
        (script("killed", "kill -KILL $$"), "(signal 9, SIGKILL)"),
        (script("aborted", "echo no memory >&2; kill -ABRT $$"), "(signal 6, SIGABRT: no memory)"),
        (script("odd", "exit 3"), "(exit status: 3)"),
        (script("liar", "head -c 40 > /dev/null; echo native code"), "can't be used: its checksum"),
        (folder.path().join("absent"), "the compiler can't be started: "),
    ];
    let plugins = [("good".into(), plugin("good.wasm"))].into();
    for (program, wanted) in cases {
        // Whoever never reads nor ends is ended at the time limit.
        let limits = Compile { timeout: Duration::from_secs(20), ..Compile::default() };
        let compiler = Compiler::child(&program).within(limits);
        let registry = Registry::load_by(compiler, folder.path(), &plugins, None).await.unwrap();
        let failed = state(&registry, "good").failed.unwrap();
        assert!(failed.contains(wanted), "{}: {failed}", program.display());
    }
}

#[test]
fn a_compiler_ends_when_its_host_is_gone() {
    let _alone = ALONE.blocking_lock();
    let bomb = loops_of_locals(90, 10_000);
    let mut compiler = std::process::Command::new(env!("CARGO_BIN_EXE_sidenote"))
        .args(["compile-component", "--memory", "4000000000"])
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = compiler.stdin.take().unwrap();
    for piece in [&[0; 32][..], &(bomb.len() as u64).to_le_bytes(), &bomb] {
        std::io::Write::write_all(&mut stdin, piece).unwrap();
    }
    // A host that is killed closes its end.
    drop(stdin);
    let (ended, waited) = std::sync::mpsc::channel();
    let id = compiler.id().to_string();
    std::thread::spawn(move || ended.send(compiler.wait().unwrap().code()));
    match waited.recv_timeout(SOON) {
        Ok(code) => assert_eq!(code, Some(43)),
        Err(_) => {
            std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap();
            panic!("it goes on");
        }
    }
}

/// A registry whose folder is watched.
struct Watched {
    registry: Arc<Registry>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Watched {
    fn begin(registry: Registry) -> Self {
        let (registry, stop) = (Arc::new(registry), CancellationToken::new());
        let (watched, stopped) = (registry.clone(), stop.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { watched.watch(Duration::from_millis(20), stopped).await });
        Self { registry, stop, tasks }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.join_all().await;
    }
}

fn state(registry: &Registry, name: &str) -> PluginState {
    registry.states().into_iter().find(|state| &*state.name == name).unwrap()
}

fn put(folder: &Path, file: &str, bytes: &[u8]) {
    let part = folder.join(format!("{file}.part"));
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(&part, folder.join(file)).unwrap();
}

/// The processes that this one started and that live.
fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let ids: Vec<u32> = lists
        .flat_map(|list| list.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    let lives = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    ids.into_iter().filter(lives).collect()
}

/// A component of one module.
fn of_module(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// A module of these functions, each with its type's number, after these types.
fn module(types: &TypeSection, functions: &[(u32, Function)]) -> Module {
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    for (kind, function) in functions {
        declared.function(*kind);
        code.function(function);
    }
    let mut module = Module::new();
    module.section(types).section(&declared).section(&code);
    module
}

fn nothing_to_nothing() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types
}

fn values(count: usize) -> Vec<ValType> {
    vec![ValType::I32; count]
}

/// Every local lives through every loop.
fn loops_of_locals(loops: u32, locals: u32) -> Vec<u8> {
    let mut function = Function::new([(locals, ValType::I32)]);
    for _ in 0..loops {
        function.instruction(&Instruction::Loop(BlockType::Empty));
    }
    for local in 0..locals {
        function.instruction(&Instruction::LocalGet(local));
        function.instruction(&Instruction::I32Const(1));
        function.instruction(&Instruction::I32Add);
        function.instruction(&Instruction::LocalSet(local));
    }
    for _ in 0..loops {
        function.instruction(&Instruction::LocalGet(0));
        function.instruction(&Instruction::BrIf(0));
        function.instruction(&Instruction::End);
    }
    function.instruction(&Instruction::End);
    of_module(&module(&nothing_to_nothing(), &[(0, function)]))
}

/// Each component holds the next, and nothing else.
fn nested_components(depth: usize) -> Vec<u8> {
    const HEAD: [u8; 8] = *b"\0asm\x0d\0\x01\0";
    let mut sizes = vec![HEAD.len()];
    for level in 0..depth {
        let inner = sizes[level];
        sizes.push(HEAD.len() + 1 + leb128(inner).len() + inner);
    }
    let mut bytes = Vec::new();
    for inner in sizes.iter().rev().skip(1) {
        bytes.extend(HEAD);
        bytes.push(4);
        bytes.extend(leb128(*inner));
    }
    bytes.extend(HEAD);
    bytes
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Each component instantiates the one before it twice.
fn doubling_instances(levels: u32) -> Vec<u8> {
    let mut outer = Component::new();
    let mut first = Component::new();
    first.section(&ModuleSection(&Module::new()));
    let mut instances = wasm_encoder::InstanceSection::new();
    instances.instantiate(0, Vec::<(&str, wasm_encoder::ModuleArg)>::new());
    first.section(&instances);
    outer.section(&NestedComponentSection(&first));
    for level in 0..levels {
        let mut next = Component::new();
        let mut aliases = ComponentAliasSection::new();
        let kind = ComponentOuterAliasKind::Component;
        aliases.alias(Alias::Outer { kind, count: 1, index: level });
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..2 {
            instances.instantiate(0, Vec::<(&str, wasm_encoder::ComponentExportKind, u32)>::new());
        }
        next.section(&aliases).section(&instances);
        outer.section(&NestedComponentSection(&next));
    }
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(levels, Vec::<(&str, wasm_encoder::ComponentExportKind, u32)>::new());
    outer.section(&instances);
    outer.finish()
}

/// Each loop takes a thousand values.
fn loops_of_params(loops: u32) -> Vec<u8> {
    let mut types = nothing_to_nothing();
    types.ty().function(values(1000), values(1000));
    let mut function = Function::new([]);
    for _ in 0..1000 {
        function.instruction(&Instruction::I32Const(1));
    }
    for _ in 0..loops {
        function.instruction(&Instruction::Loop(BlockType::FunctionType(1)));
    }
    for _ in 0..loops {
        function.instruction(&Instruction::End);
    }
    function.instruction(&Instruction::Unreachable);
    function.instruction(&Instruction::End);
    of_module(&module(&types, &[(0, function)]))
}

/// Each call gives a thousand values.
fn large_answers(calls: u32) -> Vec<u8> {
    let mut types = nothing_to_nothing();
    types.ty().function([], values(1000));
    let mut caller = Function::new([]);
    for _ in 0..calls {
        caller.instruction(&Instruction::Call(1));
    }
    let mut callee = Function::new([]);
    for function in [&mut caller, &mut callee] {
        function.instruction(&Instruction::Unreachable);
        function.instruction(&Instruction::End);
    }
    of_module(&module(&types, &[(0, caller), (1, callee)]))
}

/// Each entry of each table hands over a thousand values.
fn branch_tables(tables: usize) -> Vec<u8> {
    let mut types = nothing_to_nothing();
    types.ty().function([], values(1000));
    let mut function = Function::new([]);
    for _ in 0..tables {
        function.instruction(&Instruction::Block(BlockType::FunctionType(1)));
        for _ in 0..1001 {
            function.instruction(&Instruction::I32Const(1));
        }
        function.instruction(&Instruction::BrTable(vec![0; 10_000].into(), 0));
        function.instruction(&Instruction::End);
    }
    function.instruction(&Instruction::Unreachable);
    function.instruction(&Instruction::End);
    of_module(&module(&types, &[(0, function)]))
}

/// Each branch hands over a thousand values.
fn branches(count: usize) -> Vec<u8> {
    let mut types = nothing_to_nothing();
    types.ty().function([], values(1000));
    let mut function = Function::new([]);
    function.instruction(&Instruction::Block(BlockType::FunctionType(1)));
    for _ in 0..1000 {
        function.instruction(&Instruction::I32Const(1));
    }
    for _ in 0..count {
        function.instruction(&Instruction::I32Const(0));
        function.instruction(&Instruction::BrIf(0));
    }
    function.instruction(&Instruction::End);
    function.instruction(&Instruction::Unreachable);
    function.instruction(&Instruction::End);
    of_module(&module(&types, &[(0, function)]))
}

/// A few bytes declare fifty thousand locals.
fn locals_of_many(functions: usize) -> Vec<u8> {
    let mut function = Function::new([(50_000, ValType::I64)]);
    function.instruction(&Instruction::End);
    of_module(&module(&nothing_to_nothing(), &vec![(0, function); functions]))
}

fn types(count: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    for _ in 0..count / 2 {
        types.ty().function([], []);
    }
    let half = module(&types, &[]);
    let mut component = Component::new();
    for _ in 0..3 {
        component.section(&ModuleSection(&half));
    }
    component.finish()
}

fn functions(count: usize) -> Vec<u8> {
    let mut function = Function::new([]);
    function.instruction(&Instruction::End);
    of_module(&module(&nothing_to_nothing(), &vec![(0, function); count]))
}

/// A table of which the file gives every entry.
fn elements(count: u32) -> Vec<u8> {
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: count.into(),
        maximum: None,
        shared: false,
    });
    let mut elements = ElementSection::new();
    let entries = vec![0; count as usize];
    elements.active(Some(0), &ConstExpr::i32_const(0), Elements::Functions(entries.into()));
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    declared.function(0);
    let mut function = Function::new([]);
    function.instruction(&Instruction::End);
    code.function(&function);
    let mut module = Module::new();
    module.section(&nothing_to_nothing()).section(&declared).section(&tables);
    module.section(&elements).section(&code);
    of_module(&module)
}

/// A module with memories of which two bytes far from each other are given: what lies between them is kept.
fn filled(memories: u32) -> Module {
    let (mut declared, mut data) = (MemorySection::new(), DataSection::new());
    for memory in 0..memories {
        let (minimum, maximum) = (256, None);
        declared.memory(MemoryType {
            minimum,
            maximum,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        for at in [0, 15 << 20] {
            data.active(memory, &ConstExpr::i32_const(at), [1]);
        }
    }
    let mut module = Module::new();
    module.section(&declared).section(&data);
    module
}

fn memories(modules: usize) -> Vec<u8> {
    let mut component = Component::new();
    for _ in 0..modules {
        component.section(&ModuleSection(&filled(100)));
    }
    component.finish()
}

fn images(memories: u32) -> Vec<u8> {
    of_module(&filled(memories))
}

fn many_modules(count: usize) -> Vec<u8> {
    let mut component = Component::new();
    for _ in 0..count {
        component.section(&ModuleSection(&Module::new()));
    }
    component.finish()
}
