//! How does a person read the description of the API? A viewer at `/docs`, which is part of the program.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpResponse, http::header, web};
use utoipa_swagger_ui::{Config, serve};

use super::{Api, Problem};

/// Its own files alone; images are drawn by its style. Styles that it sets while it runs need 'unsafe-inline'.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lockstep: the API</title>
<link rel="icon" href="{base}/assets/calm.svg" type="image/svg+xml">
<link rel="stylesheet" href="{base}/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{base}/docs/swagger-ui-bundle.js"></script>
<script src="{base}/docs/start.js"></script>
</body>
</html>
"#;
const START: &str = r#"window.ui = SwaggerUIBundle({
  url: "{base}/openapi.json",
  dom_id: '#swagger-ui',
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: false,
  validatorUrl: null
});
"#;

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::default()));

fn of_kind(kind: &str, body: impl Into<web::Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(body.into())
}

async fn page(api: web::Data<Api>) -> HttpResponse {
    of_kind("text/html; charset=utf-8", PAGE.replace("{base}", &api.site.base_path))
}

async fn start(api: web::Data<Api>) -> HttpResponse {
    of_kind("text/javascript; charset=utf-8", START.replace("{base}", &api.site.base_path))
}

/// The viewer's own files: those that the page names, and no other.
async fn file(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = match name.as_str() {
        "swagger-ui.css" => "text/css; charset=utf-8",
        "swagger-ui-bundle.js" => "text/javascript; charset=utf-8",
        _ => return Err(Problem::not_found("no_route", format!("there is no /docs/{name}"))),
    };
    let found = serve(&name, CONFIG.clone()).ok().flatten();
    let found = found.ok_or_else(|| Problem::not_found("no_route", format!("there is no /docs/{name}")))?;
    Ok(of_kind(kind, found.bytes.into_owned()))
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/docs", web::get().to(page))
        .route("/docs/start.js", web::get().to(start))
        .route("/docs/{file}", web::get().to(file));
}
