//! How a process becomes a worker, or does not: `init()`, the marker, the depth of nesting, the global pool, and what a
//! worker is started with.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Barrier;

use procpool::{ErrorKind, Pool, PoolErrorKind, Process, Started, call, spawn_blocking_process};
use procpool_tests::tasks::{leave, pid, power, wait_at};
use procpool_tests::{Gate, Part, ended, parent_of, part, test, visit};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What each level of nested pools says of itself: depth, process, and how many workers its own pool has by default.
type Level = (u32, u32, usize);

/// Makes a pool in this task, for a task that makes a pool, and so on, as deep as it goes; then the error.
fn nest(levels: u32) -> (Vec<Level>, Option<String>) {
    let me = procpool::current();
    runtime().block_on(async move {
        let pool = match Pool::new() {
            Ok(pool) => pool,
            Err(error) => {
                assert_eq!(error.kind(), PoolErrorKind::TooDeep);
                let process = Process::spawn(call!(pid())).map(drop).expect_err("a process is a level, too");
                assert_eq!(process.kind(), PoolErrorKind::TooDeep);
                let global = spawn_blocking_process(call!(pid())).await.expect_err("so is the global pool");
                assert_eq!((global.kind(), global.started()), (ErrorKind::StartFailed, Started::No));
                assert_eq!(global.to_string().matches("nested").count(), 1, "{global}");
                let threads = Pool::in_process().expect("threads are no level");
                assert_eq!(threads.run(call!(power(4))).await.expect("a result"), 256);
                return (vec![(me.depth(), me.pid(), 0)], Some(error.to_string()));
            }
        };
        pool.ready().await.expect("workers at any depth");
        let workers = pool.snapshot().workers.len();
        let mut found = match levels {
            0 => (Vec::new(), None),
            _ => pool.run(call!(nest(levels - 1))).await.expect("the levels below"),
        };
        found.0.push((me.depth(), me.pid(), workers));
        pool.shutdown().await.expect("a report");
        found
    })
}

test! {
    async fn behaviour_40_nested_pools() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let (mut levels, error) = pool.run(call!(nest(20))).await.unwrap();
        levels.reverse();
        let depths: Vec<u32> = levels.iter().map(|level| level.0).collect();
        assert_eq!(depths, (1..=10).collect::<Vec<_>>());
        let mut pids: Vec<u32> = levels.iter().map(|level| level.1).collect();
        pids.push(std::process::id());
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 11, "each level is a process of its own: {levels:?}");
        let workers: Vec<usize> = levels.iter().map(|level| level.2).collect();
        assert_eq!(workers, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0], "inside a worker the default is one");
        assert_eq!(error.unwrap(), "pools are nested 11 deep in tasks of pools; the limit is 10");
        assert_eq!(procpool::current().depth(), 0);
        pool.shutdown().await.unwrap();
    }
}

/// A crate outside the workspace, since inside of it the feature `test-harness` is on.
fn forgetful_crate() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crate_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-init");
    std::fs::create_dir_all(crate_dir.join("src/bin")).unwrap();
    let library = tests.parent().unwrap().join("crates/procpool");
    let manifest = format!(
        "[package]\nname = \"without-init\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.dev]\ndebug = false\nincremental = false\n\n[dependencies]\n\
         procpool = {{ path = {library:?} }}\ntokio = {{ version = \"1\", features = [\"rt\", \"macros\"] }}\n"
    );
    // Cargo compiles again what is newer than its output: files that are right stay as they are.
    let write = |name: &str, content: &str| {
        let path = crate_dir.join(name);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(content) {
            std::fs::write(path, content).unwrap();
        }
    };
    write("Cargo.toml", &manifest);
    write("src/main.rs", include_str!("entry/without_init.rs"));
    write("src/lib.rs", include_str!("entry/shared_tasks.rs"));
    write("src/bin/worker.rs", include_str!("entry/worker.rs"));
    write("src/bin/forgetful_worker.rs", include_str!("entry/forgetful_worker.rs"));
    // The versions that are here already: nothing is fetched.
    std::fs::copy(tests.parent().unwrap().join("Cargo.lock"), crate_dir.join("Cargo.lock")).unwrap();
    crate_dir
}

