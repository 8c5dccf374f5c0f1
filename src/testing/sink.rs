//! What does the other side do with a write, in a test? What the test says, and it remembers what it did.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::sink::{Answers, Delivered, Delivery, Sink, SinkError};

/// How the sink behaves once.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// It has the effect and says so.
    Done,
    /// It refuses, or fails, without an effect (or, for `Unknown`, perhaps after it).
    Error(SinkError),
    /// It has the effect, and its answer never comes.
    Silent,
    /// It has the effect, and then the worker panics.
    Panic,
}

/// A sink whose behaviour is scripted, once for each delivery; afterwards all is done.
#[derive(Debug, Default)]
pub struct ScriptedSink {
    script: Mutex<VecDeque<Behaviour>>,
    deliveries: watch::Sender<Vec<Delivery>>,
    effects: AtomicUsize,
}

impl ScriptedSink {
    /// The next delivery goes so.
    pub fn next(&self, behaviour: Behaviour) {
        self.script.lock().unwrap().push_back(behaviour);
    }

    /// Everything that was ever delivered, in order.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.borrow().clone()
    }

    /// How many effects there were.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.effects.load(Ordering::SeqCst)
    }

    /// Waits until `count` deliveries have come.
    pub async fn wait_for(&self, count: usize) {
        self.deliveries.subscribe().wait_for(|all| all.len() >= count).await.unwrap();
    }
}

impl ScriptedSink {
    async fn have_effect(&self, delivery: Delivery) -> Result<Delivered, SinkError> {
        let behaviour = self.script.lock().unwrap().pop_front().unwrap_or(Behaviour::Done);
        let answer: Json = json!({ "confirmed": delivery.id });
        self.deliveries.send_modify(|all| all.push(delivery));
        if !matches!(behaviour, Behaviour::Error(_)) {
            self.effects.fetch_add(1, Ordering::SeqCst);
        }
        match behaviour {
            Behaviour::Done => Ok(Delivered { answer, row: None }),
            Behaviour::Error(error) => Err(error),
            Behaviour::Silent => std::future::pending().await,
            Behaviour::Panic => panic!("the test made the sink panic"),
        }
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_> {
        let answer =
            move |(place, delivery): (usize, Delivery)| async move { (place, self.have_effect(delivery).await) };
        stream::iter(batch.into_iter().enumerate()).then(answer).boxed()
    }
}
