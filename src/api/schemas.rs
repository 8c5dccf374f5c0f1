//! How are ids and enumerations described? As what they are in JSON.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, RefOr, Schema, SchemaFormat,
        schema::{ObjectBuilder, Type},
    },
};

use crate::domain::{
    Action, AgentId, Class, FlowOutcome, Hold, ItemId, ItemStatus, JobId, JobState, JobType, Outcome, Phase,
    PlanDigest, Reason, Role, RunId, Stage, SyncType,
};

macro_rules! numbers {
    ($($id:ty),*) => {$(
        impl PartialSchema for $id {
            fn schema() -> RefOr<Schema> {
                let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
                ObjectBuilder::new().schema_type(Type::Integer).format(Some(format)).into()
            }
        }
        impl ToSchema for $id {}
    )*};
}

macro_rules! texts {
    ($($id:ty),*) => {$(
        impl PartialSchema for $id {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).into()
            }
        }
        impl ToSchema for $id {}
    )*};
}

macro_rules! names {
    ($($of:ty),*) => {$(
        impl PartialSchema for $of {
            fn schema() -> RefOr<Schema> {
                let known = <$of>::ALL.iter().map(|one| one.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(known)).into()
            }
        }
        impl ToSchema for $of {}
    )*};
}

numbers!(RunId, JobId, ItemId);
texts!(SyncType, JobType, AgentId, PlanDigest, FlowOutcome, Hold, Phase, Stage);
names!(Action, Class, ItemStatus, JobState, Outcome, Reason, Role);
