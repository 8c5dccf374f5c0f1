//! Who is let in with a browser, for how long, by which names, and through which proxies?

use std::net::SocketAddr;

use lockstep::testing::TestApp;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect::Policy};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::callers::token;

/// A browser: it keeps cookies, and says which page sends a form.
pub struct Browser {
    http: Client,
    root: String,
}

impl Browser {
    pub fn new(addr: SocketAddr) -> Self {
        let http = lockstep::http::client().cookie_store(true).redirect(Policy::none()).build().unwrap();
        Self { http, root: format!("http://{addr}") }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let is_get = method == Method::GET;
        let request = self.http.request(method, format!("{}{path}", self.root));
        if is_get { request } else { request.header("Origin", &self.root) }
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.ask(Method::GET, path).send().await.unwrap().status()
    }

    async fn log_in(&self, token: &str) -> Response {
        self.ask(Method::POST, "/login").form(&[("token", token)]).send().await.unwrap()
    }

    async fn page(&self) -> (StatusCode, String) {
        let answer = self.ask(Method::GET, "/").send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn form_key(&self) -> String {
        let (status, page) = self.page().await;
        assert_eq!(status, 200, "{page}");
        page.split("name=\"form_key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

#[actix::test]
async fn a_session_is_of_its_token_and_ends_with_it() {
    let app = TestApp::builder().agents(&["anna", "bruno"]).start().await;
    let viewer = token(&app, json!({ "name": "eye", "role": "viewer", "agents": ["anna"] })).await;
    let metrics = token(&app, json!({ "name": "meter", "role": "metrics" })).await;
    let browser = Browser::new(app.app.addr);
    assert_eq!(browser.log_in(&metrics).await.status(), 403);
    let answer = browser.log_in(&viewer).await;
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("lockstep_session=") && !cookie.contains("Secure"), "{cookie}");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (_, page) = browser.page().await;
    assert!(page.contains("anna") && !page.contains("bruno") && !page.contains("Sync all now"), "{page}");
    // the API takes the session too, with the same role and agents
    assert_eq!(browser.status("/api/runs?agent=anna").await, 200);
    assert_eq!(browser.status("/api/runs?agent=bruno").await, 404);
    assert_eq!(browser.status("/api/queue/stats").await, 403);
    let form = [("form_key", browser.form_key().await)];
    let act = browser.ask(Method::POST, "/act/stop").form(&form).send().await.unwrap();
    assert_eq!(act.status(), 403, "a viewer stops nothing");
    // revoked: over
    let (_, tokens) = app.get("/api/tokens").await;
    let id = tokens["items"].as_array().unwrap().iter().find(|one| one["name"] == "eye").unwrap()["id"].clone();
    assert_eq!(
        app.raw(Method::DELETE, &format!("/api/tokens/{id}")).bearer_auth(app.token()).send().await.unwrap().status(),
        204
    );
    assert_eq!(browser.status("/").await, 401);
    assert_eq!(browser.status("/api/runs").await, 401);
    let (_, audit) = app.get("/api/audit?who=token:eye").await;
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().filter_map(|one| one["action"].as_str()).collect();
    assert_eq!(actions, ["refused", "session.begin"], "{audit}");
    app.stop().await;
}

#[actix::test]
async fn a_session_is_over_after_twelve_hours_or_everywhere_at_once_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::builder().folder(folder.path()).agents(&["anna"]).start().await;
    let (desk, phone) = (Browser::new(app.app.addr), Browser::new(app.app.addr));
    desk.log_in(app.token()).await;
    let cookie = phone.log_in(app.token()).await.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!((desk.status("/").await, phone.status("/").await), (StatusCode::OK, StatusCode::OK));
    let clock = app.clock.clone();
    app.stop().await;

    // another process of the same database knows the session
    let app = TestApp::builder().folder(folder.path()).clock(&clock).agents(&["anna"]).start().await;
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let status =
        async |app: &TestApp| app.raw(Method::GET, "/").header("Cookie", &cookie).send().await.unwrap().status();
    assert_eq!(status(&app).await, 200);
    let other = Browser::new(app.app.addr);
    other.log_in(app.token()).await;
    let form = [("form_key", other.form_key().await)];
    let everywhere = other.ask(Method::POST, "/logout?everywhere=true").form(&form).send().await.unwrap();
    assert_eq!(everywhere.status(), 303);
    assert!(everywhere.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "the cookie is cleared");
    assert_eq!((status(&app).await, other.status("/").await), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    other.log_in(app.token()).await;
    assert_eq!(other.status("/").await, 200);
    app.clock.advance(std::time::Duration::from_secs(12 * 3_600));
    assert_eq!(other.status("/").await, 401);
    app.stop().await;
}

#[actix::test]
async fn another_page_can_ask_for_nothing() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let browser = Browser::new(app.app.addr);
    browser.log_in(app.token()).await;
    let own = browser.root.clone();
    for (origin, status) in
        [(Some(own.as_str()), 200), (Some("https://evil.example"), 403), (Some("null"), 403), (None, 403)]
    {
        let mut request = browser.http.post(format!("{own}/api/sync/pause")).json(&json!({ "reason": "tea" }));
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{origin:?}");
    }
    let form = [("form_key", browser.form_key().await)];
    let request = browser.http.post(format!("{own}/act/stop")).form(&form);
    assert_eq!(request.header("Origin", "https://evil.example").send().await.unwrap().status(), 403);
    let request = browser.http.post(format!("{own}/login")).form(&[("token", app.token())]);
    assert_eq!(request.header("Origin", "https://evil.example").send().await.unwrap().status(), 403);
    // a program with a token sends what it likes
    assert_eq!(app.post("/api/sync/resume", json!({})).await.0, 200);
    app.stop().await;
}

/// The status of a request that is sent letter by letter.
async fn ask(addr: SocketAddr, request: &str) -> u16 {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let got = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..got]).split(' ').nth(1).unwrap().parse().unwrap()
}

