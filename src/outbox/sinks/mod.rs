//! Which kinds of sink are there?

mod address;
mod csv_file;
mod http;
mod sheets;
mod webhook;

pub use csv_file::{CsvFile, Formulas, MODE};
pub use sheets::{Sheets, SheetsConfig};
pub use webhook::{Webhook, WebhookConfig};
