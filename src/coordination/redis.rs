//! Many processes coordinate through Redis: one stream of messages, keys for windows and limits. Redis may go away
//! at any time: whoever asks is answered as by a process that is alone, within a second.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::{
    AsyncCommands, Client, RedisError, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
    streams::{StreamId, StreamMaxlen, StreamRangeReply, StreamReadOptions, StreamReadReply},
};
use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc},
    task::JoinHandle,
};

use super::{
    Coordination, Health, KnownWindow, Permit, Received, RelayMessage, Signal,
    limit::RateLimiter,
    ring::{Ring, number},
};
use crate::domain::Timestamp;

/// How long Redis may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(1);
/// Messages that wait to be sent; what comes on top is told to this process alone.
const WAITING: usize = 4_096;
/// Messages in one request.
const AT_ONCE: usize = 200;
/// Messages that Redis remembers for processes that were away.
const REMEMBERED: usize = 10_000;
/// How long one read of the stream waits for the next message.
const READ: Duration = Duration::from_millis(1_000);
/// From one try to reach Redis to the next.
const AGAIN: Duration = Duration::from_millis(500);

/// Counts one more in a period that begins with the first; answers how long to wait, 0 for not at all.
const PERMIT: &str = "local used = redis.call('INCR', KEYS[1]) \
    if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
    if used <= tonumber(ARGV[1]) then return 0 end \
    local rest = redis.call('PTTL', KEYS[1]) \
    if rest < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) rest = tonumber(ARGV[2]) end \
    return math.max(rest, 1)";

/// Coordination through one Redis, for all processes with the same prefix.
pub struct Redis {
    shared: Arc<Shared>,
    messages: mpsc::Sender<RelayMessage>,
    /// Stand in for Redis while it is away.
    limits: RateLimiter,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    connection: ConnectionManager,
    runtime: Handle,
    prefix: String,
    /// This process's name.
    own: String,
    ring: Ring,
    trouble: Trouble,
}

/// What was wrong last, with reading and with writing, and how many messages were lost by it.
#[derive(Debug, Default)]
struct Trouble {
    reading: Mutex<Option<String>>,
    writing: Mutex<Option<String>>,
    dropped: AtomicU64,
}

