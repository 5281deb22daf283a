//! The clients, each behind one method.

use std::future::Future;

use async_memcached::AsciiProtocol;
use memcache::exp::MetaClient;
use tokio::runtime::Runtime;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::TIMEOUT;

/// A client that is tried out.
pub struct Subject {
    pub name: &'static str,
    pub connect: fn(u16) -> Box<dyn Client>,
}

/// A connected client.
pub trait Client {
    /// The value of a key; `None` for an error, a timeout or a miss.
    fn get(&mut self, key: &str) -> Option<String>;
}

pub const SUBJECTS: [Subject; 7] = [
    Subject { name: "memcache 0.21, classic binary", connect: |p| classic(p, "binary", true) },
    Subject { name: "memcache 0.21, classic ascii", connect: |p| classic(p, "ascii", true) },
    Subject {
        name: "memcache 0.21, classic binary, no check on checkout",
        connect: |p| classic(p, "binary", false),
    },
    Subject {
        name: "memcache 0.21, classic ascii, no check on checkout",
        connect: |p| classic(p, "ascii", false),
    },
    Subject { name: "memcache 0.21, meta (exp)", connect: meta },
    Subject { name: "async-memcached 0.9, cancelled by a timeout", connect: async_memcached },
    Subject { name: "memcache-async 0.10, cancelled by a timeout", connect: memcache_async },
];

struct Classic(memcache::Client);

fn classic(port: u16, protocol: &str, check: bool) -> Box<dyn Client> {
    let seconds = TIMEOUT.as_secs_f64();
    let url = format!(
        "memcache://127.0.0.1:{port}?protocol={protocol}&timeout={seconds}&connect_timeout={seconds}"
    );
    if check {
        return Box::new(Classic(memcache::Client::connect(url).expect("the server runs")));
    }
    let url = url::Url::parse(&url).expect("it is well-formed");
    let pool = r2d2::Pool::builder()
        .max_size(1)
        .connection_timeout(TIMEOUT)
        .test_on_check_out(false)
        .build(memcache::ConnectionManager::new(url))
        .expect("the server runs");
    Box::new(Classic(memcache::Client::with_pool(pool).expect("a pool makes a client")))
}

impl Client for Classic {
    fn get(&mut self, key: &str) -> Option<String> {
        self.0.get::<String>(key).ok().flatten()
    }
}

struct Meta(MetaClient);

fn meta(port: u16) -> Box<dyn Client> {
    let client = MetaClient::builder()
        .connect_timeout(Some(TIMEOUT))
        .io_timeout(Some(TIMEOUT))
        .connect(format!("127.0.0.1:{port}"))
        .expect("the server runs");
    Box::new(Meta(client))
}

impl Client for Meta {
    fn get(&mut self, key: &str) -> Option<String> {
        let result = self.0.get(key).send().ok()?;
        String::from_utf8(result.value?).ok()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// A call that is cancelled when its time is up, as an application would do it.
fn within<T>(runtime: &Runtime, call: impl Future<Output = Option<T>>) -> Option<T> {
    runtime.block_on(async { tokio::time::timeout(TIMEOUT, call).await.ok().flatten() })
}

struct AsyncMemcached(Runtime, async_memcached::Client);

fn async_memcached(port: u16) -> Box<dyn Client> {
    let runtime = runtime();
    let client = runtime.block_on(async_memcached::Client::new(format!("tcp://127.0.0.1:{port}")));
    Box::new(AsyncMemcached(runtime, client.expect("the server runs")))
}

impl Client for AsyncMemcached {
    fn get(&mut self, key: &str) -> Option<String> {
        let AsyncMemcached(runtime, client) = self;
        let value = within(runtime, async { client.get(key).await.ok().flatten() })?;
        String::from_utf8(value.data?).ok()
    }
}

type Stream = Compat<tokio::net::TcpStream>;

struct MemcacheAsync(Runtime, memcache_async::ascii::Protocol<Stream>);

fn memcache_async(port: u16) -> Box<dyn Client> {
    let runtime = runtime();
    let stream = runtime.block_on(tokio::net::TcpStream::connect(("127.0.0.1", port)));
    let stream = stream.expect("the server runs").compat();
    Box::new(MemcacheAsync(runtime, memcache_async::ascii::Protocol::new(stream)))
}

impl Client for MemcacheAsync {
    fn get(&mut self, key: &str) -> Option<String> {
        let MemcacheAsync(runtime, client) = self;
        let value = within(runtime, async { client.get(key).await.ok() })?;
        String::from_utf8(value).ok()
    }
}
