//! Reads the files one after the other and hands out requests, as fast as they are taken.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::Sender;

use super::answer::{Failure, Place};
use super::documents::{Grouper, Request};
use super::files::{Format, Source};

/// The largest document that is read, in bytes: far above what any server takes, and a bound on memory all the same.
const DOCUMENT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What the reader hands out.
pub(super) enum Message {
    /// Something to send.
    Request(Box<Request>),
    /// Something that cannot be sent.
    Failed(Failure),
    /// A file was read to its end, or as far as it could be.
    FileDone,
    /// All requests before this one are to be answered before the next is sent.
    WaitForAll,
}

/// Reads all files in their order. Ends early when nobody takes the messages any more.
pub(super) fn read_all(files: &[Source], counter: &ByteCount, sender: &Sender<Message>) {
    let mut stage = files.first().map(|file| file.stage);
    for file in files {
        if stage.replace(file.stage) != Some(file.stage) && sender.blocking_send(Message::WaitForAll).is_err()
        {
            return;
        }
        let path: Arc<Path> = Arc::from(file.path.as_path());
        let mut send = |message| sender.blocking_send(message).is_ok();
        match read_file(file, &path, counter, &mut send) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let failure =
                    Failure::of_document(Place { file: path, line: None, entry: None }, &error.to_string());
                if !send(Message::Failed(failure)) {
                    return;
                }
            }
        }
        if sender.blocking_send(Message::FileDone).is_err() {
            return;
        }
    }
}

/// Reads one file; false when nobody takes the messages any more.
fn read_file(
    file: &Source,
    path: &Arc<Path>,
    counter: &ByteCount,
    send: &mut impl FnMut(Message) -> bool,
) -> io::Result<bool> {
    let mut reader = file.open(counter)?;
    let mut grouper = Grouper::new(path.clone());
    let mut document = Vec::new();
    let mut line = 0_u64;
    loop {
        document.clear();
        let size = match file.format {
            Format::Document => (&mut reader).take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut document)?,
            Format::Lines => (&mut reader).take(DOCUMENT_BYTES_MAX + 1).read_until(b'\n', &mut document)?,
        };
        if size == 0 {
            break;
        }
        if document.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(io::Error::other(format!("a document is larger than {DOCUMENT_BYTES_MAX} bytes")));
        }
        line += 1;
        let line = (file.format == Format::Lines).then_some(line);
        for message in grouper.take(&document, line) {
            if !send(message) {
                return Ok(false);
            }
        }
    }
    Ok(grouper.finish().into_iter().all(send))
}

/// A number of bytes that several threads may see.
#[derive(Clone, Default)]
pub(super) struct ByteCount(Arc<AtomicU64>);

impl ByteCount {
    /// The number so far.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reader that counts what goes through it.
pub(super) struct Counted<R> {
    inner: R,
    counter: ByteCount,
}

impl<R> Counted<R> {
    pub(super) fn new(inner: R, counter: ByteCount) -> Self {
        Self { inner, counter }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        self.counter.0.fetch_add(size as u64, Ordering::Relaxed);
        Ok(size)
    }
}
