//! The short form of a row, for families with many.

/// Rows as: `NAME: Kind ceiling, id, title, unit, counted per, usage, default, since, see;`
macro_rules! limits {
    ($($name:ident: $kind:ident $ceiling:expr, $id:literal, $title:literal, $unit:literal, $per:literal, $usage:expr,
        $default:expr, $since:literal, $see:literal;)+) => {
        $(pub static $name: Limit = Limit {
            id: $id,
            title: $title,
            kind: KnobKind::$kind,
            ceiling: $ceiling,
            unit: $unit,
            counted_per: $per,
            usage: $usage,
            default: $default,
            since: $since,
            see: $see,
        };)+
    };
}
pub(crate) use limits;
