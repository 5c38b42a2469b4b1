//! The ceiling of `vm.max_map_count`, where the kernel hides its variables from the probe.

use super::{Look, Sampled};
use crate::limits::rlimits::MAX_MAP_COUNT;
use crate::model::Failure;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, _out: &mut Sampled) {
    let after = look.after(failure);
    let wanted = |limit: &str| limit == MAX_MAP_COUNT.id;
    for reading in failure.readings.iter_mut().filter(|r| wanted(&r.limit) && r.ceiling.is_none()) {
        reading.ceiling = look.root.ceiling(&MAX_MAP_COUNT).ok();
        let (path, ms) = (MAX_MAP_COUNT.path(), after / 1_000_000);
        reading.source = format!("{}; ceiling from {path} {ms} ms later", reading.source);
    }
}
