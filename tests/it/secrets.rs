//! Can nobody read what is a secret, in files, errors and logs?

use std::{path::Path, process::Command};

use crate::commands::{code, stderr, stdout};

#[test]
fn what_a_service_writes_is_its_owners_alone() {
    use std::{os::unix::fs::PermissionsExt, process::Stdio, time::Duration};
    let folder = tempfile::tempdir().unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("serve")
        .current_dir(folder.path())
        .env("LOCKSTEP__SERVER__PORT", "0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let token = folder.path().join("data/admin-token");
    for _ in 0..200 {
        if token.metadata().is_ok_and(|file| file.len() > 0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&token), 0o600);
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let secret = std::fs::read_to_string(&token).unwrap();
    Command::new("kill").arg(service.id().to_string()).status().unwrap();
    service.wait().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut service.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("admin-token") && !said.contains(secret.trim()), "the log names the file: {said}");
}

#[test]
fn no_error_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let canary = "c4n4ryc4n4ry";
    for settings in [
        format!("[database]\nurl = \"postgres://u:{canary}/x@127.0.0.1:1/d\""),
        format!("[database]\nurl = \"postgres://u:{canary}#x@127.0.0.1:1/d\""),
        format!("[database]\nurl = \"postgres://u:{canary}@127.0.0.1:99999/d\""),
        format!("[database]\nurl = \"postgres://u:{canary}@127.0.0.1:1/d\""),
        format!("[coordination]\nredis_url = \"redis://:{canary}/@127.0.0.1:1\""),
        format!("[auth]\nadmin_token = \"{canary}"),
        format!("[auth]\nadmin_token = {canary}"),
        format!("[auth]\nadmin_token = [\"{canary}\"]"),
        format!("[source.http]\nproxy = \"{canary} {canary}\"\nreport_url = \"http://x\"\n[source]\nkind = \"http\""),
    ] {
        std::fs::write(folder.path().join("lockstep.toml"), &settings).unwrap();
        for command in [&["config", "check"][..], &["serve"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
                .args(command)
                .args(["--config", "lockstep.toml"])
                .current_dir(folder.path())
                .env("LOCKSTEP__SERVER__PORT", "0")
                .env("LOCKSTEP__LOG__LEVEL", "trace")
                .output()
                .unwrap();
            if command == ["serve"] || settings.contains("admin_token") {
                assert_eq!(code(&output), 1, "{settings}: {}", stderr(&output));
            }
            let said = stderr(&output) + &stdout(&output);
            assert!(!said.contains(canary), "{command:?} {settings}: {said}");
        }
    }
}
