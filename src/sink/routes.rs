//! Which sink has the changes of a model? By configuration; models without one wait to be fetched.

use std::{collections::BTreeMap, sync::Arc};

use super::port::{NoSink, Sink};

/// A sink with its name.
#[derive(Clone)]
pub struct Named {
    /// Its name in the configuration.
    pub name: String,
    pub sink: Arc<dyn Sink>,
}

/// The sinks of all models. Cheap to clone.
#[derive(Clone, Default)]
pub struct Routes {
    sinks: Arc<Vec<Named>>,
    by_model: Arc<BTreeMap<String, usize>>,
    /// For every model that has none of its own; of operations alone.
    otherwise: Option<Arc<dyn Sink>>,
}

impl Routes {
    /// The sinks, and for each model the place of its sink among them.
    #[must_use]
    pub fn new(sinks: Vec<Named>, by_model: BTreeMap<String, usize>) -> Self {
        Self { sinks: Arc::new(sinks), by_model: Arc::new(by_model), otherwise: None }
    }

    /// Operations of models that have no sink of their own go there.
    #[must_use]
    pub fn otherwise(mut self, sink: Option<Arc<dyn Sink>>) -> Self {
        self.otherwise = sink;
        self
    }

    /// Who carries the operations of `model` out.
    #[must_use]
    pub fn for_operations(&self, model: &str) -> Arc<dyn Sink> {
        let own = self.of(model).map(|named| named.sink.clone());
        own.or_else(|| self.otherwise.clone()).unwrap_or_else(|| Arc::new(NoSink))
    }

    /// Who has the items of `model`.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&Named> {
        self.by_model.get(model).and_then(|place| self.sinks.get(*place))
    }

    /// Every sink with its models.
    pub fn iter(&self) -> impl Iterator<Item = (&Named, Vec<String>)> {
        self.sinks.iter().enumerate().map(|(place, named)| {
            let own = self.by_model.iter().filter(move |(_, of)| **of == place);
            (named, own.map(|(model, _)| model.clone()).collect())
        })
    }
}
