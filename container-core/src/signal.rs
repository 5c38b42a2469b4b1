//! Names of signals, signal(7): `TERM`, `SIGTERM`, `15`, `RTMIN+3`.

use nix::sys::signal::Signal;

/// The signal's number. Real-time signals count from the C library's first, which is not the kernel's: images that
/// ask for `SIGRTMIN+3` mean what `kill -l` in a shell means.
///
/// # Errors
/// A sentence for the user, when there is no such signal.
pub fn parse(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return match (1..=64).contains(&number) {
            true => Ok(number),
            false => Err(format!("there is no signal {number}")),
        };
    }
    let unknown = || format!("{text:?} is no signal's name");
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let distance = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        None if rest.is_empty() => Some(0),
        None => None,
        Some(number) => number.parse::<i32>().ok(),
    };
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => distance(rest, '+').map(|count| first.saturating_add(count)),
        (_, Some(rest)) => distance(rest, '-').map(|count| last.saturating_sub(count)),
        _ => return format!("SIG{name}").parse::<Signal>().map(|s| s as i32).map_err(|_| unknown()),
    };
    real_time.filter(|number| (first..=last).contains(number)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        for (text, number) in [("term", 15), ("SIGKILL", 9), ("64", 64), ("SIGRTMIN+3", 37), ("RTMAX", 64)] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for bad in ["65", "0", "-1", "NOPE", "", "SIG", "RTMIN3", "RTMIN+99", "RTMAX-99"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
