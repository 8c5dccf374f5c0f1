//! Which sync types are there? The compiled-in files, overridden or joined by the config folder's.

use std::{path::Path, sync::Arc};

use include_dir::{Dir, include_dir};

use serde::Deserialize;

use super::{
    header::normalise,
    spec::{Scope, SpecFile, SyncTypeSpec},
    validate,
};
use crate::domain::{AgentId, SyncType};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config/sync");

/// A sync type's file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The file is not TOML of the expected shape; the text names line and key.
    #[error("{file}: {error}")]
    Syntax {
        /// The file.
        file: String,
        /// What the TOML reader says.
        error: String,
    },
    /// A key's value makes no sense.
    #[error("{file}: {key}: {wrong}")]
    Invalid {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What is wrong.
        wrong: String,
    },
    /// The folder or a file in it cannot be read.
    #[error("{file}: cannot be read: {error}")]
    Unreadable {
        /// The file or folder.
        file: String,
        /// What the system says.
        error: String,
    },
}

/// All sync types of this process, highest priority first, then by name.
#[derive(Debug, Clone)]
pub struct SyncTypes {
    specs: Vec<Arc<SyncTypeSpec>>,
    /// Name and text of each type's file, for the processes that read reports.
    files: Vec<(String, String)>,
}

/// The name that a file gives its type, if it can be read at all.
fn named(text: &str) -> Option<SyncType> {
    #[derive(Deserialize)]
    struct Named {
        name: SyncType,
    }
    toml::from_str::<Named>(text).ok().map(|named| named.name)
}

impl SyncTypes {
    /// The compiled-in types alone.
    ///
    /// # Errors
    /// [`SpecError`] if a compiled-in file is wrong; a test proves that none is.
    pub fn built_in() -> Result<Self, SpecError> {
        Self::from_files(built_in_files())
    }

    /// The compiled-in types, with those of `folder`: a file whose `name` is known replaces that
    /// type, any other joins. A folder that does not exist adds nothing.
    ///
    /// # Errors
    /// [`SpecError`] naming file and key.
    pub fn load(folder: &Path) -> Result<Self, SpecError> {
        let unreadable = |path: &Path, error: std::io::Error| SpecError::Unreadable {
            file: path.display().to_string(),
            error: error.to_string(),
        };
        let mut files = built_in_files();
        if folder.is_dir() {
            let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
            let mut paths = entries
                .map(|entry| entry.map(|entry| entry.path()).map_err(|error| unreadable(folder, error)))
                .collect::<Result<Vec<_>, _>>()?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            paths.sort();
            let mut own: Vec<(String, SyncType)> = Vec::new();
            for path in paths {
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                let file = path.display().to_string();
                // one of two would be left out unsaid
                if let Some(name) = named(&text) {
                    if let Some((other, _)) = own.iter().find(|(_, known)| *known == name) {
                        let wrong = format!("'{name}' is the name of {other}, too");
                        return Err(SpecError::Invalid { file, key: "name".to_owned(), wrong });
                    }
                    own.push((file.clone(), name));
                }
                files.push((file, text));
            }
        }
        Self::from_files(files)
    }

    /// Types from `(file name, TOML text)`; of two with the same `name` the later one counts.
    ///
    /// # Errors
    /// [`SpecError`] naming file and key.
    pub fn from_files(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, SpecError> {
        let mut specs: Vec<(String, SyncTypeSpec)> = Vec::new();
        let mut kept: Vec<(String, String, SyncType)> = Vec::new();
        for (file, text) in files {
            let parsed: SpecFile = toml::from_str(&text)
                .map_err(|error| SpecError::Syntax { file: file.clone(), error: error.to_string() })?;
            let spec = validate::check(parsed).map_err(|(key, wrong)| SpecError::Invalid {
                file: file.clone(),
                key,
                wrong,
            })?;
            specs.retain(|(_, known)| known.name != spec.name);
            kept.retain(|(_, _, known)| *known != spec.name);
            kept.push((file.clone(), text, spec.name.clone()));
            specs.push((file, spec));
        }
        for (file, spec) in &specs {
            check_references(spec, &specs).map_err(|(key, wrong)| SpecError::Invalid {
                file: file.clone(),
                key,
                wrong,
            })?;
        }
        let mut specs: Vec<_> = specs.into_iter().map(|(_, spec)| Arc::new(spec)).collect();
        specs.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        Ok(Self { specs, files: kept.into_iter().map(|(file, text, _)| (file, text)).collect() })
    }

    /// Name and text of each type's file: [`SyncTypes::from_files`] makes the same types of them.
    #[must_use]
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// Name and text of the file of the type called `name`.
    #[must_use]
    pub fn file_of(&self, name: &str) -> Option<&(String, String)> {
        self.files.iter().find(|(_, text)| named(text).is_some_and(|of| of.as_str() == name))
    }

    /// The type called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<SyncTypeSpec>> {
        self.specs.iter().find(|spec| spec.name.as_str() == name)
    }

