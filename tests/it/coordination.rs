//! Do memory and Redis keep the same promises? One suite over both; and what Redis alone is for.

use std::{sync::Arc, time::Duration};

use chrono::{SubsecRound as _, TimeDelta};
use lockstep::{
    coordination::{Coordination, KnownWindow, Memory, Permit, Received, Redis, RelayMessage, Signal},
    domain::JobId,
    testing::server,
};
use tokio::{runtime::Handle, sync::broadcast::Receiver};

/// Two processes that share what can be shared: in memory they are one.
struct Pair(Arc<dyn Coordination>, Arc<dyn Coordination>);

impl Pair {
    fn memory() -> Self {
        let one: Arc<dyn Coordination> = Arc::new(Memory::default());
        Self(one.clone(), one)
    }

    async fn redis() -> Self {
        let prefix = format!("test{:016x}", fastrand::u64(..));
        let start =
            |own| Arc::new(Redis::start(&server("LOCKSTEP_TEST_REDIS_URL"), &prefix, own, &Handle::current()).unwrap());
        let pair = Self(start("one"), start("two"));
        // both receive once both have received
        for teller in [&pair.0, &pair.1] {
            let mut ears = [pair.0.listen(), pair.1.listen()];
            loop {
                teller.publish(event("ready?"));
                let received = ears.each_mut().map(next_event);
                let both = futures_util::future::join_all(received);
                if tokio::time::timeout(Duration::from_millis(300), both).await.is_ok() {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        pair
    }
}

fn event(text: &str) -> RelayMessage {
    RelayMessage::Event(format!("\"{text}\""))
}

/// The next event that is told, hints apart.
async fn next_event(ear: &mut Receiver<Arc<Received>>) -> Arc<Received> {
    loop {
        let received = ear.recv().await.unwrap();
        if matches!(received.message, RelayMessage::Event(_)) {
            return received;
        }
    }
}

async fn told(ear: &mut Receiver<Arc<Received>>, count: usize) -> Vec<Arc<Received>> {
    let mut all = Vec::new();
    while all.len() < count {
        let received =
            tokio::time::timeout(Duration::from_secs(5), next_event(ear)).await.expect("a message is missing");
        if received.message != event("ready?") {
            all.push(received);
        }
    }
    all
}

macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Pair::memory()).await; })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Pair::redis().await).await; })+
        }
    };
}

over_both!(
    every_listener_hears_every_word_in_order,
    a_listener_that_comes_back_goes_on_where_it_was,
    a_window_is_open_for_its_length_and_its_key_alone,
    a_limit_counts_for_all_and_begins_anew_with_its_period,
);

async fn every_listener_hears_every_word_in_order(Pair(one, two): Pair) {
    let mut ears = [one.listen(), two.listen()];
    for number in 0..300 {
        one.publish(event(&number.to_string()));
    }
    for ear in &mut ears {
        let received = told(ear, 300).await;
        let texts: Vec<_> = received.iter().map(|received| received.message.clone()).collect();
        assert_eq!(texts, (0..300).map(|number| event(&number.to_string())).collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<_> = received.iter().map(|received| &received.id).collect();
        assert_eq!(ids.len(), 300, "no two have the same number");
    }
    assert!(one.health().trouble.is_none() && one.health().dropped == 0);
}

async fn a_listener_that_comes_back_goes_on_where_it_was(Pair(one, two): Pair) {
    let mut ear = two.listen();
    for number in 0..10 {
        one.publish(event(&number.to_string()));
    }
    let received = told(&mut ear, 10).await;
    let (missed, mut ear) = two.listen_after(&received[6].id);
    let texts: Vec<_> = missed.unwrap().iter().map(|received| received.message.clone()).collect();
    assert_eq!(texts, ["7", "8", "9"].map(event));
    one.publish(event("10"));
    assert_eq!(told(&mut ear, 1).await[0].message, event("10"), "and what comes after, once");
    let after = |id: &str| two.listen_after(id).0;
    assert_eq!(after(&received[9].id).unwrap().len(), 1);
    assert_eq!(after("1-0"), None, "too long ago");
    assert_eq!(after("9999999999999-0"), None, "of another clock");
    assert_eq!(after("no number"), None);
}

async fn a_window_is_open_for_its_length_and_its_key_alone(Pair(one, two): Pair) {
    let now = chrono::Utc::now().trunc_subsecs(3);
    let open = |job, digest: Option<&str>| {
        let until = now + TimeDelta::seconds(30);
        KnownWindow { job, digest: digest.map(str::to_owned), until }
    };
    assert_eq!(two.window("submit:a:k", now).await, None);
    one.open_window("submit:a:k", open(JobId(7), Some("d1")), now).await;
    assert_eq!(two.window("submit:a:k", now).await, Some(open(JobId(7), Some("d1"))));
    assert_eq!(two.window("submit:b:k", now).await, None);
    two.open_window("submit:b:k", open(JobId(8), None), now).await;
    assert_eq!(one.window("submit:b:k", now + TimeDelta::seconds(29)).await, Some(open(JobId(8), None)));
    assert_eq!(two.window("submit:a:k", now + TimeDelta::seconds(30)).await, None, "it has closed");
}

async fn a_limit_counts_for_all_and_begins_anew_with_its_period(Pair(one, two): Pair) {
    let period = Duration::from_millis(600);
    for asked in [&one, &two, &one] {
        assert_eq!(asked.permit("fetch:erp", 3, period).await, Permit::Granted);
    }
    for asked in [&one, &two] {
        let Permit::Wait(rest) = asked.permit("fetch:erp", 3, period).await else { panic!("a fourth") };
        assert!(rest > Duration::ZERO && rest <= period, "{rest:?}");
    }
    assert_eq!(one.permit("fetch:other", 3, period).await, Permit::Granted, "another limit");
    tokio::time::sleep(period).await;
    assert_eq!(two.permit("fetch:erp", 3, period).await, Permit::Granted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_know_whose_word_it_is() {
    let Pair(one, two) = Pair::redis().await;
    let mut ears = [one.listen(), two.listen()];
    one.publish(RelayMessage::Signal(Signal::Look));
    let mut whose = Vec::new();
    for ear in &mut ears {
        loop {
            let received = tokio::time::timeout(Duration::from_secs(5), ear.recv()).await.unwrap().unwrap();
            if received.message == RelayMessage::Signal(Signal::Look) {
                whose.push(received.is_foreign);
                break;
            }
        }
    }
    assert_eq!(whose, [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_process_goes_on_alone_and_says_so() {
    // nobody listens there
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let alone = Redis::start(&format!("redis://127.0.0.1:{port}"), "p", "one", &Handle::current()).unwrap();
    let mut ear = alone.listen();
    alone.publish(event("still here"));
    assert_eq!(told(&mut ear, 1).await[0].message, event("still here"), "its own listeners receive it");
    let now = chrono::Utc::now();
    alone.open_window("k", KnownWindow { job: JobId(1), digest: None, until: now + TimeDelta::minutes(1) }, now).await;
    assert_eq!(alone.window("k", now).await, None, "the database is asked");
    assert_eq!(alone.permit("l", 1, Duration::from_secs(60)).await, Permit::Granted);
    assert!(matches!(alone.permit("l", 1, Duration::from_secs(60)).await, Permit::Wait(_)), "it counts by itself");
    let health = alone.health();
    assert!(health.trouble.is_some() && health.dropped > 0, "{health:?}");
}
