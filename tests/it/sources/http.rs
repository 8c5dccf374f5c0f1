//! An ERP over HTTP: log-ins, sessions, redirects, sizes, silence.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep::{
    pretend_erp::{Erp, Trouble, World},
    source::{Ask, Auth, Credential, Fetched, HttpConfig, HttpSource, LoginConfig, Source as _},
    testing::types,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use super::{Everybody, told};

const LIMIT: u64 = 1_000_000;

pub fn ask() -> Ask {
    Ask::report(&"orders".into(), &"anna".into())
}

pub fn config(root: &str) -> HttpConfig {
    HttpConfig {
        report_url: format!("{root}/export/{{type}}"),
        document_url: Some(format!("{root}/documents/{{folder}}/{{number}}")),
        silence_ms: 1_000,
        ..HttpConfig::default()
    }
}

pub fn form(root: &str) -> HttpConfig {
    let login = LoginConfig {
        url: format!("{root}/login"),
        page_url: format!("{root}/login"),
        username_field: "user".into(),
        ..LoginConfig::default()
    };
    HttpConfig { auth: Auth::Form, login, ..config(root) }
}

pub fn source(config: HttpConfig, credential: Option<Credential>) -> HttpSource {
    HttpSource::new(config, Arc::new(Everybody(credential)), LIMIT).unwrap()
}

pub fn anna() -> Credential {
    Credential::password("anna", "a password of the tests")
}

/// A pretend ERP with a few rows, and where it listens.
fn erp() -> (Erp, String, actix_web::dev::ServerHandle) {
    let types = Arc::new(types());
    let world = World::new(types.clone(), &["anna".into()], |_| 8, 1);
    let erp = Erp::new(types, world, "a password of the tests", Duration::from_secs(3_600));
    let (addr, server) = erp.serve().unwrap();
    (erp, format!("http://{addr}"), server)
}

async fn logins(root: &str) -> u64 {
    let state = lockstep::http::client().build().unwrap().get(format!("{root}/state.json"));
    let state: serde_json::Value = state.send().await.unwrap().json().await.unwrap();
    state["logins"].as_u64().unwrap()
}

#[actix::test]
async fn a_session_is_kept_and_an_expired_one_is_renewed_at_once() {
    let (erp, root, server) = erp();
    let source = source(form(&root), Some(anna()));
    let Ok(Fetched::New { bytes, version }) = source.fetch(&ask()).await else { panic!() };
    let types = types();
    assert_eq!(lockstep::report::read(&bytes, types.get("orders").unwrap(), &types).unwrap().records.len(), 8);
    for _ in 0..3 {
        assert_eq!(told(&source.fetch(&ask().knowing(version.clone())).await), "unchanged");
    }
    assert_eq!(logins(&root).await, 1);

    erp.trouble(Trouble::ExpiredSession, &"orders".into(), &"anna".into(), true);
    let begun = Instant::now();
    assert_eq!(told(&source.fetch(&ask()).await), "new");
    assert!(begun.elapsed() < Duration::from_secs(5), "at once: {:?}", begun.elapsed());
    assert_eq!(logins(&root).await, 2);

    // two at once find the same expired session, and log in once
    erp.trouble(Trouble::ExpiredSession, &"orders".into(), &"anna".into(), true);
    let (one, two) = (ask(), Ask::report(&"ddt".into(), &"anna".into()));
    let (one, two) = tokio::join!(source.fetch(&one), source.fetch(&two));
    assert_eq!((told(&one), told(&two)), ("new", "new"));
    assert_eq!(logins(&root).await, 3);
    let document = Ask::document("ddt", &"anna".into(), "no such number");
    assert_eq!(told(&source.fetch(&document).await), "report_not_found");
    server.stop(false).await;
}

#[actix::test]
async fn a_session_is_renewed_before_it_ends() {
    let (_, root, server) = erp();
    let mut config = form(&root);
    config.login.session_minutes = 30;
    let source = source(config, Some(anna()));
    assert_eq!(told(&source.fetch(&ask()).await), "new");
    let after = async |minutes: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(minutes)).await;
        tokio::time::resume();
        assert_eq!(told(&source.fetch(&ask()).await), "new");
        logins(&root).await
    };
    assert_eq!(after(26).await, 1);
    assert_eq!(after(2).await, 2, "nine tenths of it are over");
    server.stop(false).await;
}

#[actix::test]
async fn credentials_that_were_refused_are_not_shown_again_until_they_change() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_string("<html><form><input type=password name=p></form></html>");
    Mock::given(method("GET")).respond_with(page.clone()).mount(&server).await;
    Mock::given(method("POST")).respond_with(page).expect(1).mount(&server).await;
    let source = source(form(&server.uri()), Some(anna()));
    for said in ["did not accept the credentials", "were refused before", "were refused before"] {
        let error = source.fetch(&ask()).await.unwrap_err();
        assert_eq!(error.code(), "source_refused");
        assert!(error.to_string().contains(said) && !error.is_retryable(), "{error}");
    }
    server.verify().await;
}

