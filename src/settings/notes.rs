//! What should a person know who wrote the settings? Variables that are not read, files that others can read.

use std::{collections::HashMap, os::unix::fs::MetadataExt, path::Path};

/// What is odd about the variables of the process.
pub(super) fn of_environment(environment: &HashMap<String, String>) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, value) in environment {
        let is_ours = name.starts_with("LOCKSTEP__");
        let is_meant =
            name.starts_with("LOCKSTEP_") && !name.starts_with("LOCKSTEP_TEST_") && name != "LOCKSTEP_CONFIG";
        if is_ours && value.trim().is_empty() {
            notes.push(format!("{name} is empty"));
        } else if is_meant && !is_ours {
            let meant = name.trim_start_matches("LOCKSTEP_").replacen('_', "__", 1);
            notes.push(format!("{name} is not read: settings have two underscores, as in LOCKSTEP__{meant}"));
        }
    }
    notes.sort();
    notes
}

/// Can others than its owner read this file of a secret?
pub(super) fn of_secret_file(key: &str, file: &Path) -> Option<String> {
    let mode = file.metadata().ok()?.mode();
    let text = format!("{key}: others can read {} (mode {:03o}): chmod 600", file.display(), mode & 0o777);
    (mode & 0o007 != 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_with_one_underscore_and_an_empty_one_are_told() {
        let variables = [
            ("LOCKSTEP_SERVER_PORT", "9000"),
            ("LOCKSTEP__SERVER__HOST", " "),
            ("LOCKSTEP__SERVER__PORT", "9"),
            ("PATH", ""),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let notes = of_environment(&environment);
        assert_eq!(
            notes,
            [
                "LOCKSTEP_SERVER_PORT is not read: settings have two underscores, as in LOCKSTEP__SERVER__PORT",
                "LOCKSTEP__SERVER__HOST is empty",
            ]
        );
    }
}
