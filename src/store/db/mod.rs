//! How is a database spoken to? Connections, the one writer, what two databases say differently, and how many values
//! become one parameter.

pub(crate) mod arrays;
pub(crate) mod bulk;
pub(crate) mod connect;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod forget;
pub(crate) mod size;
pub(crate) mod statistics;
#[cfg(feature = "testing")]
pub mod throwaway;
pub(crate) mod times;
pub(crate) mod writer;

pub use connect::sqlite_file;
pub use error::StoreError;
pub use times::Times;