#[actix::test]
async fn a_log_in_that_does_not_help_is_told_and_not_repeated() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_string("<html><form><input type=password name=p></form></html>");
    Mock::given(method("GET")).and(path("/export/orders")).respond_with(page).expect(3).mount(&server).await;
    let pdf = ResponseTemplate::new(200).set_body_string("%PDF-1.4");
    Mock::given(method("GET")).and(path("/export/ddt")).respond_with(pdf).mount(&server).await;
    Mock::given(method("GET")).and(path("/login")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let fine = ResponseTemplate::new(200).set_body_string("<h1>Welcome</h1><a>change your password</a>");
    Mock::given(method("POST")).respond_with(fine).expect(1).mount(&server).await;
    let source = source(form(&server.uri()), Some(anna()));
    for _ in 0..3 {
        let error = source.fetch(&ask()).await.unwrap_err();
        assert_eq!(error.code(), "session_expired");
        assert!(error.is_retryable());
    }
    // one export that answers so takes nothing from the others
    assert_eq!(told(&source.fetch(&Ask::report(&"ddt".into(), &"anna".into())).await), "new");
    server.verify().await;
}

#[actix::test]
async fn a_log_in_is_accepted_only_with_a_success() {
    for (status, told_as) in [
        (400, "source_refused"),
        (401, "source_refused"),
        (403, "source_refused"),
        (422, "source_refused"),
        (429, "source_unreachable"),
        (500, "source_unreachable"),
        (304, "source_unreachable"),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).and(path("/login")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let source = source(form(&server.uri()), Some(anna()));
        assert_eq!(told(&source.fetch(&ask()).await), told_as, "{status}");
        let exports = server.received_requests().await.unwrap();
        assert!(exports.iter().all(|request| request.url.path() == "/login"), "{status}");
    }
}

