//! `diag stats`

use std::thread;
use std::time::{Duration, Instant};

use container_core::{Container, Engine, State, Usage};

use super::table;
use crate::cli::{Form, outcome};

/// Between two looks at a CPU's counter.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Names, ids or their beginnings; all that run by default.
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    let mut containers = Vec::new();
    for name in &args.containers {
        containers.push(engine.inspect(name)?);
    }
    if args.containers.is_empty() {
        containers = engine.list()?;
        containers.retain(|container| matches!(container.state, State::Running { .. }));
    }
    let mut before = Vec::new();
    for container in &containers {
        before.push((Instant::now(), engine.usage(container.id())?));
    }
    if !containers.is_empty() {
        thread::sleep(INTERVAL);
    }
    // One that ended meanwhile uses nothing any more.
    let now: Vec<(&Container, Usage, Option<f64>)> = containers
        .iter()
        .zip(before)
        .filter_map(|(container, (since, earlier))| {
            let usage = engine.usage(container.id()).ok()?;
            Some((container, usage, cpus(earlier.cpu_ns, usage.cpu_ns, since.elapsed())))
        })
        .collect();
    if args.form.is_json() {
        let rows: Vec<serde_json::Value> = now
            .iter()
            .map(|(container, usage, cpus)| {
                serde_json::json!({
                    "id": container.id(), "name": container.name(), "usage": usage, "cpus": cpus,
                })
            })
            .collect();
        outcome::answer_json(&rows)?;
        return Ok(0);
    }
    let mut table = table::columns(["CONTAINER", "NAME", "CPU", "MEMORY / LIMIT", "TASKS / LIMIT"]);
    for (container, usage, cpus) in now {
        table.add_row([
            container.config.container.short_id().to_owned(),
            container.name().to_owned(),
            cpus.map_or_else(|| "-".to_owned(), |cpus| format!("{:.1}%", cpus * 100.0)),
            of_limit(usage.memory_bytes.map(table::bytes), usage.memory_limit_bytes.map(table::bytes)),
            of_limit(usage.tasks, usage.tasks_limit),
        ]);
    }
    outcome::answer(&table::text(&table));
    Ok(0)
}

/// How many CPUs were busy with it, on average.
fn cpus(before_ns: Option<u64>, now_ns: Option<u64>, elapsed: Duration) -> Option<f64> {
    let used = now_ns?.saturating_sub(before_ns?);
    (!elapsed.is_zero()).then(|| used as f64 / elapsed.as_nanos() as f64)
}

fn of_limit(usage: Option<impl ToString>, limit: Option<impl ToString>) -> String {
    let text = |value: Option<String>, none: &str| value.unwrap_or_else(|| none.to_owned());
    format!(
        "{} / {}",
        text(usage.map(|value| value.to_string()), "-"),
        text(limit.map(|value| value.to_string()), "none")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cpu_is_half() {
        assert_eq!(cpus(Some(1_000), Some(500_001_000), Duration::from_secs(1)), Some(0.5));
        assert_eq!(cpus(None, Some(1), Duration::from_secs(1)), None);
        assert_eq!(of_limit(Some(3), None::<u64>), "3 / none");
    }
}
