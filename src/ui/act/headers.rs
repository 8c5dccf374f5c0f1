//! What is said of columns that no file knows?

use super::form::{Done, Form, needed, said, unknown};
use crate::{
    api::{Api, Problem},
    domain::Cause,
};

/// Keeps it, or forgets it.
pub(super) async fn change(api: &Api, cause: Cause, (what, form): (&str, &Form)) -> Result<Done, Problem> {
    let sync_type = needed(form.r#type.as_ref(), "type")?;
    match what {
        "teach" => {
            let (header, field) = (needed(form.header.as_ref(), "header")?, needed(form.field.as_ref(), "field")?);
            let taught = api.teach(cause, &sync_type, &header, &field).await?;
            Ok(said(format!("“{}” is read as {} from the next run on.", taught.header, taught.field)))
        }
        "unteach" => {
            api.forget_header(cause, &sync_type, needed(form.id.as_ref(), "id")?).await?;
            Ok(said("It is not read any more from the next run on; what is stored stays."))
        }
        _ => Err(unknown(what)),
    }
}
