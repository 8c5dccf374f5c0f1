//! Which tables are there? The control tables, by migrations; the record tables, by the sync types' files.

mod column;
pub(crate) mod entity;
pub(crate) mod migrate;
pub(crate) mod probe;
pub(crate) mod record_table;

pub use probe::Trouble;

#[cfg(test)]
mod tests {
    use crate::sync_type::CONTROL_TABLES;

    #[test]
    fn no_table_of_records_can_take_the_name_of_one_of_these() {
        let entities = [include_str!("entity/people.rs"), include_str!("entity/work.rs")];
        let lines = entities.into_iter().flat_map(str::lines);
        let tables = lines.filter_map(|line| line.strip_prefix("entity!(")?.split('"').nth(1));
        let open: Vec<_> = tables.filter(|table| !CONTROL_TABLES.contains(table)).collect();
        assert!(open.is_empty(), "a type of this name would write into lockstep's own table: {open:?}");
    }
}
