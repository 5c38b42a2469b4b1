//! Downloads that broke off: what is there is not fetched again, and is not trusted either.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use container_core::{Error, Image, PullEvent, PullOptions, Refusal};

use crate::saved::{Tar, base_layer, gzip, sha256};
use crate::scene::Scene;
use crate::served::Registry;
use crate::shared::{listener, push};

/// A layer that does not compress: the bytes of a small generator (xorshift).
fn large_layer() -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = Vec::new();
    while noise.len() < 3_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    Tar::new().file("noise", &noise).done()
}

/// Where a blob that is arriving lies.
fn part(scene: &Scene, digest: &str) -> PathBuf {
    let folder = scene.engine.root().join("downloads/blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{}.part", digest.trim_start_matches("sha256:")))
}

/// Pull; the outcome, and from which byte each request for the blob began.
fn pull(scene: &Scene, name: &str, digest: &str) -> (Result<Image, Error>, Vec<u64>) {
    let (ear, heard) = listener();
    let pulled = scene.engine.pull(name, &PullOptions::default(), &ear);
    let begun = |event: &PullEvent| match event {
        PullEvent::Begun { digest: of, from, .. } if of == digest => Some(*from),
        _ => None,
    };
    let heard = heard.lock().unwrap();
    (pulled, heard.iter().filter_map(begun).collect())
}

#[test]
fn half_a_blob_is_completed() {
    let Some(scene) = Scene::new("half") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("app:1");
    let digest = push(&scene, &name, &[base_layer(), large_layer()]).remove(1);
    let blob = gzip(&large_layer());
    let half = blob.len() / 2;
    fs::write(part(&scene, &digest), &blob[..half]).unwrap();
    let (pulled, begun) = pull(&scene, &name, &digest);
    pulled.unwrap();
    assert_eq!(begun, [half as u64]);
    // The registry says what it sent: the other half, as a part (206).
    let log = registry.log();
    let sent = format!("http.response.status=206 http.response.written={}", blob.len() - half);
    assert!(log.lines().any(|line| line.contains(&digest) && line.contains(&sent)), "{sent}: {log}");
    assert!(!part(&scene, &digest).exists());
}

#[test]
fn half_a_blob_that_is_damaged_is_fetched_anew() {
    let Some(scene) = Scene::new("damaged-half") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("app:1");
    let digest = push(&scene, &name, &[base_layer(), large_layer()]).remove(1);
    fs::write(part(&scene, &digest), vec![7; 100_000]).unwrap();
    let (pulled, begun) = pull(&scene, &name, &digest);
    pulled.unwrap();
    assert_eq!(begun, [100_000, 0]);
}

#[test]
fn a_blob_that_the_registry_changed_is_refused() {
    let Some(scene) = Scene::new("changed") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("app:1");
    let digest = push(&scene, &name, &[base_layer(), large_layer()]).remove(1);
    let file = registry.blob(&digest);
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    fs::write(&file, &changed).unwrap();
    let (pulled, _) = pull(&scene, &name, &digest);
    let Err(Error::Pull { refusal, .. }) = pulled else { panic!("{pulled:?}") };
    let Refusal::Changed { wanted, got } = *refusal else { panic!("{refusal}") };
    assert_eq!((&wanted, got), (&digest, format!("sha256:{}", sha256(&changed))));
    assert!(scene.engine.image(&name).is_err());
    // Put right, the next pull succeeds: nothing bad was kept.
    fs::write(&file, &good).unwrap();
    pull(&scene, &name, &digest).0.unwrap();
}

/// Passes connections on to a registry, and breaks one off when `cut` says so of the bytes that it carried and that
/// all connections carried.
fn proxy(registry: &str, cut: impl Fn(u64, u64) -> bool + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (registry, cut, all) = (registry.to_owned(), Arc::new(cut), Arc::new(AtomicU64::new(0)));
    // Ends with the test program: the listener has no other end.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&registry).unwrap();
            let (mut up, mut out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut up, &mut out);
                let _ = out.shutdown(Shutdown::Both);
            });
            let (cut, all) = (cut.clone(), all.clone());
            std::thread::spawn(move || pass_on(server, client, &all, &*cut));
        }
    });
    address
}

fn pass_on(mut server: TcpStream, mut client: TcpStream, all: &AtomicU64, cut: &dyn Fn(u64, u64) -> bool) {
    let mut buffer = [0; 16 * 1024];
    let mut carried = 0;
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        carried += count as u64;
        let carried_in_all = all.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if cut(carried, carried_in_all) || client.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

#[test]
fn a_connection_that_breaks_off_is_taken_up_again() {
    let Some(scene) = Scene::new("broken") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let digest = push(&scene, &registry.image("app:1"), &[base_layer(), large_layer()]).remove(1);
    let size = gzip(&large_layer()).len() as u64;
    let cuts = AtomicUsize::new(3);
    let one_of_three = move |carried, _| {
        let take = |left: usize| left.checked_sub(1);
        carried > size / 5 && cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    };
    let shaky = proxy(&registry.address, one_of_three);
    let (pulled, begun) = pull(&scene, &format!("{shaky}/app:1"), &digest);
    pulled.unwrap();
    assert!(begun.len() > 1 && begun.is_sorted() && begun.last() > Some(&0), "{begun:?}");

    // One over which nothing comes any more is given up, and what came is kept for the next pull.
    scene.engine.remove_image(&format!("{shaky}/app:1")).unwrap();
    let dying = proxy(&registry.address, move |_, all| all > size / 2);
    let (refused, _) = pull(&scene, &format!("{dying}/app:1"), &digest);
    assert!(matches!(refused, Err(Error::Pull { .. })), "{refused:?}");
    let (pulled, begun) = pull(&scene, &registry.image("app:1"), &digest);
    pulled.unwrap();
    assert!(begun.first() > Some(&0), "{begun:?}");
}
