//! A thousand kills of those who send and receive: the queue goes on, nothing that was confirmed is lost, and nothing
//! comes twice.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use procpool::queue::{self, Receiver, RecvError, SendError, Sender};
use procpool::{ErrorKind, JoinHandle, Pool, call};
use procpool_tests::{Random, Signal, send_to_child, test, watched};
use serde::{Deserialize, Serialize};

const KILLS: usize = 1000;
/// Of each kind.
const PLAYERS: usize = 4;

/// A message whose body follows from its name, and takes several fragments now and then.
#[derive(Serialize, Deserialize)]
struct Parcel {
    id: u64,
    body: String,
}

impl Parcel {
    fn new(id: u64) -> Parcel {
        let letter = char::from(b'a' + (id % 26) as u8);
        Parcel { id, body: letter.to_string().repeat(Parcel::len(id)) }
    }

    fn len(id: u64) -> usize {
        match id % 32 {
            0 => 200_000,
            1 => 5000,
            small => small as usize,
        }
    }

    fn is_whole(&self) -> bool {
        let letter = b'a' + (self.id % 26) as u8;
        self.body.len() == Parcel::len(self.id) && self.body.bytes().all(|found| found == letter)
    }
}

/// Notes that outlive whoever made them: each is one write.
struct Notes(File);

impl Notes {
    fn open(path: &PathBuf) -> Notes {
        Notes(OpenOptions::new().append(true).open(path).unwrap())
    }

    fn note(&mut self, id: u64, times: u32) {
        let mut note = [0; 12];
        note[..8].copy_from_slice(&id.to_le_bytes());
        note[8..].copy_from_slice(&times.to_le_bytes());
        self.0.write_all(&note).unwrap();
    }
}

/// Sends until the queue is closed, and notes what was confirmed.
fn produce(sender: Sender<Parcel>, producer: u32, notes: PathBuf) {
    let mut notes = Notes::open(&notes);
    for number in 0.. {
        let id = u64::from(producer) << 32 | number;
        match sender.send_blocking(Parcel::new(id)) {
            Ok(()) => notes.note(id, 0),
            Err(SendError::Closed(_)) => return,
            Err(error) => panic!("it cannot send: {error}"),
        }
    }
}

/// Receives to the end, and notes what came.
fn consume(receiver: Receiver<Parcel>, notes: PathBuf) {
    let mut notes = Notes::open(&notes);
    loop {
        match receiver.recv_blocking() {
            Ok(parcel) => {
                assert!(parcel.is_whole());
                notes.note(parcel.id, 0);
            }
            Err(RecvError::Closed) => return,
            Err(error) => panic!("it cannot receive: {error}"),
        }
    }
}

/// The same, and acknowledges what it has noted.
fn consume_acked(receiver: Receiver<Parcel>, notes: PathBuf) {
    let mut notes = Notes::open(&notes);
    loop {
        match receiver.recv_acked_blocking() {
            Ok(mut delivery) => {
                assert!(delivery.is_whole());
                notes.note(delivery.id, delivery.redelivered());
                delivery.ack().unwrap();
            }
            Err(RecvError::Closed) => return,
            Err(error) => panic!("it cannot receive: {error}"),
        }
    }
}

/// A file of notes; removed when dropped.
struct Log(PathBuf);

impl Log {
    fn new(what: &str) -> Log {
        let path = std::env::temp_dir().join(format!("procpool-{}-{what}", std::process::id()));
        std::fs::write(&path, []).unwrap();
        Log(path)
    }

    fn len(&self) -> u64 {
        std::fs::metadata(&self.0).unwrap().len() / 12
    }

