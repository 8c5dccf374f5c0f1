//! Who is connected, and how long may they keep us waiting? What the web server has no timers for.

use std::{
    any::Any,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    Error, HttpMessage as _,
    body::{BodySize, MessageBody},
    dev::{Extensions, Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header,
    middleware::Next,
    rt::net::TcpStream,
    web::{self, Bytes},
};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown, sockopt::set_tcp_user_timeout};
use tokio_util::sync::CancellationToken;

use super::Api;

/// From the connection's beginning, or the answer before it, the head of a request must be here after so long.
const HEAD: Duration = Duration::from_secs(15);
/// From its head on, the body of a request; uploads, which may be long, have rules of their own.
const BODY: Duration = Duration::from_secs(25);
/// A client that takes nothing of its answer for so long is parted.
const TAKE: Duration = Duration::from_secs(30);
/// How often it is looked for those who keep us waiting.
const LOOK: Duration = Duration::from_secs(1);

/// All connections of this process.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    open: HashMap<u64, Open>,
    by_client: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Open {
    /// The same socket once more, to shut it down.
    socket: OwnedFd,
    client: IpAddr,
    /// Since when we wait for a request's head; `None` while one is under way.
    quiet_since: Option<Instant>,
}

/// A connection that is open; ends with it.
struct Guest {
    id: u64,
    all: Arc<Connections>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.all.inside.lock().remove(self.id);
    }
}

/// A request that is under way; ends when its answer was given.
pub(crate) struct Busy {
    id: u64,
    all: Arc<Connections>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(open) = self.all.inside.lock().open.get_mut(&self.id) {
            open.quiet_since = Some(Instant::now());
        }
    }
}

impl Inside {
    fn remove(&mut self, id: u64) {
        let Some(open) = self.open.remove(&id) else { return };
        if let Some(count) = self.by_client.get_mut(&open.client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&open.client);
            }
        }
    }

    /// Of these, the one that we wait for longest.
    fn quietest(&self, is_one: impl Fn(&Open) -> bool) -> Option<u64> {
        let quiet = self.open.iter().filter(|(_, open)| is_one(open));
        quiet.filter_map(|(id, open)| Some((open.quiet_since?, *id))).min().map(|(_, id)| id)
    }

    /// Parts a client: its connection ends at once, and is forgotten here.
    fn part(&mut self, id: u64) {
        if let Some(open) = self.open.get(&id) {
            // it may have gone already
            shutdown(&open.socket, Shutdown::Both).ok();
        }
        self.remove(id);
    }
}

impl Connections {
    /// At most `most` at once, and `most_of_one` from one address; the one that says nothing for longest gives way.
    #[must_use]
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, inside: Mutex::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.inside.lock().open.len()
    }

    /// How many there may be.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Notes a connection, whose data live as long as it does.
    pub(crate) fn begin(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        let stream = connection.downcast_ref::<TcpStream>();
        let encrypted = || Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0);
        let Some(stream) = stream.or_else(encrypted) else { return };
        let Ok(client) = stream.peer_addr() else { return };
        match self.admit(stream, client) {
            Ok(guest) => drop(data.insert(guest)),
            // without a second handle it cannot be watched: better none than one that nobody can end
            Err(error) => {
                tracing::warn!(%error, "a connection is refused: it cannot be watched");
                shutdown(stream, Shutdown::Both).ok();
            }
        }
    }

    fn admit(self: &Arc<Self>, socket: &impl AsFd, client: SocketAddr) -> io::Result<Guest> {
        let socket = socket.as_fd();
        set_tcp_user_timeout(socket, u32::try_from(TAKE.as_millis()).unwrap_or(u32::MAX))?;
        let (socket, client) = (socket.try_clone_to_owned()?, client.ip().to_canonical());
        let mut inside = self.inside.lock();
        let of_one = inside.by_client.get(&client).copied().unwrap_or_default();
        let in_the_way = if of_one >= self.most_of_one {
            inside.quietest(|open| open.client == client)
        } else if inside.open.len() >= self.most {
            inside.quietest(|_| true)
        } else {
            None
        };
        if let Some(id) = in_the_way {
            inside.part(id);
        } else if of_one >= self.most_of_one || inside.open.len() >= self.most {
            return Err(io::Error::other("there are as many as there may be, and all are at work"));
        }
        inside.next += 1;
        let id = inside.next;
        inside.open.insert(id, Open { socket, client, quiet_since: Some(Instant::now()) });
        *inside.by_client.entry(client).or_default() += 1;
        drop(inside);
        Ok(Guest { id, all: self.clone() })
    }

    /// Parts those who have said nothing for too long.
    fn part_the_silent(&self, now: Instant) {
        let mut inside = self.inside.lock();
        let is_silent = |open: &Open| open.quiet_since.is_some_and(|since| now.duration_since(since) >= HEAD);
        let silent: Vec<u64> = inside.open.iter().filter(|(_, open)| is_silent(open)).map(|(id, _)| *id).collect();
        for id in silent {
            inside.part(id);
        }
    }

    /// Looks for the silent until the service ends.
    pub(crate) async fn look(self: Arc<Self>, closing: CancellationToken) {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                self.part_the_silent(Instant::now());
            }
        };
        closing.run_until_cancelled(look).await;
    }
}

