//! Which columns have the tables of settings, and of those who set them?

entity!(agents, "agents", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    name: String,
    active: bool,
    added_at: Option<DateTimeUtc>,
});

entity!(write_probe, "write_probe", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: i32,
    written_at: DateTimeUtc,
});

entity!(sync_settings, "sync_settings", {
    #[sea_orm(primary_key, auto_increment = false)]
    sync_type: String,
    interval_minutes: i32,
    enabled: bool,
    last_tick_at: Option<DateTimeUtc>,
    next_run_at: Option<DateTimeUtc>,
    updated_at: DateTimeUtc,
});

entity!(switch, "switch", {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    is_on: bool,
    updated_at: DateTimeUtc,
});

entity!(pause, "pause", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: i32,
    reason: String,
    paused_by: String,
    since: DateTimeUtc,
    until: Option<DateTimeUtc>,
    drain: bool,
    emergency: bool,
});

entity!(job_limit, "job_limit", {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    jobs: i64,
    updated_at: DateTimeUtc,
});

entity!(taught_header, "taught_header", {
    #[sea_orm(primary_key)]
    id: i64,
    sync_type: String,
    header: String,
    plain_header: String,
    field: String,
    taught_by: String,
    taught_at: DateTimeUtc,
});

entity!(alert, "alert", {
    #[sea_orm(primary_key)]
    id: i64,
    subject: String,
    kind: AttentionKind,
    sync_type: Option<String>,
    agent_id: Option<String>,
    model: Option<String>,
    run_id: Option<RunId>,
    text: String,
    begun_at: DateTimeUtc,
    over_at: Option<DateTimeUtc>,
    acknowledged_by: Option<String>,
    acknowledged_at: Option<DateTimeUtc>,
    acknowledged_until: Option<DateTimeUtc>,
});

entity!(agent_credential, "agent_credential", {
    #[sea_orm(primary_key, auto_increment = false)]
    agent_id: String,
    key_name: String,
    sealed: String,
    updated_at: DateTimeUtc,
});

entity!(api_token, "api_token", {
    #[sea_orm(primary_key)]
    id: i64,
    name: String,
    role: String,
    hash: String,
    created_at: DateTimeUtc,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    agents: Option<Json>,
    expires_at: Option<DateTimeUtc>,
    last_used_at: Option<DateTimeUtc>,
    revoked_at: Option<DateTimeUtc>,
});

entity!(page_session, "page_session", {
    #[sea_orm(primary_key)]
    id: i64,
    hash: String,
    kind: String,
    holder_kind: String,
    holder: String,
    created_at: DateTimeUtc,
    expires_at: DateTimeUtc,
});

entity!(audit, "audit", {
    #[sea_orm(primary_key)]
    id: i64,
    at: DateTimeUtc,
    who: String,
    asked_from: Option<String>,
    action: String,
    target: String,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    before: Option<Json>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    after: Option<Json>,
    request_id: Option<String>,
});

entity!(request_key, "request_key", {
    #[sea_orm(primary_key)]
    id: i64,
    caller: String,
    idempotency_key: String,
    digest: String,
    begun_at: DateTimeUtc,
    status: Option<i32>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    headers: Option<Json>,
    body: Option<Vec<u8>>,
});
