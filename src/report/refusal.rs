//! Why can a report not be read?

use serde::{Deserialize, Serialize};

use super::drift::Drift;

/// The kinds of refusal; the names are part of the API and of `extract`'s output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Nothing came.
    EmptyBody,
    /// A web page that asks to log in: the session expired.
    LoginPage,
    /// Some other thing than a PDF.
    NotAPdf,
    /// A PDF with parts missing or broken.
    Damaged,
    /// Encrypted, and the empty password does not open it.
    NeedsPassword,
    /// A page on which no table could be recognised.
    NoTable,
    /// A page whose glyphs have no known text.
    UnreadableText,
    /// A person sees something that is no text: pictures, fields of a form.
    PictureOfText,
    /// Lines fill their cells, and whether words end there cannot be told.
    UncertainBreaks,
    /// A page of a cycle is missing or out of place.
    IncompleteCycle,
    /// The pages of a cycle do not hold the same rows.
    PagesDisagree,
    /// A column without which no row can be understood.
    RequiredColumnMissing,
    /// The headers are those of another sync type.
    WrongType,
    /// The totals row does not fit the rows.
    TotalsMismatch,
    /// Reading it costs more than any real report does.
    Budget,
    /// The process that read it ran out of memory.
    OutOfMemory,
    /// The process that read it used more processor time than any real report needs.
    Cpu,
    /// The process that read it took too long and was ended.
    Timeout,
    /// The process that read it died.
    Crash,
    /// Too many reports wait to be read.
    Busy,
}

/// A report was refused: nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{text}")]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// What was found where, and what was expected; for people.
    pub text: String,
    /// How its columns differ from those of its type, where that is why.
    pub drift: Option<Box<Drift>>,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), drift: None }
    }
}

impl RefusalCode {
    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalCode::EmptyBody => "empty_body",
            RefusalCode::LoginPage => "login_page",
            RefusalCode::NotAPdf => "not_a_pdf",
            RefusalCode::Damaged => "damaged",
            RefusalCode::NeedsPassword => "needs_password",
            RefusalCode::NoTable => "no_table",
            RefusalCode::UnreadableText => "unreadable_text",
            RefusalCode::PictureOfText => "picture_of_text",
            RefusalCode::UncertainBreaks => "uncertain_breaks",
            RefusalCode::IncompleteCycle => "incomplete_cycle",
            RefusalCode::PagesDisagree => "pages_disagree",
            RefusalCode::RequiredColumnMissing => "required_column_missing",
            RefusalCode::WrongType => "wrong_type",
            RefusalCode::TotalsMismatch => "totals_mismatch",
            RefusalCode::Budget => "budget",
            RefusalCode::OutOfMemory => "out_of_memory",
            RefusalCode::Cpu => "cpu",
            RefusalCode::Timeout => "timeout",
            RefusalCode::Crash => "crash",
            RefusalCode::Busy => "busy",
        }
    }

    /// The code of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    /// Is it certain that the same bytes are refused again? What the reader's process ran into may have been the
    /// machine's doing.
    #[must_use]
    pub fn is_of_the_report(self) -> bool {
        let is_of_process =
            matches!(self, RefusalCode::OutOfMemory | RefusalCode::Cpu | RefusalCode::Timeout | RefusalCode::Crash);
        !is_of_process && !self.is_transient()
    }

    /// May the same fetch succeed a little later? A half-made export or a log-in page may; a report
    /// whose content is refused will be refused again.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            RefusalCode::EmptyBody
            | RefusalCode::LoginPage
            | RefusalCode::NotAPdf
            | RefusalCode::Damaged
            | RefusalCode::Busy => true,
            RefusalCode::NeedsPassword
            | RefusalCode::NoTable
            | RefusalCode::UnreadableText
            | RefusalCode::PictureOfText
            | RefusalCode::UncertainBreaks
            | RefusalCode::IncompleteCycle
            | RefusalCode::PagesDisagree
            | RefusalCode::RequiredColumnMissing
            | RefusalCode::WrongType
            | RefusalCode::TotalsMismatch
            | RefusalCode::Budget
            | RefusalCode::OutOfMemory
            | RefusalCode::Cpu
            | RefusalCode::Timeout
            | RefusalCode::Crash => false,
        }
    }
}
