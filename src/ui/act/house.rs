//! Who and what is there: agents, their credentials, tokens?

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::form::{Done, Form, needed, said, unknown};
use crate::{
    api::{Api, Problem},
    domain::{
        AgentId, Caller, Cause, Role,
        caller::new_token,
        text::{NAME, plain_text},
    },
    store::{Agent, NewToken, Store, token_hash},
};

/// Changes it.
pub(super) async fn change(
    api: &Api,
    caller: &Caller,
    cause: Cause,
    (what, form): (&str, &Form),
) -> Result<Done, Problem> {
    let now = api.context.clock.now();
    if let "credential" | "credential-forget" = what {
        return credential(api, caller, cause, (what, form)).await;
    }
    let store = api.context.store.by(cause, now);
    match what {
        "agent" => {
            let (id, name) =
                (AgentId::from(needed(form.agent.as_ref(), "agent")?.trim()), needed(form.name.as_ref(), "name")?);
            if !id.is_usable() {
                return Err(Problem::unprocessable("bad_agent_id", "/agent", AgentId::RULE));
            }
            plain_text(&name, NAME).map_err(|wrong| Problem::unprocessable("bad_name", "/name", wrong))?;
            store.put_agent(Agent { id: id.clone(), name, active: true, added_at: None }, now).await?;
            Ok(said(format!("{id} is active.")))
        }
        "agent-off" => {
            let id = AgentId::from(needed(form.agent.as_ref(), "agent")?.as_str());
            if !store.deactivate_agent(&id).await? {
                return Err(Problem::not_found("unknown_agent", format!("there is no agent '{id}'")));
            }
            Ok(said(format!("{id} is not active any more; the records stay.")))
        }
        "token" => token(api, caller, &store, form).await,
        "token-revoke" => {
            let id = needed(form.token.as_ref(), "token")?;
            if !store.revoke_token(id, now).await? {
                return Err(Problem::not_found(
                    "unknown_token",
                    format!("there is no token {id}, or it is revoked already"),
                ));
            }
            api.known_tokens.forget();
            Ok(said("The token is revoked."))
        }
        _ => Err(unknown(what)),
    }
}

/// Credentials are set, and never shown.
async fn credential(api: &Api, caller: &Caller, cause: Cause, (what, form): (&str, &Form)) -> Result<Done, Problem> {
    let agent = needed(form.agent.as_ref(), "agent")?;
    if what == "credential-forget" {
        api.forget_credential(cause, &agent).await?;
        return Ok(said(format!("The credentials of {agent} are forgotten.")));
    }
    let mut fields = Map::new();
    let password = needed(form.password.as_ref(), "password")?;
    match form.username.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(username) => {
            fields.insert("username".to_owned(), Json::from(username));
            fields.insert("password".to_owned(), password.into());
        }
        // a token stands alone
        None => drop(fields.insert("token".to_owned(), password.into())),
    }
    api.put_credential(caller, cause, &agent, fields).await?;
    Ok(said(format!("The credentials of {agent} are set; the next run uses them.")))
}

async fn token(api: &Api, caller: &Caller, store: &Store, form: &Form) -> Result<Done, Problem> {
    let (name, role) = (needed(form.name.as_ref(), "name")?, needed(form.role.as_ref(), "role")?);
    plain_text(&name, NAME).map_err(|wrong| Problem::unprocessable("bad_name", "/name", wrong))?;
    let role: Role =
        role.parse().map_err(|wrong| Problem::unprocessable("unknown_role", "/role", format!("{wrong}")))?;
    let now = api.context.clock.now();
    let mut agents = BTreeSet::new();
    for agent in form.agents.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|agent| !agent.is_empty())
    {
        let known = api.context.store.agents().await?;
        agents.insert(Agent::find(&known, agent)?);
    }
    if role == Role::Metrics && !agents.is_empty() {
        return Err(Problem::unprocessable(
            "for_all_agents",
            "/agents",
            "the metrics tell of all agents: leave this out",
        ));
    }
    if store.tokens().await?.iter().any(|one| one.name == name && one.is_valid(now)) {
        return Err(Problem::conflict("name_taken", format!("there is a token '{name}' already")));
    }
    let secret = new_token().map_err(|error| Problem::conflict("no_random", error.to_string()))?;
    let agents = (!agents.is_empty()).then_some(agents);
    let new = NewToken { name: name.clone(), role, agents, expires_at: None, hash: token_hash(&secret) };
    store.add_token(new, now).await?;
    tracing::info!(by = caller.name, "a token was made");
    Ok(Done::Token(name, secret))
}
