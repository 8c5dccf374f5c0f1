//! Which printed column is which field? Matching by header text, and the drift it shows.

use std::collections::HashMap;

use super::{
    Refusal, RefusalCode,
    drift::{Drift, Renamed},
    wrap::Kind,
};
use crate::sync_type::{SyncTypeSpec, SyncTypes, header::normalise};

/// Where a column stands: page of the cycle, column on that page.
pub(crate) type Place = (usize, usize);

/// The place of each of the spec's columns, where the report has it.
#[derive(Debug)]
pub(crate) struct Columns {
    /// One entry a column of the spec.
    pub places: Vec<Option<Place>>,
    /// The differences.
    pub drift: Drift,
}

impl Columns {
    /// Matches headers to columns.
    ///
    /// # Errors
    /// `wrong_type` where the headers are clearly another type's, `required_column_missing` naming
    /// the column and listing the headers found.
    pub(crate) fn find(headers: &[(Place, &str)], spec: &SyncTypeSpec, types: &SyncTypes) -> Result<Self, Refusal> {
        let mut sharers: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, column) in spec.columns.iter().enumerate() {
            for header in column.headers.iter().map(|header| normalise(header)) {
                let columns = sharers.entry(header).or_default();
                if !columns.contains(&number) {
                    columns.push(number);
                }
            }
        }
        // columns that accept the same texts share what is printed under any of these texts
        let mut printed: Vec<(&[usize], Vec<Place>)> = Vec::new();
        let mut unknown = Vec::new();
        for (place, header) in headers {
            let header = normalise(header);
            match sharers.get(&header) {
                Some(columns) => match printed.iter_mut().find(|(known, _)| *known == columns.as_slice()) {
                    Some((_, places)) => places.push(*place),
                    None => printed.push((columns, vec![*place])),
                },
                None if header.is_empty() => {}
                None => unknown.push(*place),
            }
        }
        let mut places = vec![None; spec.columns.len()];
        for (columns, found) in printed {
            // a header that stands another number of times than specified says nothing certain
            if found.len() == columns.len() {
                for (column, place) in columns.iter().zip(found) {
                    places[*column] = Some(place);
                }
            } else {
                unknown.extend(found);
            }
        }
        let texts: Vec<String> = headers.iter().map(|(_, header)| (*header).to_owned()).collect();
        check_type(&texts, &places, spec, types)?;
        if let Some(missing) =
            spec.required.iter().map(|field| &spec.fields[*field]).find(|field| places[field.column].is_none())
        {
            let column = spec.columns[missing.column].headers.join("' or '");
            let names: Vec<String> =
                spec.columns[missing.column].headers.iter().map(|header| normalise(header)).collect();
            let what = match texts.iter().filter(|text| names.contains(&normalise(text))).count() {
                0 => "is missing".to_owned(),
                // which of them is meant cannot be told
                times => {
                    format!("cannot be told: {times} headers are called so, which is not as often as its type says")
                }
            };
            let text = format!(
                "the required column '{column}' ({}) {what}; the headers found are: {}",
                missing.name,
                texts.join(" | ")
            );
            unknown.sort_unstable();
            let drift = Some(Box::new(drift(headers, &places, &unknown, spec)));
            return Err(Refusal { drift, ..Refusal::new(RefusalCode::RequiredColumnMissing, text) });
        }
        unknown.sort_unstable();
        let drift = drift(headers, &places, &unknown, spec);
        Ok(Self { places, drift })
    }
}

impl Columns {
    /// What the column printed at `place` holds, if it is one of the type's.
    pub(crate) fn kind_at(&self, place: Place, spec: &SyncTypeSpec) -> Option<Kind> {
        let column = &spec.columns[self.places.iter().position(|found| *found == Some(place))?];
        Some(Kind { value_type: column.value_type, words: column.words })
    }
}

fn drift(headers: &[(Place, &str)], places: &[Option<Place>], unknown: &[Place], spec: &SyncTypeSpec) -> Drift {
    let header_at = |place: Place| headers.iter().find(|(at, _)| *at == place).map(|(_, header)| (*header).to_owned());
    let accepted = |column: usize| spec.columns[column].headers[0].clone();
    // an absent column between two neighbours, and an unknown one between the same two
    let before = |place: Place| {
        let known = headers.iter().map(|(at, _)| *at).filter(|at| *at < place);
        known.filter_map(|at| places.iter().position(|found| *found == Some(at))).next_back()
    };
    let is_absent = |column: &usize| places[*column].is_none();
    let mut taken = Vec::new();
    let renamed = unknown
        .iter()
        .filter_map(|place| {
            let first = before(*place).map_or(0, |column| column + 1)
                + taken.iter().filter(|of| **of == before(*place)).count();
            let column = Some(first).filter(|column| *column < places.len() && is_absent(column))?;
            taken.push(before(*place));
            Some(Renamed { from: accepted(column), to: header_at(*place)? })
        })
        .collect();
    Drift {
        absent: spec
            .fields
            .iter()
            .filter(|field| places[field.column].is_none())
            .map(|field| field.name.clone())
            .collect(),
        unknown: unknown.iter().filter_map(|place| header_at(*place)).collect(),
        moved: moved(places).into_iter().map(accepted).collect(),
        renamed,
    }
}