#[actix::test]
async fn an_erp_that_routes_by_query_is_not_taken_for_its_log_in_page() {
    let server = MockServer::start().await;
    let query = |page: &str| wiremock::matchers::query_param("page", page);
    Mock::given(query("login")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let pdf = ResponseTemplate::new(200).set_body_string("%PDF-1.4");
    Mock::given(query("export")).respond_with(pdf).mount(&server).await;
    let mut config = form(&server.uri());
    config.login.url = format!("{}/index?page=login", server.uri());
    config.login.page_url.clear();
    config.report_url = format!("{}/index?page=export&type={{type}}", server.uri());
    assert_eq!(told(&source(config, Some(anna())).fetch(&ask()).await), "new");
}

#[actix::test]
async fn credentials_are_shown_as_configured() {
    let server = MockServer::start().await;
    let pdf = ResponseTemplate::new(200).set_body_string("%PDF-1.4");
    let basic = header("authorization", "Basic YW5uYTphIHBhc3N3b3JkIG9mIHRoZSB0ZXN0cw==");
    Mock::given(basic).respond_with(pdf.clone()).mount(&server).await;
    Mock::given(header("authorization", "Bearer t-7")).respond_with(pdf).mount(&server).await;
    let fetch = async |auth, credential: Option<Credential>| {
        let source = source(HttpConfig { auth, ..form(&server.uri()) }, credential);
        told(&source.fetch(&ask()).await)
    };
    let (anna, token) = (|| Some(anna()), || Some(Credential::token("t-7")));
    assert_eq!(fetch(Auth::Basic, anna()).await, "new");
    assert_eq!(fetch(Auth::Bearer, token()).await, "new");
    assert_eq!(fetch(Auth::None, anna()).await, "report_not_found", "wiremock knows no request without credentials");
    for (auth, credential) in [(Auth::Basic, token()), (Auth::Bearer, anna()), (Auth::Form, None), (Auth::Basic, None)]
    {
        assert_eq!(fetch(auth, credential).await, "no_credentials", "{auth:?}");
    }
}

#[actix::test]
async fn redirects_stay_within_the_hosts_that_are_named() {
    let (near, far) = (MockServer::start().await, MockServer::start().await);
    let pdf = ResponseTemplate::new(200).set_body_string("%PDF-1.4");
    Mock::given(path("/there")).respond_with(pdf).mount(&far).await;
    // the same machine under another name
    let there = format!("http://localhost:{}/there", far.address().port());
    let moved = ResponseTemplate::new(302).insert_header("location", there.as_str());
    Mock::given(path("/export/orders")).respond_with(moved).mount(&near).await;
    let round = ResponseTemplate::new(302).insert_header("location", "/export/ddt");
    Mock::given(path("/export/ddt")).respond_with(round).mount(&near).await;

    let error = source(config(&near.uri()), None).fetch(&ask()).await.unwrap_err();
    assert_eq!(error.code(), "source_refused");
    assert!(
        error.to_string().contains("redirected to http://localhost:")
            && error.to_string().contains(", which source.http.allow_hosts does not name"),
        "{error}"
    );
    assert!(far.received_requests().await.unwrap().is_empty());
    // nor does another port of the same machine see anything of ours
    let beside = ResponseTemplate::new(302).insert_header("location", format!("{}/there", far.uri()));
    Mock::given(path("/export/prices")).respond_with(beside).mount(&near).await;
    let beside = source(config(&near.uri()), None).fetch(&Ask::report(&"prices".into(), &"anna".into())).await;
    assert_eq!(told(&beside), "source_refused");
    assert!(far.received_requests().await.unwrap().is_empty());

    let allowed = HttpConfig { allow_hosts: vec!["localhost".into()], ..config(&near.uri()) };
    let allowed = source(allowed, None);
    assert_eq!(told(&allowed.fetch(&ask()).await), "new");
    let followed = far.received_requests().await.unwrap();
    assert!(followed.iter().all(|request| !request.headers.contains_key("referer")), "{followed:?}");
    let round = allowed.fetch(&Ask::report(&"ddt".into(), &"anna".into())).await;
    assert!(round.unwrap_err().to_string().contains("again and again"));
}

#[actix::test]
async fn what_a_server_answers_is_told_as_what_it_is() {
    for (status, body, told_as) in [
        (200, "%PDF-1.4", "new"),
        (200, "", "not_a_report"),
        (200, "<html>the export is being made</html>", "not_a_report"),
        (204, "", "not_a_report"),
        (206, "%PDF-1.4", "not_a_report"),
        (304, "", "source_unreachable"),
        (401, "", "source_refused"),
        (403, "", "source_refused"),
        (404, "", "report_not_found"),
        (410, "", "report_not_found"),
        (429, "", "source_unreachable"),
        (500, "%PDF-1.4", "source_unreachable"),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(body);
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        assert_eq!(told(&source(config(&server.uri()), None).fetch(&ask()).await), told_as, "{status} {body}");
    }
    assert_eq!(told(&source(config("http://127.0.0.1:9"), None).fetch(&ask()).await), "source_unreachable");
}

#[actix::test]
async fn a_report_is_known_by_a_strong_tag_once_it_has_settled() {
    const MADE: &str = "Fri, 27 Nov 2026 06:00:00 GMT";
    const SOON: &str = "Fri, 27 Nov 2026 06:00:01 GMT";
    const LATER: &str = "Fri, 27 Nov 2026 06:00:09 GMT";
    for (tag, made, date, kept) in [
        (Some("\"v7\""), None, LATER, true),
        (Some("\"v7\""), Some(MADE), LATER, true),
        (Some("\"v7\""), Some(MADE), SOON, false),
        (Some("W/\"v7\""), None, LATER, false),
        (None, Some(MADE), LATER, false),
        (None, None, LATER, false),
    ] {
        let server = MockServer::start().await;
        let mut answer = ResponseTemplate::new(200).set_body_string("%PDF-1.4").insert_header("date", date);
        if let Some(tag) = tag {
            answer = answer.insert_header("etag", tag);
            Mock::given(header("if-none-match", tag)).respond_with(ResponseTemplate::new(304)).mount(&server).await;
        }
        if let Some(made) = made {
            answer = answer.insert_header("last-modified", made);
        }
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let basic = |name: &str| {
            let config = HttpConfig { auth: Auth::Basic, ..config(&server.uri()) };
            source(config, Some(Credential::password(name, "p")))
        };
        let Ok(Fetched::New { version, .. }) = basic("anna").fetch(&ask()).await else { panic!() };
        assert_eq!(version.is_some(), kept, "{tag:?} {made:?} {date}");
        let again = basic("anna").fetch(&ask().knowing(version.clone())).await;
        assert_eq!(told(&again), if kept { "unchanged" } else { "new" });
        // another URL's version, or that of another user of the ERP, says nothing here
        let other = Ask::report(&"ddt".into(), &"anna".into()).knowing(version.clone());
        assert_eq!(told(&basic("anna").fetch(&other).await), "new");
        assert_eq!(told(&basic("bruno").fetch(&ask().knowing(version)).await), "new");
    }
}

/// A server that answers each connection with these bytes, and then says nothing, or the last of them for ever.
async fn raw(head: &'static str, forever: bool) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut talk, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(talk.read(&mut [0; 4_096]).await);
                drop(talk.write_all(head.as_bytes()).await);
                while forever && talk.write_all(&[b'x'; 8_192]).await.is_ok() {}
                tokio::time::sleep(Duration::from_mins(1)).await;
            });
        }
    });
    root
}

#[actix::test]
async fn what_is_too_large_or_silent_is_given_up() {
    let promised = raw("HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n%PDF-1.4", false).await;
    let endless = raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n%PDF-1.4", true).await;
    let half = raw("HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n%PDF-1.4", false).await;
    let mute = raw("", false).await;
    // of a log-in page without end, too, no more is read than a form stands in
    let begun = Instant::now();
    let error = source(form(&endless), Some(anna())).fetch(&ask()).await.unwrap_err();
    assert_eq!(error.code(), "report_too_large", "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    for (root, told_as) in [
        (promised, "report_too_large"),
        (endless, "report_too_large"),
        (half, "source_unreachable"),
        (mute, "source_unreachable"),
    ] {
        let begun = Instant::now();
        let error = source(config(&root), None).fetch(&ask()).await.unwrap_err();
        assert_eq!(error.code(), told_as, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}: {:?}", begun.elapsed());
    }
}