#[test]
fn behaviour_41_without_init() {
    let crate_dir = forgetful_crate();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--offline"])
        .current_dir(&crate_dir)
        .env("CARGO_TARGET_DIR", crate_dir.join("target"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let run = Command::new(crate_dir.join("target/debug/without-init")).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let expected = "no process was started\nanother program worked\nno worker of a worker was started\n";
    assert_eq!((run.status.code(), &*stdout), (Some(0), expected), "{stderr}");
}

part! {
    /// Just a run of a program that could be a worker.
    fn an_ordinary_run(word: String) {
        println!("ordinary: {word}");
    }
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// An ordinary run, but for its `argv[0]` and its standard input.
fn with_marker(marker: &str, stdin: Stdio) -> Command {
    let mut command = Part::command(this_program(), "an_ordinary_run", marker);
    command.arg0(marker).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn was_ordinary(output: &Output) -> bool {
    let stdout = String::from_utf8_lossy(&output.stdout);
    output.status.success() && stdout.contains("ordinary: ") && stdout.contains("1 passed")
}

/// The marker of a worker that this process has started.
fn marker_of(worker: u32) -> String {
    let line = std::fs::read(format!("/proc/{worker}/cmdline")).unwrap();
    let marker = line.split(|&byte| byte == 0).next().unwrap();
    String::from_utf8(marker.to_vec()).unwrap()
}

part! {
    /// Neither the process that the marker names, nor the one that made the socket on its standard input, which it
    /// hands on. Ends like the program that it starts.
    fn in_between(marker: String) {
        let marker = marker.replace("{me}", &std::process::id().to_string());
        let output = with_marker(&marker, Stdio::inherit()).output().unwrap();
        if was_ordinary(&output) {
            std::process::exit(42);
        }
        if output.status.signal() == Some(9) {
            std::process::exit(43);
        }
    }
}

/// Lets another process start the program with a socket made here; how that ended.
fn start_in_between(marker: &str) -> ExitStatus {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    Part::spawn(Part::command(this_program(), "in_between", marker).stdin(OwnedFd::from(theirs))).end()
}

test! {
    async fn behaviour_41_marker_by_hand() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let marker = marker_of(pool.run(call!(pid())).await.unwrap());
        let words: Vec<&str> = marker.split(' ').collect();
        let [word, protocol, parent, name] = words[..] else { panic!("{marker}") };
        assert_eq!((word, parent, name), ("procpool-worker", &*std::process::id().to_string(), "worker-0"));

        // No unix stream socket at its standard input.
        let (reader, _writer) = std::io::pipe().unwrap();
        let (datagrams, _other) = UnixDatagram::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inputs: [Stdio; 4] =
            [Stdio::null(), reader.into(), OwnedFd::from(datagrams).into(), OwnedFd::from(tcp).into()];
        for stdin in inputs {
            assert!(was_ordinary(&with_marker(&marker, stdin).output().unwrap()));
        }

        // Such a socket, but a marker that nobody wrote.
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let markers = [
            word.to_owned(),
            format!("{word} {protocol}"),
            format!("{word} {protocol} {parent}"),
            format!("{word} {protocol} 1 {name}"),
            format!("{word} {protocol} 0 {name}"),
            format!("{word} {protocol} -1 {name}"),
            format!("{word}-2 {protocol} {parent} {name}"),
        ];
        for marker in markers {
            let output = with_marker(&marker, theirs.try_clone().unwrap().into()).output().unwrap();
            assert!(was_ordinary(&output), "{marker}");
        }

        // A supervisor of another version, as it seems: told so, and no ordinary start of a program that was not meant.
        let other = format!("{word} 0 {parent} {name}");
        let output = with_marker(&other, theirs.try_clone().unwrap().into()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(70) && text.contains("it speaks protocol 0, not 1"), "{text}");

        // Made by one process, handed on by another.
        let status = start_in_between(&format!("{word} {protocol} {{me}} {name}"));
        assert_eq!(status.code(), Some(42), "its parent did not make the socket: an ordinary start");
        let status = start_in_between(&marker);
        assert_eq!(status.code(), Some(43), "the maker of the socket is not its parent: refused");
        pool.shutdown().await.unwrap();
    }
}

/// Starts the same program from a task.
fn start_from_a_task(program: PathBuf) -> (bool, bool) {
    let mut command = Part::command(program, "an_ordinary_run", "from a task");
    let inherited = std::env::vars_os().any(|(key, _)| key.to_string_lossy().contains("procpool-worker"));
    (was_ordinary(&command.stdout(Stdio::piped()).output().unwrap()), inherited)
}

test! {
    async fn behaviour_41_marker_is_not_inherited() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let program = this_program();
        assert_eq!(pool.run(call!(start_from_a_task(program))).await.unwrap(), (true, false));
        pool.shutdown().await.unwrap();
    }
}

/// Set where the twenty run in as many threads, and can wait for each other.
const TOGETHER: &str = "PROCPOOL_TEST_TOGETHER";

static ALL_TWENTY: Barrier = Barrier::new(20);

fn parent_pid() -> u32 {
    std::os::unix::process::parent_id()
}

/// One of twenty tests that share a program and its global pool.
async fn one_of_twenty(number: u64) {
    let together = || {
        if std::env::var_os(TOGETHER).is_some() {
            ALL_TWENTY.wait();
        }
    };
    together();
    let me = std::process::id();
    // Asked inside: a sibling's crash may take this worker a moment later.
    assert_eq!(spawn_blocking_process(call!(parent_pid())).await.unwrap(), me);
    // Each sees its own fate only.
    let crash = spawn_blocking_process(call!(leave(number as i32)));
    let values: Vec<_> = (0..10).map(|x| (x, spawn_blocking_process(call!(power((number + x) % 20))))).collect();
    for (x, value) in values {
        assert_eq!(value.await.unwrap(), power((number + x) % 20));
    }
    let error = crash.await.unwrap_err();
    assert_eq!(error.exit().and_then(|exit| exit.code()), Some(number as i32), "{error}");
    together();
}

mod twenty {
    macro_rules! tests {
        ($($name:ident $number:literal)*) => {
            $(#[tokio::test]
            async fn $name() {
                super::one_of_twenty($number).await;
            })*
        };
    }
    tests! { t01 1 t02 2 t03 3 t04 4 t05 5 t06 6 t07 7 t08 8 t09 9 t10 10
    t11 11 t12 12 t13 13 t14 14 t15 15 t16 16 t17 17 t18 18 t19 19 t20 20 }
}

#[test]
fn behaviour_41b_twenty_runtimes() {
    let mut twenty = Command::new(this_program());
    let output = twenty.args(["twenty::", "--test-threads=20"]).env(TOGETHER, "1").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("20 passed"), "{stdout}");
}

#[test]
fn behaviour_41b_runtime_ends() {
    let mine = runtime();
    let gate = mine.block_on(async { Gate::new() });
    let path = gate.path();
    // A runtime that makes the global pool, and ends while its own work and another's run there.
    let first = runtime();
    let (detached, kept) = first.block_on(async {
        let (path_1, path_2) = (path.clone(), path.clone());
        (spawn_blocking_process(call!(wait_at(path_1, 1))), spawn_blocking_process(call!(wait_at(path_2, 2))))
    });
    let visitors = mine.block_on(gate.arrivals(2));
    drop(detached);
    drop(first);
    mine.block_on(async {
        let next = spawn_blocking_process(call!(power(4)));
        let workers: Vec<u32> = visitors.iter().map(|visitor| visitor.pid).collect();
        let ours = visitors.iter().find(|visitor| visitor.word == 2).unwrap().pid;
        for visitor in visitors {
            visitor.release().await;
        }
        assert_eq!(kept.await.unwrap(), ours);
        assert_eq!(next.await.unwrap(), 256);
        // Both live on: nothing was killed with the runtime.
        let again = spawn_blocking_process(call!(pid())).await.unwrap();
        assert!(workers.contains(&again), "{again} is one of {workers:?}");
    });
}

part! {
    /// Uses the global pool, and ends without a word to it.
    fn a_program_with_a_global_pool(gate: String) {
        runtime().block_on(async {
            let worker = spawn_blocking_process(call!(pid())).await.unwrap();
            let (word, gate_2) = (u64::from(worker), gate.clone());
            let _running = spawn_blocking_process(call!(wait_at(gate_2, 0)));
            visit(gate, word);
        });
    }
}

test! {
    async fn global_pool_ends_with_its_program() {
        let gate = Gate::new();
        let mut program = Part::start("a_program_with_a_global_pool", &gate.path());
        let (first, second) = (gate.arrival().await, gate.arrival().await);
        let (running, told) = if first.pid == program.pid() { (second, first) } else { (first, second) };
        let idle = told.word as u32;
        assert_eq!(parent_of(idle), Some(program.pid()));
        told.release().await;
        assert!(program.end().success());
        let busy = running.pid;
        running.gone().await;
        ended(busy).await;
        ended(idle).await;
    }
}

fn environment() -> Vec<(String, String)> {
    std::env::vars().collect()
}

fn directory() -> PathBuf {
    std::env::current_dir().unwrap()
}

fn value_of<'a>(found: &'a [(String, String)], key: &str) -> Option<&'a str> {
    found.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
}

