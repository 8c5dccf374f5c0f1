//! Do the folders keep their order? Imports run one way, and every file says its question.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the words that all use to the command line; rooms of one line may not import each other.
const ORDER: [&[&str]; 14] = [
    &["domain"],
    &["sync_type", "operation", "http"],
    &["report", "delta", "source", "store", "coordination", "event"],
    &["sync", "pretend_erp"],
    &["outbox"],
    &["queue"],
    &["scheduler", "monitor"],
    &["api"],
    &["ui"],
    &["settings"],
    &["app"],
    &["testing"],
    &["cli"],
    &["lib", "main"],
];

/// Within the third line, who may import whom: the store keeps what reports and plans say, and what a source
/// fetches must be a report.
const EXCEPTIONS: [(&str, &str); 3] = [("store", "delta"), ("store", "report"), ("source", "report")];

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

/// Every room named by `crate::room` or by `use crate::{room::.., ..}`.
fn imports(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        // names at the group's own depth begin after its start and after each of its commas
        let mut depth = 0;
        let mut fresh = true;
        for (place, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if fresh && depth == 0 && !c.is_whitespace() => {
                    found.push(word(&group[place..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let own = room(&path);
        if path.ends_with("tests.rs") {
            continue;
        }
        for other in imports(production(&fs::read_to_string(&path).unwrap())) {
            let is_allowed =
                own == other || rank(&other) < rank(&own) || EXCEPTIONS.contains(&(own.as_str(), other.as_str()));
            if !is_allowed {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        if lines > 450 {
            wrong.push(format!("{}: {lines} lines are more than one room", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_lives_in_the_store_alone() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(room(&path) == "store" || !production(&text).contains("sea_orm"), "{}", path.display());
    }
}

#[test]
fn imports_are_found() {
    let text = "use crate::{\n    domain::{AgentId, Clock},\n    store,\n    sync_type::spec::Guards,\n};\nlet x = crate::report::read();";
    assert_eq!(imports(text), ["domain", "store", "sync_type", "report"]);
}
