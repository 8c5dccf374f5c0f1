//! Reports that lie somewhere: `{root}/{agent}/{type}.pdf` in a local folder or an object store.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, parse_url_opts, path::Path,
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Ask, Fetched, Source, SourceError, Wanted};
use crate::domain::text::on_record;

/// What was changed so recently may be changed again within the same tick of the clock of its disk, and then
/// looks the same: its version proves nothing yet.
const SETTLED: Duration = Duration::from_secs(2);

/// `[source.folder]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// A path, `file://`, `s3://bucket/prefix`, `gs://`, `az://`, `http://` or `https://`.
    pub url: Option<String>,
    /// Options of the object store, such as `region` or `access_key_id`; those of the environment (`AWS_...`,
    /// `GOOGLE_...`, `AZURE_...`) hold where they are not given.
    pub options: BTreeMap<String, SecretString>,
}

/// Reports as files or objects.
#[derive(Debug, Clone)]
pub struct Folder {
    place: Place,
    limit: u64,
    /// Before every version, so that no other place's is taken for it.
    mark: String,
}

#[derive(Debug, Clone)]
enum Place {
    /// Opened at each fetch, because it may not be there yet.
    Local(PathBuf),
    Objects {
        store: Arc<dyn ObjectStore>,
        root: Path,
    },
}

impl Folder {
    /// Reports below the configured place, of at most `limit` bytes each. `environment`: the variables of this
    /// process.
    ///
    /// # Errors
    /// The key of `[source.folder]` that makes no sense, and why.
    pub fn new(
        config: &FolderConfig,
        environment: impl Iterator<Item = (String, String)>,
        limit: u64,
    ) -> Result<Self, String> {
        let text = config.url.as_deref().unwrap_or_default();
        let mark = hex::encode(&Sha256::digest(text)[..4]);
        if let Some(path) = text.strip_prefix("file://").or((!text.contains("://")).then_some(text)) {
            if let Some(option) = config.options.keys().next() {
                return Err(format!("options.{option}: a local folder has no options"));
            }
            return Ok(Self { place: Place::Local(path.into()), limit, mark });
        }
        let url = Url::parse(text).map_err(|error| format!("url: {error}"))?;
        if let Some(unknown) = config.options.keys().find(|name| !is_option(name)) {
            return Err(format!("options.{unknown}: no object store has this option"));
        }
        // so that the store's clients find this program's cryptography
        drop(crate::http::client());
        let of_stores = |name: &str| ["aws_", "google_", "azure_"].iter().any(|prefix| name.starts_with(prefix));
        let environment = environment.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let given = config.options.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
        let options = environment.filter(|(name, _)| of_stores(name)).chain(given);
        let (store, root) =
            parse_url_opts(&url, options).map_err(|error| format!("url: {}", on_record(&error.to_string())))?;
        Ok(Self { place: Place::Objects { store: store.into(), root }, limit, mark })
    }

