//! Do the folders keep their order? Imports run one way, and every file says its question.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the words that all use to the command line; rooms of one line may not import each other.
const ORDER: [&[&str]; 16] = [
    &["domain"],
    &["sync_type", "http"],
    &["report", "delta", "source", "sink", "store", "coordination", "event", "supervisor"],
    &["sync", "pretend_erp"],
    &["operation", "outbox"],
    &["queue"],
    &["scheduler", "monitor"],
    &["overview"],
    &["alert"],
    &["api"],
    &["ui"],
    &["settings"],
    &["app"],
    &["testing"],
    &["cli"],
    &["lib", "main"],
];

/// The rooms of the store: each imports those before it.
const STORE: [&str; 11] =
    ["db", "schema", "settings", "alerts", "outbox", "states", "jobs", "runs", "documents", "records", "attempt"];
/// A file of more lines answers more than one question.
const MOST_LINES: usize = 400;

/// Within the third line, who may import whom: the store keeps what reports and plans say, and what a source
/// fetches must be a report; an actor that was started anew is an event.
const EXCEPTIONS: [(&str, &str); 4] =
    [("store", "delta"), ("store", "report"), ("source", "report"), ("supervisor", "event")];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn rank(room: &str) -> usize {
    ORDER.iter().position(|line| line.contains(&room)).unwrap_or_else(|| panic!("src/{room} has no place in the order"))
}

/// Production code alone: tests may look wherever they like.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// Every path that is named: `crate::a::b`, `super::{c, d::E}`, one list of names each.
fn paths(text: &str) -> Vec<Vec<String>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = ["crate::", "super::"].iter().filter_map(|root| rest.find(root)).min() {
        // a part of a longer word is none
        let is_word = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let behind = if is_word { branches(&rest[at..], &mut Vec::new(), &mut found) } else { &rest[at + 5..] };
        rest = behind;
    }
    found
}

/// Reads one path, or one branch of a group; answers what follows it.
fn branches<'t>(text: &'t str, begun: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let (depth, mut rest) = (begun.len(), text.trim_start());
    loop {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            begun.push(rest[..word].to_owned());
        }
        rest = &rest[word..];
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let behind = branches(rest, begun, found);
                // past `as name`, `*` and the comma
                let next = behind.find([',', '}']).unwrap_or(behind.len());
                rest = behind[next..].trim_start_matches(',').trim_start();
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
            break;
        }
        match rest.strip_prefix("::") {
            Some(more) if word > 0 => rest = more,
            _ => {
                found.push(begun.clone());
                break;
            }
        }
    }
    begun.truncate(depth);
    rest
}

/// Where a file's module stands: `src/store/jobs/lane.rs` is store, jobs, lane.
fn module(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let names = inside.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "lib").collect()
}

/// The modules that a file imports, as deep as there are files.
fn imported(path: &Path, modules: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let own = module(path);
    let resolve = |names: Vec<String>| {
        let above = names.iter().take_while(|name| *name == "super").count();
        let mut place = if above > 0 { own[..own.len().saturating_sub(above)].to_vec() } else { Vec::new() };
        place.extend(names.into_iter().skip(above.max(1)));
        while !place.is_empty() && !modules.contains(&place) {
            place.pop();
        }
        place
    };
    let text = fs::read_to_string(path).unwrap();
    paths(production(&text)).into_iter().map(resolve).filter(|place| !place.is_empty() && *place != own).collect()
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    let files = sources(&root().join("src"));
    let modules: BTreeSet<_> = files.iter().map(|path| module(path)).collect();
    for path in files {
        let own = room(&path);
        if path.ends_with("tests.rs") {
            continue;
        }
        for other in imported(&path, &modules) {
            let other = &other[0];
            let is_allowed =
                own == *other || rank(other) < rank(&own) || EXCEPTIONS.contains(&(own.as_str(), other.as_str()));
            if !is_allowed {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_of_the_store_import_one_way() {
    let files = sources(&root().join("src/store"));
    let modules: BTreeSet<_> = files.iter().map(|path| module(path)).collect();
    let rank =
        |room: &String| STORE.iter().position(|one| one == room).unwrap_or_else(|| panic!("no place for {room}"));
    let mut wrong = Vec::new();
    for path in &files {
        // the store itself holds the connections, and gives out what the rooms make public
        let [_, own, ..] = &module(path)[..] else { continue };
        let up = imported(path, &modules)
            .into_iter()
            .filter(|other| other.get(1).is_some_and(|other| rank(other) > rank(own)));
        wrong.extend(up.map(|other| format!("{} imports {}", path.display(), other.join("::"))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A room's `mod.rs` gives out what its files make, and they may use what it declares for all of them.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = sources(&root().join("src"));
    let modules: BTreeSet<_> = files.iter().map(|path| module(path)).collect();
    let is_front = |path: &Path| path.ends_with("mod.rs") || path.ends_with("lib.rs");
    let fronts: BTreeSet<_> = files.iter().filter(|path| is_front(path)).map(|path| module(path)).collect();
    let mut below: BTreeMap<_, _> = files
        .iter()
        .filter(|path| !is_front(path))
        .map(|path| (module(path), &imported(path, &modules) - &fronts))
        .collect();
    // what imports nothing that is left is in no circle
    loop {
        let free: Vec<_> = below.iter().filter(|(_, imports)| imports.is_empty()).map(|(own, _)| own.clone()).collect();
        if free.is_empty() {
            break;
        }
        below.retain(|own, _| !free.contains(own));
        for imports in below.values_mut() {
            imports.retain(|other| !free.contains(other));
        }
    }
    // ... and what nothing that is left imports neither
    while let Some(top) = below.keys().find(|own| !below.values().any(|imports| imports.contains(*own))).cloned() {
        below.remove(&top);
    }
    let circle = below.iter().map(|(own, imports)| {
        let names = imports.iter().map(|other| other.join("::")).collect::<Vec<_>>();
        format!("{} imports {}", own.join("::"), names.join(", "))
    });
    assert!(below.is_empty(), "{}", circle.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_file_says_its_question_and_is_one_room() {
    let mut wrong = Vec::new();
    let folders = ["src", "migration/src", "tests"].map(|folder| root().join(folder));
    for path in folders.iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: the first line is no //!", path.display()));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines are more than one room", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_lives_in_the_store_alone() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(room(&path) == "store" || !production(&text).contains("sea_orm::"), "{}", path.display());
    }
}

#[test]
fn every_snapshot_is_compared_with_something() {
    let tests = sources(&root().join("tests"));
    let text: String = tests.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let snapshots = fs::read_dir(root().join("tests/it/queue/snapshots")).unwrap().map(|entry| entry.unwrap().path());
    let nobody: Vec<_> = snapshots
        .filter(|path| !text.contains(&format!("async fn {}(rig", path.file_stem().unwrap().to_string_lossy())))
        .collect();
    assert!(nobody.is_empty(), "no test names these: {nobody:?}");
}

#[test]
fn paths_are_found() {
    let text = "use crate::{\n    domain::{AgentId, Clock},\n    store,\n    sync_type::spec::{self, Guards as G},\n};\n\
                let x = crate::report::read(); use super::{super::a::B, c::*}; mycrate::no";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::domain::AgentId",
        "crate::domain::Clock",
        "crate::store",
        "crate::sync_type::spec::self",
        "crate::sync_type::spec::Guards",
        "crate::report::read",
        "super::super::a::B",
        "super::c",
    ];
    assert_eq!(found, expected);
}
