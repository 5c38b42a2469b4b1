//! The bridge network: containers reach each other, the machine and the world; published ports lead in; nothing stays.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use container_core::{Connection, Error, Exit, Network, Spec, State};
use nix::sched::CloneFlags;

use crate::scene::{Scene, busybox};

/// Move the calling thread, and so the test, into a network namespace of its own: neither another firewall of this machine
/// nor other tests have a say there, and forwarding is switched on there alone.
pub(crate) fn apart() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let up = Command::new(busybox()).args(["ip", "link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success());
    // A new namespace may inherit it switched on.
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
}

/// Names of all links in the calling thread's network namespace: proc_pid_net(5), dev.
pub(crate) fn links() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same on the bridge network, with these ports published.
pub(crate) fn connected(spec: Spec, ports: &[&str]) -> Spec {
    let ports = ports.iter().map(|port| port.parse().unwrap()).collect();
    Spec { network: Network::Bridge, ports, ..spec }
}

/// Whether this kernel has all that a bridge network needs; says so when not.
pub(crate) fn is_possible(scene: &Scene) -> bool {
    let spec = connected(Spec { auto_remove: true, ..Spec::new("busybox", ["/bin/true"]) }, &["1"]);
    match scene.run(&spec) {
        Ok(_) => true,
        Err(Error::Launch(error))
            if ["create bridge", "translate addresses"].contains(&error.first.step.name()) =>
        {
            println!("skipped: {error}");
            assert_eq!(error.cleanup, []);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn connection(scene: &Scene, name: &str) -> Connection {
    match scene.engine.inspect(name).unwrap().state {
        State::Running { network: Some(connection), .. } => connection,
        other => panic!("{other:?}"),
    }
}

/// What a web server says, as soon as it listens.
fn fetch(address: SocketAddr) -> String {
    let mut text = String::new();
    until(&format!("{address} answers"), || {
        text.clear();
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let asked = stream.write_all(b"GET /page HTTP/1.0\r\n\r\n");
        asked.is_ok() && stream.read_to_string(&mut text).is_ok() && !text.is_empty()
    });
    text
}

#[test]
fn containers_are_reached_in_every_way() {
    let Some(scene) = Scene::new("reach") else { return };
    apart();
    if !is_possible(&scene) {
        return;
    }
    scene.assert_no_traces();
    let script = "echo welcome >/tmp/page; exec busybox httpd -f -p 80 -h /tmp";
    let server = Spec { name: Some("server".into()), hostname: Some("web".into()), ..scene.sh(script) };
    scene.engine.create(&connected(server, &["80"])).unwrap();
    scene.engine.start("server").unwrap();
    let Connection { address, gateway, ports, .. } = connection(&scene, "server");
    let port = ports[0].host;
    assert!(port > 0);
    // By its own address, by the machine's loopback, by an address of the machine.
    for (address, port) in [(address, 80), (Ipv4Addr::LOCALHOST, port), (gateway, port)] {
        let way = SocketAddr::from((address, port));
        assert!(fetch(way).ends_with("welcome\n"), "{way}");
    }
    // From another container: directly, and by the published port of the machine.
    let script = format!(
        "for url in {address}:80 {gateway}:{port}; do busybox wget -T 20 -q -O - http://$url/page || echo no $url; done; \
         ip route; cat /etc/resolv.conf >/dev/null && cat /etc/hostname && tail -1 /etc/hosts"
    );
    let client = Spec { name: Some("client".into()), hostname: Some("me".into()), ..scene.sh(&script) };
    scene.engine.create(&connected(client, &[])).unwrap();
    assert_eq!(scene.engine.start_attached("client", &Default::default()).unwrap().exit, Exit::with_code(0));
    let log = scene.log("client");
    assert!(log.starts_with("welcome\nwelcome\n"), "{log}");
    assert!(log.contains(&format!("default via {gateway} dev eth0")) && log.contains("\nme\n10."), "{log}");
    assert!(log.trim_end().ends_with("\tme"), "{log}");
    // While one is there, the bridge stays; after the last, nothing does.
    scene.engine.remove("client", false).unwrap();
    assert!(fetch(SocketAddr::from(([127, 0, 0, 1], port))).ends_with("welcome\n"));
    scene.engine.remove("server", true).unwrap();
    scene.assert_no_traces();
}

#[test]
fn datagrams_are_answered_from_where_they_were_sent_to() {
    let Some(scene) = Scene::new("udp") else { return };
    apart();
    if !is_possible(&scene) {
        return;
    }
    let spec = Spec { name: Some("u".into()), ..Spec::new("busybox", ["/bin/sleep", "1000"]) };
    scene.engine.create(&connected(spec, &["127.0.0.1::53/udp"])).unwrap();
    scene.engine.start("u").unwrap();
    let State::Running { init, .. } = scene.engine.inspect("u").unwrap().state else { panic!() };
    let port = connection(&scene, "u").ports[0].host;
    // busybox has no server for datagrams: a thread of ours is one inside.
    let server = std::thread::spawn(move || {
        let inside = fs::File::open(format!("/proc/{}/ns/net", init.pid)).unwrap();
        nix::sched::setns(inside, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:53").unwrap();
        let mut question = [0; 16];
        let (count, from) = socket.recv_from(&mut question).unwrap();
        socket.send_to(&question[..count], from).unwrap();
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let mut answer = [0; 16];
    until("it answers", || {
        // Before it listens, the answer is a refusal.
        let _ = socket.send(b"ping");
        socket.recv(&mut answer).is_ok_and(|count| &answer[..count] == b"ping")
    });
    server.join().unwrap();
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_owner() {
    let Some(scene) = Scene::new("taken") else { return };
    apart();
    if !is_possible(&scene) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = |port: u16| {
        let spec = connected(Spec::new("busybox", ["/bin/true"]), &[&format!("{port}:80")]);
        let container = scene.engine.create(&spec).unwrap();
        let error = scene.engine.start(container.id()).unwrap_err();
        let step = error.step().unwrap().clone();
        assert_eq!((step.step.name(), step.errno), ("reserve published port", libc::EADDRINUSE), "{error}");
        scene.engine.remove(container.id(), false).unwrap();
        step.object
    };
    assert_eq!(refused(port), format!("0.0.0.0:{port}"));
    let spec = connected(
        Spec { name: Some("first".into()), ..Spec::new("busybox", ["/bin/sleep", "1000"]) },
        &["80"],
    );
    let id = scene.engine.create(&spec).unwrap().id().to_owned();
    scene.engine.start("first").unwrap();
    let taken = refused(connection(&scene, "first").ports[0].host);
    assert!(taken.contains(&format!("published by container {}", &id[..12])), "{taken}");
    scene.engine.remove("first", true).unwrap();
    scene.assert_no_traces();
}

#[test]
fn many_at_once_have_an_address_each() {
    let Some(scene) = Scene::new("addresses") else { return };
    apart();
    if !is_possible(&scene) {
        return;
    }
    let script = "ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*'";
    std::thread::scope(|threads| {
        for worker in 0..4 {
            let scene = &scene;
            threads.spawn(move || {
                for round in 0..3 {
                    let name = Some(format!("c{worker}-{round}"));
                    let spec = connected(Spec { name, ..scene.sh(script) }, &["80"]);
                    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(0));
                }
            });
        }
    });
    let containers = scene.engine.list().unwrap();
    let mut addresses: Vec<String> = containers.iter().map(|c| scene.log(c.name())).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 12, "{addresses:?}");
    scene.assert_no_traces();
}
