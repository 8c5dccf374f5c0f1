//! Which file describes a report's type? A first draft from its columns, for a person to go through.

use std::{collections::HashSet, fmt::Write};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{cell, survey::SurveyedColumn};
use crate::sync_type::{ValueType, header::normalise};

/// From so many digits on, a number without dots is a code: grids print the dots of thousands.
const DIGITS: usize = 4;

/// One column, guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guessed {
    /// Its printed header.
    pub header: String,
    /// A name for its field.
    pub field: String,
    /// What it seems to hold.
    pub value_type: ValueType,
    /// Why a person should look at it.
    pub doubt: Option<String>,
}

/// A type, guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub columns: Vec<Guessed>,
    /// The column that seems to be the key, and others that could be.
    pub key: Option<usize>,
    /// Columns that could be the key, too.
    pub rivals: Vec<usize>,
}

/// Guesses a type from all its columns.
#[must_use]
pub fn draft(columns: &[SurveyedColumn]) -> Draft {
    let mut fields: HashSet<String> = HashSet::new();
    let mut guess = |column: &SurveyedColumn| {
        let (value_type, doubt) = value_type(column);
        let base = field_name(&column.header);
        let mut field = base.clone();
        let mut number = 2;
        while !fields.insert(field.clone()) {
            field = format!("{base}_{number}");
            number += 1;
        }
        Guessed { header: column.header.clone(), field, value_type, doubt }
    };
    let guessed: Vec<Guessed> = columns.iter().map(&mut guess).collect();
    let is_unique = |column: &SurveyedColumn| {
        let texts: HashSet<&String> = column.texts.iter().collect();
        !column.texts.is_empty() && texts.len() == column.texts.len() && !column.texts.iter().any(String::is_empty)
    };
    let can_be_key = |number: &usize| {
        matches!(guessed[*number].value_type, ValueType::Id | ValueType::Text) && is_unique(&columns[*number])
    };
    let candidates: Vec<usize> = (0..columns.len()).filter(can_be_key).collect();
    let is_called_so = |number: &&usize| {
        let words = normalise_words(&columns[**number].header);
        words.iter().any(|word| matches!(word.as_str(), "ID" | "CODE" | "CODICE" | "NR" | "NO" | "KEY"))
    };
    let key = candidates.iter().find(is_called_so).or(candidates.first()).copied();
    let rivals = candidates.into_iter().filter(|number| Some(*number) != key).collect();
    Draft { columns: guessed, key, rivals }
}

fn normalise_words(header: &str) -> Vec<String> {
    header.split_whitespace().map(normalise).collect()
}

/// What a column's texts seem to be, and why that may be wrong.
fn value_type(column: &SurveyedColumn) -> (ValueType, Option<String>) {
    use ValueType as T;
    let texts: Vec<&str> = column.texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let all = |fits: &dyn Fn(&str) -> bool| texts.iter().all(|text| fits(text));
    let any = |fits: &dyn Fn(&str) -> bool| texts.iter().any(|text| fits(text));
    let parses = |value_type| move |text: &str| cell::parse(value_type, text).is_ok();
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if texts.is_empty() {
        return (T::Text, Some("it is blank in this report: its type is not known".to_owned()));
    }
    if all(&|text| text.starts_with("System.")) {
        return (T::Skip, None);
    }
    if any(&|text| text.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("<a"))) {
        return (T::Tracking, None);
    }
    if all(&parses(T::Bool)) {
        return (T::Bool, None);
    }
    if all(&parses(T::Datetime)) {
        let has_time = any(&|text| text.contains(' '));
        return (if has_time { T::Datetime } else { T::Date }, None);
    }
    if all(&parses(T::Percent)) && any(&|text| text.contains('%')) {
        return (T::Percent, None);
    }
    if all(&parses(T::Money)) && (column.has_sum || any(&|text| text.contains('€'))) {
        let is_whole = all(&|text| parses(T::Int)(text));
        return (if is_whole && !any(&|text| text.contains('€')) { T::Int } else { T::Money }, None);
    }
    if all(&parses(T::Number)) && any(&|text| text.contains(',')) {
        return (T::Number, None);
    }
    let has_dots = any(&|text| text.contains('.'));
    let has_long_code =
        any(&|text| is_digits(text) && (text.len() >= DIGITS || (text.len() > 1 && text.starts_with('0'))));
    if all(&parses(T::Int)) && !has_long_code {
        let unique: HashSet<&&str> = texts.iter().collect();
        let is_id = unique.len() == texts.len() && normalise_words(&column.header).iter().any(|word| word == "ID");
        if is_id {
            return (T::Id, None);
        }
        let doubt = (!has_dots).then(|| "small numbers: an amount of something, or a code (text)?".to_owned());
        return (T::Int, doubt);
    }
    (T::Text, None)
}

