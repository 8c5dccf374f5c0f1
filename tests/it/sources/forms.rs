//! Log-in forms of all kinds: which one is sent, and how long does its session last?

use lockstep::source::{Ask, Source as _, SourceError};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::{
    http::{anna, ask, config, form, source},
    told,
};

/// An ERP whose log-in works, and whose exports answer in turn.
async fn answers(landing: &str, exports: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let form = "<form action=/search><input type=hidden name=q value=no></form>\
                <form action=/in><input type=hidden name=t value=1><input name=user><input type=password name=password></form>";
    let page = |text: &str| ResponseTemplate::new(200).set_body_raw(text.to_owned(), "text/html");
    Mock::given(method("GET")).and(path("/login")).respond_with(page(form)).mount(&server).await;
    Mock::given(method("POST")).and(path("/in")).respond_with(page(landing)).mount(&server).await;
    for export in exports {
        Mock::given(path("/export/orders")).respond_with(export).up_to_n_times(1).mount(&server).await;
    }
    server
}

fn pdf() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_bytes(b"%PDF-1.4 a report".to_vec())
}

fn welcome() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw("<p>Welcome. Please choose.</p>", "text/html")
}

async fn posted(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let of_login = requests.iter().filter(|request| request.method.as_str() == "POST");
    of_login.map(|request| String::from_utf8(request.body.clone()).unwrap()).collect()
}

#[actix::test]
async fn a_session_that_ends_with_a_page_is_renewed_once() {
    let server = answers("<p>hello</p>", vec![pdf(), welcome(), pdf(), welcome(), welcome(), welcome()]).await;
    let source = source(form(&server.uri()), Some(anna()));
    assert_eq!(told(&source.fetch(&ask()).await), "new");
    assert_eq!(told(&source.fetch(&ask()).await), "new", "the page meant that the session was over");
    assert_eq!(posted(&server).await.len(), 2);
    assert_eq!(told(&source.fetch(&ask()).await), "not_a_report", "now it is the ERP");
    assert_eq!(told(&source.fetch(&ask()).await), "not_a_report");
    assert_eq!(posted(&server).await.len(), 3, "and nobody logs in again and again");
}

#[actix::test]
async fn the_form_of_the_password_is_the_one_that_is_sent() {
    let change = "<p>hello</p><form action=/change><input type=password name=new></form>";
    let large = format!("{change}{}", " ".repeat(2 << 20));
    let server = answers(&large, vec![pdf()]).await;
    let source = source(form(&server.uri()), Some(anna()));
    assert_eq!(told(&source.fetch(&ask()).await), "new", "a landing page may be large, and change a password");
    let sent = posted(&server).await;
    assert!(sent[0].contains("t=1") && !sent[0].contains("q=no"), "{sent:?}");
}

#[actix::test]
async fn agents_with_one_account_have_one_session() {
    let server = answers("<p>hello</p>", (0..4).map(|_| pdf()).collect()).await;
    let source = source(form(&server.uri()), Some(anna()));
    let asks: Vec<Ask> = ["anna", "bert", "carla"].map(|agent| Ask::report(&"orders".into(), &agent.into())).into();
    let all = futures_util::future::join_all(asks.iter().map(|ask| source.fetch(ask))).await;
    assert!(all.iter().all(|one| told(one) == "new"));
    assert_eq!(posted(&server).await.len(), 1);
}

#[actix::test]
async fn a_source_that_asks_to_be_left_alone_says_for_how_long() {
    let busy = |status: u16, after: &str| ResponseTemplate::new(status).insert_header("retry-after", after);
    let server = answers("", vec![busy(429, "120"), busy(503, "999999999"), busy(503, "soon")]).await;
    let source = source(config(&server.uri()), None);
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(match source.fetch(&ask()).await {
            Err(SourceError::Busy { after, .. }) => Some(after.as_secs()),
            other => {
                assert_eq!(told(&other), "source_unreachable");
                None
            }
        });
    }
    assert_eq!(waits, [Some(120), Some(86_400), None]);
}
