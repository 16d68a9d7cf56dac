//! The run itself: starts the participants, kills one now and then, replaces it, and keeps the history.

use std::io;
use std::time::{Duration, Instant};

use futures::future::join_all;
use procpool::queue::{self, Receiver, Sender, TryRecvError};
use procpool::{Process, call};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::Error;
use crate::account::{self, Received};
use crate::ledger::Ledger;
use crate::options::{Options, Victims};
use crate::participant::{Consume, Produce, consume, produce};

/// When nothing at all arrives for so long, the queue is stuck.
const STUCK: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
    /// A consumer that acknowledges what it receives.
    Acknowledging,
}

/// A process that runs.
struct Participant {
    role: Role,
    /// Which ledger of its role it writes to.
    lane: usize,
    /// How many entries or messages there were when it began.
    first: u64,
    process: Process<Result<(), String>>,
    /// Its number may be another's by the time it is killed; this is not.
    pidfd: OwnedFd,
}

/// A consumer process that has ended, or will not be killed any more.
struct Past {
    role: Role,
    lane: usize,
    first: u64,
    /// How many entries its ledger had when it was dead; `None` if it was not killed.
    killed_at: Option<u64>,
}

/// What happened.
pub(crate) struct History {
    lanes: Vec<Ledger>,
    logs: Vec<Ledger>,
    consumers: Vec<Past>,
    horizons: Vec<Vec<u64>>,
    kills: Vec<Role>,
    pub(crate) took: Duration,
}

impl History {
    pub(crate) fn killed(&self, role: Role) -> u64 {
        self.kills.iter().filter(|killed| **killed == role).count() as u64
    }

    pub(crate) fn sent(&self) -> io::Result<account::Sent> {
        self.lanes.iter().map(Ledger::read).collect()
    }

    /// Ledgers of consumers, cut where one process followed another.
    pub(crate) fn received(&self) -> io::Result<Received> {
        let logs = self.logs.iter().map(Ledger::read_entries).collect::<io::Result<Vec<_>>>()?;
        let consumers = self.consumers.iter().map(|past| {
            let log = &logs[past.lane];
            let end = past.killed_at.map_or(log.len(), |end| end as usize);
            account::Consumer {
                acknowledges: past.role == Role::Acknowledging,
                killed: past.killed_at.is_some(),
                entries: log[past.first as usize..end].to_vec(),
            }
        });
        Ok(Received { consumers: consumers.collect(), horizons: self.horizons.clone() })
    }

    fn entries(&self) -> io::Result<u64> {
        self.logs.iter().map(Ledger::entries).sum()
    }
}

struct Soak<'a> {
    options: &'a Options,
    /// Here for the sake of those who replace others.
    sender: Sender<Vec<u8>>,
    receiver: Receiver<Vec<u8>>,
    participants: Vec<Participant>,
    /// How many messages of each lane are left to be confirmed.
    left: Vec<u64>,
    history: History,
}

