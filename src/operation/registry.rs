//! Which operations are there? The compiled-in files, overridden or joined by the config folder's.

use std::{path::Path, sync::Arc};

use include_dir::{Dir, include_dir};

use super::OperationSpec;
use crate::domain::JobType;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config/operations");

/// An operation's file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The file is not TOML of the expected shape, or cannot be read.
    #[error("{file}: {error}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong.
        error: String,
    },
    /// A key's value makes no sense.
    #[error("{file}: {key}: must be {expected}")]
    Invalid {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

/// All operations of this process, by name.
#[derive(Debug, Clone, Default)]
pub struct Operations(Vec<Arc<OperationSpec>>);

impl Operations {
    /// The compiled-in operations alone.
    ///
    /// # Errors
    /// [`OperationError`] if a compiled-in file is wrong; a test proves that none is.
    pub fn built_in() -> Result<Self, OperationError> {
        let text = |file: &include_dir::File<'_>| {
            (file.path().display().to_string(), file.contents_utf8().unwrap_or_default().to_owned())
        };
        Self::from_files(BUILT_IN.files().map(text))
    }

    /// The compiled-in operations, with those of `folder`: a file whose `name` is known replaces that one,
    /// any other joins. A folder that does not exist adds nothing.
    ///
    /// # Errors
    /// [`OperationError`] naming file and key.
    pub fn load(folder: &Path) -> Result<Self, OperationError> {
        let mut operations = Self::built_in()?;
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(operations) };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path)
                .map_err(|error| OperationError::Syntax { file: file.clone(), error: error.to_string() })?;
            files.push((file, text));
        }
        for one in Self::from_files(files.into_iter())?.0 {
            operations.0.retain(|other| other.name != one.name);
            operations.0.push(one);
        }
        operations.0.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(operations)
    }

    fn from_files(files: impl Iterator<Item = (String, String)>) -> Result<Self, OperationError> {
        let mut specs = Vec::new();
        for (file, text) in files {
            let spec: OperationSpec = toml::from_str(&text)
                .map_err(|error| OperationError::Syntax { file: file.clone(), error: error.to_string() })?;
            if let Some((key, expected)) = spec.wrong() {
                return Err(OperationError::Invalid { file, key, expected });
            }
            specs.push(Arc::new(spec));
        }
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(specs))
    }

    /// The operation called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<OperationSpec>> {
        self.0.iter().find(|spec| spec.name.as_str() == name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<OperationSpec>> {
        self.0.iter()
    }

    /// The names of all, for people.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The names of all, for claims.
    pub fn job_types(&self) -> impl Iterator<Item = JobType> + '_ {
        self.0.iter().map(|spec| spec.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Class;

    #[test]
    fn the_operations_of_the_old_system_are_files() {
        let operations = Operations::built_in().unwrap();
        let of = |class| operations.iter().filter(move |spec| spec.class == class).map(|spec| spec.name.to_string());
        assert_eq!(of(Class::Download).collect::<Vec<_>>(), ["download-ddt-pdf", "download-invoice-pdf"]);
        assert_eq!(
            of(Class::Write).collect::<Vec<_>>(),
            ["create-customer", "delete-order", "edit-order", "send-order", "submit-order", "update-customer"]
        );
    }

    #[test]
    fn a_folder_overrides_and_joins_and_mistakes_name_file_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("a.toml", "name = \"ring-bell\"\ntitle = \"Ring\"\nclass = \"write\"\nmodel = \"bell\"\nrecord = \"id\"");
        put(
            "b.toml",
            "name = \"edit-order\"\ntitle = \"E\"\nclass = \"write\"\nmodel = \"o\"\nrecord = \"id\"\nseconds = 7",
        );
        let operations = Operations::load(folder.path()).unwrap();
        assert!(operations.get("ring-bell").is_some());
        assert_eq!(operations.get("edit-order").unwrap().seconds, 7);
        for (text, named) in [
            ("name = \"x\"", "title"),
            ("name = \"x\"\ntitle = \"\"\nclass = \"sync\"\nmodel = \"m\"\nrecord = \"id\"", "class"),
            ("name = \"X\"\ntitle = \"\"\nclass = \"write\"\nmodel = \"m\"\nrecord = \"id\"", "name"),
            ("name = \"x\"\ntitle = \"\"\nclass = \"write\"\nmodel = \"m\"\nrecord = \"id\"\ncolour = 1", "colour"),
        ] {
            put("c.toml", text);
            let error = Operations::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains("c.toml") && error.contains(named), "{error}");
        }
    }
}
