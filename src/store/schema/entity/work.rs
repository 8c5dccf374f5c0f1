//! Which columns have the tables of jobs, runs, reports and changes?

entity!(flow_link, "flow_link", {
    #[sea_orm(primary_key, auto_increment = false)]
    job_id: JobId,
    #[sea_orm(primary_key, auto_increment = false)]
    root_job_id: JobId,
});

entity!(job, "job", {
    #[sea_orm(primary_key)]
    id: JobId,
    job_type: String,
    class: Class,
    agent_id: String,
    reason: Reason,
    state: JobState,
    outcome: Option<Outcome>,
    error: Option<String>,
    dedup_key: Option<String>,
    throttle_key: Option<String>,
    throttle_until: Option<DateTimeUtc>,
    priority: i32,
    order_key: i64,
    is_next: bool,
    due_at: DateTimeUtc,
    delay_ms: i64,
    latest_start: Option<DateTimeUtc>,
    force: bool,
    payload: Option<Json>,
    payload_digest: Option<String>,
    release_window: bool,
    document_id: Option<DocumentId>,
    approves_run_id: Option<RunId>,
    parent_job_id: Option<JobId>,
    root_job_id: Option<JobId>,
    flow_outcome: Option<FlowOutcome>,
    flow_finished_at: Option<DateTimeUtc>,
    attempt: i32,
    run_id: Option<RunId>,
    max_attempts: i32,
    repeatable: bool,
    phase: Option<Phase>,
    result: Option<Json>,
    lease: i64,
    heartbeat: i64,
    requested_by: Option<String>,
    heartbeat_at: Option<DateTimeUtc>,
    owner: Option<String>,
    stop_requested: bool,
    follow_up_due: bool,
    enqueued_at: DateTimeUtc,
    started_at: Option<DateTimeUtc>,
    finished_at: Option<DateTimeUtc>,
});

entity!(breaker, "breaker", {
    #[sea_orm(primary_key)]
    id: i64,
    source: String,
    agent_id: String,
    failures: i32,
    times_opened: i32,
    open_until: Option<DateTimeUtc>,
    last_error: Option<String>,
    updated_at: DateTimeUtc,
});

entity!(sync_run, "sync_run", {
    #[sea_orm(primary_key)]
    id: RunId,
    job_id: JobId,
    sync_type: String,
    agent_id: String,
    reason: Reason,
    attempt: i32,
    outcome: Option<Outcome>,
    stage: Option<Stage>,
    error_code: Option<String>,
    error: Option<String>,
    read: i64,
    inserted: i64,
    updated: i64,
    refreshed: i64,
    unchanged: i64,
    restored: i64,
    quarantined: i64,
    skipped: i64,
    not_applied: i64,
    missing: i64,
    deleted: i64,
    orphans: i64,
    verdicts: Option<Json>,
    notes: Option<Json>,
    hold: Option<Hold>,
    plan_digest: Option<PlanDigest>,
    document_sha256: Option<String>,
    document_version: Option<String>,
    document_id: Option<DocumentId>,
    spec_fingerprint: String,
    layout_fingerprint: Option<String>,
    layout: Option<Json>,
    started_at: DateTimeUtc,
    finished_at: Option<DateTimeUtc>,
    stages: Option<Json>,
});

entity!(run_log, "run_log", {
    #[sea_orm(primary_key, auto_increment = false)]
    run_id: RunId,
    lines: Json,
});

entity!(sync_state, "sync_state", {
    #[sea_orm(primary_key, auto_increment = false)]
    sync_type: String,
    #[sea_orm(primary_key, auto_increment = false)]
    agent_id: String,
    last_run_id: RunId,
    last_outcome: Outcome,
    last_at: DateTimeUtc,
    applied_run_id: Option<RunId>,
    applied_at: Option<DateTimeUtc>,
    fetched_at: Option<DateTimeUtc>,
    failures: i32,
    failing_since: Option<DateTimeUtc>,
    error_code: Option<String>,
    error: Option<String>,
    refusals: i32,
    refused_run_id: Option<RunId>,
    refused_at: Option<DateTimeUtc>,
    quarantined: i64,
    records_run_id: Option<RunId>,
    rows: i64,
    orphans: i64,
    read_run_id: Option<RunId>,
    approved_at: Option<DateTimeUtc>,
    layout_run_id: Option<RunId>,
    layout_changed_at: Option<DateTimeUtc>,
    recent: String,
});

entity!(run_hour, "run_hour", {
    #[sea_orm(primary_key, auto_increment = false)]
    sync_type: String,
    #[sea_orm(primary_key, auto_increment = false)]
    agent_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    hour: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    outcome: String,
    runs: i64,
    milliseconds: i64,
    rows: i64,
    changed: i64,
});

entity!(record_change, "record_change", {
    #[sea_orm(primary_key)]
    id: i64,
    sync_type: String,
    agent_id: String,
    record_key: String,
    run_id: RunId,
    at: DateTimeUtc,
    action: String,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    fields: Option<Json>,
    page: Option<i32>,
    row_number: Option<i32>,
});

entity!(quarantine, "quarantine", {
    #[sea_orm(primary_key)]
    id: i64,
    run_id: RunId,
    sync_type: String,
    agent_id: String,
    page: i32,
    row_number: i32,
    column_header: String,
    printed: String,
    why: String,
    record_key: Option<String>,
});

entity!(document, "document", {
    #[sea_orm(primary_key)]
    id: DocumentId,
    sha256: String,
    size: i64,
    created_at: DateTimeUtc,
});

entity!(document_part, "document_part", {
    #[sea_orm(primary_key, auto_increment = false)]
    document_id: DocumentId,
    #[sea_orm(primary_key, auto_increment = false)]
    number: i32,
    #[sea_orm(column_type = "Blob")]
    bytes: Vec<u8>,
});

entity!(kept_document, "kept_document", {
    #[sea_orm(primary_key)]
    id: i64,
    kind: String,
    name: String,
    agent_id: String,
    number: String,
    run_id: Option<RunId>,
    sha256: String,
    size: i64,
    packed_size: i64,
    document_id: Option<DocumentId>,
    fetched_at: DateTimeUtc,
});

entity!(sync_queue, "sync_queue", {
    #[sea_orm(primary_key)]
    id: ItemId,
    action: Action,
    model: String,
    record_id: String,
    sheet_row_index: Option<i64>,
    payload: Json,
    status: ItemStatus,
    retries: i32,
    max_retries: i32,
    last_error: Option<String>,
    created_at: DateTimeUtc,
    processed_at: Option<DateTimeUtc>,
    due_at: DateTimeUtc,
    is_next: bool,
    repeatable: bool,
    doubtful: bool,
    delivery_id: String,
    idempotency_key: Option<String>,
    lease: i64,
    heartbeat: i64,
    owner: Option<String>,
    claimed_at: Option<DateTimeUtc>,
});

entity!(sheet_row, "sheet_row", {
    #[sea_orm(primary_key, auto_increment = false)]
    model: String,
    #[sea_orm(primary_key, auto_increment = false)]
    record_id: String,
    row_index: i64,
});
