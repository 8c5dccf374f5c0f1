//! Who has the effect of a change that goes out? The port to what lies outside, the kinds of sink, and their routes.

mod address;
mod csv_file;
mod http;
mod port;
mod routes;
mod sheets;
mod webhook;

pub use csv_file::{CsvFile, Formulas, MODE, neutralised};
pub use port::{Answers, Delivered, Delivery, NoSink, Sink, SinkError};
pub use routes::{Named, Routes};
pub use sheets::{Sheets, SheetsConfig};
pub use webhook::{Webhook, WebhookConfig};
