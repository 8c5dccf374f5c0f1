//! Who asks, and what may they? Roles of tokens, and the agents that a token is for.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::Serialize;

use super::{
    AgentId, Timestamp,
    random::{self, NoRandom},
};

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads the metrics, and nothing else.
    Metrics,
    /// Reads.
    Viewer,
    /// Also runs, stops, approves and rejects.
    Operator,
    /// Also changes settings, agents, credentials and tokens.
    Admin,
}

/// No role has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no role; known are {}", Role::names())]
pub struct UnknownRole {
    pub name: String,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Metrics, Role::Viewer, Role::Operator, Role::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Metrics => "metrics",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// May a holder of this role do what needs `needed`? Each role may what those before it may, but for metrics, which
    /// opens no other door.
    #[must_use]
    pub fn includes(self, needed: Role) -> bool {
        match (self, needed) {
            (Role::Metrics, Role::Metrics)
            | (Role::Viewer, Role::Metrics | Role::Viewer)
            | (Role::Operator, Role::Metrics | Role::Viewer | Role::Operator)
            | (Role::Admin, Role::Metrics | Role::Viewer | Role::Operator | Role::Admin) => true,
            (Role::Metrics, Role::Viewer | Role::Operator | Role::Admin)
            | (Role::Viewer, Role::Operator | Role::Admin)
            | (Role::Operator, Role::Admin) => false,
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| UnknownRole { name: name.to_owned() })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The agents that someone may see and touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Agents {
    #[default]
    All,
    /// These alone.
    Some(BTreeSet<AgentId>),
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What they are called in the log and in the audit: `token:nightly export`, say.
    pub name: String,
    /// Theirs alone, whatever they are called.
    pub id: String,
    pub role: Role,
    pub agents: Agents,
}

impl Caller {
    /// Someone who may everything.
    #[must_use]
    pub fn admin(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { id: name.clone(), name, role: Role::Admin, agents: Agents::All }
    }

    /// Are they for all agents?
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.agents == Agents::All
    }

    /// May they change what is this agent's?
    #[must_use]
    pub fn touches(&self, agent: &AgentId) -> bool {
        match &self.agents {
            Agents::All => true,
            Agents::Some(agents) => agents.contains(agent),
        }
    }

    /// May they see what is this agent's? What all agents share, everyone sees.
    #[must_use]
    pub fn sees(&self, agent: &AgentId) -> bool {
        self.touches(agent) || *agent == AgentId::service_account()
    }

    /// The agents that lists may hold; all of them if `None`.
    #[must_use]
    pub fn seen(&self) -> Option<Vec<String>> {
        match &self.agents {
            Agents::All => None,
            Agents::Some(agents) => {
                let shared = AgentId::service_account();
                Some(agents.iter().chain([&shared]).map(ToString::to_string).collect())
            }
        }
    }
}

/// Who asked for a change, and by which request? Kept with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A [`Caller`]'s name, `cli:` and a user, or `actor message`.
    pub who: String,
    /// The address that the request came from.
    pub from: Option<String>,
    /// The request's number, as its answer and the log have it.
    pub request_id: Option<String>,
}

impl Cause {
    /// Someone who sends no request.
    #[must_use]
    pub fn named(who: impl Into<String>) -> Self {
        Self { who: who.into(), from: None, request_id: None }
    }

    /// A message of this program's own parts, or of a test, that says nothing of whom it is sent for.
    #[must_use]
    pub fn unsigned() -> Self {
        Self::named("actor message")
    }
}

/// A token as it is known: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub role: Role,
    /// The agents that it is for; all of them if `None`.
    #[schema(value_type = Option<Vec<String>>)]
    pub agents: Option<BTreeSet<AgentId>>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A token that nobody has or guesses; by its first letters those who look for lost secrets know it.
///
/// # Errors
/// [`NoRandom`].
pub fn new_token() -> Result<String, NoRandom> {
    Ok(format!("lockstep_{}", random::token::<24>()?))
}

impl Token {
    /// Does it open anything at `now`?
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whoever shows it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let agents = self.agents.clone().map_or(Agents::All, Agents::Some);
        Caller { name: format!("token:{}", self.name), id: format!("token {}", self.id), role: self.role, agents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_lower_ones_may() {
        let table = [
            (Role::Metrics, [true, false, false, false]),
            (Role::Viewer, [true, true, false, false]),
            (Role::Operator, [true, true, true, false]),
            (Role::Admin, [true, true, true, true]),
        ];
        for (role, may) in table {
            assert_eq!(Role::ALL.map(|needed| role.includes(needed)), may, "{role}");
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!(
            "root".parse::<Role>().unwrap_err().to_string(),
            "'root' is no role; known are metrics, viewer, operator, admin"
        );
    }

    #[test]
    fn a_token_for_some_agents_sees_theirs_and_what_all_share_and_touches_theirs_alone() {
        let agents = Agents::Some(BTreeSet::from(["anna".into()]));
        let caller = Caller { agents, ..Caller::admin("one") };
        let (anna, bert, all) = (AgentId::from("anna"), AgentId::from("bert"), AgentId::service_account());
        assert!(caller.sees(&anna) && caller.touches(&anna) && !caller.is_for_all());
        assert!(!caller.sees(&bert) && !caller.touches(&bert));
        assert!(caller.sees(&all) && !caller.touches(&all));
        assert_eq!(caller.seen(), Some(vec!["anna".to_owned(), "service-account".to_owned()]));
        assert!(Caller::admin("one").touches(&all) && Caller::admin("one").seen().is_none());
    }

    #[test]
    fn a_token_ends_when_it_is_revoked_or_its_time_is_over() {
        let at = |second| Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(second);
        let token = Token {
            id: 1,
            name: "one".to_owned(),
            role: Role::Viewer,
            agents: None,
            created_at: at(0),
            expires_at: Some(at(10)),
            last_used_at: None,
            revoked_at: None,
        };
        assert!(token.is_valid(at(9)) && !token.is_valid(at(10)));
        assert!(!Token { revoked_at: Some(at(1)), ..token.clone() }.is_valid(at(2)));
        assert_eq!(token.caller().name, "token:one");
    }
}