/// The columns that must be taken away so that the rest stands in the order of the type's file: all
/// but a longest increasing subsequence.
fn moved(places: &[Option<Place>]) -> Vec<usize> {
    let found: Vec<(usize, Place)> =
        places.iter().enumerate().filter_map(|(column, place)| Some((column, (*place)?))).collect();
    // for each column: the longest ordered sequence that ends with it, and the column before it there
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(found.len());
    for (at, (_, place)) in found.iter().enumerate() {
        let before = (0..at).filter(|before| found[*before].1 < *place).max_by_key(|before| (best[*before].0, *before));
        best.push((before.map_or(1, |before| best[before].0 + 1), before));
    }
    let mut kept = vec![false; found.len()];
    let mut next = (0..best.len()).max_by_key(|at| best[*at].0);
    while let Some(at) = next {
        kept[at] = true;
        next = best[at].1;
    }
    found.iter().zip(kept).filter(|(_, kept)| !kept).map(|((column, _), _)| *column).collect()
}

/// A report that fits another type better, and this one hardly at all, is that type's.
fn check_type(
    headers: &[String],
    places: &[Option<Place>],
    spec: &SyncTypeSpec,
    types: &SyncTypes,
) -> Result<(), Refusal> {
    let own = places.iter().flatten().count();
    match types.best_match(headers) {
        Some((other, fit)) if other.name != spec.name && fit > own && own * 2 < headers.len() => Err(Refusal::new(
            RefusalCode::WrongType,
            format!(
                "this is a report of {}, not of {}: {fit} of its {} headers are those of {}, {own} those of {}",
                other.name,
                spec.name,
                headers.len(),
                other.name,
                spec.name
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(type_name: &str, headers: &[&str]) -> Result<Columns, Refusal> {
        let types = SyncTypes::built_in().unwrap();
        let placed: Vec<_> = headers.iter().enumerate().map(|(at, header)| ((0, at), *header)).collect();
        Columns::find(&placed, types.get(type_name).unwrap(), &types)
    }

    #[test]
    fn a_header_that_stands_twice_is_taken_in_printed_order_or_not_at_all() {
        let types = SyncTypes::built_in().unwrap();
        let ddt = types.get("ddt").unwrap();
        let column = |field: &str| ddt.fields[ddt.field(field).unwrap()].column;
        let both = find("ddt", &["NOME DI CONSEGNA", "ID", "Id di vendita", "NOME DI CONSEGNA"]).unwrap();
        assert_eq!(both.places[column("delivery_name")], Some((0, 0)));
        assert_eq!(both.places[column("delivery_address")], Some((0, 3)));
        let one = find("ddt", &["NOME DI CONSEGNA", "ID", "ID DI VENDITA"]).unwrap();
        assert!(
            one.drift.absent.contains(&"delivery_name".to_owned())
                && one.drift.absent.contains(&"delivery_address".to_owned())
        );
        assert_eq!(one.drift.unknown, ["NOME DI CONSEGNA"]);
    }

    #[test]
    fn drift_names_what_was_added_moved_and_renamed() {
        let found =
            find("prices", &["ACCOUNT:", "ID", "CODICE CONTO", "DESCRIZIONE CONTO", "ITEM SELECTION:", "NUOVA"])
                .unwrap();
        assert_eq!(found.drift.moved, ["ACCOUNT:"]);
        assert_eq!(found.drift.unknown, ["DESCRIZIONE CONTO", "NUOVA"]);
        assert!(found.drift.absent.contains(&"valid_from".to_owned()));
        let renamed: Vec<_> = found.drift.renamed.iter().map(|name| (name.from.as_str(), name.to.as_str())).collect();
        assert_eq!(renamed, [("ITEM DESCRIPTION:", "NUOVA")], "what stands before it decides");
        let renamed =
            find("prices", &["ID", "CODICE CONTO", "ACCOUNT:", "DESCRIZIONE CONTO", "ITEM SELECTION:"]).unwrap();
        assert_eq!(renamed.drift.renamed[0].from, "DESCRIZIONE ACCOUNT:");
    }

    #[test]
    fn a_required_column_is_missed_by_name() {
        let refusal = find("ddt", &["ID", "TOTALE"]).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::RequiredColumnMissing);
        assert!(refusal.text.contains("'ID DI VENDITA'") && refusal.text.contains("ID | TOTALE"), "{}", refusal.text);
        let twice = find("orders", &["ID", "ID", "ID DI VENDITA", "STATO DELLE VENDITE"]).unwrap_err();
        assert_eq!(twice.code, RefusalCode::RequiredColumnMissing);
        assert!(twice.text.contains("2 headers") && !twice.text.contains("missing"), "{}", twice.text);
    }

    #[test]
    fn another_types_report_is_recognised() {
        let orders =
            ["ID", "ID DI VENDITA", "PROFILO CLIENTE:", "NOME VENDITE:", "DATA DI CREAZIONE", "STATO DELLE VENDITE"];
        assert_eq!(find("customers", &orders).unwrap_err().code, RefusalCode::WrongType);
        assert!(find("orders", &orders).is_ok());
    }
}
