//! The archive: packing and unpacking. Files pass through in pieces, never as a whole; blocking.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// A snapshot unpacks to no more than this.
const MAX_UNPACKED: u64 = 4 * 1024 * 1024 * 1024;
const META: &str = "meta.json";
const BUNDLE: &str = "work.bundle";
const ENGINE: &str = "engine";

/// Packs `meta.json`, `work.bundle` and `engine/` of a directory into a file; gives its size.
///
/// # Errors
/// When the disk fails.
pub fn pack(dir: &Path, file: &Path) -> io::Result<u64> {
    let gzip = GzEncoder::new(BufWriter::new(File::create(file)?), Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for name in [META, BUNDLE] {
        archive.append_path_with_name(dir.join(name), name)?;
    }
    if dir.join(ENGINE).is_dir() {
        archive.append_dir_all(ENGINE, dir.join(ENGINE))?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(std::fs::metadata(file)?.len())
}

/// Unpacks a file into a directory. Anything that does not belong into a snapshot is an error.
///
/// # Errors
/// When the disk fails, or the file is no snapshot.
pub fn unpack(file: &Path, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir.join(ENGINE))?;
    let gzip = GzDecoder::new(BufReader::new(File::open(file)?)).take(MAX_UNPACKED);
    let mut archive = tar::Archive::new(gzip);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_dir() && path == Path::new(ENGINE) {
            continue;
        }
        let inside = path
            .strip_prefix(ENGINE)
            .is_ok_and(|name| name.components().count() == 1);
        let known = path == Path::new(META) || path == Path::new(BUNDLE) || inside;
        let plain = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !known || !plain || !entry.header().entry_type().is_file() {
            return Err(io::Error::other(format!(
                "{} does not belong into a snapshot",
                path.display()
            )));
        }
        io::copy(&mut entry, &mut File::create(dir.join(path))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_and_nothing_else_may() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, file) = (
            dir.path().join("from"),
            dir.path().join("to"),
            dir.path().join("s.tar.gz"),
        );
        std::fs::create_dir_all(from.join(ENGINE)).unwrap();
        for (name, text) in [
            (META, "{}"),
            (BUNDLE, "bundle"),
            ("engine/ses_1.json", "[]"),
            ("secret", "no"),
        ] {
            std::fs::write(from.join(name), text).unwrap();
        }
        let size = pack(&from, &file).unwrap();
        assert_eq!(size, std::fs::metadata(&file).unwrap().len());
        unpack(&file, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("engine/ses_1.json")).unwrap(), "[]");
        assert!(!to.join("secret").exists());
        let gzip = GzEncoder::new(File::create(&file).unwrap(), Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        archive
            .append_path_with_name(from.join("secret"), "engine/deep/secret")
            .unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        assert!(unpack(&file, &to).is_err());
        std::fs::write(&file, "garbage").unwrap();
        assert!(unpack(&file, &to).is_err());
    }
}