    /// All types.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SyncTypeSpec>> {
        self.specs.iter()
    }

    /// All names, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        self.specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The types whose records belong to records of `parent`.
    pub fn children_of<'a>(&'a self, parent: &'a SyncType) -> impl Iterator<Item = &'a Arc<SyncTypeSpec>> {
        self.specs.iter().filter(move |spec| spec.parent.as_ref().is_some_and(|p| p.sync_type == *parent))
    }

    /// The agent of the parent rows of `child`'s rows under `agent`.
    #[must_use]
    pub fn parent_agent(&self, child: &SyncTypeSpec, agent: &AgentId) -> Option<(Arc<SyncTypeSpec>, AgentId)> {
        let parent = self.get(child.parent.as_ref()?.sync_type.as_str())?;
        Some((parent.clone(), parent.agent_for(agent)))
    }

    /// The type whose columns `headers` (printed texts) fit best, with the number that fit.
    #[must_use]
    pub fn best_match(&self, headers: &[String]) -> Option<(&Arc<SyncTypeSpec>, usize)> {
        let printed: Vec<_> = headers.iter().map(|header| normalise(header)).collect();
        let fit = |spec: &SyncTypeSpec| {
            let accepted = |header: &String| {
                spec.columns.iter().any(|column| column.headers.iter().any(|h| normalise(h) == *header))
            };
            printed.iter().filter(|header| accepted(header)).count()
        };
        self.specs.iter().map(|spec| (spec, fit(spec))).max_by_key(|(_, count)| *count)
    }
}

fn built_in_files() -> Vec<(String, String)> {
    BUILT_IN
        .files()
        .filter_map(|file| Some((format!("config/sync/{}", file.path().display()), file.contents_utf8()?.to_owned())))
        .collect()
}

