//! What a component was made of: it is built again only where that has changed.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// A hash over files and whole folders, their names included. Links are followed; what is hidden in a
/// folder, or was put there by a package manager or a build, is left out.
pub(crate) fn made_of(root: &Path, places: &[&str]) -> Result<String, String> {
    let mut found = Vec::new();
    for place in places {
        files(&root.join(place), &mut found)?;
    }
    found.sort();
    let mut hasher = DefaultHasher::new();
    for file in found {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        // Wherever the checkout lies.
        let name = file.strip_prefix(root).unwrap_or(&file);
        for part in [name.as_os_str().as_encoded_bytes(), &bytes] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn files(place: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let error = |error| format!("{}: {error}", place.display());
    if place.is_file() {
        found.push(place.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(place).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let made = ["node_modules", "target", "build", "types", "__pycache__", "wit"];
        if !name.starts_with('.') && !made.contains(&name) && !name.ends_with(".wasm") {
            files(&path, found)?;
        }
    }
    Ok(())
}