    fn notes(&self) -> Vec<(u64, u32)> {
        let bytes = std::fs::read(&self.0).unwrap();
        let (notes, rest) = bytes.as_chunks::<12>();
        assert!(rest.is_empty());
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        notes.iter().map(|note| (number(&note[..8]), number(&note[8..]) as u32)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Plain,
    Acknowledged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Producer,
    Consumer,
}

/// A pool whose workers send and receive, and what they note.
struct Stage {
    pool: Pool,
    sender: Sender<Parcel>,
    receiver: Receiver<Parcel>,
    receiving: Receiving,
    confirmed: Log,
    received: Log,
    producers: u32,
}

impl Stage {
    fn enter(&mut self, role: Role) -> JoinHandle<()> {
        match (role, self.receiving) {
            (Role::Producer, _) => {
                let (sender, number, notes) = (self.sender.clone(), self.producers, self.confirmed.0.clone());
                self.producers += 1;
                self.pool.spawn(call!(produce(sender, number, notes)))
            }
            (Role::Consumer, Receiving::Plain) => {
                let (receiver, notes) = (self.receiver.clone(), self.received.0.clone());
                self.pool.spawn(call!(consume(receiver, notes)))
            }
            (Role::Consumer, Receiving::Acknowledged) => {
                let (receiver, notes) = (self.receiver.clone(), self.received.0.clone());
                self.pool.spawn(call!(consume_acked(receiver, notes)))
            }
        }
    }

    /// The queue goes on; then any moment is as good as another.
    async fn moment(&self, progress: u64, rounds: u64) {
        let before = self.received.len();
        while self.received.len() < before + progress {
            tokio::task::yield_now().await;
        }
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
    }

    /// Kills somebody who has a task, if anybody has.
    fn kill(&self, random: &mut Random) {
        let workers = self.pool.snapshot().workers;
        let busy: Vec<u32> =
            workers.iter().filter(|worker| worker.task.is_some()).filter_map(|worker| worker.pid).collect();
        if let Some(&pid) = random.pick(&busy) {
            send_to_child(Signal::KILL, pid);
        }
    }
}

async fn storm(receiving: Receiving) {
    let mut random = Random::new();
    let (sender, receiver) = queue::bounded(16);
    let pool = watched(Pool::builder().workers(2 * PLAYERS).build().unwrap());
    let (confirmed, received) = (Log::new("confirmed"), Log::new("received"));
    let mut stage = Stage { pool, sender, receiver, receiving, confirmed, received, producers: 0 };
    let play = |stage: &mut Stage, role| {
        let handle = stage.enter(role);
        async move { (role, handle.await) }
    };
    let mut players = FuturesUnordered::new();
    for role in [Role::Producer, Role::Consumer].repeat(PLAYERS) {
        players.push(play(&mut stage, role));
    }
    let (mut producers, mut consumers) = (0, 0);
    while producers + consumers < KILLS {
        let (progress, rounds) = (random.below(20), random.below(500));
        tokio::select! {
            biased;
            Some((role, result)) = players.next() => {
                let error = result.unwrap_err();
                let signal = error.exit().and_then(|exit| exit.signal_name());
                assert_eq!((error.kind(), signal), (ErrorKind::WorkerDied, Some("SIGKILL")), "{error}");
                match role {
                    Role::Producer => producers += 1,
                    Role::Consumer => consumers += 1,
                }
                players.push(play(&mut stage, role));
            }
            // Who is killed before it has claimed its task is no death of a player: the task goes to the next worker.
            () = stage.moment(progress, rounds) => stage.kill(&mut random),
        }
    }
    stage.receiver.close();
    while let Some((role, result)) = players.next().await {
        // The last victims are not heard of before now.
        match (result, role) {
            (Ok(()), _) => {}
            (Err(_), Role::Producer) => producers += 1,
            (Err(_), Role::Consumer) => consumers += 1,
        }
    }
    assert!(matches!(stage.receiver.recv().await, Err(RecvError::Closed)));

    let confirmed: HashSet<u64> = stage.confirmed.notes().into_iter().map(|(id, _)| id).collect();
    let (mut received, mut again) = (HashSet::new(), 0);
    for (id, times) in stage.received.notes() {
        if !received.insert(id) {
            assert!(times > 0, "{id:x} came twice");
            again += 1;
        }
    }
    let lost = confirmed.difference(&received).count();
    let unconfirmed = received.difference(&confirmed).count();
    eprintln!(
        "{} confirmed, {} received: {unconfirmed} unconfirmed, {again} again, {lost} in hand at death; {producers} \
         producers and {consumers} consumers died",
        confirmed.len(),
        received.len(),
    );
    // Each had one in hand at most: received and not noted, or sent and not noted.
    assert!(unconfirmed <= producers);
    match receiving {
        Receiving::Plain => assert!(again == 0 && lost <= consumers),
        Receiving::Acknowledged => assert!(lost == 0 && again <= consumers),
    }
    stage.pool.shutdown().await.unwrap();
}

test! {
    slow queues async fn behaviour_51_thousand_kills() {
        storm(Receiving::Plain).await;
    }
}

test! {
    slow queues async fn behaviour_51_thousand_kills_with_acknowledgements() {
        storm(Receiving::Acknowledged).await;
    }
}

test! {
    slow sockets async fn behaviour_51_thousand_kills_over_sockets() {
        storm(Receiving::Plain).await;
    }
}

test! {
    slow sockets async fn behaviour_51_thousand_kills_with_acknowledgements_over_sockets() {
        storm(Receiving::Acknowledged).await;
    }
}
