//! How do changes and requests go out? Operations, and the sink that has their effects.

mod effect;
mod runner;
mod sink;

pub use runner::OperationRunner;
pub use sink::{Delivered, Delivery, NoSink, Sink, SinkError};