    /// The store and the object in it. Each name is a single path part, so nothing outside can be named.
    fn object(&self, ask: &Ask) -> Result<(Arc<dyn ObjectStore>, Path), SourceError> {
        let (names, file) = match &ask.wanted {
            Wanted::Report(sync_type) => (vec![ask.agent.as_str()], sync_type.to_string()),
            // a slash in a number is a dash in its file's name
            Wanted::Document { folder, number } => (vec![ask.agent.as_str(), folder], number.replace('/', "-")),
        };
        for name in names.iter().copied().chain([file.as_str()]) {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
                return Err(SourceError::BadName(name.to_owned()));
            }
        }
        let file = format!("{file}.pdf");
        let names = names.join("/");
        let below = |root: &Path| {
            // as it is: a store that has a `#` in a key has it there, not an encoding of it
            let whole = if root.is_root() { format!("{names}/{file}") } else { format!("{root}/{names}/{file}") };
            Path::parse(whole).map_err(|_| SourceError::BadName(file.clone()))
        };
        match &self.place {
            Place::Objects { store, root } => Ok((store.clone(), below(root)?)),
            Place::Local(folder) => {
                let missing = |_| {
                    let text = format!("the folder {} that source.folder.url names is not there", folder.display());
                    SourceError::Unreachable(text)
                };
                let root = folder.canonicalize().map_err(missing)?;
                let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| failed("the folder", error))?;
                let path = below(&Path::default())?;
                // a link may lead anywhere, and a folder of reports only has reports
                let real =
                    store.path_to_filesystem(&path).map_err(|error| failed(path.as_ref(), error))?.canonicalize();
                if let Ok(real) = real {
                    if !real.starts_with(&root) {
                        return Err(SourceError::Outside(path.to_string()));
                    }
                    // whoever opens a pipe waits for somebody to write into it
                    if real.metadata().is_ok_and(|found| !found.is_file()) {
                        return Err(SourceError::NotAReport(format!("{path} is no file")));
                    }
                }
                Ok((Arc::new(store), path))
            }
        }
    }

    /// By what a later look tells whether it is the same object.
    fn version(&self, meta: &ObjectMeta) -> Option<String> {
        // a time in the future is a clock that is ahead: nothing is known of the age
        let age = chrono::Utc::now() - meta.last_modified;
        let is_young = age.to_std().map_or(true, |age| age < SETTLED);
        // a server that says nothing of the time is taken to say 1970, and a size alone is no version
        let is_dateless = meta.e_tag.is_none() && meta.last_modified.timestamp() == 0;
        if is_young || is_dateless {
            return None;
        }
        let time_and_size = || format!("{}-{}", meta.last_modified.timestamp_micros(), meta.size);
        Some(format!("{}:{}", self.mark, meta.e_tag.clone().unwrap_or_else(time_and_size)))
    }
}

/// Does any object store have an option of this name?
fn is_option(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok()
        || name.parse::<object_store::gcp::GoogleConfigKey>().is_ok()
        || name.parse::<object_store::azure::AzureConfigKey>().is_ok()
        || name.parse::<object_store::ClientConfigKey>().is_ok()
}

fn failed(place: &str, error: Error) -> SourceError {
    match error {
        Error::NotFound { .. } => SourceError::NotFound(place.to_owned()),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            SourceError::Refused(format!("{place}: {}", on_record(&error.to_string())))
        }
        error => SourceError::Unreachable(format!("{place}: {}", on_record(&error.to_string()))),
    }
}

