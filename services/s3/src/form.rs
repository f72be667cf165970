//! The body of a form: fields, then a file.
//!
//! AWS: "HTML Form Declaration and Form Fields"; RFC 7578.

use bytes::Bytes;

/// AWS: "HTML Form Declaration and Form Fields": fields and their data to 20 KB, the file apart.
const FIELDS_BYTES_MAX: usize = 20 * 1024;
/// How many fields a form may have.
const FIELDS_MAX: usize = 100;

/// A form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// The fields before the file; names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// The file's name, without the folders that some browsers send.
    pub(crate) file_name: String,
    /// The file.
    pub(crate) file: Bytes,
}

impl Form {
    /// The first value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Puts the file's name where a field says `${filename}`.
    pub(crate) fn fill_name(&mut self) {
        for (name, value) in &mut self.fields {
            if !matches!(name.as_str(), "policy" | "x-amz-signature") {
                *value = value.replace("${filename}", &self.file_name);
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return None;
    }
    text.windows(what.len()).position(|window| window == what)
}

/// Reads a form. What follows the file is not looked at.
pub(crate) fn parse(body: &Bytes, boundary: &str) -> Result<Form, &'static str> {
    if boundary.is_empty() || boundary.len() > 70 {
        return Err("The body of your POST request is not well-formed multipart/form-data.");
    }
    let broken = "The body of your POST request is not well-formed multipart/form-data.";
    let start = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let mut form = Form::default();
    let mut bytes_of_fields = 0;
    let mut at = find(body, start.as_bytes()).ok_or(broken)? + start.len();
    while form.fields.len() <= FIELDS_MAX {
        let rest = body.get(at..).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            // The last boundary came, or something that is none: there was no file.
            return Err("POST requires exactly one file upload per request.");
        };
        at += 2;
        let head_end = find(rest, b"\r\n\r\n").ok_or(broken)?;
        let head = rest.get(..head_end).unwrap_or_default();
        let head = String::from_utf8_lossy(head).into_owned();
        at += head_end + 4;
        let content = body.get(at..).unwrap_or_default();
        let length = find(content, delimiter.as_bytes()).ok_or(broken)?;
        let (name, file_name) = disposition(&head).ok_or(broken)?;
        if name.eq_ignore_ascii_case("file") {
            let whole = file_name.unwrap_or_default();
            form.file_name = whole.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
            form.file = body.slice(at..at + length);
            return Ok(form);
        }
        bytes_of_fields += head.len() + length;
        if bytes_of_fields > FIELDS_BYTES_MAX {
            return Err("Your POST request fields preceding the upload file were too large.");
        }
        let value = content.get(..length).unwrap_or_default();
        let value = String::from_utf8(value.to_vec()).map_err(|_| broken)?;
        form.fields.push((name.to_ascii_lowercase(), value));
        at += length + delimiter.len();
    }
    Err("Your POST request fields preceding the upload file were too large.")
}

/// Name and file name of a part's head.
fn disposition(head: &str) -> Option<(String, Option<String>)> {
    let mut lines = head.split("\r\n");
    let line = lines.find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = |name: &str| {
        let mut parts = line.split(';').map(str::trim);
        parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim().eq_ignore_ascii_case(name))
                .then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    Some((value("name")?, value("filename")))
}

/// The tags of the `tagging` field, a small document.
pub(crate) fn tags_of(document: &str) -> Option<Vec<(String, String)>> {
    let inner = document.split("<TagSet>").nth(1)?.split("</TagSet>").next()?;
    let part = |tag: &str, name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = tag.split(&open).nth(1)?.split(&close).next()?;
        let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        Some(plain.replace("&apos;", "'").replace("&amp;", "&"))
    };
    let tags = inner.split("<Tag>").skip(1);
    tags.map(|tag| Some((part(tag, "Key")?, part(tag, "Value")?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(fields: &[(String, String)], name: &str, file: &[u8], boundary: &str) -> Bytes {
        let mut out = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            out.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\
             \r\nContent-Type: text/plain\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(file);
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Bytes::from(out)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            fields in proptest::collection::vec(("[a-z-]{1,12}", "[ -~]{0,30}"), 0..6),
            file in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let fields: Vec<_> = fields.into_iter().filter(|(n, _)| n != "file").collect();
            let body = written(&fields, "C:\\pictures\\a.png", &file, "bOuNdArY0123456789xyz");
            let form = parse(&body, "bOuNdArY0123456789xyz").unwrap();
            prop_assert_eq!(form.fields, fields);
            prop_assert_eq!(form.file.as_ref(), file.as_slice());
            prop_assert_eq!(form.file_name, "a.png");
        }

        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..300), boundary in ".{0,6}") {
            let _ = parse(&Bytes::from(body), &boundary);
        }

        #[test]
        fn damage_never_panics(at in 0usize..200, byte in any::<u8>(), text in ".{0,60}") {
            let mut body = written(&[("key".into(), "a".into())], "n", b"data", "B").to_vec();
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
            let _ = parse(&Bytes::from(body), "B");
            let _ = tags_of(&text);
        }
    }

    #[test]
    fn a_tagging_document_gives_its_tags() {
        let document =
            "<Tagging><TagSet><Tag><Key>a&amp;b</Key><Value>1</Value></Tag></TagSet></Tagging>";
        assert_eq!(tags_of(document), Some(vec![("a&b".to_owned(), "1".to_owned())]));
        assert_eq!(tags_of("<Tagging/>"), None);
    }
}
