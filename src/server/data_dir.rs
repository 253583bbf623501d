//! Checks the data dir before anything else looks at it, so that the commonest mistake of a first
//! start (a volume that belongs to somebody else) gets words that help.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Access;
use rustix::process::getgid;
use rustix::process::getuid;

use super::error::StartError;

/// Mode of a data dir that we make: secrets of access keys lie in it.
const MODE: u32 = 0o700;

/// Makes sure that the data dir is there, without making it.
///
/// # Errors
/// [`StartError::NoDataDir`].
pub fn require(path: &Path) -> Result<(), StartError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StartError::NoDataDir {
            path: absolute(path),
        }),
        // Whatever else is wrong with it has its own words later.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Makes the data dir if it is missing, and makes sure that it can be written.
pub(super) fn prepare(path: &Path) -> Result<(), StartError> {
    match DirBuilder::new().recursive(true).mode(MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(not_writable(nearest_existing(path)));
        }
        Err(source) => {
            return Err(StartError::DataDir {
                path: absolute(path),
                source,
            });
        }
    }
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::ACCESS) => Err(not_writable(absolute(path))),
        Err(errno) => Err(StartError::DataDir {
            path: absolute(path),
            source: errno.into(),
        }),
    }
}

fn not_writable(path: PathBuf) -> StartError {
    StartError::NotWritable {
        path,
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
    }
}

/// The folder that has to be given to the user: the last one that is there.
fn nearest_existing(path: &Path) -> PathBuf {
    let path = absolute(path);
    let existing = path.ancestors().find(|ancestor| ancestor.exists());
    existing.map_or_else(|| path.clone(), Path::to_path_buf)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_data_dir_is_made_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        prepare(&path).unwrap();
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = prepare(file.path()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot use data dir {}: ", file.path().display())),
            "{error}"
        );
    }
}