/// A body that comes within [`BODY`], or ends in an error.
fn in_time(payload: Payload) -> Payload {
    let until = tokio::time::Instant::now() + BODY;
    let parts = stream::unfold(Some(payload), move |payload| async move {
        let mut payload = payload?;
        match tokio::time::timeout_at(until, payload.next()).await {
            Ok(part) => part.map(|part| (part, Some(payload))),
            Err(_) => Some((Err(PayloadError::Io(io::ErrorKind::TimedOut.into())), None)),
        }
    });
    let parts: Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(parts);
    Payload::from(parts)
}

/// An answer whose request is under way until the last of it was taken.
pub(crate) struct Watched<B> {
    body: Pin<Box<B>>,
    _busy: Option<Busy>,
}

impl<B: MessageBody> MessageBody for Watched<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}

/// Wraps all routes.
pub(crate) async fn watch<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Watched<B>>, Error> {
    let busy = request.conn_data::<Guest>().map(|guest| {
        if let Some(open) = guest.all.inside.lock().open.get_mut(&guest.id) {
            open.quiet_since = None;
        }
        Busy { id: guest.id, all: guest.all.clone() }
    });
    let headers = request.headers();
    let has_body = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    let base = request.app_data::<web::Data<Api>>().map(|api| api.site.base_path.as_str()).unwrap_or_default();
    let is_upload = request.path().strip_prefix(base).is_some_and(|path| path.starts_with("/api/upload/"));
    if has_body && !is_upload {
        let payload = request.take_payload();
        request.set_payload(in_time(payload));
    }
    let answer = next.call(request).await?;
    Ok(answer.map_body(|_, body| Watched { body: Box::pin(body), _busy: busy }))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    struct House {
        all: Arc<Connections>,
        listener: TcpListener,
    }

    impl House {
        fn new(most: usize, most_of_one: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Self { all: Arc::new(Connections::new(most, most_of_one)), listener }
        }

        /// A connection that says it comes from there, and our side of it.
        fn come(&self, from: [u8; 4]) -> (TcpStream, io::Result<Guest>) {
            let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            let (ours, _) = self.listener.accept().unwrap();
            (client, self.all.admit(&ours, SocketAddr::from((from, 1))))
        }
    }

    fn is_parted(client: &TcpStream) -> bool {
        client.set_nonblocking(true).unwrap();
        matches!(io::Read::read(&mut &*client, &mut [0]), Ok(0))
    }

    #[test]
    fn who_is_silent_for_longest_gives_way() {
        let house = House::new(3, 2);
        let (first, _one) = house.come([10, 0, 0, 1]);
        let (second, _two) = house.come([10, 0, 0, 1]);
        let (_, _three) = house.come([10, 0, 0, 1]);
        assert!(is_parted(&first) && !is_parted(&second), "as many of one address as there may be");
        let (_, _four) = house.come([10, 0, 0, 2]);
        let (_, _five) = house.come([10, 0, 0, 3]);
        assert!(is_parted(&second), "as many of all as there may be");
        assert_eq!(house.all.open(), 3);
    }

    #[test]
    fn who_is_at_work_does_not() {
        let house = House::new(1, 1);
        let (client, guest) = house.come([10, 0, 0, 1]);
        let guest = guest.unwrap();
        house.all.inside.lock().open.get_mut(&guest.id).unwrap().quiet_since = None;
        let busy = Busy { id: guest.id, all: guest.all.clone() };
        assert!(house.come([10, 0, 0, 2]).1.is_err());
        house.all.part_the_silent(Instant::now() + HEAD);
        assert!(!is_parted(&client));
        drop(busy);
        house.all.part_the_silent(Instant::now() + HEAD / 2);
        assert!(!is_parted(&client));
        house.all.part_the_silent(Instant::now() + HEAD + LOOK);
        assert!(is_parted(&client));
        drop(guest);
        assert_eq!((house.all.open(), house.all.inside.lock().by_client.len()), (0, 0));
    }
}
