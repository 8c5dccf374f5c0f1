//! What is in the pretend ERP, and what happens there? Tables of records that change, the same way for the same seed.

use std::{collections::BTreeMap, sync::Arc};

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::invent::invent_row;
use crate::{
    domain::{AgentId, Record, SyncType, Value},
    sync_type::{SyncTypeSpec, SyncTypes, spec::Scope},
};

/// Between the numbers of two agents' records.
const APART: usize = 100_000;

/// One type's records of one agent.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    records: Vec<Record>,
    /// What was taken out and may come back.
    gone: Vec<Record>,
    /// Where this agent's numbers begin, and the next one.
    first: usize,
    next: usize,
}

/// All tables of the ERP.
#[derive(Debug, Clone)]
pub struct World {
    types: Arc<SyncTypes>,
    tables: BTreeMap<(SyncType, AgentId), Table>,
    random: fastrand::Rng,
    seed: u64,
}

impl World {
    /// Tables of the size that `rows` says for each type, for each agent.
    pub fn new(types: Arc<SyncTypes>, agents: &[AgentId], rows: impl Fn(&SyncType) -> usize, seed: u64) -> Self {
        let mut tables = BTreeMap::new();
        for spec in types.iter() {
            let shared = [AgentId::service_account()];
            let holders = if spec.scope == Scope::Shared { &shared[..] } else { agents };
            for (place, agent) in holders.iter().enumerate() {
                let (first, next) = (place * APART, rows(&spec.name));
                let records = (0..next).map(|row| invent_row(&types, spec, (first, row), seed)).collect();
                tables.insert((spec.name.clone(), agent.clone()), Table { records, gone: Vec::new(), first, next });
            }
        }
        Self { types, tables, random: fastrand::Rng::with_seed(seed), seed }
    }

    /// The agents that have records of a type.
    pub fn holders(&self, sync_type: &SyncType) -> impl Iterator<Item = &AgentId> {
        self.tables.keys().filter(move |(name, _)| name == sync_type).map(|(_, agent)| agent)
    }

    /// Whose records of every type there are.
    pub fn tables(&self) -> impl Iterator<Item = (&SyncType, &AgentId)> {
        self.tables.keys().map(|(sync_type, agent)| (sync_type, agent))
    }

    /// The records of a type that an agent sees; none if there is no such table.
    #[must_use]
    pub fn records(&self, sync_type: &SyncType, agent: &AgentId) -> &[Record] {
        self.tables.get(&(sync_type.clone(), agent.clone())).map_or(&[], |table| &table.records)
    }

    /// The record whose field `field` has this text.
    #[must_use]
    pub fn find(&self, sync_type: &SyncType, agent: &AgentId, field: &str, text: &str) -> Option<&Record> {
        let place = self.spec(sync_type)?.field(field)?;
        self.records(sync_type, agent).iter().find(|record| record.text(place) == text)
    }

    fn spec(&self, sync_type: &SyncType) -> Option<Arc<SyncTypeSpec>> {
        self.types.get(sync_type.as_str()).cloned()
    }

    /// All records as JSON: type -> agent -> list, each with the fields of the reports.
    #[must_use]
    pub fn state(&self) -> Json {
        let mut state = Map::new();
        for ((sync_type, agent), table) in &self.tables {
            let Some(spec) = self.spec(sync_type) else { continue };
            let records: Vec<_> = table.records.iter().map(|record| spec.to_json(record, |_| true)).collect();
            state.entry(sync_type.as_str()).or_insert_with(|| json!({}))[agent.as_str()] = json!(records);
        }
        Json::Object(state)
    }

    /// Another seed, so that what is invented next differs.
    fn fresh(&mut self) -> u64 {
        self.random.u64(..) ^ self.seed
    }

    /// One record more of a type; answers it.
    pub fn add(&mut self, sync_type: &SyncType, agent: &AgentId) -> Option<&Record> {
        let (spec, seed) = (self.spec(sync_type)?, self.fresh());
        let table = self.tables.get_mut(&(sync_type.clone(), agent.clone()))?;
        let record = invent_row(&self.types, &spec, (table.first, table.next), seed);
        table.next += 1;
        table.records.push(record);
        table.records.last()
    }

    /// Changes one record: the named fields, or some other one where the type has none of them. Its key and its
    /// parent stay.
    pub fn edit(&mut self, sync_type: &SyncType, agent: &AgentId, fields: &[&str]) -> Option<()> {
        let (spec, seed) = (self.spec(sync_type)?, self.fresh());
        let table = self.tables.get_mut(&(sync_type.clone(), agent.clone()))?;
        let place = self.random.choice(0..table.records.len())?;
        // any row will do: its key and its links are not taken
        let other = invent_row(&self.types, &spec, (table.first, table.next), seed);
        let linked: Vec<&str> =
            self.types.children_of(sync_type).filter_map(|child| Some(&*child.parent.as_ref()?.matches)).collect();
        let is_free = |number: &usize| {
            let name = spec.fields[*number].name.as_str();
            *number != spec.key
                && !linked.contains(&name)
                && spec.parent.as_ref().is_none_or(|parent| parent.field != name)
                // a blank there keeps what is stored, and a courier is only printed with its number
                && !spec.fields[*number].keep_when_blank
        };
        let mut meant: Vec<usize> = fields.iter().filter_map(|name| spec.field(name)).filter(is_free).collect();
        if meant.is_empty() {
            meant.extend(self.random.choice((0..spec.fields.len()).filter(is_free).collect::<Vec<_>>()));
        }
        for number in meant {
            table.records[place].values[number] = other.values[number].clone();
        }
        Some(())
    }