#[async_trait]
impl Source for Folder {
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, SourceError> {
        let (store, path) = self.object(ask)?;
        let wrong = |error| failed(path.as_ref(), error);
        let too_large = |bytes| SourceError::TooLarge { place: path.to_string(), bytes, limit: self.limit };
        let meta = store.head(&path).await.map_err(wrong)?;
        if ask.known.is_some() && ask.known == self.version(&meta) {
            return Ok(Fetched::Unchanged);
        }
        if meta.size > self.limit {
            return Err(too_large(meta.size));
        }
        let found = store.get_opts(&path, GetOptions::default()).await.map_err(wrong)?;
        let (size, version) = (found.meta.size, self.version(&found.meta));
        let mut parts = found.into_stream();
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.map_err(wrong)?);
            let come = bytes.len() as u64;
            if come > self.limit {
                return Err(too_large(come));
            }
            (ask.progress)(come, Some(size));
        }
        Ok(Fetched::New { bytes, version })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn folder(url: &str, limit: u64) -> Folder {
        let config = FolderConfig { url: Some(url.to_owned()), options: BTreeMap::new() };
        Folder::new(&config, std::iter::empty(), limit).unwrap()
    }

    fn text(fetched: Result<Fetched, SourceError>) -> Result<Vec<u8>, &'static str> {
        match fetched {
            Ok(Fetched::New { bytes, .. }) => Ok(bytes),
            Ok(Fetched::Unchanged) => Err("unchanged"),
            Err(error) => Err(error.code()),
        }
    }

    #[tokio::test]
    async fn only_files_are_opened_and_a_missing_folder_is_called_that() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("anna/ddt.pdf")).unwrap();
        let pipe = root.path().join("anna/orders.pdf");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let source = folder(&root.path().display().to_string(), 9);
        let fetch = |name: &str| {
            let ask = Ask::report(&name.into(), &"anna".into());
            let source = &source;
            async move { tokio::time::timeout(Duration::from_secs(5), source.fetch(&ask)).await.unwrap() }
        };
        assert_eq!(text(fetch("orders").await), Err("not_a_report"), "a pipe would never end");
        assert_eq!(text(fetch("ddt").await), Err("not_a_report"));
        let nowhere = folder("/nowhere/at/all", 9).fetch(&Ask::report(&"orders".into(), &"anna".into())).await;
        let error = nowhere.unwrap_err();
        assert_eq!(error.code(), "source_unreachable");
        assert!(error.to_string().contains("the folder /nowhere/at/all that source.folder.url names is not there"));
    }

    #[tokio::test]
    async fn reports_are_found_by_agent_and_type_and_nothing_else_is() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("reports");
        fs::create_dir_all(root.join("anna/ddt")).unwrap();
        fs::write(root.join("anna/orders.pdf"), b"12345").unwrap();
        fs::write(root.join("anna/ddt/D-7 #%é.pdf"), b"one").unwrap();
        fs::write(outer.path().join("secret.pdf"), b"x").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret.pdf"), root.join("anna/prices.pdf")).unwrap();
        std::os::unix::fs::symlink(root.join("anna/orders.pdf"), root.join("anna/invoices.pdf")).unwrap();
        std::os::unix::fs::symlink(outer.path(), root.join("bruno")).unwrap();
        let url = root.display().to_string();
        let fetch = async |limit, sync_type: &str, agent: &str| {
            text(folder(&url, limit).fetch(&Ask::report(&sync_type.into(), &agent.into())).await)
        };
        assert_eq!(fetch(5, "orders", "anna").await, Ok(b"12345".to_vec()));
        assert_eq!(fetch(5, "invoices", "anna").await, Ok(b"12345".to_vec()), "a link within the folder");
        assert_eq!(fetch(5, "ddt", "anna").await, Err("report_not_found"));
        assert_eq!(fetch(4, "orders", "anna").await, Err("report_too_large"));
        for (sync_type, agent) in [("secret", ".."), ("secret", "../x"), ("../secret", "anna"), ("orders", "")] {
            assert_eq!(fetch(5, sync_type, agent).await, Err("bad_name"), "{sync_type} {agent}");
        }
        for (sync_type, agent) in [("prices", "anna"), ("secret", "bruno")] {
            assert_eq!(fetch(5, sync_type, agent).await, Err("outside_folder"), "{sync_type} {agent}");
        }
        let document = Ask::document("ddt", &"anna".into(), "D/7 #%é");
        assert_eq!(text(folder(&url, 5).fetch(&document).await), Ok(b"one".to_vec()));
    }

    #[tokio::test]
    async fn an_unchanged_file_is_known_once_its_clock_has_moved_on() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("anna/orders.pdf");
        fs::create_dir(root.path().join("anna")).unwrap();
        fs::write(&path, b"12345").unwrap();
        let folder = folder(&root.path().display().to_string(), 10);
        let fetch = async |known: &Option<String>| {
            folder.fetch(&Ask::report(&"orders".into(), &"anna".into()).knowing(known.clone())).await.unwrap()
        };
        assert_eq!(fetch(&None).await, Fetched::unversioned(b"12345".to_vec()), "it may change within this tick");

        let age = |seconds| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        age(60);
        let Fetched::New { version, .. } = fetch(&None).await else { panic!() };
        assert!(version.is_some());
        assert_eq!(fetch(&version).await, Fetched::Unchanged);
        age(30);
        assert!(matches!(fetch(&version).await, Fetched::New { .. }), "another time");
        let ahead = fs::File::options().write(true).open(&path).unwrap();
        ahead.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert_eq!(fetch(&None).await, Fetched::unversioned(b"12345".to_vec()), "a clock that is ahead");
    }

    #[test]
    fn mistakes_are_named_by_key() {
        let new = |url: &str, option: Option<&str>| {
            let options = option.map(|name| (name.to_owned(), "true".into())).into_iter().collect();
            Folder::new(&FolderConfig { url: Some(url.to_owned()), options }, std::iter::empty(), 1).err()
        };
        assert_eq!(new("s3://reports/erp", Some("region")), None);
        assert_eq!(new("gs://reports/erp", None), None);
        assert_eq!(new("https://files.example/erp", Some("allow_http")), None);
        for (url, option, named) in [
            ("ftp://x/y", None, "url"),
            ("s3://reports", Some("colour"), "options.colour"),
            ("reports", Some("region"), "options.region"),
        ] {
            let error = new(url, option).unwrap();
            assert!(error.starts_with(named), "{error}");
        }
    }
}
