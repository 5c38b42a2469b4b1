//! Failed calls on sockets, for the tests of causes.

use super::Case;
use super::testing::{decided_by, incident};
use crate::causes::Cause;
use crate::model::{
    Address, Arg, ArgValue, Confidence, Errno, Fact, FailureKind, Finding, Incident, NetPlace, Netlink, Path,
    Reading, Socket, State,
};

/// A socket call that failed, put together piece by piece.
pub(in crate::causes) struct Scene {
    incident: Incident,
    path: Option<Path>,
}

pub(in crate::causes) const PLACE: NetPlace = NetPlace {
    net_ns: 4_026_532_000,
    owner: 4_026_531_837,
    capabilities: u64::MAX,
    ports: Some((32_768, 60_999)),
    port_start: Some(1024),
    dgram_qlen: Some(10),
    memberships: Some(20),
    somaxconn: Some(4096),
    nonlocal: Some(false),
};

pub(in crate::causes) fn scene(call: &str, errno: i32) -> Scene {
    let mut incident = incident(call, Errno(errno), vec![]);
    incident.failure.task.user_ns = Some(PLACE.owner);
    incident.failure.task.net = Some(PLACE);
    if let FailureKind::Syscall { args, .. } = &mut incident.failure.kind {
        args.clear();
    }
    Scene { incident, path: None }
}

/// A refused netlink request.
pub(in crate::causes) fn request(request: &str, errno: i32, change: impl FnOnce(&mut Netlink)) -> Scene {
    let mut scene = scene("sendto", errno);
    let mut refused = Netlink {
        protocol: "NETLINK_ROUTE".into(),
        request: request.into(),
        errno: Errno(errno),
        flags: 0,
        message: None,
        interface: None,
        link_kind: None,
        index: None,
        net_ns: None,
    };
    change(&mut refused);
    scene.incident.failure.kind = FailureKind::Netlink(refused);
    scene
}

impl Scene {
    pub(in crate::causes) fn arg(mut self, name: &str, value: ArgValue) -> Self {
        if let FailureKind::Syscall { args, .. } = &mut self.incident.failure.kind {
            args.push(Arg { name: name.into(), value });
        }
        self
    }

    pub(in crate::causes) fn number(self, name: &str, number: u64) -> Self {
        self.arg(name, ArgValue::Number(number))
    }

    pub(in crate::causes) fn socket(self, family: i32, kind: i32) -> Self {
        self.with(Socket { family: family as u32, kind: kind as u32, ..Socket::default() })
    }

    pub(in crate::causes) fn with(self, socket: Socket) -> Self {
        self.arg("sockfd", ArgValue::Socket { raw: 3, socket: Box::new(socket) })
    }

    pub(in crate::causes) fn tcp(self) -> Self {
        self.socket(libc::AF_INET, libc::SOCK_STREAM)
    }

    pub(in crate::causes) fn udp(self) -> Self {
        self.socket(libc::AF_INET, libc::SOCK_DGRAM)
    }

    pub(in crate::causes) fn to(self, address: &str) -> Self {
        let address: std::net::SocketAddr = address.parse().unwrap();
        self.arg("addr", ArgValue::Address(Address::Internet { ip: address.ip(), port: address.port() }))
    }

    pub(in crate::causes) fn path(self, path: &str) -> Self {
        self.arg("addr", ArgValue::Address(Address::Local { path: path.into() }))
    }

    pub(in crate::causes) fn state(mut self, name: &str, value: &str) -> Self {
        self.incident.facts.push(Fact::State(State {
            name: name.into(),
            of: String::new(),
            value: value.into(),
            source: "test".into(),
            after_ns: 1,
        }));
        self
    }

    pub(in crate::causes) fn reading(mut self, reading: Reading) -> Self {
        self.incident.readings.push(reading);
        self
    }

    pub(in crate::causes) fn capabilities(mut self, capabilities: u64) -> Self {
        self.incident.failure.task.net = Some(NetPlace { capabilities, ..PLACE });
        self
    }

    pub(in crate::causes) fn decided(mut self, function: &str) -> Self {
        self.path = Some(decided_by(function));
        self
    }

    pub(in crate::causes) fn incident_mut(&mut self) -> &mut Incident {
        &mut self.incident
    }

    pub(in crate::causes) fn judge(&self, cause: &Cause) -> Option<Finding> {
        cause.judge(&Case { incident: &self.incident, path: self.path.as_ref() })
    }

    pub(in crate::causes) fn confidence(&self, cause: &Cause) -> Option<Confidence> {
        self.judge(cause).map(|finding| finding.confidence)
    }
}