fn check_references(spec: &SyncTypeSpec, all: &[(String, SyncTypeSpec)]) -> Result<(), validate::Complaint> {
    let find = |name: &SyncType| all.iter().map(|(_, spec)| spec).find(|spec| spec.name == *name);
    for trigger in &spec.triggers {
        let Some(child) = find(trigger) else {
            return Err(("triggers".into(), format!("there is no sync type '{trigger}'")));
        };
        if child.scope != spec.scope {
            return Err(("triggers".into(), format!("'{trigger}' has another scope than '{}'", spec.name)));
        }
        let mut open = vec![child];
        let mut seen = Vec::new();
        while let Some(next) = open.pop() {
            if next.name == spec.name {
                return Err(("triggers".into(), format!("'{trigger}' leads back to '{}'", spec.name)));
            }
            if !seen.contains(&&next.name) {
                seen.push(&next.name);
                open.extend(next.triggers.iter().filter_map(find));
            }
        }
    }
    if let Some(parent) = &spec.parent {
        let Some(parent_spec) = find(&parent.sync_type) else {
            return Err(("parent.type".into(), format!("there is no sync type '{}'", parent.sync_type)));
        };
        let Some(matches) = parent_spec.field(&parent.matches) else {
            return Err((
                "parent.matches".into(),
                format!("'{}' is not a field of '{}'", parent.matches, parent.sync_type),
            ));
        };
        let kind = |spec: &SyncTypeSpec, field: usize| spec.fields[field].value_type.is_text();
        if spec.field(&parent.field).is_some_and(|field| !kind(spec, field) || !kind(parent_spec, matches)) {
            return Err(("parent.field".into(), "records are joined by fields that are text or id".into()));
        }
        if spec.scope == Scope::Shared && parent_spec.scope == Scope::Agent {
            return Err(("parent.type".into(), "a shared type cannot belong to a per-agent one".into()));
        }
    }
    if let Some(history) = &spec.history {
        if find(&SyncType::from(history.table.as_str())).is_some() {
            return Err(("history.table".into(), format!("'{}' is a sync type's table", history.table)));
        }
        let sharers =
            all.iter().filter(|(_, other)| other.history.as_ref().is_some_and(|h| h.table == history.table)).count();
        if sharers > 1 {
            return Err(("history.table".into(), format!("'{}' is another type's history", history.table)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
name = "couriers"
scope = "shared"
priority = 1
interval_minutes = 30
key = "code"
required = ["code"]
change_hash = { algorithm = "md5" }
columns = [
  { headers = ["CODE"], field = "code", type = "id" },
  { headers = ["NAME"], field = "name", type = "text" },
]
"#;

    fn load(text: &str) -> Result<SyncTypes, SpecError> {
        let mut files = built_in_files();
        files.push(("couriers.toml".into(), text.into()));
        SyncTypes::from_files(files)
    }

    #[test]
    fn the_six_types_are_as_the_reports_say() {
        let types = SyncTypes::built_in().unwrap();
        let facts: Vec<_> = types
            .iter()
            .map(|s| (s.name.as_str(), s.columns.len(), s.fields.len(), s.hashed.len(), s.key_name()))
            .collect();
        assert_eq!(
            facts,
            [
                ("orders", 23, 23, 6, "order_id"),
                ("customers", 27, 27, 27, "customer_profile"),
                ("ddt", 17, 17, 17, "ddt_id"),
                ("invoices", 22, 21, 21, "invoice_number"),
                ("products", 36, 35, 33, "article_id"),
                ("prices", 14, 14, 7, "price_id"),
            ]
        );
    }

    #[test]
    fn a_type_joins_and_replaces() {
        assert!(load(MINIMAL).unwrap().get("couriers").is_some());
        let replaced = load(&MINIMAL.replace("couriers", "customers")).unwrap();
        assert_eq!(replaced.get("customers").unwrap().fields.len(), 2);
        assert_eq!(replaced.iter().count(), 6);
    }

    #[test]
    fn each_mistake_names_file_and_key() {
        for (from, to, key) in [
            ("couriers", "job", "name"),
            ("couriers", "Couriers", "name"),
            ("= 30", "= 4", "interval_minutes"),
            ("key =", "freshness_minutes = 29\nkey =", "freshness_minutes"),
            ("priority = 1", "priority = 0", "priority"),
            ("key = \"code\"", "key = \"cod\"", "key"),
            ("required = [\"code\"]", "required = [\"name\"]", "required"),
            ("required = [\"code\"]", "required = [\"x\"]", "required"),
            ("\"md5\" }", "\"md5\", fields = [] }", "change_hash.fields"),
            ("\"md5\" }", "\"md5\", fields = [\"x\"] }", "change_hash.fields"),
            ("\"md5\" }", "\"md5\", except = [\"x\"] }", "change_hash.except"),
            ("field = \"name\"", "field = \"run_id\"", "columns[1].field"),
            ("field = \"name\"", "field = \"code\"", "columns[1].field"),
            (", field = \"name\"", "", "columns[1].field"),
            ("[\"NAME\"]", "[]", "columns[1].headers"),
            ("[\"NAME\"]", "[\"NAME\", \"code:\"]", "columns[1].headers"),
            ("key =", "triggers = [\"nobody\"]\nkey =", "triggers"),
            ("key =", "triggers = [\"orders\"]\nkey =", "triggers"),
            ("key =", "triggers = [\"couriers\"]\nkey =", "triggers"),
            ("key =", "parent = { type = \"x\", field = \"code\", matches = \"y\" }\nkey =", "parent.type"),
            ("key =", "parent = { type = \"products\", field = \"code\", matches = \"y\" }\nkey =", "parent.matches"),
            ("key =", "parent = { type = \"orders\", field = \"code\", matches = \"order_id\" }\nkey =", "parent.type"),
            ("key =", "history = { table = \"orders\", field = \"name\" }\nkey =", "history.table"),
            ("key =", "history = { table = \"price_history\", field = \"name\" }\nkey =", "history.table"),
        ] {
            let text = MINIMAL.replacen(from, to, 1);
            assert_ne!(text, MINIMAL, "{from} is not in the file");
            match load(&text) {
                Err(SpecError::Invalid { file, key: named, .. }) => {
                    let named_file =
                        file == "couriers.toml" || (file.ends_with("prices.toml") && key == "history.table");
                    assert!(named_file && named == key, "{to}: {file}: {named}");
                }
                other => panic!("{to}: {other:?}"),
            }
        }
        let unknown = load(&MINIMAL.replace("key =", "colour = \"red\"\nkey =")).unwrap_err().to_string();
        assert!(unknown.contains("couriers.toml") && unknown.contains("colour"), "{unknown}");
    }

    #[test]
    fn the_fingerprint_follows_columns_and_hash_but_not_the_schedule() {
        let fingerprint = |text: &str| load(text).unwrap().get("couriers").unwrap().fingerprint.clone();
        let base = fingerprint(MINIMAL);
        assert_eq!(base, fingerprint(&MINIMAL.replace("= 30", "= 60")));
        assert_ne!(base, fingerprint(&MINIMAL.replace("\"NAME\"", "\"NAME\", \"NOME\"")));
        assert_ne!(base, fingerprint(&MINIMAL.replace("md5", "sha256")));
    }
}
