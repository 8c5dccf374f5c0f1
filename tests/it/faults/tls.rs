//! Does it speak TLS, and what if the certificate is replaced while it does?

use std::{fs, net::TcpListener, process::Command, time::Duration};

use crate::commands::{code, lockstep};

#[test]
fn it_speaks_tls_and_shows_a_new_certificate_when_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
        made.cert.pem()
    };
    let first = write();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[server]\nport = {port}\n[server.tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n[log]\nlevel = \"warn\""
    );
    fs::write(folder.path().join("lockstep.toml"), config).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["serve", "--config", "lockstep.toml"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_shown = |pem: &str| {
        let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        runtime.block_on(async {
            let client = lockstep::http::client().tls_certs_only([trusted]).build().unwrap();
            let answer = client.get(format!("https://localhost:{port}/livez")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
    };
    let until = |what: &str, is: &dyn Fn() -> bool| {
        assert!((0..300).any(|_| is() || (std::thread::sleep(Duration::from_millis(100)), false).1), "{what}");
    };
    until("it shows the first", &|| is_shown(&first));
    assert_eq!(code(&lockstep(folder.path(), &["healthcheck", "--config", "lockstep.toml"])), 0);
    // half of a new one changes nothing
    fs::write(folder.path().join("tls.crt"), "half").unwrap();
    std::thread::sleep(Duration::from_secs(6));
    assert!(is_shown(&first));
    let second = write();
    until("it shows the second", &|| is_shown(&second));
    assert!(!is_shown(&first));
    Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
    assert!(service.wait().unwrap().success());
}
