//! A netlink request that the kernel refused.

use super::Errno;
use serde::{Deserialize, Serialize};

/// What was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netlink {
    /// `NETLINK_ROUTE`.
    pub protocol: String,
    /// `RTM_NEWLINK`.
    pub request: String,
    pub errno: Errno,
    /// `NLM_F_CREATE` and its siblings, as the request had them.
    pub flags: u16,
    /// The kernel's own sentence, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The interface the request names, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The kind of interface it wants: `veth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_kind: Option<String>,
    /// The interface's number; 0 where the request was read and gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The inode of the socket's network namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_ns: Option<u32>,
}

impl Netlink {
    /// Whether the request is about an interface and was seen to name none, by number or by name.
    pub fn names_nothing(&self) -> bool {
        self.index == Some(0) && self.interface.is_none()
    }

    /// Whether nothing is known of what it names: an acknowledgement without the request (NETLINK_CAP_ACK) of a process
    /// that was gone too soon.
    pub fn is_unread(&self) -> bool {
        self.index.is_none() && self.interface.is_none()
    }
}

/// How a refused request is called where a system call would have its name.
pub fn netlink_label(request: &str) -> String {
    format!("netlink {request}")
}
