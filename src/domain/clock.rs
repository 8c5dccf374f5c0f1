//! What time is it? A port: shells ask it, pure cores take `now` as an argument, tests decide it.

use futures_util::future::BoxFuture;

use super::Timestamp;

/// Tells the time and waits for a moment.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, in milliseconds: what every database keeps, so that a stored moment
    /// equals the one in memory.
    fn now(&self) -> Timestamp;

    /// Ends once `moment` has come on this clock, also when the clock is set forward meanwhile.
    /// Dropping the future gives the wait up.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()>;
}
