//! Indented JSON for people (`_pretty=true`): only white space changes, every literal stays.

/// Indents valid JSON by two spaces a level.
pub(crate) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let mut depth: usize = 0;
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                out.push(byte);
                string(&mut bytes, &mut out);
            }
            b'{' | b'[' => {
                out.push(byte);
                skip_space(&mut bytes);
                match bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => out.push(byte),
        }
    }
    out
}

fn string(bytes: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    while let Some(byte) = bytes.next() {
        out.push(byte);
        match byte {
            b'"' => return,
            b'\\' => out.extend(bytes.next()),
            _ => {}
        }
    }
}

fn skip_space(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>) {
    while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn indents_and_keeps_literals() {
        let json = br#"{"a":[1.10,{}, [ ]],"b":"x:{\",\"}","c":null}"#;
        let expected =
            "{\n  \"a\": [\n    1.10,\n    {},\n    []\n  ],\n  \"b\": \"x:{\\\",\\\"}\",\n  \"c\": null\n}";
        assert_eq!(String::from_utf8_lossy(&indent(json)), expected);
    }
}
