//! `events/*/format` and `events/header_page`: where a field lies, as the kernel that wrote it says.
//!
//! The offsets differ between kernels (funcgraph_exit of 6.5, 6.13 and 6.15), so none is written down here.

use super::words::Words;

/// Where a number lies in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct Field {
    pub(in crate::capture) offset: usize,
    pub(in crate::capture) size: usize,
}

impl Field {
    #[inline]
    pub(in crate::capture) fn of(self, words: Words, event: &[u8]) -> Option<u64> {
        words.at(event, self.offset, self.size)
    }
}

/// One `format` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct Format {
    pub(in crate::capture) name: String,
    pub(in crate::capture) id: u16,
    fields: Vec<(String, Field)>,
}

impl Format {
    /// `None` when it has no name or number.
    pub(in crate::capture) fn parse(text: &str) -> Option<Self> {
        let value = |key| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        Some(Self { name: value("name:")?.to_owned(), id: value("ID:")?.parse().ok()?, fields: fields(text) })
    }

    pub(in crate::capture) fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, field)| *field)
    }
}

/// `events/header_page`: how a page of the ring buffer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct HeaderPage {
    pub(in crate::capture) timestamp: Field,
    /// Its size is that of the kernel's `long`.
    pub(in crate::capture) commit: Field,
    /// Where the events begin, and how many bytes of them a page has room for.
    pub(in crate::capture) data: Field,
}

impl HeaderPage {
    pub(in crate::capture) fn parse(text: &str) -> Option<Self> {
        let fields = fields(text);
        let field = |name| fields.iter().find(|(known, _)| known == name).map(|(_, field)| *field);
        let page = Self { timestamp: field("timestamp")?, commit: field("commit")?, data: field("data")? };
        let whole = page.timestamp.size == 8 && matches!(page.commit.size, 4 | 8);
        (whole && page.data.offset >= page.commit.offset + page.commit.size).then_some(page)
    }
}

/// `field:unsigned long func; offset:8; size:8; signed:0;`, with tabs between.
fn fields(text: &str) -> Vec<(String, Field)> {
    let parse = |line: &str| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
        let name = parts.next()?.rsplit([' ', '*']).next()?;
        let name = name.split_once('[').map_or(name, |(name, _)| name);
        let offset = parts.next()?.strip_prefix("offset:")?.parse().ok()?;
        let size = parts.next()?.strip_prefix("size:")?.parse().ok()?;
        // Far beyond any page: sums of the two cannot overflow.
        let sane = |number: usize| number <= 1 << 24;
        (sane(offset) && sane(size)).then(|| (name.to_owned(), Field { offset, size }))
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event() {
        let text = "name: funcgraph_entry\nID: 11\nformat:\n\
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:unsigned long func;\toffset:8;\tsize:8;\tsigned:0;\n\
            \tfield:char comm[16];\toffset:16;\tsize:16;\tsigned:0;\n\nprint fmt: \"--> %ps\", (void *)REC->func\n";
        let format = Format::parse(text).unwrap();
        assert_eq!((format.name.as_str(), format.id), ("funcgraph_entry", 11));
        assert_eq!(format.field("func"), Some(Field { offset: 8, size: 8 }));
        assert_eq!(format.field("comm"), Some(Field { offset: 16, size: 16 }));
        assert_eq!(format.field("depth"), None);
        assert_eq!(Format::parse("name: x\n"), None);
    }

    #[test]
    fn a_page_of_a_32_bit_kernel() {
        let text = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
            \tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\
            \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
            \tfield: char data;\toffset:12;\tsize:4084;\tsigned:1;\n";
        let page = HeaderPage::parse(text).unwrap();
        assert_eq!((page.commit.size, page.data), (4, Field { offset: 12, size: 4084 }));
        assert_eq!(HeaderPage::parse(&text.replace("offset:12", "offset:2")), None);
        assert_eq!(HeaderPage::parse(&text.replace("size:4;", "size:99999999999;")), None);
    }
}
