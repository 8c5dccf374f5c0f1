//! What is around every page? Who looks, how it all stands in one sentence, where else one can go, and what was just done.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, time},
    http::{Method, StatusCode},
    web,
};
use maud::{Markup, html};

use super::{
    bare::{SAID, languages, login, problem, said_cookie, send, whole},
    here::Here,
    keyboard::keyboard,
    words::{clock, icon, name, of, span, standing},
};
use crate::{
    api::{Api, Problem},
    domain::{Caller, JobState, Role, Standing, Timestamp},
    overview::{Known, Overview},
};

/// One look of one visitor.
pub(super) struct Frame {
    pub api: web::Data<Api>,
    pub caller: Caller,
    pub known: Known,
    pub overview: Overview,
    /// Jobs that wait.
    pub waiting: i64,
    /// Changes that are not delivered.
    pub undelivered: u64,
    /// Does the page's own script ask?
    pub is_live: bool,
    pub form_key: String,
    /// Where a form comes back to.
    pub back: String,
    said: Option<String>,
    cookie: Option<Cookie<'static>>,
}

impl Frame {
    /// The page of `here` for whoever asks: `body` as it is for them, or what is wrong.
    pub(super) async fn answer(
        api: &web::Data<Api>,
        request: &HttpRequest,
        here: Here,
        body: impl AsyncFnOnce(&Frame) -> Result<Markup, Problem>,
    ) -> HttpResponse {
        let titled = async |frame: &Frame| Ok((here.shown().0.to_owned(), body(frame).await?));
        Self::answer_titled(api, request, here, titled).await
    }

