//! How does a flow end? A first job, and those that followed from it.

use serde::{Deserialize, Serialize};

use super::Outcome;

/// What the failure of a type's job makes of the flow that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildFailure {
    /// The flow is completed with errors.
    #[default]
    Errors,
    /// The flow has failed.
    Fail,
    /// Nothing.
    Ignore,
}

/// How a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowOutcome {
    /// All its jobs did what they were to do, as far as their types ask for it.
    Completed,
    /// A child failed whose type lets the flow go on.
    CompletedWithErrors,
    /// Its first job failed, or a child whose type makes that the flow's failure.
    Failed,
}

impl FlowOutcome {
    /// The end of a flow whose first job ended so, and its children so; each child with its type's rule.
    #[must_use]
    pub fn of(first: Option<Outcome>, children: impl IntoIterator<Item = (ChildFailure, Option<Outcome>)>) -> Self {
        let has_failed = |outcome: Option<Outcome>| outcome.is_some_and(Outcome::is_failure);
        let begun = if has_failed(first) { FlowOutcome::Failed } else { FlowOutcome::Completed };
        let failures = children.into_iter().filter(|(_, outcome)| has_failed(*outcome));
        failures.fold(begun, |flow, (rule, _)| flow.after_failure(rule))
    }

    fn after_failure(self, rule: ChildFailure) -> Self {
        match (self, rule) {
            (flow, ChildFailure::Ignore) => flow,
            (FlowOutcome::Failed, ChildFailure::Errors | ChildFailure::Fail)
            | (FlowOutcome::Completed | FlowOutcome::CompletedWithErrors, ChildFailure::Fail) => FlowOutcome::Failed,
            (FlowOutcome::Completed | FlowOutcome::CompletedWithErrors, ChildFailure::Errors) => {
                FlowOutcome::CompletedWithErrors
            }
        }
    }

    /// The outcome that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [FlowOutcome::Completed, FlowOutcome::CompletedWithErrors, FlowOutcome::Failed];
        all.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FlowOutcome::Completed => "completed",
            FlowOutcome::CompletedWithErrors => "completed_with_errors",
            FlowOutcome::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_ends_as_badly_as_the_rules_of_its_failed_children_say() {
        let (good, bad) = (Some(Outcome::Succeeded), Some(Outcome::Lost));
        let (errors, fail, ignore) = (ChildFailure::Errors, ChildFailure::Fail, ChildFailure::Ignore);
        let table = [
            (good, vec![], FlowOutcome::Completed),
            (good, vec![(errors, good), (fail, good)], FlowOutcome::Completed),
            (good, vec![(ignore, bad)], FlowOutcome::Completed),
            (good, vec![(errors, bad), (ignore, bad)], FlowOutcome::CompletedWithErrors),
            (good, vec![(errors, bad), (fail, bad), (errors, bad)], FlowOutcome::Failed),
            (bad, vec![(errors, bad)], FlowOutcome::Failed),
            (bad, vec![(ignore, bad)], FlowOutcome::Failed),
        ];
        for (first, children, expected) in table {
            assert_eq!(FlowOutcome::of(first, children.clone()), expected, "{first:?} {children:?}");
        }
    }
}