#[actix::test]
async fn a_name_that_is_not_its_own_is_refused_but_for_probes() {
    let app = TestApp::builder().setting("LOCKSTEP__SERVER__ALLOWED_HOSTS", "box,*.inside").start().await;
    let port = app.app.addr.port();
    for (host, status) in [
        ("localhost", 401),
        ("127.0.0.1", 401),
        ("box", 401),
        ("a.inside", 401),
        ("evil.example", 421),
        ("169.254.1.1", 421),
        ("localhost.evil.example", 421),
    ] {
        let request = format!("GET /api/runs HTTP/1.1\nHost: {host}:{port}\n\n");
        assert_eq!(ask(app.app.addr, &request).await, status, "{host}");
        for probe in ["/livez", "/readyz"] {
            assert_eq!(ask(app.app.addr, &format!("GET {probe} HTTP/1.1\nHost: {host}\n\n")).await, 200, "{host}");
        }
    }
    assert_eq!(ask(app.app.addr, "GET / HTTP/1.1\nHost: evil.example\n\n").await, 421, "pages too");
    app.stop().await;
}

#[actix::test]
async fn a_trusted_proxy_lets_in_whom_it_names() {
    let proxied = |trusted: &str| {
        TestApp::builder()
            .agents(&["anna"])
            .setting("LOCKSTEP__SERVER__TRUSTED_PROXIES", trusted)
            .setting("LOCKSTEP__AUTH__PROXY__USER_HEADER", "Remote-User")
            .setting("LOCKSTEP__AUTH__PROXY__GROUPS_HEADER", "Remote-Groups")
            .setting("LOCKSTEP__AUTH__PROXY__ROLES__office", "operator")
            .setting("LOCKSTEP__AUTH__PROXY__ROLES__staff", "viewer")
    };
    let app = proxied("127.0.0.0/8").start().await;
    let get = async |app: &TestApp, path: &str, user: &str, groups: &str| {
        let request = app.raw(Method::GET, path).header("Remote-User", user).header("Remote-Groups", groups);
        request.send().await.unwrap()
    };
    assert_eq!(get(&app, "/api/runs", "rita", "staff").await.status(), 200);
    assert_eq!(get(&app, "/api/tokens", "rita", "staff,office").await.status(), 403);
    let refused: Json = get(&app, "/api/runs", "rita", "cooks").await.json().await.unwrap();
    assert_eq!(refused["code"], "no_role");
    // a page: the session is hers, and works for nobody else
    let page = get(&app, "/", "rita", "office").await;
    assert_eq!(page.status(), 200);
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = page.text().await.unwrap();
    assert!(page.contains("proxy:rita") && page.contains("Sync all now"), "{page}");
    let key = page.split("name=\"form_key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let act = async |user: Option<&str>, groups: &str| {
        let mut request = Browser::new(app.app.addr).ask(Method::POST, "/act/stop").header("Cookie", &cookie);
        if let Some(user) = user {
            request = request.header("Remote-User", user).header("Remote-Groups", groups);
        }
        request.form(&[("form_key", &key)]).send().await.unwrap().status()
    };
    assert_eq!(act(Some("rita"), "office").await, 303);
    assert_eq!(act(Some("rita"), "staff").await, 403, "her role is what the proxy says now");
    assert_eq!(act(Some("sven"), "office").await, 401);
    assert_eq!(act(None, "").await, 401);
    let (_, audit) = app.get("/api/audit?who=proxy:rita").await;
    assert!(audit["items"].as_array().unwrap().len() >= 2, "{audit}");
    app.stop().await;

    let app = proxied("10.0.0.0/8").start().await;
    let refused = get(&app, "/api/runs", "rita", "staff").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json::<Json>().await.unwrap()["code"], "untrusted_proxy");
    app.stop().await;
}