    /// Takes one record out, or puts one back that was taken out.
    pub fn take_or_put_back(&mut self, sync_type: &SyncType, agent: &AgentId) -> Option<()> {
        let table = self.tables.get_mut(&(sync_type.clone(), agent.clone()))?;
        // never so many at once that it looks like a leftover filter
        let is_full = table.gone.len() * 10 >= table.records.len();
        if (is_full || self.random.bool()) && !table.gone.is_empty() {
            table.records.push(table.gone.remove(0));
            return Some(());
        }
        let place = self.random.choice(0..table.records.len())?;
        table.gone.push(table.records.remove(place));
        Some(())
    }

    /// An ordinary moment of an ordinary day, in a few words: an order comes in, moves on, is delivered or paid;
    /// a price changes; a customer moves house.
    pub fn step(&mut self) -> String {
        let happenings: [(&str, &[&str], &str); 8] = [
            ("orders", &[], "a new order"),
            ("orders", &["sales_status", "document_status"], "an order moves on"),
            ("orders", &["transfer_status", "transfer_date"], "an order is transferred"),
            ("ddt", &[], "a delivery"),
            ("invoices", &[], "an invoice"),
            ("prices", &["unit_price", "net_price"], "a price changes"),
            ("customers", &["street", "city", "phone"], "a customer moves"),
            ("products", &["name", "stopped"], "a product is renamed"),
        ];
        let (name, fields, text) = happenings[self.random.usize(..happenings.len())];
        let sync_type = SyncType::from(name);
        let holders: Vec<AgentId> = self.holders(&sync_type).cloned().collect();
        let Some(agent) = self.random.choice(holders) else { return "nothing".to_owned() };
        let done = if fields.is_empty() {
            self.add(&sync_type, &agent).map(|_| ())
        } else {
            self.edit(&sync_type, &agent, fields)
        };
        done.map_or("nothing".to_owned(), |()| format!("{text} ({agent})"))
    }

    /// Anything may happen to any record of any type: added, changed, taken out, put back.
    pub fn stir(&mut self) {
        let tables: Vec<_> = self.tables.keys().cloned().collect();
        let Some((sync_type, agent)) = self.random.choice(tables) else { return };
        match self.random.u8(..10) {
            0..3 => drop(self.add(&sync_type, &agent)),
            3..8 => drop(self.edit(&sync_type, &agent, &[])),
            _ => drop(self.take_or_put_back(&sync_type, &agent)),
        }
    }

    /// An order that somebody sends in: a new record for that customer, with the reference by which it was sent.
    /// Answers its order number.
    pub fn submit(&mut self, agent: &AgentId, reference: &str, customer: &str, total: Decimal) -> Option<String> {
        let orders = SyncType::from("orders");
        let spec = self.spec(&orders)?;
        self.add(&orders, agent)?;
        let record = self.tables.get_mut(&(orders, agent.clone()))?.records.last_mut()?;
        let text = |text: &str| Value::Text(text.to_owned());
        for (name, value) in [
            ("customer_reference", text(reference)),
            ("customer_profile_id", text(customer)),
            ("sales_status", text("Ordine aperto")),
            ("total_amount", Value::Decimal(total)),
        ] {
            if let Some(place) = spec.field(name) {
                record.values[place] = value;
            }
        }
        spec.field("order_number").map(|place| record.text(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: u64) -> World {
        let types = Arc::new(SyncTypes::built_in().unwrap());
        World::new(types, &["anna".into(), "bruno".into()], |_| 20, seed)
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_gives_another() {
        let day = |seed| {
            let mut world = world(seed);
            for _ in 0..60 {
                world.stir();
            }
            world.state()
        };
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
    }

    #[test]
    fn keys_stay_unique_among_all_agents_and_children_have_parents() {
        let mut world = world(3);
        for _ in 0..500 {
            world.stir();
            world.step();
        }
        let types = SyncTypes::built_in().unwrap();
        for spec in types.iter() {
            let holders: Vec<AgentId> = world.holders(&spec.name).cloned().collect();
            let keys: Vec<String> = holders
                .iter()
                .flat_map(|agent| world.records(&spec.name, agent).iter().map(|record| record.text(spec.key)))
                .collect();
            let mut unique = keys.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), keys.len(), "{}", spec.name);
        }
        let anna = AgentId::from("anna");
        let ddt = world.records(&"ddt".into(), &anna);
        let number = types.get("ddt").unwrap().field("order_number").unwrap();
        let joined =
            ddt.iter().filter(|one| world.find(&"orders".into(), &anna, "order_number", &one.text(number)).is_some());
        assert!(joined.count() * 2 > ddt.len());
    }

    #[test]
    fn what_is_sent_in_is_there() {
        let mut world = world(1);
        let anna = AgentId::from("anna");
        let number = world.submit(&anna, "web-7", "C1", Decimal::new(1_250, 2)).unwrap();
        let order = world.find(&"orders".into(), &anna, "customer_reference", "web-7").unwrap();
        let types = SyncTypes::built_in().unwrap();
        let spec = types.get("orders").unwrap();
        assert_eq!(spec.to_json(order, |_| true)["total_amount"], "12.50");
        assert_eq!(spec.to_json(order, |_| true)["order_number"], json!(number));
    }
}
