//! An archive whose bytes depend on the files in it alone: in the order of their names, all of one time, all of root's.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Packs a folder, under its own name.
pub(super) fn pack(folder: &Path, to: &Path, time: u64) -> Result<(), String> {
    let packed = packed(folder, to, time);
    packed.map_err(|error| format!("{} → {}: {error}", folder.display(), to.display()))
}

fn packed(folder: &Path, to: &Path, time: u64) -> io::Result<()> {
    // Neither a name nor a time in its head.
    let gzip = GzBuilder::new().write(File::create(to)?, Compression::best());
    let mut tar = Builder::new(gzip);
    let top = PathBuf::from(folder.file_name().unwrap_or_default());
    for path in files(folder)? {
        let name = top.join(path.strip_prefix(folder).unwrap_or(&path));
        let bytes = std::fs::read(&path)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(if is_program(&path) { 0o755 } else { 0o644 });
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, &name, bytes.as_slice())?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// Whether a file is run.
fn is_program(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "sidenote")
}

/// All files of a folder, in the order of their names.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_depend_on_the_files_alone() {
        let place = std::env::temp_dir().join(format!("sidenote-archive-{}", std::process::id()));
        let mut archives = Vec::new();
        for (n, names) in
            [["b/two", "a", "sidenote"], ["sidenote", "a", "b/two"]].iter().enumerate()
        {
            let folder = place.join(n.to_string()).join("made");
            std::fs::create_dir_all(folder.join("b")).unwrap();
            for name in names {
                std::fs::write(folder.join(name), name).unwrap();
            }
            let to = place.join(format!("{n}.tar.gz"));
            pack(&folder, &to, 1_700_000_000).unwrap();
            archives.push(std::fs::read(&to).unwrap());
        }
        let listed =
            std::process::Command::new("tar").arg("tvzf").arg(place.join("0.tar.gz")).output();
        std::fs::remove_dir_all(&place).unwrap();
        assert!(archives[0] == archives[1]);
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        let lines: Vec<_> = listed.lines().collect();
        assert_eq!(lines.len(), 3, "{listed}");
        assert!(lines[0].ends_with("made/a") && lines[1].ends_with("made/b/two"), "{listed}");
        assert!(lines[2].starts_with("-rwxr-xr-x 0/0"), "{listed}");
        assert!(lines.iter().all(|line| line.contains(" 2023-11-1")), "{listed}");
    }
}
