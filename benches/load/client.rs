//! A small HTTP/1.1 client for measuring: one keep-alive connection, bytes in, status, head and body out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};

/// The line with the token that everything is asked with, where there is one.
static AUTHORIZATION: OnceLock<String> = OnceLock::new();

/// Has everything be asked with a token from now on.
pub(crate) fn ask_with(token: &str) {
    let _again = AUTHORIZATION.set(format!("Authorization: Bearer {token}\r\n"));
}

/// One connection; used by one thread.
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    base: String,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

/// An answer. It is in the client's buffer until the next request.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    head: &'a str,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// Where a write stands in the log (`X-Anamnesis-Position`).
    pub(crate) fn position(&self) -> Option<u64> {
        let line = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-anamnesis-position").then(|| value.trim().parse().ok())?
        };
        self.head.lines().find_map(line)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

impl Client {
    /// Connects to `http://host:port/base`.
    pub(crate) fn connect(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("only http:// addresses")?;
        let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = TcpStream::connect(host).with_context(|| format!("connecting to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let base = format!("/{}", base.trim_end_matches('/'));
        Ok(Self { stream, host: host.into(), base, buffer: Vec::with_capacity(1 << 16), request: Vec::new() })
    }

    /// Sends a request and reads its answer. `path` is relative to the base.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.send_with(method, path, "", body)
    }

    /// The same with further header lines, each ended by CR LF.
    pub(crate) fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer<'_>> {
        let media_type = if body.is_empty() { "" } else { "Content-Type: application/fhir+json\r\n" };
        self.send_as(method, path, &format!("{headers}{media_type}"), body)
    }

    /// The same with all header lines given but for host and length.
    pub(crate) fn send_as(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer<'_>> {
        self.request.clear();
        let (base, host, length) = (&self.base, &self.host, body.len());
        let authorization = AUTHORIZATION.get().map_or("", String::as_str);
        write!(self.request, "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\n{authorization}{headers}")?;
        if !body.is_empty() {
            write!(self.request, "Content-Length: {length}\r\n")?;
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request)?;
        let (head_end, total) = self.receive()?;
        let head = std::str::from_utf8(self.buffer.get(..head_end).unwrap_or(&[]))?;
        let status = head.get(9..12).context("no status")?.parse()?;
        Ok(Answer { status, head, body: self.buffer.get(head_end..total).unwrap_or(&[]) })
    }

    /// Reads one answer; gives the length of its head and of the whole.
    fn receive(&mut self) -> anyhow::Result<(usize, usize)> {
        self.buffer.clear();
        let mut expected = None;
        loop {
            let mut chunk = [0; 1 << 15];
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                bail!("the server closed the connection");
            }
            self.buffer.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
            if expected.is_none()
                && let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(self.buffer.get(..at).unwrap_or(&[]))?.to_ascii_lowercase();
                let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
                let length: usize = match length {
                    Some(text) => text.trim().parse()?,
                    None if head.contains("transfer-encoding") => bail!("answers in chunks are not measured"),
                    None => 0,
                };
                expected = Some((at + 4, at + 4 + length));
            }
            if let Some((head, total)) = expected
                && self.buffer.len() >= total
            {
                return Ok((head, total));
            }
        }
    }
}
