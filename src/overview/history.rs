//! How did the runs of a type go over a day, a week, a month? Part by part, also those in which nothing ran.

use std::collections::BTreeMap;

use chrono::{DurationRound as _, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::{domain::Timestamp, store::RunTotals};

/// How far back, and in what parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// 24 parts of an hour.
    #[default]
    Day,
    /// 28 of six hours.
    Week,
    /// 30 of a day.
    Month,
}

impl Over {
    pub const ALL: [Over; 3] = [Over::Day, Over::Week, Over::Month];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Over::Day => "day",
            Over::Week => "week",
            Over::Month => "month",
        }
    }

    fn parts(self) -> (i32, TimeDelta) {
        match self {
            Over::Day => (24, TimeDelta::hours(1)),
            Over::Week => (28, TimeDelta::hours(6)),
            Over::Month => (30, TimeDelta::days(1)),
        }
    }

    /// When the first part begins; the last is under way.
    #[must_use]
    pub fn since(self, now: Timestamp) -> Timestamp {
        let (parts, long) = self.parts();
        now.duration_trunc(long).unwrap_or(now) - long * (parts - 1)
    }
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = HistoryPart)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    #[serde(flatten)]
    pub totals: RunTotals,
}

impl Part {
    /// All parts, the oldest first.
    #[must_use]
    pub fn all(hours: &BTreeMap<Timestamp, RunTotals>, over: Over, now: Timestamp) -> Vec<Self> {
        let ((count, long), since) = (over.parts(), over.since(now));
        let part = |at: i32| {
            let from = since + long * at;
            let within = hours.range(from..from + long);
            Self { from, totals: within.fold(RunTotals::default(), |sum, (_, one)| sum.plus(one)) }
        };
        (0..count).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_there_and_each_hour_in_one() {
        let at = |hour: i64| Timestamp::from_timestamp(1_800_000_000 / 86_400 * 86_400 + hour * 3_600, 0).unwrap();
        let run = |rows| RunTotals { runs: 1, applied: 1, rows, ..RunTotals::default() };
        let now = at(50) + TimeDelta::minutes(20);
        let hours = [(at(26), run(1)), (at(27), run(2)), (at(30), run(4)), (at(50), run(8))].into();
        let rows = |over| Part::all(&hours, over, now).iter().map(|part| part.totals.rows).collect::<Vec<_>>();
        let (day, week, month) = (rows(Over::Day), rows(Over::Week), rows(Over::Month));
        assert_eq!((day.len(), week.len(), month.len()), (24, 28, 30));
        assert_eq!((day[0], day[3], day[23]), (2, 4, 8), "the hour before the first part is in none");
        assert_eq!(day.iter().sum::<u64>(), 14);
        // 24 to 30, 30 to 36, 48 to 54
        assert_eq!((week[23], week[24], week[27]), (3, 4, 8));
        assert_eq!((month[28], month[29]), (7, 8));
    }
}
