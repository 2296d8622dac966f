//! The folder of a file, and what the disk knows of it.

use std::fs::File;
use std::io;
use std::path::Path;

/// Where a file is.
pub(in crate::store) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Makes what is missing of a folder's path, so that it outlasts a power loss.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|part| !part.exists()).collect();
    std::fs::create_dir_all(folder)?;
    for part in missing.into_iter().rev().filter(|part| *part != Path::new("")) {
        sync_folder(folder_of(part))?;
    }
    Ok(())
}

/// Puts on the disk which files a folder has.
pub(in crate::store) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems have no such request, and some folders may be written but not read.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            tracing::warn!(folder = %folder.display(), "store: the folder can't be synced: {error}");
            Ok(())
        }
        synced => synced,
    }
}
