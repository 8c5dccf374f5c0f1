//! Which reports does the pretend source give?

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;

use crate::{
    domain::AgentId,
    source::{Ask, Fetched, Source, SourceError, Wanted},
};

#[derive(Debug, Clone)]
enum Answer {
    Report(Vec<u8>),
    Error(SourceError),
    Panic,
    Hang,
}

/// A source whose every answer the test sets.
#[derive(Debug, Default)]
pub struct ScriptedSource {
    answers: Mutex<HashMap<(String, String), Answer>>,
    fetches: Mutex<Vec<(String, String)>>,
}

impl ScriptedSource {
    fn put(&self, sync_type: &str, agent: &str, answer: Answer) {
        self.answers.lock().unwrap().insert((sync_type.to_owned(), agent.to_owned()), answer);
    }

    /// From now on, this is the report of `sync_type` for `agent`.
    pub fn set(&self, sync_type: &str, agent: &str, bytes: Vec<u8>) {
        self.put(sync_type, agent, Answer::Report(bytes));
    }

    /// From now on, its fetch fails.
    pub fn fail(&self, sync_type: &str, agent: &str, error: SourceError) {
        self.put(sync_type, agent, Answer::Error(error));
    }

    /// From now on, its fetch panics.
    pub fn panic(&self, sync_type: &str, agent: &str) {
        self.put(sync_type, agent, Answer::Panic);
    }

    /// From now on, its fetch never ends.
    pub fn hang(&self, sync_type: &str, agent: &str) {
        self.put(sync_type, agent, Answer::Hang);
    }

    /// Every `(type, agent)` fetched so far.
    #[must_use]
    pub fn fetches(&self) -> Vec<(String, String)> {
        self.fetches.lock().unwrap().clone()
    }
}

#[async_trait]
impl Source for ScriptedSource {
    /// A document is set as the type `folder/number`.
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, SourceError> {
        let what = match &ask.wanted {
            Wanted::Report(sync_type) => sync_type.to_string(),
            Wanted::Document { folder, number } => format!("{folder}/{number}"),
        };
        self.answer(&what, &ask.agent).await.map(Fetched::unversioned)
    }
}

impl ScriptedSource {
    async fn answer(&self, what: &str, agent: &AgentId) -> Result<Vec<u8>, SourceError> {
        let asked = (what.to_owned(), agent.to_string());
        self.fetches.lock().unwrap().push(asked.clone());
        let answer = self.answers.lock().unwrap().get(&asked).cloned();
        match answer {
            Some(Answer::Report(bytes)) => Ok(bytes),
            Some(Answer::Error(error)) => Err(error),
            Some(Answer::Panic) => panic!("the source fell over"),
            Some(Answer::Hang) => std::future::pending().await,
            None => Err(SourceError::NotFound(format!("{agent}/{what}.pdf"))),
        }
    }
}