/// A header as a name in the database.
fn field_name(header: &str) -> String {
    let plain: String = header.nfd().filter(|c| !is_combining_mark(*c)).collect();
    let words: Vec<String> = plain
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    match words.join("_") {
        name if name.is_empty() => "column".to_owned(),
        name if name.starts_with(|c: char| c.is_ascii_digit()) => format!("column_{name}"),
        name => name.chars().take(60).collect(),
    }
}

fn type_name(value_type: ValueType) -> String {
    serde_json::to_value(value_type).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Draft {
    /// The type's file, with comments where a person should look.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        let key = self.key.map_or("", |key| self.columns[key].field.as_str());
        let mut file = String::from(HEAD);
        let rivals: Vec<&str> = self.rivals.iter().map(|rival| self.columns[*rival].header.as_str()).collect();
        writeln!(file, "\nname = {}\nscope = \"agent\"\npriority = 2\ninterval_minutes = 30", quoted(name)).ok();
        match (self.key, rivals.is_empty()) {
            (None, _) => file.push_str("# LOOK: no column is unique in this report; name the one that is\n"),
            (Some(_), false) => {
                writeln!(file, "# LOOK: these are unique in this report, too: {}", rivals.join(" | ")).ok();
            }
            (Some(_), true) => {}
        }
        writeln!(file, "key = {}\nrequired = [{}]", quoted(key), quoted(key)).ok();
        file.push_str("\n[change_hash]\nalgorithm = \"sha256\"\n# all fields; `fields` or `except` leave some out\n");
        for column in &self.columns {
            file.push('\n');
            if let Some(doubt) = &column.doubt {
                writeln!(file, "# LOOK: {doubt}").ok();
            }
            writeln!(file, "[[columns]]\nheaders = [{}]", quoted(&column.header)).ok();
            if column.value_type != ValueType::Skip {
                writeln!(file, "field = {}", quoted(&column.field)).ok();
            }
            writeln!(file, "type = {}", quoted(&type_name(column.value_type))).ok();
        }
        file
    }
}

/// What stands above every type's file.
const HEAD: &str = "# A sync type: what its reports print, and what becomes of it.
# scope: agent (a report for each) or shared. priority: 1 to 9 among the syncs. interval_minutes: 5 to 1440.
# type of a column: text, id (thousands dots dropped), int, money, number, percent, date, datetime, bool,
# tracking (a courier and a number), skip (not stored).
";

/// An empty file, to be filled in.
#[must_use]
pub fn template(name: &str) -> String {
    let column = |header: &str, field: &str, value_type, doubt: &str| Guessed {
        header: header.to_owned(),
        field: field.to_owned(),
        value_type,
        doubt: Some(doubt.to_owned()),
    };
    let columns = vec![
        column("ID", "record_id", ValueType::Id, "the printed header, in each language of the ERP's users"),
        column("NOME", "name", ValueType::Text, "one such part for each printed column"),
    ];
    Draft { columns, key: Some(0), rivals: Vec::new() }.file(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(header: &str, texts: &[&str], has_sum: bool) -> SurveyedColumn {
        SurveyedColumn {
            header: header.to_owned(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            has_sum,
        }
    }

    #[test]
    fn values_show_their_type() {
        use ValueType as T;
        for (header, texts, has_sum, expected) in [
            ("ID", &["71.285", "71.286"][..], false, T::Id),
            ("PROFILO", &["1042456", "1042457"], false, T::Text),
            ("QUANTITÀ", &["5", "1.204"], false, T::Int),
            ("TOTALE", &["5,00 €", "1.204,50 €"], false, T::Money),
            ("PREZZO", &["1.000,00", "1,00"], false, T::Number),
            ("CAP", &["00100", "20121"], false, T::Text),
            ("DATA", &["20/01/2026", ""], false, T::Date),
            ("CREATO", &["20/01/2026 12:04:22"], false, T::Datetime),
            ("ATTIVO", &["Sì", "No"], false, T::Bool),
            ("SCONTO", &["21,49 %"], false, T::Percent),
            ("IMMAGINE", &["System.Byte[]"], false, T::Skip),
            ("IMPORTO", &["5", "1.204,50"], true, T::Money),
        ] {
            assert_eq!(value_type(&column(header, texts, has_sum)).0, expected, "{header}");
        }
    }

    #[test]
    fn the_draft_is_a_file_that_loads() {
        let columns = [column("NOME VENDITE:", &["a", "a"], false), column("ID DI VENDITA", &["A/1", "A/2"], false)];
        let draft = draft(&columns);
        assert_eq!(draft.key, Some(1));
        for file in [draft.file("sales"), template("sales")] {
            let types = crate::sync_type::SyncTypes::from_files([("sales.toml".to_owned(), file.clone())]);
            assert!(types.is_ok(), "{types:?}\n{file}");
        }
    }
}
