//! What began and what is over since the last look?

use std::collections::{HashMap, HashSet};

use crate::{
    overview::Item,
    store::{Alert, NewAlert},
};

/// What is to be noted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub begun: Vec<NewAlert>,
    /// Numbers of alerts.
    pub over: Vec<i64>,
}

/// What an item is about: while it lasts there is one alert of it, however its words change.
fn subject(item: &Item) -> String {
    let sync_type = item.sync_type.as_ref().map_or("", |name| name.as_str());
    let agent = item.agent.as_ref().map_or("", |agent| agent.as_str());
    format!("{}/{sync_type}/{agent}/{}", item.kind.as_str(), item.model.as_deref().unwrap_or_default())
}

/// Compares what lasts with what is seen now.
pub(super) fn changes(open: &[Alert], items: &[Item]) -> Changes {
    let known: HashSet<&str> = open.iter().map(|alert| alert.subject.as_str()).collect();
    let mut seen = HashMap::new();
    for item in items {
        seen.entry(subject(item)).or_insert(item);
    }
    let over = open.iter().filter(|alert| !seen.contains_key(&alert.subject)).map(|alert| alert.id).collect();
    let mut begun: Vec<NewAlert> = seen
        .into_iter()
        .filter(|(subject, _)| !known.contains(subject.as_str()))
        .map(|(subject, item)| NewAlert {
            subject,
            kind: item.kind,
            sync_type: item.sync_type.clone(),
            agent: item.agent.clone(),
            model: item.model.clone(),
            run: item.run_id,
            text: item.text.clone(),
        })
        .collect();
    begun.sort_by(|one, other| one.subject.cmp(&other.subject));
    Changes { begun, over }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AttentionKind as Kind, Timestamp};

    fn item(kind: Kind, agent: &str, text: &str) -> Item {
        Item {
            kind,
            severity: kind.severity(),
            sync_type: Some("orders".into()),
            agent: Some(agent.into()),
            run_id: None,
            model: None,
            since: None,
            text: text.to_owned(),
            actions: &[],
        }
    }

    fn open(id: i64, item: &Item) -> Alert {
        Alert {
            id,
            subject: subject(item),
            kind: item.kind,
            severity: item.severity,
            sync_type: item.sync_type.clone(),
            agent_id: item.agent.clone(),
            model: None,
            run_id: None,
            text: item.text.clone(),
            begun_at: Timestamp::UNIX_EPOCH,
            over_at: None,
            acknowledged_by: None,
            acknowledged_at: None,
            acknowledged_until: None,
        }
    }

    #[test]
    fn what_lasts_is_neither_begun_nor_over_however_its_words_change() {
        let (held, late) = (item(Kind::Held, "anna", "4,104 rows"), item(Kind::Late, "anna", "for 1 h"));
        let later = item(Kind::Late, "anna", "for 2 h");
        assert_eq!(changes(&[open(1, &held), open(2, &late)], &[held.clone(), later]), Changes::default());
        let other = item(Kind::Late, "bruno", "for 1 h");
        let Changes { begun, over } = changes(&[open(1, &held), open(2, &late)], &[other, held]);
        assert_eq!(over, [2]);
        assert_eq!(begun.iter().map(|new| new.subject.as_str()).collect::<Vec<_>>(), ["late/orders/bruno/"]);
    }

    #[test]
    fn two_items_of_one_subject_are_one_alert() {
        let (one, two) = (item(Kind::BreakerOpen, "anna", "one"), item(Kind::BreakerOpen, "anna", "two"));
        assert_eq!(changes(&[], &[one, two]).begun.iter().map(|new| &*new.text).collect::<Vec<_>>(), ["one"]);
    }
}
