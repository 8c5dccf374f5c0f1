//! Who is answerable for a message?

use actix::prelude::*;

use crate::domain::Cause;

/// A message with whoever asked for it: what it changes is noted under their name. Sent without, it is noted as an
/// actor message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By<M>(pub Cause, pub M);

impl<M: Message> Message for By<M> {
    type Result = M::Result;
}

/// Lets an actor that handles these messages [`By`] someone handle them unsigned, too.
macro_rules! also_unsigned {
    ($actor:ty: $($message:ty),+ $(,)?) => {$(
        impl actix::Handler<$message> for $actor {
            type Result = <$actor as actix::Handler<$crate::supervisor::By<$message>>>::Result;

            fn handle(&mut self, message: $message, ctx: &mut Self::Context) -> Self::Result {
                let by = $crate::supervisor::By($crate::domain::Cause::unsigned(), message);
                actix::Handler::<$crate::supervisor::By<$message>>::handle(self, by, ctx)
            }
        }
    )+};
}

pub(crate) use also_unsigned;
