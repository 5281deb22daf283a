//! As much of HTTP/1.1 as a control port needs: one request a connection, bodies with a
//! length, JSON both ways. A library for it would be larger than this server.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The most that the lines of a request may have.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The most that a body may have.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// The path without what follows a `?`.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

/// A reply.
#[derive(Debug, PartialEq)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl HttpReply {
    pub(super) fn ok(body: Value) -> HttpReply {
        HttpReply { status: 200, body }
    }

    pub(super) fn error(status: u16, problem: impl ToString) -> HttpReply {
        HttpReply { status, body: json!({ "error": problem.to_string() }) }
    }
}

/// Reads a request; an inner error is for the peer.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Result<HttpRequest, HttpReply>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Ok(Err(HttpReply::error(431, "the head of the request is too long")));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Err(HttpReply::error(400, "the request ends before its head does")));
        }
    };
    let (method, path, length) = match parse_head(&bytes[..head]) {
        Ok(parts) => parts,
        Err(reply) => return Ok(Err(reply)),
    };
    let mut body = bytes.split_off(head);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(Err(HttpReply::error(400, "the request ends before its body does")));
        }
    }
    body.truncate(length);
    Ok(Ok(HttpRequest { method, path, body }))
}

fn parse_head(head: &[u8]) -> Result<(String, String, usize), HttpReply> {
    let bad = |problem: &str| HttpReply::error(400, problem);
    let head = std::str::from_utf8(head).map_err(|_| bad("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (first.next(), first.next(), first.next(), first.next())
    else {
        return Err(bad("the first line is not `METHOD PATH HTTP/1.1`"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(HttpReply::error(505, "only HTTP/1.1 is spoken here"));
    }
    let mut length = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header has no colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| bad("content-length is not a number"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(HttpReply::error(411, "send the body with a content-length"));
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(HttpReply::error(413, "the body is too long"));
    }
    let path = target.split('?').next().unwrap_or_default();
    Ok((method.to_owned(), path.to_owned(), length))
}

/// Writes a reply.
pub(super) async fn write(stream: &mut TcpStream, reply: &HttpReply) -> io::Result<()> {
    let body = reply.body.to_string() + "\n";
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        reply.status,
        reason(reply.status),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

/// Begins a reply of JSON lines that ends with the connection.
pub(super) async fn begin_lines(stream: &mut TcpStream) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_bad_ones_refused() {
        let head = b"POST /faults?x=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 12\r\n\r\n";
        assert_eq!(parse_head(head), Ok(("POST".into(), "/faults".into(), 12)));
        for (head, status) in [
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/2\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ] {
            assert_eq!(parse_head(head.as_bytes()).unwrap_err().status, status, "{head}");
        }
        assert_eq!(parse_head(b"\xff\r\n\r\n").unwrap_err().status, 400);
    }
}
