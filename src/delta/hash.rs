//! When are two records the same? The change hash decides what counts as changed, the content hash
//! what has to be stored.

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::{
    domain::Record,
    sync_type::{HashAlgorithm, SyncTypeSpec},
};

/// Hex of MD5 or SHA-256 (as the spec says) over the canonical texts of the spec's hashed fields,
/// joined by `|`.
#[must_use]
pub fn change_hash(spec: &SyncTypeSpec, record: &Record) -> String {
    match spec.hash_algorithm {
        HashAlgorithm::Md5 => joined::<Md5>(spec, record),
        HashAlgorithm::Sha256 => joined::<Sha256>(spec, record),
    }
}

/// Hex of SHA-256 over the canonical texts of all stored fields, each ended by a byte that no text
/// contains, so that a `|` inside a text cannot make two records alike.
#[must_use]
pub fn content_hash(record: &Record) -> String {
    let mut hasher = Sha256::new();
    for value in &record.values {
        hasher.update(value.canonical().as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

fn joined<D: Digest>(spec: &SyncTypeSpec, record: &Record) -> String {
    let mut hasher = D::new();
    for (position, field) in spec.hashed.iter().enumerate() {
        if position > 0 {
            hasher.update(b"|");
        }
        hasher.update(record.values[*field].canonical().as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_type::SyncTypes;

    fn record(spec: &SyncTypeSpec, json: &serde_json::Value) -> Record {
        spec.from_json(json.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_change_hash_is_the_one_that_others_compute() {
        let types = SyncTypes::built_in().unwrap();
        let orders = types.get("orders").unwrap();
        let order = record(
            orders,
            &serde_json::json!({ "order_id": "1", "order_number": "ORD/1", "sales_status": "Aperto",
                "gross_amount": "10.00", "is_quote": true }),
        );
        // printf 'ORD/1|Aperto|||10.00|' | md5sum
        assert_eq!(change_hash(orders, &order), hex::encode(Md5::digest("ORD/1|Aperto|||10.00|")));
        let products = types.get("products").unwrap();
        let product = record(products, &serde_json::json!({ "article_id": "A", "name": "x", "vat_item_id": "22" }));
        let expected = format!("x{}", "|".repeat(products.hashed.len() - 1));
        assert_eq!(change_hash(products, &product), hex::encode(Sha256::digest(expected)));
    }

    #[test]
    fn fields_outside_the_change_hash_move_only_the_content_hash() {
        let types = SyncTypes::built_in().unwrap();
        let orders = types.get("orders").unwrap();
        let a = record(orders, &serde_json::json!({ "order_id": "1", "customer_name": "A" }));
        let b = record(orders, &serde_json::json!({ "order_id": "1", "customer_name": "B" }));
        assert_eq!(change_hash(orders, &a), change_hash(orders, &b));
        assert_ne!(content_hash(&a), content_hash(&b));
    }

    #[test]
    fn a_bar_in_a_text_does_not_hide_a_difference() {
        let types = SyncTypes::built_in().unwrap();
        let orders = types.get("orders").unwrap();
        let a = record(orders, &serde_json::json!({ "order_id": "1", "sales_status": "x|y" }));
        let b = record(orders, &serde_json::json!({ "order_id": "1", "sales_status": "x", "document_status": "y|" }));
        assert_ne!(content_hash(&a), content_hash(&b));
    }
}
