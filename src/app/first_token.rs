//! Who may look in first? The admin's token of a new database, in a file that only its owner reads.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::{
    domain::{Cause, Role, caller::new_token},
    settings::Settings,
    store::{NewToken, sqlite_file, token_hash},
    sync::Context,
};

/// Without a configured token and without a stored one, makes the admin's, in a file that only its owner reads.
pub(super) async fn first_token(settings: &Settings, context: &Context) -> anyhow::Result<Option<PathBuf>> {
    if settings.auth.admin_token.is_some() || context.store.has_token(Role::Admin).await? {
        return Ok(None);
    }
    let token = new_token()?;
    let file = data_folder(settings).join("admin-token");
    // the file first: a token that nobody can read is none
    write_secret(&file, &token).with_context(|| format!("cannot write the admin's token to {}", file.display()))?;
    let new = NewToken {
        name: "first start".to_owned(),
        role: Role::Admin,
        agents: None,
        expires_at: None,
        hash: token_hash(&token),
    };
    let now = context.clock.now();
    context.store.by(Cause::named("first start"), now).add_token(new, now).await?;
    Ok(Some(file))
}

/// Where files of this service are: beside its database, or `data`.
fn data_folder(settings: &Settings) -> PathBuf {
    let path = sqlite_file(settings.database.url.expose_secret());
    path.and_then(Path::parent).map_or_else(|| PathBuf::from("data"), Path::to_path_buf)
}

fn write_secret(file: &Path, secret: &str) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // one of an earlier database would keep its mode
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(opened, "{secret}")?;
    opened.sync_all()
}
