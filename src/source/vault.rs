//! How do credentials rest in the database? Sealed with a key that is not in it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};

use super::Credential;
use crate::domain::{
    AgentId,
    random::{self, NoRandom},
};

const NONCE: usize = 24;

/// Sealing or opening failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// A line of the key's file is no key.
    #[error("line {0} is not 64 hexadecimal digits")]
    BadKey(usize),
    /// There is no line at all.
    #[error("there is no key in it")]
    NoKey,
    /// They were sealed with a key that is not there.
    #[error("they were sealed with key {0}, which is not there")]
    UnknownKey(String),
    /// They were changed, or sealed for another agent.
    #[error("they were changed since they were sealed, or belong to another agent")]
    Changed,
    /// The system gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Seals with the first of its keys and opens with each of them. Cheap to share, not to clone.
pub struct Vault {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl Vault {
    /// A vault with the keys in `text`, one a line, each of 64 hexadecimal digits (32 bytes).
    ///
    /// # Errors
    /// [`VaultError`] naming the line.
    pub fn new(text: &SecretString) -> Result<Self, VaultError> {
        let lines = text.expose_secret().lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let key = |(number, line): (usize, &str)| {
            let bytes: [u8; 32] =
                hex::decode(line).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(VaultError::BadKey(number + 1))?;
            // a name by which a sealed text finds its key, and that tells nothing of it
            let name = hex::encode(&Sha256::digest(bytes)[..4]);
            Ok((name, XChaCha20Poly1305::new(&bytes.into())))
        };
        let keys = lines.map(key).collect::<Result<Vec<_>, VaultError>>()?;
        if keys.is_empty() { Err(VaultError::NoKey) } else { Ok(Self { keys }) }
    }

    /// A new key, as a line of its file.
    ///
    /// # Errors
    /// [`VaultError::NoRandom`].
    pub fn new_key() -> Result<String, VaultError> {
        Ok(random::token::<32>()?)
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn key_name(&self) -> &str {
        self.keys.first().map_or("", |(name, _)| name)
    }

    /// Credentials of `agent` as they may rest anywhere: the key's name, and base64 of nonce and cipher text.
    ///
    /// # Errors
    /// [`VaultError::NoRandom`].
    pub fn seal(&self, agent: &AgentId, credential: &Credential) -> Result<String, VaultError> {
        let (name, cipher) = self.keys.first().ok_or(VaultError::NoKey)?;
        let nonce = random::bytes::<NONCE>()?;
        let text = SecretString::from(credential.exposed().to_string());
        let payload = Payload { msg: text.expose_secret().as_bytes(), aad: agent.as_str().as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Changed)?;
        Ok(format!("{name}:{}", BASE64_STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// What was sealed for `agent`.
    ///
    /// # Errors
    /// [`VaultError`] saying why not.
    pub fn open(&self, agent: &AgentId, sealed: &str) -> Result<Credential, VaultError> {
        let (name, text) = sealed.split_once(':').ok_or(VaultError::Changed)?;
        let known = self.keys.iter().find(|(known, _)| known == name);
        let (_, cipher) = known.ok_or_else(|| VaultError::UnknownKey(name.to_owned()))?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| VaultError::Changed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(VaultError::Changed)?;
        let payload = Payload { msg: sealed, aad: agent.as_str().as_bytes() };
        let opened = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Changed)?;
        serde_json::from_slice(&opened).map_err(|_| VaultError::Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(keys: &[&str]) -> Vault {
        Vault::new(&keys.join("\n").into()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_key_for_its_agent_and_by_nothing_else() {
        let (old, new) = (Vault::new_key().unwrap(), Vault::new_key().unwrap());
        let anna = AgentId::from("anna");
        let sealed = vault(&[&old]).seal(&anna, &Credential::password("anna", "hunter2")).unwrap();
        assert!(!sealed.contains("hunter2") && !sealed.contains("anna"));
        assert_ne!(sealed, vault(&[&old]).seal(&anna, &Credential::password("anna", "hunter2")).unwrap());

        let both = vault(&[&new, &old]);
        assert_eq!(both.open(&anna, &sealed).unwrap().exposed()["password"], "hunter2");
        assert!(both.seal(&anna, &Credential::token("t")).unwrap().starts_with(both.key_name()));

        assert!(matches!(vault(&[&new]).open(&anna, &sealed), Err(VaultError::UnknownKey(_))));
        assert_eq!(both.open(&"bruno".into(), &sealed).err(), Some(VaultError::Changed));
        for place in 10..sealed.len() - 2 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(both.open(&anna, std::str::from_utf8(&bytes).unwrap()).is_err(), "{place}");
        }
        assert!(both.open(&anna, "").is_err());
    }

    #[test]
    fn a_file_of_keys_names_the_line_that_is_none() {
        let key = Vault::new_key().unwrap();
        assert_eq!(Vault::new(&format!("{key}\n\nxyz").into()).err(), Some(VaultError::BadKey(3)));
        assert_eq!(Vault::new(&"\n".to_owned().into()).err(), Some(VaultError::NoKey));
    }
}
