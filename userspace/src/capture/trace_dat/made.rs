//! Events and whole files made for tests, as the kernel and trace-cmd make them.

pub(in crate::capture) const ENTRY: &str = "name: funcgraph_entry\nID: 11\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
    \tfield:unsigned long func;\toffset:8;\tsize:8;\tsigned:0;\n\
    \tfield:int depth;\toffset:16;\tsize:4;\tsigned:1;\n";

/// As kernels with CONFIG_FUNCTION_GRAPH_RETVAL have it.
pub(in crate::capture) const EXIT: &str = "name: funcgraph_exit\nID: 10\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
    \tfield:unsigned long func;\toffset:8;\tsize:8;\tsigned:0;\n\
    \tfield:unsigned long retval;\toffset:16;\tsize:8;\tsigned:0;\n\
    \tfield:int depth;\toffset:24;\tsize:4;\tsigned:1;\n\
    \tfield:unsigned int overrun;\toffset:28;\tsize:4;\tsigned:0;\n\
    \tfield:unsigned long long calltime;\toffset:32;\tsize:8;\tsigned:0;\n\
    \tfield:unsigned long long rettime;\toffset:40;\tsize:8;\tsigned:0;\n";

pub(in crate::capture) const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
    \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
    \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
    \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";

fn common(id: u16, flags: u8, tid: u32) -> Vec<u8> {
    [&id.to_le_bytes()[..], &[flags, 0], &tid.to_le_bytes()].concat()
}

pub(in crate::capture) fn enter(tid: u32, function: u64, depth: i32, flags: u8) -> Vec<u8> {
    [&common(11, flags, tid)[..], &function.to_le_bytes(), &depth.to_le_bytes()].concat()
}

pub(in crate::capture) fn exit(tid: u32, function: u64, depth: i32, duration: u64, ret: u64) -> Vec<u8> {
    let numbers = [&function.to_le_bytes()[..], &ret.to_le_bytes(), &depth.to_le_bytes(), &[0; 4]].concat();
    let times = [1000u64.to_le_bytes(), (1000 + duration).to_le_bytes()].concat();
    [common(10, 0, tid), numbers, times].concat()
}

/// How a file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum Kind {
    Six,
    Seven,
    /// Version 7, everything packed with zlib.
    Packed,
}

/// A whole file: pages of each processor.
pub(in crate::capture) fn file(kind: Kind, kallsyms: &str, cpus: &[Vec<u8>]) -> Vec<u8> {
    let version = if kind == Kind::Six { "6" } else { "7" };
    let mut file = [super::MAGIC, version.as_bytes(), &[0, 0, 8], &4096u32.to_le_bytes()].concat();
    let info = header_info();
    let formats = [&2u32.to_le_bytes()[..], &sized(ENTRY), &sized(EXIT)].concat();
    let symbols = [&(kallsyms.len() as u32).to_le_bytes()[..], kallsyms.as_bytes()].concat();
    let comms = sized("7 mount\n8 <...>\n");
    if kind == Kind::Six {
        file.extend([info, formats, vec![0; 4], symbols, vec![0; 4], comms].concat());
        file.extend((cpus.len() as u32).to_le_bytes());
        file.extend(b"options  \0\x01\0\x03\0\0\0abc\0\0flyrecord\0");
        let mut at = (file.len() + 16 * cpus.len()).next_multiple_of(4096);
        for pages in cpus {
            file.extend([(at as u64).to_le_bytes(), (pages.len() as u64).to_le_bytes()].concat());
            at += pages.len();
        }
        file.resize(file.len().next_multiple_of(4096), 0);
        cpus.iter().for_each(|pages| file.extend(pages));
        return file;
    }
    file.extend(if kind == Kind::Packed { &b"zlib\x001.0\0"[..] } else { &b"none\0\0"[..] });
    let start = file.len();
    file.extend([0; 8]);
    let mut options = Vec::new();
    for (id, bytes) in [(16, info), (17, formats), (19, symbols), (21, comms)] {
        options.extend(option(id, &(file.len() as u64).to_le_bytes()));
        file.extend(section(kind, id, &bytes));
    }
    options.extend(option(3, &buffer(kind, &mut file, cpus)));
    options.extend(option(0, &[0; 8]));
    let at = (file.len() as u64).to_le_bytes();
    file[start..start + 8].copy_from_slice(&at);
    file.extend(section(kind, 0, &options));
    file
}

fn sized(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn header_info() -> Vec<u8> {
    [b"header_page\0", &sized(HEADER_PAGE)[..], b"header_event\0", &sized("# compressed entry header\n")]
        .concat()
}

fn option(id: u16, bytes: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn head(id: u16, packed: bool, length: usize) -> Vec<u8> {
    [&id.to_le_bytes()[..], &u16::from(packed).to_le_bytes(), &[0; 4], &(length as u64).to_le_bytes()]
        .concat()
}

fn section(kind: Kind, id: u16, bytes: &[u8]) -> Vec<u8> {
    let bytes = if kind == Kind::Packed { chunk(bytes) } else { bytes.to_vec() };
    [head(id, kind == Kind::Packed, bytes.len()), bytes].concat()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(bytes).unwrap();
    let packed = zlib.finish().unwrap();
    [&(packed.len() as u32).to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), &packed].concat()
}

fn buffer(kind: Kind, file: &mut Vec<u8>, cpus: &[Vec<u8>]) -> Vec<u8> {
    let mut option = (file.len() as u64).to_le_bytes().to_vec();
    option.extend(b"\0mono\0");
    option.extend([4096u32.to_le_bytes(), (cpus.len() as u32).to_le_bytes()].concat());
    file.extend(head(3, kind == Kind::Packed, 0));
    for (cpu, pages) in cpus.iter().enumerate() {
        let bytes = if kind == Kind::Packed {
            let chunks: Vec<Vec<u8>> = pages.chunks(2 * 4096).map(chunk).collect();
            [&(chunks.len() as u32).to_le_bytes()[..], &chunks.concat()].concat()
        } else {
            file.resize(file.len().next_multiple_of(4096), 0);
            pages.clone()
        };
        option.extend((cpu as u32).to_le_bytes());
        // trace-cmd does not count the number of chunks.
        let length = bytes.len() as u64 - if kind == Kind::Packed { 4 } else { 0 };
        option.extend([(file.len() as u64).to_le_bytes(), length.to_le_bytes()].concat());
        file.extend(bytes);
    }
    option
}
