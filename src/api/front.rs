//! Is a request meant for us? The name that it asks for, and the path that a proxy puts before ours.

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode, Uri,
        header::{HeaderValue, LOCATION},
        uri::PathAndQuery,
    },
    middleware::Next,
    web,
};

use super::{Api, Problem};

/// Probes ask by whatever address a process has, and by no path but these.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The same address without the path before ours; `None` where it has another.
fn within(uri: &Uri, base: &str) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(base)?;
    let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    // `/lockstepping` is not `/lockstep`
    if !rest.is_empty() && !rest.starts_with(['/', '?']) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Wraps all routes.
pub(crate) async fn apply(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let base = &api.site.base_path;
    if !base.is_empty() {
        if let Some(uri) = within(request.uri(), base) {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        } else if !PROBES.contains(&request.path()) {
            let text = format!("everything is below {base} (server.base_path)");
            return Err(Problem::not_found("no_route", text).into());
        }
    }
    if !PROBES.contains(&request.path()) && !api.site.knows_host(request.request()) {
        let text = "this service is not called that: server.allowed_hosts and server.public_url name it";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", text).into());
    }
    let mut answer = next.call(request).await?.map_into_boxed_body();
    let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
    let own = place.filter(|place| place.starts_with('/')).map(|place| api.site.path(place));
    if let Some(place) = own.and_then(|place| HeaderValue::from_str(&place).ok()) {
        answer.headers_mut().insert(LOCATION, place);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_before_ours_is_taken_away() {
        let within = |uri: &str| within(&uri.parse().unwrap(), "/lockstep").map(|uri| uri.to_string());
        assert_eq!(within("/lockstep/api/runs?limit=1").as_deref(), Some("/api/runs?limit=1"));
        assert_eq!(within("/lockstep").as_deref(), Some("/"));
        assert_eq!(within("/lockstep?a=b").as_deref(), Some("/?a=b"));
        assert_eq!(within("/lockstepping/api"), None);
        assert_eq!(within("/api/runs"), None);
    }
}
