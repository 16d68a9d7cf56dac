//! Runs a job as a worker would, in this process: encode, name, find, run, decode.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::task::attachment::{self, Attachment};
use crate::task::codec::CodecError;
use crate::task::{Fault, Job, Parts, Step, Steps, WireEntry, store};

/// What a parent would send.
pub(super) struct Sent<R> {
    pub(super) entry: WireEntry,
    pub(super) arguments: Vec<u8>,
    pub(super) shared: Vec<Arc<Attachment>>,
    pub(super) name: String,
    pub(super) location: Option<String>,
    decode: fn(&[u8]) -> Result<R, CodecError>,
}

impl<R> Sent<R> {
    pub(super) fn parts(parts: Parts<R>) -> Self {
        let entry = parts.entry.to_wire().expect("the code lies in this executable");
        let mut arguments = Vec::new();
        let shared = attachment::naming();
        let encoded = parts.arguments.encode(&mut arguments);
        let shared = shared.attachments();
        encoded.expect("works");
        Self {
            entry,
            arguments,
            shared,
            name: parts.name.to_string(),
            location: parts.name.location().map(ToString::to_string),
            decode: parts.decode,
        }
    }

    pub(super) fn job<J: Job<Output = R>>(job: J) -> Self {
        Self::parts(job.into_parts())
    }

    /// Runs it as a worker that has only the bytes.
    pub(super) fn run(&self) -> R {
        for attachment in &self.shared {
            store::put(attachment.key(), attachment.content().clone());
        }
        let entry = WireEntry::from_bytes(&self.entry.to_bytes()).expect("the bytes are whole");
        let mut reply = b"before".to_vec();
        let step = AtomicU64::new(0);
        entry
            .resolve()
            .expect("the entry is whole")
            .run(&self.arguments, &mut reply, Steps(Some(&step)))
            .expect("works");
        assert_eq!(Step::noted(step.into_inner()), Some(Step::Encoding));
        (self.decode)(reply.strip_prefix(b"before").expect("works")).expect("works")
    }

    pub(super) fn decode(&self, reply: &[u8]) -> R {
        (self.decode)(reply).expect("works")
    }

    /// Runs it on other arguments than its own.
    pub(super) fn run_on(&self, arguments: &[u8]) -> Result<(), Fault> {
        self.entry.resolve().expect("the entry is whole").run(arguments, &mut Vec::new(), Steps(None)).map(drop)
    }
}

pub(super) fn run_here<J: Job>(job: J) -> J::Output {
    Sent::job(job).run()
}