impl Trouble {
    /// Notes how an attempt went; tells it when that has changed. True if trouble has just ended.
    fn note<T>(place: &Mutex<Option<String>>, what: &'static str, result: &RedisResult<T>) -> bool {
        let now = result.as_ref().err().map(RedisError::to_string);
        let before = std::mem::replace(&mut *place.lock(), now.clone());
        match (&before, &now) {
            (None, Some(error)) => tracing::warn!(what, error, "redis is away; this process goes on alone"),
            (Some(_), None) => tracing::info!(what, "redis is back"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        before.is_some() && now.is_none()
    }

    fn is_writing_in_trouble(&self) -> bool {
        self.writing.lock().is_some()
    }
}

impl Redis {
    /// Connects lazily to `url`, as the process `own`; its work is done on `runtime`. Redis need not be there.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn start(url: &str, prefix: &str, own: &str, runtime: &Handle) -> RedisResult<Self> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200));
        let _inside = runtime.enter();
        let shared = Arc::new(Shared {
            connection: ConnectionManager::new_lazy_with_config(client.clone(), config)?,
            runtime: runtime.clone(),
            prefix: prefix.to_owned(),
            own: own.to_owned(),
            ring: Ring::default(),
            trouble: Trouble::default(),
        });
        let (messages, queue) = mpsc::channel(WAITING);
        let tasks = [runtime.spawn(write(shared.clone(), queue)), runtime.spawn(read(shared.clone(), client))];
        Ok(Self { shared, messages, limits: RateLimiter::default(), tasks })
    }

    /// Runs a request on the app's IO runtime, whoever asks; `None` if Redis does not answer.
    async fn ask<T, F>(&self, request: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send + 'static,
    {
        if self.shared.trouble.is_writing_in_trouble() {
            // the writer looks whether it is back; nobody else waits for it
            return None;
        }
        let done = self.shared.runtime.spawn(request(self.shared.connection.clone())).await.ok()?;
        Trouble::note(&self.shared.trouble.writing, "writing", &done);
        done.ok()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn name(&self, of: &str) -> String {
        format!("{}:{of}", self.prefix)
    }

    /// A message of the stream.
    fn received(&self, entry: &StreamId) -> Option<Received> {
        let message = match (entry.get::<String>("signal"), entry.get::<String>("event")) {
            (Some(signal), _) => RelayMessage::Signal(serde_json::from_value(signal.into()).ok()?),
            (None, Some(event)) => RelayMessage::Event(event),
            (None, None) => return None,
        };
        let is_foreign = entry.get::<String>("from").as_ref() != Some(&self.own);
        Some(Received { id: entry.id.clone(), is_foreign, message })
    }
}

/// Sends messages as they come, many at once; while Redis is away, this process receives its own.
async fn write(shared: Arc<Shared>, mut queue: mpsc::Receiver<RelayMessage>) {
    let mut messages = Vec::new();
    loop {
        let waited = tokio::time::timeout(AGAIN, queue.recv_many(&mut messages, AT_ONCE)).await;
        match waited {
            Ok(0) => return,
            Err(_) if !shared.trouble.is_writing_in_trouble() => continue,
            Ok(_) | Err(_) => {}
        }
        // a signal that was given twice is one
        let mut given = HashSet::new();
        messages.retain(|message| match message {
            RelayMessage::Signal(signal) => given.insert(*signal),
            RelayMessage::Event(_) => true,
            // what one process has missed is its own affair
            RelayMessage::Gap => false,
        });
        let sent = send(&shared, &messages).await;
        Trouble::note(&shared.trouble.writing, "writing", &sent);
        if sent.is_err() {
            shared.trouble.dropped.fetch_add(messages.len() as u64, Ordering::Relaxed);
            for message in messages.drain(..) {
                shared.ring.receive_own(message);
            }
        }
        messages.clear();
    }
}

async fn send(shared: &Shared, messages: &[RelayMessage]) -> RedisResult<()> {
    let mut requests = redis::pipe();
    if messages.is_empty() {
        requests.pset_ex(shared.name("probe"), 1, 1_000).ignore();
    }
    for message in messages {
        let (field, text) = match message {
            RelayMessage::Signal(signal) => {
                ("signal", serde_json::json!(signal).as_str().unwrap_or_default().to_owned())
            }
            RelayMessage::Event(event) => ("event", event.clone()),
            RelayMessage::Gap => continue,
        };
        let fields = [("from", shared.own.as_str()), (field, text.as_str())];
        requests.xadd_maxlen(shared.name("messages"), StreamMaxlen::Approx(REMEMBERED), "*", &fields).ignore();
    }
    requests.query_async(&mut shared.connection.clone()).await
}

/// Hears the messages of all processes, in Redis's order; goes on where it was when Redis comes back.
async fn read(shared: Arc<Shared>, client: Client) {
    let mut last: Option<String> = None;
    loop {
        let ended = follow(&shared, &client, &mut last).await;
        Trouble::note(&shared.trouble.reading, "reading", &ended);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Was more told while this process was away than Redis remembers, or was that lost?
fn is_gap(last: Option<&str>, oldest: Option<&str>) -> bool {
    let (last, oldest) = (last.and_then(number), oldest.and_then(number));
    // nothing received so far, nothing missed
    last > Some((0, 0)) && (oldest.is_none() || oldest > last)
}

async fn follow(shared: &Shared, client: &Client, last: &mut Option<String>) -> RedisResult<()> {
    // a connection of its own: its reads wait
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(READ + PATIENCE));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let stream = shared.name("messages");
    if last.is_none() {
        // what listeners may want that come back to another process
        let known: StreamRangeReply = connection.xrevrange_count(&stream, "+", "-", 1_000).await?;
        for entry in known.ids.iter().rev() {
            if let Some(received) = shared.received(entry) {
                // an old hint is no hint
                if matches!(received.message, RelayMessage::Event(_)) {
                    shared.ring.receive(Received { is_foreign: false, ..received });
                }
            }
        }
        *last = Some(known.ids.first().map_or("0-0".to_owned(), |newest| newest.id.clone()));
    }
    let oldest: StreamRangeReply = connection.xrange_count(&stream, "-", "+", 1).await?;
    let oldest = oldest.ids.first().map(|entry| entry.id.as_str());
    if is_gap(last.as_deref(), oldest) {
        shared.ring.receive_missed(RelayMessage::Gap);
    }
    let options = StreamReadOptions::default().block(READ.as_millis() as usize).count(500);
    let mut is_first = true;
    loop {
        let from = last.clone().unwrap_or_default();
        let reply: RedisResult<Option<StreamReadReply>> =
            connection.xread_options(&[stream.as_str()], &[from.as_str()], &options).await;
        let was_away = Trouble::note(&shared.trouble.reading, "reading", &reply);
        let entries = reply?.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        for entry in entries {
            if let Some(received) = shared.received(&entry) {
                shared.ring.receive(received);
            }
            *last = Some(entry.id);
        }
        if std::mem::take(&mut is_first) || was_away {
            // nobody knows what was said in between
            for signal in [Signal::Look, Signal::Schedule, Signal::Items] {
                shared.ring.receive_missed(RelayMessage::Signal(signal));
            }
        }
    }
}

#[async_trait]
impl Coordination for Redis {
    fn publish(&self, message: RelayMessage) {
        if let Err(full) = self.messages.try_send(message) {
            self.shared.trouble.dropped.fetch_add(1, Ordering::Relaxed);
            self.shared.ring.receive_own(match full {
                mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message) => message,
            });
        }
    }

    fn listen(&self) -> broadcast::Receiver<Arc<Received>> {
        self.shared.ring.listen()
    }

    fn listen_after(&self, id: &str) -> (Option<Vec<Arc<Received>>>, broadcast::Receiver<Arc<Received>>) {
        self.shared.ring.listen_after(id)
    }

    async fn open_window(&self, key: &str, window: KnownWindow, now: Timestamp) {
        let name = self.shared.name(&format!("window:{key}"));
        let until = window.until.timestamp_millis();
        let value = format!("{} {until} {}", window.job, window.digest.unwrap_or_default());
        // the moment says whether it is open; the life of the key only cleans up
        let life = (until - now.timestamp_millis()).max(1).unsigned_abs();
        self.ask(|mut redis| async move { redis.pset_ex::<_, _, ()>(name, value, life).await }).await;
    }

    async fn window(&self, key: &str, now: Timestamp) -> Option<KnownWindow> {
        let name = self.shared.name(&format!("window:{key}"));
        let found = self.ask(|mut redis| async move { redis.get::<_, Option<String>>(name).await }).await??;
        let mut parts = found.splitn(3, ' ');
        let job = parts.next()?.parse().ok()?;
        let until = Timestamp::from_timestamp_millis(parts.next()?.parse().ok()?)?;
        let digest = parts.next().filter(|digest| !digest.is_empty()).map(str::to_owned);
        Some(KnownWindow { job, digest, until }).filter(|window| window.until > now)
    }

    async fn permit(&self, name: &str, most: u32, period: Duration) -> Permit {
        let (key, millis) = (self.shared.name(&format!("limit:{name}")), period.as_millis().max(1) as u64);
        let asked = self.ask(|mut redis| async move {
            Script::new(PERMIT).key(key).arg(most).arg(millis).invoke_async::<u64>(&mut redis).await
        });
        match asked.await {
            Some(0) => Permit::Granted,
            Some(wait) => Permit::Wait(Duration::from_millis(wait)),
            None => self.limits.permit(name, most, period),
        }
    }

    fn health(&self) -> Health {
        let trouble = &self.shared.trouble;
        let text = trouble.writing.lock().clone().or_else(|| trouble.reading.lock().clone());
        Health { kind: "redis", trouble: text, dropped: trouble.dropped.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_where_words_may_be_missing_and_only_there() {
        for (last, oldest, expected) in [
            (Some("0-0"), None, false),
            (Some("0-0"), Some("5-0"), false),
            (Some("7-1"), Some("5-0"), false),
            (Some("7-1"), Some("7-1"), false),
            (Some("7-1"), Some("7-2"), true),
            (Some("7-1"), None, true),
        ] {
            assert_eq!(is_gap(last, oldest), expected, "{last:?} {oldest:?}");
        }
    }
}
