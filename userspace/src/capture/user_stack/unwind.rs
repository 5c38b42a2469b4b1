//! From the call site outwards: by the tables that programs carry for exceptions (`.eh_frame`) as far as the copied
//! stack goes, and from there by the frame pointers that the kernel followed.

use super::maps::Maps;
use crate::model::CallSite;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};
use std::rc::Rc;

/// Deeper stacks are cut.
const MOST: usize = 64;

/// Return addresses, the first being the call itself, and why there are no more where that is known.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) addresses: Vec<u64>,
    pub(super) ended: Option<&'static str>,
}

/// How the tables' part ended.
#[derive(Clone, Copy)]
enum End {
    /// The outermost function.
    Outermost,
    /// What follows hangs on the frame pointer that the kernel began with.
    FramePointer,
    /// The next frame lies beyond the copied words.
    TooFar,
}

pub(super) fn walk(maps: &Maps, site: &CallSite) -> Walk {
    let (mut addresses, end) = match site.compat {
        true => (vec![site.ip], End::FramePointer),
        false => by_tables(maps, site),
    };
    let known = |address: &u64| addresses.iter().rposition(|found| found == address);
    // Both ways see the outer functions where the inner ones keep frame pointers: go on behind the last that both saw.
    let rest =
        match (site.chain.iter().rposition(|a| known(a).is_some_and(|at| at + 1 == addresses.len())), end) {
            (_, End::Outermost) => &[],
            (Some(both), _) if both > 0 => &site.chain[both + 1..],
            (_, End::FramePointer) => site.chain.get(1..).unwrap_or_default(),
            _ => &[],
        };
    // What is no frame pointer leads anywhere: behind every return address there is a call.
    let believed = rest.iter().take_while(|address| maps.follows_call(**address)).count();
    addresses.extend(&rest[..believed]);
    addresses.truncate(MOST);
    let ended = match (addresses.len(), end) {
        (_, End::Outermost) => None,
        (_, End::TooFar) if believed == 0 => {
            Some("the frames above are too large to be followed without frame pointers")
        }
        (1, _) => Some("no frame pointers, and no unwind tables either: the innermost function alone"),
        // Below the outermost function there may lie a word that is no return address, as in Go: `runtime.goexit`.
        _ if believed + 1 < rest.len() => Some("the rest is cut: no frame pointers there"),
        _ => None,
    };
    Walk { addresses, ended }
}

fn by_tables(maps: &Maps, site: &CallSite) -> (Vec<u64>, End) {
    let mut unwinder = UnwinderX86_64::<Rc<[u8]>>::new();
    let mut cache = CacheX86_64::<_>::new();
    let mut registers = UnwindRegsX86_64::new(site.ip, site.sp, site.bp);
    let mut at = FrameAddress::InstructionPointer(site.ip);
    let (mut addresses, mut added) = (vec![site.ip], Vec::new());
    while addresses.len() < MOST {
        add(maps, at.address(), &mut unwinder, &mut added);
        let mut asked = None;
        let before = registers.bp();
        let mut read = |address| {
            asked = Some(address);
            site.word(address).ok_or(())
        };
        let step = unwinder.unwind_frame(at, &mut registers, &mut cache, &mut read);
        match step.map(|next| next.and_then(FrameAddress::from_return_address)) {
            Ok(Some(next)) if maps.at(next.address()).is_some() => {
                addresses.push(next.address());
                at = next;
            }
            Ok(None) => return (addresses, End::Outermost),
            Ok(Some(_)) => break,
            // The frame pointer is still the one that the kernel had, and it is where the next frame would be.
            Err(_) if before == site.bp && asked.is_some_and(|a| a.wrapping_sub(before) < 16) => {
                return (addresses, End::FramePointer);
            }
            Err(_) => break,
        }
    }
    (addresses, End::TooFar)
}

/// Tells the unwinder of the module that holds an address.
fn add(maps: &Maps, address: u64, unwinder: &mut UnwinderX86_64<Rc<[u8]>>, added: &mut Vec<u64>) {
    let Some(mapped) = maps.at(address) else { return };
    let (Some(elf), Some(in_file)) = (&mapped.file, maps.in_file(address)) else { return };
    if added.contains(&mapped.range().start) {
        return;
    }
    added.push(mapped.range().start);
    let range = |table: &super::elf::Table| table.address..table.address + table.bytes.len() as u64;
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        eh_frame_svma: elf.eh_frame.as_ref().map(range),
        eh_frame: elf.eh_frame.as_ref().map(|table| Rc::clone(&table.bytes)),
        eh_frame_hdr_svma: elf.eh_frame_hdr.as_ref().map(range),
        eh_frame_hdr: elf.eh_frame_hdr.as_ref().map(|table| Rc::clone(&table.bytes)),
        ..Default::default()
    };
    let base = address.wrapping_sub(in_file);
    unwinder.add_module(Module::new(mapped.path().to_owned(), mapped.range(), base, sections));
}
