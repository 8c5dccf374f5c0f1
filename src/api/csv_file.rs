//! How does a list become a file for a spreadsheet? Page after page, as it is taken; nothing of it is a formula.

use actix_web::{HttpResponse, web};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use super::Problem;
use crate::sink::neutralised;

/// How a list is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Json,
    Csv,
}

fn line(cells: Vec<String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // memory takes whatever is written
    writer.write_record(cells).ok();
    writer.into_inner().unwrap_or_default()
}

/// A file with these columns. `page` answers the rows behind a place, and the next place if there are more.
pub(super) fn file<P: 'static, F>(
    name: &str,
    columns: Vec<String>,
    first: P,
    page: impl Fn(P) -> F + 'static,
) -> HttpResponse
where
    F: Future<Output = Result<(Vec<Vec<String>>, Option<P>), Problem>>,
{
    let head = stream::iter([Ok(web::Bytes::from(line(columns)))]);
    let rest = stream::try_unfold((Some(first), page), |(place, page)| async move {
        let Some(place) = place else { return Ok::<_, actix_web::Error>(None) };
        let (rows, next) = page(place).await?;
        let text = rows.into_iter().flat_map(|cells| line(cells.into_iter().map(neutralised).collect()));
        Ok(Some((web::Bytes::from(text.collect::<Vec<u8>>()), (next, page))))
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("Content-Disposition", format!("attachment; filename=\"{name}.csv\"")))
        .streaming(head.chain(rest))
}
