//! Comma-separated values (RFC 4180): one record at a time.

use std::io::BufRead;

/// Bytes of one record, quoted line breaks included.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The next record; nothing at the end of the file.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn record(reader: &mut impl BufRead) -> Result<Option<Vec<String>>, String> {
    let mut text = Vec::new();
    loop {
        let mut bounded = std::io::Read::take(&mut *reader, RECORD_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut text).map_err(|error| error.to_string())?;
        if text.len() > RECORD_BYTES_MAX {
            return Err("the record is too long".to_owned());
        }
        let is_open = text.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        match (read, is_open) {
            (0, true) => return Err("a quotation mark is not closed".to_owned()),
            (0, false) if text.is_empty() => return Ok(None),
            (_, false) => break,
            // A line break within quotation marks belongs to the value.
            (_, true) => {}
        }
    }
    let text = std::str::from_utf8(&text).map_err(|_bad| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    fields(line.strip_suffix('\r').unwrap_or(line)).map(Some)
}

fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("after a closing quotation mark comes a comma".to_owned()),
        }
    }
}

/// What stands up to the closing quotation mark, and the rest.
fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quotation mark is not closed")?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}
