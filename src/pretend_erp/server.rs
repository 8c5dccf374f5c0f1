//! How is the pretend ERP spoken to? Over HTTP: a log-in form, exports and documents behind it, and a door for
//! those who run it.

use std::{
    collections::{HashMap, HashSet},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::header, web};
use parking_lot::{Mutex, MutexGuard};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    grid::{Layout, print},
    trouble::{BAD_ROW, Trouble, Troubles},
    world::World,
};
use crate::{
    domain::{AgentId, Record, SyncType},
    sync_type::{SyncTypeSpec, SyncTypes},
};

const COOKIE: &str = "ERPSESSION";
/// The hidden field of the log-in form, and what it must hold.
const FORM_TOKEN: &str = "form-1";

/// A running ERP. Cheap to clone.
#[derive(Clone)]
pub struct Erp {
    types: Arc<SyncTypes>,
    /// The password of all its users, whose names are the agents'.
    password: Arc<str>,
    /// How long a session lives unused or not.
    session: Duration,
    inside: Arc<Mutex<Inside>>,
}

struct Inside {
    world: World,
    troubles: Troubles,
    sessions: HashMap<String, (AgentId, Instant)>,
    logins: u64,
    failures: u64,
    received: HashSet<String>,
    frozen: bool,
    printed: HashMap<(SyncType, AgentId), Printed>,
}

/// The last export of a type and agent; the same records in the same layout are not printed twice.
#[derive(Clone)]
struct Printed {
    records: Vec<Record>,
    layout: Layout,
    pdf: web::Bytes,
    tag: String,
}

impl Erp {
    /// An ERP with this world in it.
    #[must_use]
    pub fn new(types: Arc<SyncTypes>, world: World, password: &str, session: Duration) -> Self {
        let inside = Inside {
            world,
            troubles: Troubles::default(),
            sessions: HashMap::new(),
            logins: 0,
            failures: 0,
            received: HashSet::new(),
            frozen: false,
            printed: HashMap::new(),
        };
        Self { types, password: password.into(), session, inside: Arc::new(Mutex::new(inside)) }
    }

    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// If there is none.
    pub fn serve(&self) -> std::io::Result<(SocketAddr, ServerHandle)> {
        let erp = web::Data::new(self.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(erp.clone())
                .route("/login", web::get().to(login_page))
                .route("/login", web::post().to(log_in))
                .route("/home", web::get().to(home))
                .route("/export/{type}", web::get().to(export))
                .route("/documents/{folder}/{number:.+}", web::get().to(document))
                .route("/orders", web::post().to(receive))
                .route("/state.json", web::get().to(state))
                .route("/troubles", web::post().to(trouble))
                .route("/frozen", web::post().to(freeze))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(TcpListener::bind(("127.0.0.1", 0))?)?;
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Ok((addr, handle))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }

    /// Something ordinary happens; answers what. Nothing does while it is frozen.
    #[must_use]
    pub fn step(&self) -> Option<String> {
        let mut inside = self.inside();
        (!inside.frozen).then(|| inside.world.step())
    }

    /// Does nothing happen by itself?
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.inside().frozen
    }

    /// Begins or ends a trouble.
    pub fn trouble(&self, trouble: Trouble, sync_type: &SyncType, agent: &AgentId, on: bool) {
        let mut inside = self.inside();
        if trouble == Trouble::ExpiredSession {
            inside.sessions.retain(|_, (whose, _)| whose != agent);
        } else {
            inside.troubles.set(trouble, sync_type, agent, on);
        }
    }

    /// Who asks, by the cookie; `None` if the session is not there or over.
    fn user(&self, request: &HttpRequest) -> Option<AgentId> {
        let cookies = request.headers().get(header::COOKIE)?.to_str().ok()?;
        let token = cookies.split("; ").find_map(|one| one.strip_prefix(COOKIE)?.strip_prefix('='))?;
        let inside = self.inside();
        let (agent, since) = inside.sessions.get(token)?;
        (since.elapsed() < self.session).then(|| agent.clone())
    }

    /// The export as it is now, or what fails in its place.
    fn exported(&self, spec: &SyncTypeSpec, agent: &AgentId) -> Result<(Vec<Record>, Layout, Option<Printed>), u64> {
        let mut inside = self.inside();
        if inside.troubles.is_on(Trouble::FailingExport, &spec.name, agent) {
            inside.failures += 1;
            return Err(inside.failures);
        }
        let (records, layout) = inside.troubles.export(spec, agent, inside.world.records(&spec.name, agent));
        let last = inside.printed.get(&(spec.name.clone(), agent.clone()));
        let same = last.filter(|last| last.records == records && last.layout == layout).cloned();
        Ok((records.to_vec(), layout, same))
    }
}

fn html(body: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(format!("<!DOCTYPE html><html><body>{body}</body></html>"))
}

async fn login_page() -> HttpResponse {
    html(&format!(
        "<h1>ERP</h1><form method=post action=/login><input type=hidden name=token value={FORM_TOKEN}>\
         <input name=user><input type=password name=password><button>Accedi</button></form>"
    ))
}

#[derive(Debug, Deserialize)]
struct Login {
    user: String,
    password: String,
    token: Option<String>,
}

async fn log_in(erp: web::Data<Erp>, form: web::Form<Login>) -> HttpResponse {
    let agent = AgentId::from(form.user.as_str());
    let is_known = agent == AgentId::service_account() || erp.inside().world.tables().any(|(_, one)| *one == agent);
    if !is_known || *form.password != *erp.password || form.token.as_deref() != Some(FORM_TOKEN) {
        return login_page().await;
    }
    let mut inside = erp.inside();
    inside.logins += 1;
    // a pretend ERP's sessions protect pretend data
    let token = hex::encode(Sha256::digest(format!("{agent} {} {:?}", inside.logins, Instant::now())));
    inside.sessions.insert(token.clone(), (agent, Instant::now()));
    HttpResponse::Found()
        .insert_header((header::LOCATION, "/home"))
        .insert_header((header::SET_COOKIE, format!("{COOKIE}={token}; Path=/; HttpOnly")))
        .finish()
}

