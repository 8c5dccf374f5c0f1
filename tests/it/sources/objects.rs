//! Reports in an object store: S3 as its API has it, and plain HTTP, both served by a mock.

use lockstep::source::{Ask, Fetched, Folder, FolderConfig, Source as _};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::told;

const LIMIT: u64 = 100;

fn ask() -> Ask {
    Ask::report(&"orders".into(), &"anna".into())
}

fn object(tag: &str, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("etag", tag)
        .insert_header("last-modified", "Fri, 27 Nov 2026 06:00:00 GMT")
        .set_body_raw(body.as_bytes().to_vec(), "application/pdf")
}

async fn put(server: &MockServer, at: &str, tag: &str, body: &str) {
    Mock::given(method("HEAD")).and(path(at)).respond_with(object(tag, body)).mount(server).await;
    Mock::given(method("GET")).and(path(at)).respond_with(object(tag, body)).mount(server).await;
}

async fn gets(server: &MockServer) -> usize {
    let all = server.received_requests().await.unwrap();
    all.iter().filter(|request| request.method.as_str() == "GET").count()
}

#[actix::test]
async fn an_object_is_fetched_once_for_each_of_its_tags() {
    let server = MockServer::start().await;
    put(&server, "/reports/erp/anna/orders.pdf", "\"one\"", "%PDF-1.4 one").await;
    let options = [
        ("endpoint", server.uri()),
        ("allow_http", "true".into()),
        ("region", "eu-south-1".into()),
        ("access_key_id", "key".into()),
        ("secret_access_key", "secret".into()),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.into())).into();
    let config = FolderConfig { url: Some("s3://reports/erp".into()), options };
    let folder = Folder::new(&config, std::iter::empty(), LIMIT).unwrap();
    let Ok(Fetched::New { bytes, version }) = folder.fetch(&ask()).await else { panic!() };
    assert_eq!(bytes, b"%PDF-1.4 one");
    assert!(version.is_some());
    assert_eq!(told(&folder.fetch(&ask().knowing(version.clone())).await), "unchanged");
    assert_eq!(gets(&server).await, 1, "no byte of an unchanged object is fetched");
    let signed = server.received_requests().await.unwrap();
    assert!(signed.iter().all(|request| request.headers.contains_key("authorization")));

    server.reset().await;
    put(&server, "/reports/erp/anna/orders.pdf", "\"two\"", "%PDF-1.4 two").await;
    assert_eq!(told(&folder.fetch(&ask().knowing(version)).await), "new");
}

#[actix::test]
async fn a_server_that_tells_neither_tag_nor_time_is_asked_for_the_whole_each_time() {
    let server = MockServer::start().await;
    for (body, price) in [("7.50", "first"), ("8.50", "of the same size")] {
        server.reset().await;
        let answer = ResponseTemplate::new(200).set_body_raw(body.as_bytes().to_vec(), "application/pdf");
        Mock::given(path("/erp/anna/orders.pdf")).respond_with(answer).mount(&server).await;
        let config = FolderConfig {
            url: Some(format!("{}/erp", server.uri())),
            options: [("allow_http".to_owned(), "true".into())].into(),
        };
        let folder = Folder::new(&config, std::iter::empty(), LIMIT).unwrap();
        let fetched = folder.fetch(&ask()).await;
        assert_eq!(fetched, Ok(Fetched::unversioned(body.as_bytes().to_vec())), "{price}");
    }
}

#[actix::test]
async fn what_goes_wrong_with_objects_is_told_as_what_it_is() {
    let server = MockServer::start().await;
    put(&server, "/erp/anna/orders.pdf", "\"one\"", &"x".repeat(101)).await;
    Mock::given(path("/erp/anna/ddt.pdf")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    Mock::given(path("/erp/anna/prices.pdf")).respond_with(ResponseTemplate::new(403)).mount(&server).await;
    let config = FolderConfig {
        url: Some(format!("{}/erp", server.uri())),
        options: [("allow_http".to_owned(), "true".into())].into(),
    };
    let folder = Folder::new(&config, std::iter::empty(), LIMIT).unwrap();
    for (sync_type, told_as) in
        [("orders", "report_too_large"), ("ddt", "report_not_found"), ("prices", "source_refused")]
    {
        let ask = Ask::report(&sync_type.into(), &"anna".into());
        assert_eq!(told(&folder.fetch(&ask).await), told_as, "{sync_type}");
    }
    assert_eq!(gets(&server).await, 0, "what is too large is not fetched to find that out");
}
