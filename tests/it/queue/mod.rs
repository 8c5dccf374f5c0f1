//! Does the queue keep its rules? One suite against the port, run over every board; a model; stories.

mod beside;
mod dispatch;
mod flows;
mod model;
mod rig;
mod rules;
mod simulation;
mod steering;
mod stories;
