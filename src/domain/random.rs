//! Which numbers does nobody else have or guess? The system's.

/// The system gives no random numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoRandom(getrandom::Error);

/// Random bytes.
///
/// # Errors
/// [`NoRandom`].
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandom)?;
    Ok(bytes)
}

/// `N` random bytes in hex: a secret from 16 on, a name that nobody else has from 8 on.
///
/// # Errors
/// [`NoRandom`].
pub fn token<const N: usize>() -> Result<String, NoRandom> {
    bytes::<N>().map(hex::encode)
}
