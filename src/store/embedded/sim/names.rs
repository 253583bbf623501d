//! Names of simulated files: those that everybody sees, and those that the disk has.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use super::random::Random;

/// A change of a directory, whole or not at all.
#[derive(Clone, Debug)]
enum Change {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Names of files, which are numbered.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// Changes since the sync of their directory, in order.
    unsynced: Vec<Change>,
}

impl Names {
    /// The file of this name.
    pub(super) fn get(&self, path: &Path) -> Option<usize> {
        self.seen.get(path).copied()
    }

    /// All files, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, usize)> {
        self.seen.iter().map(|(path, file)| (path, *file))
    }

    /// Names of the files in a directory.
    pub(super) fn in_dir(&self, dir: &Path) -> Vec<String> {
        let here = self.seen.keys().filter(|path| path.parent() == Some(dir));
        here.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// Gives a file a name.
    pub(super) fn link(&mut self, path: &Path, file: usize) {
        self.change(Change::Link(path.to_owned(), file));
    }

    /// Takes a name away; false if there is none.
    pub(super) fn unlink(&mut self, path: &Path) -> bool {
        let exists = self.seen.contains_key(path);
        if exists {
            self.change(Change::Unlink(path.to_owned()));
        }
        exists
    }

    /// Gives a file another name; false if there is none of this one.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let exists = self.seen.contains_key(from);
        if exists {
            self.change(Change::Rename(from.to_owned(), to.to_owned()));
        }
        exists
    }

    /// The disk has what was done in a directory.
    pub(super) fn sync(&mut self, dir: &Path) {
        for change in std::mem::take(&mut self.unsynced) {
            if change.dir() == Some(dir) {
                change.apply(&mut self.durable);
            } else {
                self.unsynced.push(change);
            }
        }
    }

    /// The power went: of what was not synced the first so many changes are there, as a journal of metadata
    /// keeps its order.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let kept = random.index(unsynced.len() + 1);
        for change in unsynced.into_iter().take(kept) {
            change.apply(&mut self.durable);
        }
        self.seen.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }
}

impl Change {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename(_, path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}