pub(crate) async fn run(options: &Options) -> Result<History, Error> {
    let mut soak = Soak::start(options)?;
    let mut chance = StdRng::seed_from_u64(options.seed);
    let start = Instant::now();
    let mut watch = Watch { entries: 0, since: Instant::now() };
    let mut tick = interval(options.kill_every.unwrap_or(Duration::from_secs(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await; // the first one comes at once
    loop {
        let producers = soak.participants.iter().filter(|participant| participant.role == Role::Producer);
        let all_sent = join_all(producers.map(|producer| producer.process.wait()));
        tokio::select! {
            _ = all_sent => break,
            _ = tick.tick() => {
                watch.look(&soak.history)?;
                soak.nobody_failed().await?;
                if options.kill_every.is_some() {
                    soak.kill_one(&mut chance).await?;
                }
            }
        }
    }
    let Soak { sender, receiver, participants, mut history, .. } = soak;
    drop(sender);
    let mut processes = Vec::new();
    for Participant { role, lane, first, process, .. } in participants {
        if role != Role::Producer {
            history.consumers.push(Past { role, lane, first, killed_at: None });
        }
        processes.push(process);
    }
    let mut ends = Box::pin(join_all(processes.into_iter().map(Process::join)));
    let mut tick = interval(Duration::from_secs(1));
    let ends = loop {
        tokio::select! {
            ends = &mut ends => break ends,
            _ = tick.tick() => watch.look(&history)?,
        }
    };
    history.took = start.elapsed();
    for end in ends {
        end??;
    }
    match receiver.try_recv() {
        Err(TryRecvError::Disconnected) => Ok(history),
        Ok(_) => Err("the consumers ended before the last message".into()),
        Err(error) => Err(format!("the queue did not end: {error}").into()),
    }
}

/// Fails when nothing arrives any more.
struct Watch {
    entries: u64,
    since: Instant,
}

impl Watch {
    fn look(&mut self, history: &History) -> Result<(), Error> {
        let entries = history.entries()?;
        if entries != self.entries {
            *self = Watch { entries, since: Instant::now() };
        } else if self.since.elapsed() > STUCK {
            let kills = history.kills.len();
            return Err(format!("stuck: after {entries} messages and {kills} kills none in {STUCK:?}").into());
        }
        Ok(())
    }
}

impl<'a> Soak<'a> {
    fn start(options: &'a Options) -> Result<Self, Error> {
        let ledgers = |count| (0..count).map(|_| Ledger::new()).collect::<io::Result<Vec<_>>>();
        let (sender, receiver) = queue::bounded(options.capacity);
        let Options { messages, producers, .. } = *options;
        let mut soak = Soak {
            options,
            sender,
            receiver,
            participants: Vec::new(),
            left: (0..producers).map(|lane| messages / producers + u64::from(lane < messages % producers)).collect(),
            history: History {
                lanes: ledgers(producers)?,
                logs: ledgers(options.consumers)?,
                consumers: Vec::new(),
                horizons: Vec::new(),
                kills: Vec::new(),
                took: Duration::ZERO,
            },
        };
        for lane in 0..soak.history.logs.len() {
            let role = if options.acknowledges(lane as u64) { Role::Acknowledging } else { Role::Consumer };
            let consumer = soak.participant(role, lane)?;
            soak.participants.push(consumer);
        }
        for lane in 0..soak.history.lanes.len() {
            let producer = soak.participant(Role::Producer, lane)?;
            soak.participants.push(producer);
        }
        Ok(soak)
    }

    fn participant(&self, role: Role, lane: usize) -> Result<Participant, Error> {
        let bytes = self.options.bytes;
        let (first, process) = if role == Role::Producer {
            let ledger = &self.history.lanes[lane];
            let first = ledger.begun()?;
            let part = Produce { ledger: ledger.place(), lane: lane as u64, first, count: self.left[lane], bytes };
            (first, Process::spawn(call!(produce(self.sender.clone(), part)))?)
        } else {
            let ledger = &self.history.logs[lane];
            let entries = ledger.entries()?;
            let acknowledges = role == Role::Acknowledging;
            let part = Consume { ledger: ledger.place(), entries, acknowledges, bytes };
            (entries, Process::spawn(call!(consume(self.receiver.clone(), part)))?)
        };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).ok_or("a process without a number")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Participant { role, lane, first, process, pidfd })
    }

    /// A consumer ends when there is nothing more to come, or by an error.
    async fn nobody_failed(&mut self) -> Result<(), Error> {
        let ended = |participant: &Participant| participant.role != Role::Producer && participant.process.is_finished();
        let Some(number) = self.participants.iter().position(ended) else { return Ok(()) };
        self.participants.swap_remove(number).process.join().await??;
        Err("a consumer ended while there were senders".into())
    }

    /// Kills one by chance, waits until it is dead, and puts another in its place.
    async fn kill_one(&mut self, chance: &mut StdRng) -> Result<(), Error> {
        let victims: Vec<usize> = (0..self.participants.len()).filter(|number| self.may_die(*number)).collect();
        let Some(&number) = victims.choose(chance) else { return Ok(()) };
        let victim = &self.participants[number];
        let (role, lane, first) = (victim.role, victim.lane, victim.first);
        pidfd_send_signal(&victim.pidfd, Signal::KILL)?;
        if victim.process.wait().await.signal() != Some(Signal::KILL.as_raw()) {
            return Ok(()); // it was done already; its result is looked at in the end
        }
        self.history.kills.push(role);
        match role {
            Role::Producer => {
                let ledger = &self.history.lanes[lane];
                self.left[lane] -=
                    ledger.begun()? - first - u64::from(!ledger.last_is_confirmed()? && ledger.begun()? > first);
            }
            Role::Consumer | Role::Acknowledging => {
                let killed_at = Some(self.history.logs[lane].entries()?);
                self.history.consumers.push(Past { role, lane, first, killed_at });
            }
        }
        if role == Role::Consumer {
            let horizon = self.history.lanes.iter().map(Ledger::begun).collect::<io::Result<_>>()?;
            self.history.horizons.push(horizon);
        }
        self.participants[number] = self.participant(role, lane)?;
        Ok(())
    }

    fn may_die(&self, number: usize) -> bool {
        let participant = &self.participants[number];
        let chosen = match self.options.victims {
            Victims::All => true,
            Victims::Producers => participant.role == Role::Producer,
            Victims::Consumers => participant.role != Role::Producer,
        };
        chosen && participant.process.try_wait().is_none()
    }
}
