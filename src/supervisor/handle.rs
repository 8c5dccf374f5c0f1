//! How is an actor reached that may be started anew at any moment?

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, MailboxError, Message, dev::ToEnvelope};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// So long a call waits for an actor that is being started anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not asked: the actor is not there, and was not within five seconds.
    #[error("this part of the service is being started anew: ask again in a moment")]
    Restarting,
    /// It ended before it answered: what was asked for may have been done.
    #[error("this part of the service ended before it answered: look whether it was done before you ask again")]
    Unanswered,
}

impl From<MailboxError> for CallError {
    fn from(_: MailboxError) -> Self {
        CallError::Unanswered
    }
}

/// An actor's present address. Cheap to clone, and valid over restarts.
pub struct Handle<A: Actor>(Arc<watch::Sender<Addr<A>>>);

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("connected", &self.addr().connected()).finish()
    }
}

impl<A: Actor> Handle<A> {
    /// The handle of an actor that is there; whoever starts it anew publishes its next address.
    #[must_use]
    pub fn new(addr: Addr<A>) -> Self {
        Self(Arc::new(watch::Sender::new(addr)))
    }

    pub(super) fn publish(&self, addr: Addr<A>) {
        self.0.send_replace(addr);
    }

    pub(super) fn addr(&self) -> Addr<A> {
        self.0.borrow().clone()
    }

    /// Asks; waits a bounded time for an actor that is being started anew. Where it is there, the message is in its
    /// mailbox when this returns.
    ///
    /// # Errors
    /// As the future says: [`CallError`].
    pub fn send<M>(&self, message: M) -> BoxFuture<'static, Result<M::Result, CallError>>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        A::Context: ToEnvelope<A, M>,
    {
        let addr = self.addr();
        if addr.connected() {
            let answer = addr.send(message);
            return Box::pin(async { Ok(answer.await?) });
        }
        let mut addresses = self.0.subscribe();
        Box::pin(async move {
            let there = addresses.wait_for(Addr::connected);
            let there = tokio::time::timeout(PATIENCE, there).await.map_err(|_| CallError::Restarting)?;
            let addr = there.map_err(|_| CallError::Restarting)?.clone();
            Ok(addr.send(message).await?)
        })
    }

    /// Tells, without waiting; lost where nobody is there, as it would be with an actor that ends.
    pub fn do_send<M>(&self, message: M)
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        A::Context: ToEnvelope<A, M>,
    {
        self.addr().do_send(message);
    }
}
