//! How does it listen? The web server, what wraps all routes, and the order in which they are looked through.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::{Compress, from_fn},
    web,
};
use tracing_actix_web::TracingLogger;

use super::{
    Api, agents, alerts, audit, auth, breakers, compression, connections, credentials, data, docs, documents, events,
    fetchers, front, headers, health, idempotency, jobs, keys, limits, log, manners, metrics, openapi, operations,
    outbox, pause, problem, reports, runs, schedule, sync, system, tokens, trace, types, upload,
};

/// The head of a connection's first request, and the handshake before it.
const HEAD: Duration = Duration::from_secs(10);
/// Connections that wait until they are accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Starts the server, with `pages` beside its own routes; answers where it listens and how it is stopped.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(
    api: Api,
    listener: TcpListener,
    pages: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<(SocketAddr, ServerHandle)> {
    let json_bytes = api.json_bytes;
    // many come at once: those that find no room to wait in believe that they are connected
    rustix::net::listen(&listener, BACKLOG)?;
    let (tls, connections, closing) = (api.tls.clone(), api.connections.clone(), api.closing.clone());
    let watched = connections.clone();
    let state = web::Data::new(api);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(front::apply))
            .wrap(from_fn(manners::apply))
            .wrap(from_fn(compression::mark))
            .wrap(Compress::default())
            .wrap(from_fn(compression::unmark))
            .wrap(TracingLogger::<trace::Requests>::new())
            .wrap(from_fn(connections::watch))
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(json_bytes))
            .app_data(web::QueryConfig::default().error_handler(|error, _| problem::bad_query(&error)))
            .app_data(web::PathConfig::default().error_handler(|error, request| problem::bad_path(&error, request)))
            .configure(health::routes)
            .configure(openapi::routes)
            .configure(docs::routes)
            .configure(pages.clone())
            .service(web::scope("/metrics").wrap(from_fn(auth::check)).configure(metrics::routes))
            .service(
                web::scope("/api")
                    .wrap(from_fn(idempotency::apply))
                    .wrap(from_fn(problem::without_nul))
                    .wrap(from_fn(auth::check))
                    .configure(sync::routes)
                    .configure(schedule::routes)
                    .configure(runs::routes)
                    .configure(reports::routes)
                    .configure(jobs::routes)
                    .configure(operations::routes)
                    .configure(outbox::routes)
                    .configure(fetchers::routes)
                    .configure(pause::routes)
                    .configure(limits::routes)
                    .configure(types::routes)
                    .configure(alerts::routes)
                    .configure(headers::routes)
                    .configure(log::routes)
                    .configure(breakers::routes)
                    .configure(keys::routes)
                    .configure(tokens::routes)
                    .configure(system::routes)
                    .configure(audit::routes)
                    .configure(credentials::routes)
                    .configure(agents::routes)
                    .configure(documents::routes)
                    .configure(data::routes)
                    .configure(events::routes)
                    .configure(upload::routes)
                    .default_service(web::to(problem::no_route)),
            )
            .default_service(web::to(problem::no_route))
    })
    .workers(2)
    .on_connect(move |connection, data| watched.begin(connection, data))
    .client_request_timeout(HEAD)
    .tls_handshake_timeout(HEAD)
    .shutdown_timeout(5)
    .disable_signals();
    let server = match tls {
        Some(files) => server.listen_rustls_0_23(listener, files.config()?)?,
        None => server.listen(listener)?,
    };
    actix_rt::spawn(connections.look(closing));
    let addr = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((addr, handle))
}