test! {
    async fn workers_have_the_environment_they_are_given() {
        let here: Vec<(String, String)> = environment();
        let pool = Pool::builder().workers(1).env("PROCPOOL_X", "1").env("PROCPOOL_X", "2").env_remove("PATH").build();
        let pool = pool.unwrap();
        let found = pool.run(call!(environment())).await.unwrap();
        assert_eq!((value_of(&found, "PROCPOOL_X"), value_of(&found, "PATH")), (Some("2"), None));
        let others = |all: &[(String, String)]| {
            let mut names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
            names.retain(|name| name != "PROCPOOL_X" && name != "PATH");
            names.sort();
            names
        };
        assert_eq!(others(&found), others(&here), "nothing of ours is added, nothing is lost");
        pool.shutdown().await.unwrap();

        let pool = Pool::builder().workers(1).env("PROCPOOL_X", "3").env_clear().env("PROCPOOL_Y", "").build().unwrap();
        let mut found = pool.run(call!(environment())).await.unwrap();
        found.sort();
        let expected = [("PROCPOOL_X", "3"), ("PROCPOOL_Y", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn workers_run_in_the_directory_they_are_given() {
        let mine = directory();
        let pool = Pool::builder().workers(1).build().unwrap();
        assert_eq!(pool.run(call!(directory())).await.unwrap(), mine);
        pool.shutdown().await.unwrap();
        let pool = Pool::builder().workers(1).current_dir("/").build().unwrap();
        assert_eq!(pool.run(call!(directory())).await.unwrap(), Path::new("/"));
        assert_eq!(directory(), mine);
        pool.shutdown().await.unwrap();

        let pool = Pool::builder().workers(1).current_dir("/nowhere/at/all").build().unwrap();
        let error = pool.run(call!(directory())).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
        assert!(error.to_string().contains("No such file or directory"), "{error}");
        pool.shutdown().await.unwrap();
    }
}
