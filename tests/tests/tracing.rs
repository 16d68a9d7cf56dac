//! What is told to tracing: spans and events with stable targets and fields.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use procpool::{Pool, Stdio, call};
use procpool_tests::tasks::{leave, power};
use procpool_tests::test;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes each span and event down as `target message {fields}`.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Notes {
    fn note(&self, metadata: &Metadata<'_>, fields: Line) {
        if metadata.target().starts_with("procpool") {
            self.0.lock().unwrap().push(format!("{}{}", metadata.target(), fields.0));
        }
    }

    fn count(&self, parts: &[&str]) -> usize {
        self.0.lock().unwrap().iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(format!(" span {}", span.metadata().name()));
        span.record(&mut line);
        self.note(span.metadata(), line);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.note(event.metadata(), line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn complain_and_leave() -> u8 {
    eprintln!("first line\nsecond line");
    leave(3)
}

test! {
    async fn workers_tasks_and_stderr_are_told_with_stable_targets_and_fields() {
        let notes = Notes::default();
        tracing::subscriber::set_global_default(notes.clone()).unwrap();
        let pool = Pool::builder().workers(1).stderr(Stdio::Capture).build().unwrap();
        pool.run(call!(power(4))).await.unwrap();
        let pid = pool.snapshot().workers[0].pid.unwrap();
        let error = pool.run(call!(complain_and_leave())).await.unwrap_err();
        assert_eq!(error.stderr(), ["first line", "second line"]);
        pool.shutdown().await.unwrap();

        let pid = format!("pid={pid}");
        assert_eq!(notes.count(&["procpool::worker span worker", "worker-0", &pid, "generation=0"]), 1);
        for message in ["worker spawned", "worker ready", "worker ended"] {
            assert_eq!(notes.count(&["procpool::worker", message, "worker-0", &pid]), 1, "{message}");
        }
        assert_eq!(notes.count(&["procpool::worker", "worker ended", "exit=exit code 3"]), 1);
        assert_eq!(notes.count(&["procpool::task span task", "name=\"power\""]), 1);
        assert_eq!(notes.count(&["procpool::task", "task ended", "name=\"power\"", "outcome=\"value\""]), 1);
        assert_eq!(notes.count(&["procpool::task", "task ended", "outcome=WorkerDied", "worker-0", &pid]), 1);
        assert_eq!(notes.count(&["procpool::stderr", "first line", "worker-0", &pid]), 1);
        let targets: BTreeSet<_> =
            notes.0.lock().unwrap().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        assert_eq!(targets, ["procpool::stderr", "procpool::task", "procpool::worker"].map(str::to_owned).into());
    }
}
