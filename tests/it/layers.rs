//! The arrows between the layers point one way (`ARCHITECTURE.md`).

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Who may import whom: one row per folder of `src/`, each with what it may know besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("telemetry", &[]),
    ("core", &["telemetry"]),
    ("store", &["core", "telemetry"]),
    ("auth", &["core", "telemetry"]),
    ("transport", &["telemetry"]),
    ("protocols", &["core", "auth", "transport", "telemetry"]),
    ("aws", &["core", "auth", "transport", "telemetry"]),
    ("management", &["core", "auth", "transport", "telemetry"]),
    ("config", EVERYBODY),
    ("cli", EVERYBODY),
    ("server", EVERYBODY),
];

/// For the only places that know everybody.
const EVERYBODY: &[&str] = &[
    "telemetry",
    "core",
    "store",
    "auth",
    "transport",
    "protocols",
    "aws",
    "management",
    "config",
    "cli",
    "server",
];

/// Every Rust file under `folder` with its text. A folder `tests` is left out: it is compiled for tests
/// only, and a session's test stands on the memory store.
fn rust_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name == "tests") {
            let parent = fs::read_to_string(folder.join("mod.rs")).unwrap();
            assert!(
                parent.contains("#[cfg(test)]\nmod tests;"),
                "{}: the broker must not contain its tests",
                path.display()
            );
        } else if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// Whether `text` names the module `crate::layer`, and not one whose name only begins so.
fn names(text: &str, layer: &str) -> bool {
    let path = format!("crate::{layer}");
    text.match_indices(&path).any(|(at, _)| {
        let next = text[at + path.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

#[test]
fn layers_point_one_way() {
    for (layer, allowed) in LAYERS {
        let files = rust_files(&Path::new("src").join(layer));
        assert!(
            !files.is_empty(),
            "no source in {layer}: this test would prove nothing"
        );
        for (file, text) in files {
            let file = file.display();
            assert!(
                !text.contains("crate::{"),
                "{file}: one `use crate::layer` a line, so that layers show"
            );
            for (other, _) in LAYERS
                .iter()
                .filter(|(other, _)| other != layer && !allowed.contains(other))
            {
                assert!(
                    !names(&text, other),
                    "{file}: {layer} must not know {other}"
                );
            }
        }
    }
}

#[test]
fn every_folder_of_the_source_has_its_row() {
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                LAYERS.iter().any(|(layer, _)| *layer == name),
                "src/{name} has no row in LAYERS"
            );
        }
    }
}

#[test]
fn protocols_never_import_each_other() {
    let folder = Path::new("src/protocols");
    let doors: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    for door in &doors {
        for (file, text) in rust_files(&folder.join(door)) {
            for other in doors.iter().filter(|other| *other != door) {
                assert!(
                    !names(&text, &format!("protocols::{other}")),
                    "{}: {door} must not know {other}",
                    file.display()
                );
            }
        }
    }
}
