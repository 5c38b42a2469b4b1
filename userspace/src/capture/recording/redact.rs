//! Secrets in words: values whose names say what they are, passwords in URLs, tokens behind `Bearer`.

use serde_json::Value;

const HIDDEN: &str = "***";

/// Parts of names of variables and options whose values are nobody's business.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "authorization",
];

/// In every text of a document.
pub(super) fn strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            let clean = text_of(text);
            if clean != *text {
                *text = clean;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(strings),
        Value::Object(fields) => fields.values_mut().for_each(strings),
        _ => {}
    }
}

fn text_of(text: &str) -> String {
    urls(&values(text))
}

/// `NAME=value`, `--name value` and `name: value`, where the name is one of those.
fn values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The value follows; or, in JSON, the colon behind the name's quotation mark.
    let (mut hide, mut named) = (false, false);
    for piece in text.split_inclusive(is_border) {
        let (word, border) = match piece.char_indices().next_back().filter(|(_, last)| is_border(*last)) {
            Some((at, _)) => piece.split_at(at),
            None => (piece, ""),
        };
        if hide && !word.is_empty() {
            // `Authorization: Bearer x`: the value is the next word.
            hide = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
            out += if hide { word } else { HIDDEN };
        } else {
            out += word;
            let lower = word.to_lowercase();
            let is_secret = SECRET.iter().any(|name| lower.contains(name)) && !lower.contains('/');
            let names_a_value = matches!(border, "=" | ":") || border == " " && word.starts_with("--");
            let in_json = named && word.is_empty() && border == ":";
            named = is_secret && border == "\"";
            let goes_on = hide && word.is_empty();
            hide = in_json || goes_on || is_secret && names_a_value || lower == "bearer" && border == " ";
        }
        out += border;
    }
    out
}

fn is_border(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | ':' | ',' | ';' | '&' | '"' | '\'')
}

/// `scheme://user:password@host`: what stands between `//` and `@`.
fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out += before;
        out += "://";
        let end = after.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                out += HIDDEN;
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_telling_names_are_hidden() {
        for (text, clean) in [
            ("DB_PASSWORD=a b", "DB_PASSWORD=*** b"),
            ("--token abc --name web", "--token *** --name web"),
            ("AWS_SECRET_ACCESS_KEY=x,B=1", "AWS_SECRET_ACCESS_KEY=***,B=1"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            (r#"{"password":"x","user":"y"}"#, r#"{"password":"***","user":"y"}"#),
            ("https://me:pw@host/x", "https://***@host/x"),
        ] {
            assert_eq!(text_of(text), clean);
        }
    }

    #[test]
    fn words_and_paths_stay() {
        for text in [
            "unable to create session key: disk quota exceeded",
            "mount tmpfs:/run/secrets/token (via /proc/self/fd/6), flags: 0xe, data: mode=755",
            "lowerdir=/var/lib/docker/overlay2/l/A:/b,upperdir=/c",
            "https://docs.kernel.org/x",
        ] {
            assert_eq!(text_of(text), text);
        }
    }
}
