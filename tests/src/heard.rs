//! What workers print, as tracing tells it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A line that a worker printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// `procpool::stdout` or `procpool::stderr`.
    pub target: String,
    /// The line.
    pub text: String,
    /// Who printed it.
    pub worker: String,
    /// Who printed it.
    pub pid: u64,
    /// For which task.
    pub task: Option<u64>,
    /// What that is called.
    pub name: Option<String>,
    /// The span that the event is in.
    pub span: Option<&'static str>,
}

/// A subscriber that keeps every captured line.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    spans: HashMap<u64, &'static str>,
}

impl Heard {
    /// Listens from now on, in the whole program.
    #[must_use]
    pub fn start() -> Self {
        let heard = Heard::default();
        tracing::subscriber::set_global_default(heard.clone()).expect("nobody else listens");
        heard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was heard so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.state().lines.clone()
    }

    /// What was heard so far of one target, which is then forgotten.
    #[must_use]
    pub fn take(&self, target: &str) -> Vec<Line> {
        self.state().lines.extract_if(.., |line| line.target == target).collect()
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "worker" => self.worker = value.to_owned(),
            "name" => self.name = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "pid" => self.pid = value,
            "task" => self.task = Some(value),
            _ => {}
        }
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() || matches!(metadata.target(), "procpool::stdout" | "procpool::stderr")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.state();
        let id = state.spans.len() as u64 + 1;
        state.spans.insert(id, span.metadata().name());
        Id::from_u64(id)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { target: event.metadata().target().to_owned(), ..Line::default() };
        event.record(&mut line);
        let mut state = self.state();
        line.span = event.parent().and_then(|id| state.spans.get(&id.into_u64()).copied());
        state.lines.push(line);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
