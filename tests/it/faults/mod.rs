//! What if processes die, freeze or disagree about the time, and servers go away? Real processes, real servers,
//! real signals; each test prints the figure that it measured.

mod attacks;
mod database;
mod kills;
mod oracle;
mod outbox;
mod pooler;
mod processes;
mod readiness;
mod redis;
mod servers;
mod service;
mod short_lives;
mod sockets;
mod tls;