    /// As [`Frame::answer`], where the page has a title of its own.
    pub(super) async fn answer_titled(
        api: &web::Data<Api>,
        request: &HttpRequest,
        here: Here,
        page: impl AsyncFnOnce(&Frame) -> Result<(String, Markup), Problem>,
    ) -> HttpResponse {
        let frame = match Self::look(api, request).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return login(api, StatusCode::UNAUTHORIZED, None),
            Err(wrong) => return problem(api, &wrong),
        };
        match page(&frame).await {
            Ok((title, body)) => frame.page(here, &title, &body),
            Err(wrong) => problem(api, &wrong),
        }
    }

    /// Who looks, and how everything stands for them; nobody for those who are not in.
    async fn look(api: &web::Data<Api>, request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let (caller, form_key, cookie) = match api.visitor(request).await? {
            Some(visitor) => (visitor.caller, visitor.form_key, None),
            // whom a proxy lets in never sees our own log-in
            None => match api.of_proxy(request)? {
                Some((caller, holder)) => {
                    let (cookie, form_key) = api.let_in(request, (&caller, holder)).await?;
                    (caller, form_key, Some(cookie))
                }
                None => return Ok(None),
            },
        };
        api.rates.count(&caller.id)?;
        let known = api.look_for(&caller).await?;
        let overview = Overview::of(&known);
        let counts = api.context.store.job_counts_of(caller.seen()).await?;
        let waiting = counts.iter().filter(|(_, state, _)| *state != JobState::Active).map(|(.., count)| count).sum();
        let undelivered = known.outbox.pending + known.outbox.processing + known.outbox.failed;
        let said = request.cookie(SAID).and_then(|said| {
            percent_encoding::percent_decode_str(said.value())
                .decode_utf8()
                .ok()
                .map(|text| text.chars().take(500).collect())
        });
        // what a form answers is no page to come back to
        let asked = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
        let back = asked.map_or("/", |path| path.as_str()).to_owned();
        let is_live = request.headers().contains_key("X-Live");
        Ok(Some(Self {
            api: api.clone(),
            caller,
            known,
            overview,
            waiting,
            undelivered,
            is_live,
            form_key,
            back,
            said,
            cookie,
        }))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.known.now
    }

    /// May they do what needs this role?
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.role.includes(role)
    }

    /// May they do to all agents what needs this role?
    pub(super) fn may_all(&self, role: Role) -> bool {
        self.may(role) && self.caller.is_for_all()
    }

    /// An address of ours.
    pub(super) fn path(&self, path: &str) -> String {
        self.api.site.path(path)
    }

    /// How it all stands, in a few words: the sentence of the header and of the first page.
    pub(super) fn sentence(&self) -> (String, String) {
        let needs = self.overview.attention.len() as u64;
        let first = match needs {
            0 => "Nothing needs you".to_owned(),
            1 => "1 thing needs you".to_owned(),
            needs => format!("{needs} things need you"),
        };
        let cells = self.overview.cells.iter().filter(|cell| cell.standing != Standing::Off);
        let (all, fresh) =
            cells.fold((0, 0), |(all, fresh), cell| (all + 1, fresh + u64::from(cell.standing == Standing::Fresh)));
        let running = self.known.runs.len() as u64;
        let runs = if running > 0 { format!("{} now, ", of(running, "run", "runs")) } else { String::new() };
        let next = self.overview.cells.iter().filter_map(|cell| cell.next_run).min();
        let next = match next {
            Some(next) if next > self.now() => format!(", next sync in {}", span((next - self.now()).num_seconds())),
            Some(_) => ", the next sync is due".to_owned(),
            None => ", no sync is planned".to_owned(),
        };
        (first, format!("{runs}{fresh} of {all} are fresh{next}."))
    }

    fn worst(&self) -> (&'static str, &'static str) {
        let worst = self.overview.cells.iter().map(|cell| &cell.standing).min_by_key(|standing| standing.rank());
        match worst {
            Some(worst) if !self.overview.attention.is_empty() => match standing(worst) {
                // what needs somebody is no standing of a cell: a change that was not delivered, say
                ("s-fresh" | "s-never" | "s-off" | "s-paused", ..) => ("s-wait", "held"),
                (class, symbol, _) => (class, symbol),
            },
            _ if !self.overview.attention.is_empty() => ("s-wait", "held"),
            _ => ("s-fresh", "fresh"),
        }
    }

    fn top(&self) -> Markup {
        let (first, rest) = self.sentence();
        let (class, symbol) = self.worst();
        html! {
            a.skip href="#main" { "Skip to the page" }
            header.top {
                a.brand href=(self.path("/")) {
                    svg aria-hidden="true" {
                        use href="#brand" {}
                    }
                    "lockstep"
                }
                p.state data-live="state" role="status" {
                    a href=(self.path("/needs-you")) {
                        span.(class) { (icon(symbol)) }
                        span {
                            b { (first) "." }
                            " "
                            i { (rest) }
                        }
                    }
                }
                form.find role="search" action=(self.path("/records")) {
                    label.vh for="q" { "Find a record by key or name" }
                    input
                        #q
                        name="q"
                        type="search"
                        placeholder="Find a key or a name"
                        autocomplete="off"
                        maxlength="200";
                    kbd aria-hidden="true" { "/" }
                }
                span.live.st
                    data-conn=""
                    data-say-live="Live"
                    data-say-asking="Every 10 s"
                    data-say-lost="Not live since"
                    data-say-trying="trying again"
                    data-say-days="days"
                {
                    (icon("fresh"))
                    span { "As of " (clock(self.now(), self.now())) }
                }
                span.who {
                    b { (name(&self.caller.name)) }
                    " "
                    (self.caller.role)
                }
                a.b.seek href=(self.path("/records")) aria-label="Find a record" { (icon("seek")) }
                a.b.menu-open href="#menu" { "Menu" }
            }
        }
    }

    fn entry(&self, entry: Here, here: Here) -> Markup {
        let (name, path) = entry.shown();
        let count = match entry {
            Here::NeedsYou => self.overview.attention.len() as u64,
            Here::Queue => self.waiting.max(0) as u64 + self.known.runs.len() as u64,
            Here::WriteBack => self.undelivered,
            Here::Agents => self.known.agents.iter().filter(|agent| agent.active).count() as u64,
            _ => 0,
        };
        html! {
            @if entry.is_for(&self.caller) {
                li {
                    a href=(self.path(path)) aria-current=[(entry == here).then_some("page")] {
                        (name)
                        @if count > 0 {
                            span.cnt.hot[entry == Here::NeedsYou] { (count) }
                        }
                    }
                }
            }
        }
    }

    fn pages(&self, here: Here) -> Markup {
        html! {
            nav #menu.pages aria-label="Pages" data-live="pages" {
                a.menu-close href="#main" { "Close the menu" }
                ul { (self.entry(Here::Home, here)) (self.entry(Here::NeedsYou, here)) }
                @for (id, title, entries) in {
                    [
                        ("g-data", "Data", &Here::DATA[..]),
                        ("g-work", "Work", &Here::WORK),
                        ("g-house", "House", &Here::HOUSE),
                    ]
                } {
                    p #(id).grp { (title) }
                    ul aria-labelledby=(id) {
                        @for entry in entries { (self.entry(*entry, here)) }
                    }
                }
                ul {
                    li {
                        a href=(self.path("/docs")) { "The API" }
                    }
                }
                button.b type="button" data-switch="utc" hidden { "Times in UTC" }
                button.b type="button" data-switch="tell" hidden { "Tell me what needs me" }
                button.b type="button" data-opens="keys" hidden { "Keyboard" }
                (languages(&self.api, &self.back))
                form method="post" action=(self.path("/logout")) {
                    (self.keys())
                    button.b { "Log out" }
                }
                form method="post" action=(self.path("/logout?everywhere=true")) {
                    (self.keys())
                    button.b { "Log out everywhere" }
                }
            }
        }
    }

    fn pause(&self) -> Markup {
        html! {
            @if let Some(pause) = &self.known.pause {
                section.banner.s-paused data-live="pause" aria-labelledby="h-pause" {
                    p {
                        (icon("paused"))
                        " "
                        b #h-pause {
                            "Paused by "
                            bdi { (pause.by) }
                            " at "
                            (clock(pause.since, self.now()))
                            @if let Some(until) = pause.until { " until " (clock(until, self.now())) }
                            ":"
                        }
                        " “"
                        bdi { (pause.reason) }
                        "”. "
                        @if pause.emergency { "Nothing starts at all, writes included." } @else {
                            "No sync starts; writes and downloads do."
                        }
                    }
                    @if self.may_all(Role::Operator) {
                        ({
                            self.button(
                                "resume",
                                &[],
                                "pri",
                                &html! {
                                    "Resume now"
                                },
                            )
                        })
                    }
                }
            } @else if !self.known.schedule.running {
                section.banner.s-paused data-live="pause" {
                    p {
                        (icon("off"))
                        " "
                        b { "Automatic syncs are off." }
                        " Nothing is fetched unless somebody asks for it."
                    }
                }
            }
        }
    }

    /// The whole page.
    fn page(&self, here: Here, title: &str, body: &Markup) -> HttpResponse {
        let needs = self.overview.attention.len();
        let title = if needs > 0 { format!("({needs}) {title}") } else { title.to_owned() };
        let body = html! {
            (self.top())
            (self.pages(here))
            (keyboard())
            main #main tabindex="-1" {
                @if let Some(said) = &self.said {
                    p.banner.s-fresh role="status" {
                        span { (icon("done")) " " (said) }
                    }
                }
                (self.pause())
                (body)
            }
        };
        let mut answer =
            send(StatusCode::OK, &whole(&self.api, &title, if here == Here::Home { "says" } else { "" }, &body));
        for cookie in
            self.cookie.iter().cloned().chain(self.said.as_ref().map(|_| said_cookie("", time::Duration::ZERO)))
        {
            answer.add_cookie(&cookie).ok();
        }
        answer
    }
}
