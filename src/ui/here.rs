//! Which pages does the navigation have, and who may open them?

use crate::domain::{Caller, Role};

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Home,
    NeedsYou,
    Records,
    Types,
    Schedule,
    Runs,
    Queue,
    WriteBack,
    Agents,
    Sources,
    Alerts,
    Audit,
    Tokens,
    System,
}

impl Here {
    pub(super) const DATA: [Here; 3] = [Here::Records, Here::Types, Here::Runs];
    pub(super) const WORK: [Here; 3] = [Here::Queue, Here::Schedule, Here::WriteBack];
    pub(super) const HOUSE: [Here; 6] =
        [Here::Agents, Here::Sources, Here::Alerts, Here::Audit, Here::Tokens, Here::System];

    /// Its name and its path.
    pub(super) fn shown(self) -> (&'static str, &'static str) {
        match self {
            Here::Home => ("Home", "/"),
            Here::NeedsYou => ("Needs you", "/needs-you"),
            Here::Records => ("Records", "/records"),
            Here::Types => ("Types", "/types"),
            Here::Schedule => ("Schedule", "/schedule"),
            Here::Runs => ("Runs", "/runs"),
            Here::Queue => ("Queue", "/queue"),
            Here::WriteBack => ("Write-back", "/write-back"),
            Here::Agents => ("Agents", "/agents"),
            Here::Sources => ("Sources", "/sources"),
            Here::Alerts => ("Alerts", "/alerts"),
            Here::Audit => ("Audit", "/audit"),
            Here::Tokens => ("Tokens", "/tokens"),
            Here::System => ("System", "/system"),
        }
    }

    /// Who may open it: as the API has it.
    pub(super) fn is_for(self, caller: &Caller) -> bool {
        match self {
            Here::Audit | Here::Tokens => caller.role == Role::Admin && caller.is_for_all(),
            Here::WriteBack | Here::Sources | Here::System => caller.is_for_all(),
            _ => true,
        }
    }
}
