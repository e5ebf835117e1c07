//! A server that answers as the hub does, as far as a download sees it, and that fails where a test wants it to.

use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

pub const REPO: &str = "org/tiny";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every request is answered with this status.
    Status(u16),
    /// The connection is cut in the middle of a large file, so often.
    Cut(usize),
    /// One byte of each large file is another.
    Corrupt,
    /// Ranges are ignored: the whole file comes again.
    NoRanges,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    /// Method, path, range and token of each request.
    requests: Vec<String>,
}

pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Files of more than 2,000 bytes are large: the hub redirects to its CDN, and knows their SHA-256.
    pub fn start(files: impl IntoIterator<Item = (String, Vec<u8>)>, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            files: files.into_iter().collect(),
            fault,
            requests: vec![],
        }));
        let server = Server {
            endpoint: endpoint.clone(),
            state: state.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, endpoint) = (state.clone(), endpoint.clone());
                // A client that hangs up is no failure of ours.
                thread::spawn(move || answer(stream, &endpoint, &state).ok());
            }
        });
        server
    }

    pub fn set_fault(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn answer(mut stream: TcpStream, endpoint: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let (mut range, mut token) = (None, String::new());
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        match name.to_lowercase().as_str() {
            "range" => range = value.strip_prefix("bytes=").map(str::to_owned),
            "authorization" => token = value.to_owned(),
            _ => {}
        }
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let mut state = state.lock().unwrap();
    let said = range.as_deref().unwrap_or("all");
    state.requests.push(format!("{target} {said} {token}"));
    if let Fault::Status(status) = state.fault {
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    if path.starts_with("/api/models/org/tiny/revision/") {
        let siblings: Vec<_> = state
            .files
            .iter()
            .map(|(name, bytes)| match is_large(bytes) {
                true => json!({"rfilename": name, "size": bytes.len(), "lfs": {"sha256": sha256(bytes), "size": bytes.len()}}),
                false => json!({"rfilename": name, "size": bytes.len()}),
            })
            .collect();
        let body = json!({"id": REPO, "sha": COMMIT, "siblings": siblings}).to_string();
        let length = body.len();
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
    }
    let resolve = format!("/{REPO}/resolve/{COMMIT}/");
    let (name, on_cdn) = match (path.strip_prefix(&resolve), path.strip_prefix("/cdn/")) {
        (Some(name), _) => (name, false),
        (_, Some(name)) => (name, true),
        _ => {
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    };
    let Some(bytes) = state.files.get(name).cloned() else {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    };
    let tag = sha256(&bytes);
    if is_large(&bytes) && !on_cdn {
        let length = bytes.len();
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {endpoint}/cdn/{name}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{tag}\"\r\n\
             X-Linked-Size: {length}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let whole = bytes.len();
    let (first, last) = match &range {
        Some(range) if state.fault != Fault::NoRanges || range == "0-0" => {
            let (first, last) = range.split_once('-').unwrap_or((range, ""));
            (
                first.parse().unwrap_or(0),
                last.parse().unwrap_or(whole - 1),
            )
        }
        _ => (0, whole - 1),
    };
    if first >= whole {
        return write!(
            stream,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let mut body = bytes[first..=last.min(whole - 1)].to_vec();
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{whole}\r\nETag: \"{tag}\"\r\n\
         X-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if on_cdn && body.len() > 1 {
        match &mut state.fault {
            Fault::Cut(times) if *times > 0 => {
                *times -= 1;
                body.truncate(body.len() / 2);
            }
            Fault::Corrupt => body[0] ^= 1,
            _ => {}
        }
    }
    drop(state);
    stream.write_all(&body)
}

fn is_large(bytes: &[u8]) -> bool {
    bytes.len() > 2000
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|b| format!("{b:02x}")).collect()
}
