//! How is an actor started so that it can be watched, and started again?

use std::sync::Arc;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::Handle;

/// Answered by nobody: whoever asked learns by that when the actor has ended, whatever the cause.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct UntilEnd;

/// Panic while this is handled.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Panic;

/// Block the actor's thread for so long.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Freeze(pub std::time::Duration);

/// An actor, as its supervisor handles it.
pub trait Supervised: Send + Sync {
    /// Its name in logs, metrics and status.
    fn name(&self) -> &str;

    /// Ends when its present life does.
    fn until_end(&self) -> BoxFuture<'static, ()>;

    /// Ends when its thread has turned once.
    fn turn(&self) -> BoxFuture<'static, ()>;

    /// Starts a new life, and hands its address out.
    fn start(&self);
}

struct Child<A: Actor> {
    name: String,
    make: Arc<dyn Fn() -> A + Send + Sync>,
    handle: Handle<A>,
    thread: ArbiterHandle,
}

/// Starts an actor on this thread; `make` is called again for each new life, and takes what is to outlive one from
/// where it is shared or stored.
pub fn start<A>(
    name: impl Into<String>,
    make: impl Fn() -> A + Send + Sync + 'static,
) -> (Handle<A>, Arc<dyn Supervised>)
where
    A: Actor<Context = Context<A>> + Handler<UntilEnd>,
{
    let handle = Handle::new(make().start());
    let child = Child { name: name.into(), make: Arc::new(make), handle: handle.clone(), thread: Arbiter::current() };
    (handle, Arc::new(child))
}

impl<A> Supervised for Child<A>
where
    A: Actor<Context = Context<A>> + Handler<UntilEnd>,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn until_end(&self) -> BoxFuture<'static, ()> {
        let end = self.handle.addr().send(UntilEnd);
        Box::pin(async {
            // an answer never comes
            end.await.ok();
        })
    }

    fn turn(&self) -> BoxFuture<'static, ()> {
        let (turned, answer) = oneshot::channel();
        // false if the thread has ended: then nothing turns
        self.thread.spawn(async {
            turned.send(()).ok();
        });
        Box::pin(async {
            if answer.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn start(&self) {
        let make = self.make.clone();
        self.handle.publish(A::start_in_arbiter(&self.thread, move |_| make()));
    }
}

/// Makes an actor one that can be supervised.
macro_rules! supervised {
    ($actor:ty) => {
        impl actix::Handler<$crate::supervisor::UntilEnd> for $actor {
            // of the actor's own context: it goes with the actor, and whoever waits learns of it
            type Result = actix::ResponseActFuture<Self, ()>;

            fn handle(&mut self, _: $crate::supervisor::UntilEnd, _: &mut Self::Context) -> Self::Result {
                Box::pin(actix::fut::wrap_future(std::future::pending()))
            }
        }

        #[cfg(feature = "testing")]
        impl actix::Handler<$crate::supervisor::Panic> for $actor {
            type Result = ();

            #[allow(clippy::panic, reason = "it is what was asked for")]
            fn handle(&mut self, _: $crate::supervisor::Panic, _: &mut Self::Context) {
                panic!("a test asked for this");
            }
        }

        #[cfg(feature = "testing")]
        impl actix::Handler<$crate::supervisor::Freeze> for $actor {
            type Result = ();

            fn handle(&mut self, message: $crate::supervisor::Freeze, _: &mut Self::Context) {
                std::thread::sleep(message.0);
            }
        }
    };
}
pub(crate) use supervised;