async fn home(erp: web::Data<Erp>, request: HttpRequest) -> HttpResponse {
    match erp.user(&request) {
        Some(agent) => html(&format!("<h1>Welcome, {agent}</h1>")),
        None => login_page().await,
    }
}

/// An expired session answers with the log-in page and 200, as real ones do.
async fn export(erp: web::Data<Erp>, request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let Some(agent) = erp.user(&request) else { return login_page().await };
    let Some(spec) = erp.types.get(&name).cloned() else { return HttpResponse::NotFound().finish() };
    let (records, layout, same) = match erp.exported(&spec, &agent) {
        Ok(exported) => exported,
        Err(failure) => return failing(failure, &spec),
    };
    let printed = if let Some(same) = same {
        same
    } else {
        let of = spec.clone();
        let printing = web::block(move || {
            let pdf = print(&of, &records, &layout)?;
            let tag = format!("\"{}\"", &hex::encode(Sha256::digest(&pdf))[..16]);
            anyhow::Ok(Printed { records, layout, pdf: pdf.into(), tag })
        });
        let Ok(Ok(printed)) = printing.await else { return HttpResponse::InternalServerError().finish() };
        erp.inside().printed.insert((spec.name.clone(), agent), printed.clone());
        printed
    };
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    if known == Some(&printed.tag) {
        return HttpResponse::NotModified().insert_header((header::ETAG, printed.tag)).finish();
    }
    HttpResponse::Ok().content_type("application/pdf").insert_header((header::ETAG, printed.tag)).body(printed.pdf)
}

/// The ways in which exports fail, in turns.
fn failing(number: u64, spec: &SyncTypeSpec) -> HttpResponse {
    match number % 3 {
        0 => HttpResponse::InternalServerError().body("the export failed"),
        1 => HttpResponse::Ok().content_type("application/pdf").finish(),
        _ => {
            let whole = print(spec, &[], &Layout::default()).unwrap_or_default();
            HttpResponse::Ok().content_type("application/pdf").body(whole[..whole.len() / 2].to_vec())
        }
    }
}

/// One delivery note or invoice: a page with its record.
async fn document(erp: web::Data<Erp>, request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let Some(agent) = erp.user(&request) else { return login_page().await };
    let (folder, number) = path.into_inner();
    let Some(spec) = erp.types.get(&folder).cloned() else { return HttpResponse::NotFound().finish() };
    let field = if folder == "ddt" { "ddt_number" } else { "invoice_number" };
    let found = erp.inside().world.find(&spec.name, &agent, field, &number).cloned();
    let Some(record) = found else { return HttpResponse::NotFound().finish() };
    let layout = Layout { totals: false, ..Layout::default() };
    match web::block(move || print(&spec, &[record], &layout)).await {
        Ok(Ok(pdf)) => HttpResponse::Ok().content_type("application/pdf").body(pdf),
        _ => HttpResponse::InternalServerError().finish(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: String,
    record_id: String,
    agent_id: String,
    data: Json,
}

/// An order from outside, once however often it is sent.
async fn receive(erp: web::Data<Erp>, order: web::Json<Order>) -> HttpResponse {
    let mut inside = erp.inside();
    if inside.received.contains(&order.id) {
        return HttpResponse::Ok().json(json!({ "again": true }));
    }
    let customer = order.data["customer"].as_str().unwrap_or_default();
    let total = order.data["total"].as_str().and_then(|text| text.parse().ok()).unwrap_or(Decimal::ZERO);
    let Some(number) = inside.world.submit(&order.agent_id.as_str().into(), &order.record_id, customer, total) else {
        return HttpResponse::UnprocessableEntity().json(json!({ "error": "no such agent" }));
    };
    inside.received.insert(order.id.clone());
    HttpResponse::Ok().json(json!({ "orderNumber": number }))
}

/// Everything that is in it, and which rows are misprinted.
async fn state(erp: web::Data<Erp>) -> HttpResponse {
    let inside = erp.inside();
    let mut misprinted = json!({});
    for (sync_type, agent) in inside.world.tables() {
        let Some(spec) = erp.types.get(sync_type.as_str()) else { continue };
        let bad = inside.world.records(sync_type, agent).get(BAD_ROW);
        if let Some(bad) = bad.filter(|_| inside.troubles.is_on(Trouble::BadRow, sync_type, agent)) {
            misprinted[sync_type.as_str()][agent.as_str()] = bad.text(spec.key).into();
        }
    }
    let body = json!({ "records": inside.world.state(), "misprinted": misprinted, "logins": inside.logins });
    HttpResponse::Ok().json(body)
}

#[derive(Debug, Deserialize)]
struct SetTrouble {
    trouble: Trouble,
    r#type: SyncType,
    agent: AgentId,
    on: bool,
}

async fn trouble(erp: web::Data<Erp>, set: web::Json<SetTrouble>) -> HttpResponse {
    erp.trouble(set.trouble, &set.r#type, &set.agent, set.on);
    HttpResponse::NoContent().finish()
}

/// From now on, nothing happens by itself; or again.
async fn freeze(erp: web::Data<Erp>, on: web::Json<bool>) -> HttpResponse {
    erp.inside().frozen = *on;
    HttpResponse::NoContent().finish()
}
