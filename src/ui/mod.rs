//! What does a person see? Pages rendered by the server, behind a session of the browser.

mod page;
mod routes;
mod session;

pub use routes::routes;
pub use session::Sessions;
