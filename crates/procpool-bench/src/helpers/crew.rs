//! The helpers of a run, each started when it is first needed and kept for all rounds.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::helper::Helper;
use super::request::{Request, Work};
use crate::Error;
use crate::measurement::System;
use crate::options::SERVE;
use crate::peers::Python;

/// This program again.
const PROGRAM: &str = "/proc/self/exe";

/// Under what conditions a helper measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// With 20 MiB resident, as in a small service.
    Small,
    /// With 1 GiB resident.
    Large,
    /// With one core for itself and all that it starts.
    Pinned,
}

impl Place {
    /// MiB of memory that it holds.
    fn ballast(self) -> usize {
        match self {
            Place::Small => SMALL,
            Place::Large => LARGE,
            Place::Pinned => 0,
        }
    }
}

/// MiB resident in [`Place::Small`] …
pub(crate) const SMALL: usize = 20;
/// … and in [`Place::Large`].
pub(crate) const LARGE: usize = 1024;

pub(crate) struct Crew {
    /// How long an answer may take.
    limit: Duration,
    python: Option<Python>,
    helpers: Vec<(Post, Helper)>,
}

/// Who measures where: this program, or Python.
type Post = (Place, Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Own,
    Python,
}

impl Crew {
    pub(crate) fn new(limit: Duration) -> Self {
        let python = Python::find();
        if python.is_none() {
            eprintln!("procpool-bench: no python3 with multiprocessing here, so its pools and queue are left out");
        }
        Crew { limit, python, helpers: Vec::new() }
    }

    pub(crate) fn python(&self) -> Option<Python> {
        self.python
    }

    /// The systems of Python that are here.
    pub(crate) fn pythons(&self) -> impl Iterator<Item = System> + use<> {
        let (python, loky) = (self.python.is_some(), self.python.is_some_and(|python| python.loky));
        [(System::Multiprocessing, python), (System::Futures, python), (System::Loky, loky)]
            .into_iter()
            .filter_map(|(system, here)| here.then_some(system))
    }

    /// A failure of a system of ours, or of a limit, is the benchmark's.
    pub(crate) fn own(&mut self, place: Place, system: System, work: Work) -> Result<Vec<f64>, Error> {
        let asked = self.ask(place, system, work);
        asked.map_err(|error| format!("{}, {work:?}: {error}", system.name()).into())
    }

    /// A failure of a peer is said, and costs this round of it.
    pub(crate) fn peer(&mut self, place: Place, system: System, work: Work) -> Vec<f64> {
        self.ask(place, system, work).unwrap_or_else(|error| {
            eprintln!("left out: {}, {work:?}: {error}", system.name());
            Vec::new()
        })
    }

    fn ask(&mut self, place: Place, system: System, work: Work) -> Result<Vec<f64>, Error> {
        let request = Request { system, work };
        let post = (place, if system.is_python() { Kind::Python } else { Kind::Own });
        let known = self.helpers.iter().position(|(known, _)| *known == post);
        let mut helper = match (known, post.1) {
            (Some(index), _) => self.helpers.swap_remove(index).1,
            (None, Kind::Own) => start(PROGRAM.as_ref(), place)?,
            (None, Kind::Python) => self.python.ok_or("no python3")?.helper()?,
        };
        // One that failed is not kept.
        let values = helper.ask(&request, self.limit)?;
        self.helpers.push((post, helper));
        Ok(values)
    }

    /// A helper of its own with an idle pool, for as long as it is kept. It runs a copy of this program, so that it
    /// shares pages with its workers and with nobody else.
    pub(crate) fn idle(&self, system: System) -> Result<Helper, Error> {
        let mut helper = if system.is_python() {
            self.python.ok_or("no python3")?.helper()?
        } else {
            let copy = env::temp_dir().join(format!("procpool-bench-{}", std::process::id()));
            fs::copy(PROGRAM, &copy)?;
            // Where nothing in that directory can be executed, the pages are shared after all.
            let started = start(&copy, Place::Small).or_else(|_| start(PROGRAM.as_ref(), Place::Small));
            // The file goes on as long as somebody runs it.
            fs::remove_file(&copy)?;
            started?
        };
        helper.ask(&Request { system, work: Work::Idle }, self.limit)?;
        Ok(helper)
    }
}

fn start(program: &Path, place: Place) -> Result<Helper, Error> {
    let pinned = if place == Place::Pinned { "pinned" } else { "free" };
    Helper::start(Command::new(program).args([SERVE, &place.ballast().to_string(), pinned].map(OsStr::new)))
}
