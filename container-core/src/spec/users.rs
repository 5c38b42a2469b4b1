//! Which users of the machine a container's users are, user_namespaces(7).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::Error;

/// A range of ids in the container and the range of the machine's that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The first id in the container.
    pub inside: u32,
    /// The first id on the machine.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl FromStr for IdMap {
    type Err = String;

    /// `INSIDE:OUTSIDE:COUNT`, as podman and newuidmap(1) order them.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u32> = text.split(':').map_while(|part| part.parse().ok()).collect();
        match numbers.as_slice() {
            [inside, outside, count] if text.split(':').count() == 3 => {
                Ok(IdMap { inside: *inside, outside: *outside, count: *count })
            }
            _ => Err("a range of ids is INSIDE:OUTSIDE:COUNT".to_owned()),
        }
    }
}

/// A user namespace of the container's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespace {
    /// Users.
    pub users: Vec<IdMap>,
    /// Groups.
    pub groups: Vec<IdMap>,
}

impl UserNamespace {
    /// The ranges that belong to `user` in subuid(5) and subgid(5), as the container's ids from 0 on.
    ///
    /// # Errors
    /// A sentence, when one of the files does not know the user.
    pub fn of_user(user: &str) -> Result<UserNamespace, String> {
        let ranges = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            match from_zero(&ranges_of(&text, user)) {
                maps if maps.is_empty() => {
                    Err(format!("{path} has no range of ids for {user}: a line like {user}:100000:65536"))
                }
                maps => Ok(maps),
            }
        };
        Ok(UserNamespace { users: ranges("/etc/subuid")?, groups: ranges("/etc/subgid")? })
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        for (what, maps) in [("user", &self.users), ("group", &self.groups)] {
            if outside(maps, 0).is_none() {
                return invalid(format_args!("the container's {what} 0 is mapped to nobody"));
            }
            // user_namespaces(7): at most so many lines.
            if maps.len() > 340 {
                return invalid(format_args!("more than 340 ranges of {what} ids"));
            }
            let end = |first: u32, map: &IdMap| first.checked_add(map.count).filter(|_| map.count > 0);
            if let Some(bad) = maps.iter().find(|m| end(m.inside, m).is_none() || end(m.outside, m).is_none())
            {
                return invalid(format_args!(
                    "{}:{}:{} is no range of ids",
                    bad.inside, bad.outside, bad.count
                ));
            }
        }
        Ok(())
    }
}

/// The machine's id that stands behind `inside`.
pub(crate) fn outside(maps: &[IdMap], inside: u32) -> Option<u32> {
    let map = maps.iter().find(|map| inside >= map.inside && inside - map.inside < map.count)?;
    map.outside.checked_add(inside - map.inside)
}

/// `user:first:count` lines.
pub(crate) fn ranges_of(text: &str, user: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == user).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

fn from_zero(ranges: &[(u32, u32)]) -> Vec<IdMap> {
    let mut next = 0u32;
    let mut maps = Vec::new();
    for (outside, count) in ranges {
        maps.push(IdMap { inside: next, outside: *outside, count: *count });
        next = next.saturating_add(*count);
    }
    maps
}

/// The lines of uid_map and gid_map.
pub(crate) fn lines(maps: &[IdMap]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.inside, map.outside, map.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_and_put_one_behind_the_other() {
        let text = "a:100000:65536\nb:1:2\n# c\na:300000:10\nbroken:x\n";
        let maps = from_zero(&ranges_of(text, "a"));
        assert_eq!(lines(&maps), "0 100000 65536\n65536 300000 10\n");
        assert_eq!(
            (outside(&maps, 5), outside(&maps, 65_540), outside(&maps, 70_000)),
            (Some(100_005), Some(300_004), None)
        );
        assert!(from_zero(&ranges_of(text, "nobody")).is_empty());
    }

    #[test]
    fn maps_are_judged() {
        let of = |text: &str| UserNamespace {
            users: vec![text.parse().unwrap()],
            groups: vec!["0:1:1".parse().unwrap()],
        };
        of("0:100000:65536").validate().unwrap();
        for bad in ["1:100000:65536", "0:4294967295:2", "0:5:0"] {
            assert!(of(bad).validate().is_err(), "{bad}");
        }
        for bad in ["", "1:2", "1:2:3:4", "a:1:1"] {
            assert!(bad.parse::<IdMap>().is_err(), "{bad}");
        }
    }
}
