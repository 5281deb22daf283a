//! A memcached of our own, and a proxy before it that can hold back one reply.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A memcached process with three keys in it.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let child = Command::new("memcached")
            .args(["-l", "127.0.0.1", "-U", "0", "-u", "root", "-p", &port.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .expect("memcached is installed: apt-get install memcached");
        let server = Server { child, port };
        let begun = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) if begun.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("memcached did not start: {error}"),
            }
        };
        for key in ["a", "b", "warm"] {
            let value = format!("value-of-{key}");
            write!(stream, "set {key} 0 0 {}\r\n{value}\r\n", value.len()).expect("it reads");
            let mut reply = [0; 8];
            stream.read_exact(&mut reply).expect("it answers");
        }
        server
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
}

type Hold = Arc<Mutex<Option<(Vec<u8>, Duration)>>>;

/// Passes bytes, and holds back the next reply with certain bytes in it.
pub struct Proxy {
    pub port: u16,
    hold: Hold,
    held: Arc<AtomicU32>,
}

impl Proxy {
    pub fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (hold, held) = (Hold::default(), Arc::new(AtomicU32::new(0)));
        let (theirs, count) = (Arc::clone(&hold), Arc::clone(&held));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                pass(client, server, Arc::clone(&theirs), Arc::clone(&count));
            }
        });
        Proxy { port, hold, held }
    }

    pub fn hold_back(&self, bytes: &[u8], by: Duration) {
        *self.hold.lock().expect("nobody panics with it") = Some((bytes.to_vec(), by));
    }

    pub fn held(&self) -> u32 {
        self.held.load(Ordering::SeqCst)
    }
}

fn pass(client: TcpStream, server: TcpStream, hold: Hold, held: Arc<AtomicU32>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut up_from, mut up_to) = (
        client.try_clone().expect("a socket can be cloned"),
        server.try_clone().expect("a socket can be cloned"),
    );
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up_from, &mut up_to);
        let _ = up_to.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let (mut from, mut to) = (server, client);
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let wanted = {
                let mut hold = hold.lock().expect("nobody panics with it");
                let has = |bytes: &[u8]| buffer[..count].windows(bytes.len()).any(|w| w == bytes);
                match &*hold {
                    Some((bytes, _)) if has(bytes) => hold.take(),
                    _ => None,
                }
            };
            if let Some((_, by)) = wanted {
                held.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(by);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
