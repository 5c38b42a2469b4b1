//! Pictures as trace events, the JSON that Perfetto and Chrome's tracing read ("Trace Event Format"): complete events
//! with times in microseconds, one track a thread.

use crate::model::{Drawn, Picture};
use serde_json::{Value, json};

/// The whole document.
pub fn document(pictures: &[Picture]) -> Value {
    let mut events = Vec::new();
    for picture in pictures {
        events.push(json!({
            "ph": "M", "name": "thread_name", "pid": picture.tid, "tid": picture.tid,
            "args": { "name": format!("{}-{}", picture.comm, picture.tid) },
        }));
        add(&mut events, &picture.root, picture.tid, picture.root.start_ns.unwrap_or(0));
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events })
}

/// `begin_ns` counts where the text had no time for the call itself: then it begins where its neighbour ended.
fn add(events: &mut Vec<Value>, call: &Drawn, tid: u32, begin_ns: u64) {
    let start = call.start_ns.unwrap_or(begin_ns);
    let length = call.duration_ns.unwrap_or(0);
    events.push(json!({
        "ph": "X", "name": call.function, "cat": "kernel", "pid": tid, "tid": tid,
        "ts": micros(start), "dur": micros(length),
        "args": { "returned": call.returned, "role": call.role },
    }));
    let mut at = start;
    for child in &call.children {
        add(events, child, tid, at);
        at = child.start_ns.unwrap_or(at) + child.duration_ns.unwrap_or(0);
    }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn calls_are_events_inside_each_other() {
        let call = |name: &str, start: Option<u64>, children| Drawn {
            function: name.into(),
            start_ns: start,
            duration_ns: Some(500),
            returned: None,
            role: Role::Plain,
            hole: false,
            children,
        };
        let root = call("a", Some(5_000), vec![call("b", Some(5_100), vec![]), call("c", None, vec![])]);
        let picture = Picture {
            comm: "sh".into(),
            tid: 7,
            cpu: 0,
            errno: None,
            decider: None,
            decider_method: None,
            note: None,
            lost: 0,
            root,
        };
        let document = document(&[picture]);
        let times: Vec<_> = document["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|e| e["ph"] == "X")
            .map(|e| (e["name"].as_str().unwrap(), e["ts"].as_f64().unwrap(), e["dur"].as_f64().unwrap()))
            .collect();
        assert_eq!(times, [("a", 5.0, 0.5), ("b", 5.1, 0.5), ("c", 5.6, 0.5)]);
    }
}
