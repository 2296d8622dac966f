//! `sidenote plugin pack`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use sidenote::plugin::manifest::pack as packed;
use sidenote::plugin::{Manifest, sha256};
use sidenote_terminal::{about, output};
use wit_component::StringEncoding;

use super::core_module::{self, World};

/// What `plugin pack` takes.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The component; or a core module, of C or Go for example, which is made into one
    #[arg(value_name = "IN.wasm")]
    input: PathBuf,
    /// The component with its manifest; it may be the same file
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,
    /// The manifest, .toml or .json. Default: the one that `sidenote_plugin::export!` embedded in
    /// the component
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Replace an existing manifest
    #[arg(long, requires = "manifest")]
    replace: bool,
    /// The interface's folder, for a core module without its world
    #[arg(long, value_name = "DIR", requires = "world")]
    wit: Option<PathBuf>,
    /// The world in --wit that the core module was built for
    #[arg(long, value_name = "NAME", requires = "wit")]
    world: Option<String>,
    /// The text encoding in the core module's memory, for a module without its world
    #[arg(long, value_enum, value_name = "ENCODING", requires = "wit", default_value_t = Text::Utf8)]
    string_encoding: Text,
}

/// How a core module keeps text in its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Text {
    /// C, Go, Rust, Zig and most others
    Utf8,
    /// AssemblyScript, C#, Java, Kotlin, MoonBit
    Utf16,
    /// Latin-1 where that is enough, otherwise UTF-16
    CompactUtf16,
}

impl From<Text> for StringEncoding {
    fn from(text: Text) -> Self {
        match text {
            Text::Utf8 => Self::UTF8,
            Text::Utf16 => Self::UTF16,
            Text::CompactUtf16 => Self::CompactUTF16,
        }
    }
}

/// Packs a component. The output is written whole or not at all.
pub(super) fn pack(args: &PackArgs) -> anyhow::Result<()> {
    let component = component(args)?;
    let manifest = args.manifest.as_deref().map(read_manifest).transpose()?;
    let name = |error| anyhow!("{}: {error}", args.input.display());
    let packed = packed(&component, manifest, args.replace).map_err(name)?;
    let read = Manifest::read(&packed).context("the packed component can't be read back")?;
    let manifest = read.context("the packed component has no manifest")?;
    write(&args.output, &packed)
        .with_context(|| format!("{} can't be written", args.output.display()))?;
    output::say(&format!(
        "{}: {} {}, exports {}, sha256 {}",
        args.output.display(),
        manifest.name,
        manifest.version,
        manifest.interfaces.join(", "),
        sha256(&packed)
    ));
    Ok(())
}

/// The component, made of a core module where it is one.
fn component(args: &PackArgs) -> anyhow::Result<Vec<u8>> {
    let read = sidenote::plugin::read(&args.input).map_err(|error| about(&args.input, error))?;
    if !core_module::is_one(&read) {
        return Ok(read);
    }
    let named = args.wit.as_deref().zip(args.world.as_deref());
    let world = named.map(|(wit, name)| World { wit, name, encoding: args.string_encoding.into() });
    core_module::component(read, world.as_ref()).with_context(|| {
        format!("{} is a core module and can't be made into a component", args.input.display())
    })
}

fn read_manifest(file: &Path) -> anyhow::Result<Manifest> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the manifest {} can't be read", file.display()))?;
    let manifest = match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Manifest::from_toml(&text),
        Some("json") => Manifest::from_json(&text),
        _ => bail!(
            "{}: a manifest is a file in TOML or JSON; name it .toml or .json",
            file.display()
        ),
    };
    manifest.map_err(|error| anyhow!("{}: {error}", file.display()))
}

/// Writes a file beside its place and moves it there: a host that watches the folder never sees half.
fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut part = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    // Such a file is its owner's alone, and a component is for whoever runs the host.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).map_or(0o644, |there| there.permissions().mode());
        part.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    part.persist(file)?;
    Ok(())
}
