//! The `Range` header: one range of bytes; anything else is as good as none.
//!
//! AWS: GetObject, Range; RFC 9110, section 14.

use crate::error::{Error, Result};

/// A stretch of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// The `Content-Range` header, where the stretch was asked for.
    pub(crate) shown: Option<String>,
}

impl Slice {
    /// All of an object.
    pub(crate) fn whole(size: u64) -> Self {
        Self { offset: 0, length: size, shown: None }
    }

    /// A stretch that was asked for.
    pub(crate) fn part(offset: u64, length: u64, size: u64) -> Self {
        let last = (offset + length).saturating_sub(1);
        let shown = (length > 0).then(|| format!("bytes {offset}-{last}/{size}"));
        Self { offset, length, shown }
    }
}

/// The stretch of an object of `size` bytes that the header asks for.
pub(crate) fn slice_of(header: Option<&str>, size: u64) -> Result<Slice> {
    let Some((header, (first, last))) = header.and_then(|h| Some((h, parse(h)?))) else {
        return Ok(Slice::whole(size));
    };
    let stretch = match (first, last) {
        (Some(first), Some(last)) if first <= last => {
            (first < size).then(|| (first, last.min(size - 1) - first + 1))
        }
        (Some(_), Some(_)) | (None, None) => return Ok(Slice::whole(size)),
        (Some(first), None) => (first < size).then(|| (first, size - first)),
        (None, Some(count)) => {
            let count = count.min(size);
            (count > 0).then(|| (size - count, count))
        }
    };
    match stretch {
        Some((offset, length)) => Ok(Slice::part(offset, length, size)),
        None => Err(Error::InvalidRange { requested: header.to_owned(), size }),
    }
}

/// The two numbers of a well-formed header with a single range.
pub(crate) fn parse(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            // More digits than a number holds mean a place beyond every object.
            Some(Some(digits.parse().unwrap_or(u64::MAX - 1)))
        }
        _ => None,
    };
    Some((number(first)?, number(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_says() {
        for (header, size, want) in [
            ("bytes=0-4", 10, Some((0, 5))),
            ("bytes=5-", 10, Some((5, 5))),
            ("bytes=-3", 10, Some((7, 3))),
            ("bytes=-30", 10, Some((0, 10))),
            ("bytes=8-30", 10, Some((8, 2))),
            ("bytes=10-", 10, None),
            ("bytes=-0", 10, None),
            ("bytes=0-", 0, None),
        ] {
            let got = slice_of(Some(header), size).ok().map(|s| (s.offset, s.length));
            assert_eq!(got, want, "{header} of {size}");
        }
        for header in ["bytes=4-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=-", "x"] {
            assert_eq!(slice_of(Some(header), 10).unwrap(), Slice::whole(10), "{header}");
        }
    }
}