#[actix::test]
async fn behind_a_proxy_with_tls_cookies_are_for_tls_alone_and_paths_are_below_its_own() {
    let app = TestApp::builder()
        .agents(&["anna"])
        .setting("LOCKSTEP__SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .setting("LOCKSTEP__SERVER__PUBLIC_URL", "https://sync.example.org")
        .setting("LOCKSTEP__SERVER__BASE_PATH", "/lockstep/")
        .start()
        .await;
    let forwarded = |request: RequestBuilder| {
        let request = request.header("X-Forwarded-Proto", "https").header("X-Forwarded-For", "203.0.113.9");
        request.header("X-Forwarded-Host", "sync.example.org").header("Origin", "https://sync.example.org")
    };
    let login = forwarded(Browser::new(app.app.addr).http.post(format!("http://{}/lockstep/login", app.app.addr)))
        .form(&[("token", app.token())]);
    let login = login.send().await.unwrap();
    assert_eq!((login.status().as_u16(), &login.headers()["location"]), (303, &"/lockstep/".parse().unwrap()));
    let cookie = login.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-lockstep_session=") && cookie.contains("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = forwarded(app.raw(Method::GET, "/lockstep/")).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("href=\"/lockstep/style.css\"") && page.contains("action=\"/lockstep/act/sync\""), "{page}");
    let trigger = app.raw(Method::POST, "/lockstep/api/sync/trigger/customers").bearer_auth(app.token());
    let trigger = trigger.json(&json!({ "agentId": "anna" })).send().await.unwrap();
    assert_eq!(trigger.status(), 202);
    let place = trigger.headers()["location"].to_str().unwrap().to_owned();
    assert!(place.starts_with("/lockstep/api/jobs/"), "{place}");
    assert_eq!(app.get(&place).await.0, 200);
    assert_eq!(app.get("/api/runs").await.0, 404, "it is below its path");
    assert_eq!(app.raw(Method::GET, "/livez").send().await.unwrap().status(), 200, "but for probes");
    app.idle().await;
    // who asked from where: what the proxy says
    let (_, audit) = app.get("/lockstep/api/audit?action=session.begin").await;
    assert_eq!(audit["items"][0]["from"], "203.0.113.9", "{audit}");
    let (_, list) = app.get("/lockstep/api/audit?limit=1").await;
    assert!(list["next"].is_string());
    let page = app.raw(Method::GET, "/lockstep/api/audit?limit=1").bearer_auth(app.token()).send().await.unwrap();
    assert!(page.headers()["link"].to_str().unwrap().starts_with("</lockstep/api/audit?limit=1&cursor="));
    app.stop().await;
}

#[actix::test]
async fn each_token_has_so_many_requests_a_minute_and_is_told_what_is_left() {
    let app = TestApp::builder().setting("LOCKSTEP__LIMITS__REQUESTS_PER_MINUTE", "5").start().await;
    let get = async || app.raw(Method::GET, "/api/breakers").bearer_auth(app.token()).send().await.unwrap();
    let first = get().await;
    assert_eq!(first.headers()["ratelimit-policy"], "\"caller\";q=5;w=60");
    assert_eq!(first.headers()["ratelimit"], "\"caller\";r=4;t=12");
    for _ in 0..4 {
        assert_eq!(get().await.status(), 200);
    }
    let refused = get().await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=13).contains(&wait), "{wait}");
    assert_eq!(refused.json::<Json>().await.unwrap()["code"], "too_many_requests");
    app.stop().await;
}
