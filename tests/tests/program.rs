//! Workers that run another program, which knows registered tasks by name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procpool::{ErrorKind, Pool, PoolBuilder, PoolErrorKind, RunError, Started, Stdio, Task, call};
use procpool_tests::registered::{Changed, Pick, Remember, Remembered, Stay, boom, crash, cube, whoami};
use procpool_tests::tasks::{power, same};
use procpool_tests::{Gate, children_of, test, watched};
use serde::{Deserialize, Serialize};

const WORKER: &str = env!("CARGO_BIN_EXE_program_worker");
const STRANGER: &str = env!("CARGO_BIN_EXE_program_stranger");
const IMPOSTER: &str = env!("CARGO_BIN_EXE_program_imposter");

fn builder(program: impl Into<PathBuf>) -> PoolBuilder {
    Pool::builder().workers(1).program(program)
}

fn pool(program: impl Into<PathBuf>) -> Pool {
    watched(builder(program).build().unwrap())
}

test! {
    async fn registered_tasks_run_in_the_other_program() {
        let pool = watched(builder(WORKER).workers(2).build().unwrap());
        pool.ready().await.unwrap();
        assert_eq!(pool.run(cube { x: 3 }).await.unwrap(), 27);
        let (program, pid, depth) = pool.run(whoami {}).await.unwrap();
        assert_eq!((&*program, depth), ("program_worker", 1));
        assert!(children_of(std::process::id()).contains(&pid));
        let cubes = pool.run_all((0..100).map(|x| cube { x })).await.unwrap();
        assert_eq!(cubes, (0..100).map(|x| x * x * x).collect::<Vec<u64>>());
        assert_eq!(pool.spawn(cube { x: 2 }).await.unwrap(), 8);
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

test! {
    async fn what_goes_wrong_in_the_other_program_is_told_as_ever() {
        let gate = Gate::new();
        let pool = watched(builder(WORKER).stderr(Stdio::Capture).build().unwrap());
        let error = pool.run(boom { text: "no luck".into() }).await.unwrap_err();
        assert_eq!(error.panic().map(|panic| panic.message()), Some("no luck"));
        let error = pool.run(crash { last_words: "bye".into() }).await.unwrap_err();
        assert_eq!((error.kind(), error.stderr()), (ErrorKind::WorkerDied, &["bye".to_string()][..]));
        let task = pool.spawn(Stay { gate: gate.path() });
        gate.arrival().await.release().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(pool.run(cube { x: 3 }).await.unwrap(), 27);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn init_and_exit_jobs_are_registered_tasks_too() {
        let pool = watched(builder(WORKER).init(Remember { x: 7 }).exit(Remember { x: 8 }).build().unwrap());
        assert_eq!(pool.run(Remembered {}).await.unwrap(), 7);
        pool.shutdown().await.unwrap();
        let pool = watched(builder(WORKER).init(Remember { x: 0 }).build().unwrap());
        let error = pool.run(Remembered {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartFailed);
        assert!(error.to_string().contains("0 is not remembered"), "{error}");
        pool.shutdown().await.unwrap();

        let error = builder(WORKER).init(call!(nothing())).build().map(drop).unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        assert!(error.to_string().contains("#[procpool::task]"), "{error}");
        // The stranger does not have it: that is its initialiser's failure.
        let pool = watched(builder(STRANGER).init(Remember { x: 7 }).build().unwrap());
        let error = pool.ready().await.unwrap_err();
        assert!(error.to_string().contains("`tests.remember`"), "{error}");
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn shared_values_reach_the_other_program_and_states_are_refused() {
        let pool = pool(WORKER);
        let numbers = pool.shared((0..1000u64).map(|x| x * x).collect::<Vec<_>>()).unwrap();
        for at in [3, 999] {
            assert_eq!(pool.run(Pick { numbers: numbers.clone(), at }).await.unwrap(), (at * at) as u64);
        }
        drop(numbers);
        pool.shutdown().await.unwrap();
        let error = builder(WORKER).build_with_state(|x: u64| x, 7).map(drop).unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        assert!(error.to_string().contains("`init` job"), "{error}");
    }
}

fn nothing() {}

#[derive(Serialize, Deserialize)]
struct ByHand;

impl Task for ByHand {
    type Output = ();

    fn run(self) {}
}

#[procpool::task]
fn twice<T: Clone>(x: T) -> (T, T) {
    (x.clone(), x)
}

test! {
    async fn what_is_not_registered_is_refused_with_advice() {
        let pool = pool(WORKER);
        let refused = |error: RunError, advice: &str| {
            assert_eq!((error.kind(), error.started(), error.pid()), (ErrorKind::UnknownCode, Started::No, None));
            let text = error.to_string();
            assert!(text.contains("#[procpool::task]") && text.contains(advice), "{text}");
        };
        refused(pool.run(call!(power(4))).await.unwrap_err(), "`pool.run(f { .. })`");
        refused(pool.spawn(call!(power(4))).await.unwrap_err(), "`pool.run(f { .. })`");
        refused(pool.map(power, [4, 5]).await.unwrap_err(), "`run_all`");
        refused(pool.map_with(3u8, |_, x: u8| same(x), [4]).await.unwrap_err(), "`run_all`");
        refused(pool.run(ByHand).await.unwrap_err(), "concrete wrapper");
        refused(pool.run(twice { x: 4u8 }).await.unwrap_err(), "concrete wrapper");
        assert_eq!(children_of(std::process::id()).len(), 0, "nothing was started for it");
        assert_eq!(pool.run(cube { x: 3 }).await.unwrap(), 27);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_worker_of_another_version_names_the_task() {
        let pool = pool(STRANGER);
        let error = pool.run(cube { x: 3 }).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::UnknownCode, Started::No));
        let text = error.to_string();
        assert!(text.contains("`procpool_tests::registered::cube`") && text.contains("`tests.changed`"), "{text}");
        let first = error.pid().unwrap();
        let error = pool.run(Changed { x: 3 }).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::UnknownCode, Started::No));
        let text = error.to_string();
        for part in ["`tests.changed`", "program_stranger.rs", "another version"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(error.pid(), Some(first), "the worker lives on");
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn another_version_of_procpool_is_told_with_both_numbers() {
        let pool = pool(IMPOSTER);
        let error = pool.run(cube { x: 3 }).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
        assert!(error.to_string().contains("it speaks protocol 99, this side 1:"), "{error}");
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_program_that_is_no_worker_is_told() {
        // `cat` would wait for ever; the others are found out at once.
        let script = std::env::temp_dir().join(format!("procpool-{}-script", std::process::id()));
        std::fs::write(&script, "#!/bin/sh\nexit 3\n").unwrap();
        let executable: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, executable).unwrap();
        let script = script.to_str().unwrap();
        for (program, why) in [
            ("/bin/true", "it ended before it said hello"),
            ("/bin/false", "exit code 1"),
            (script, "exit code 3"),
            ("/bin/cat", "it was not up within 100ms"),
            ("/nonexistent/worker", "No such file"),
            ("no-such-program-anywhere", "No such file"),
            ("/", "ermission denied"),
            ("/etc/passwd", "ermission denied"),
            ("", "No such file"),
        ] {
            let limit = Duration::from_millis(if program == "/bin/cat" { 100 } else { 30_000 });
            let pool = builder(program).start_timeout(limit).stdout(Stdio::Null).build().unwrap();
            let error = pool.run(cube { x: 3 }).await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No), "{program}");
            let text = error.to_string();
            assert!(text.contains(why) && text.contains(&format!("program `{program}`")), "{program}: {text}");
            let report = pool.shutdown().await.unwrap();
            assert!(report.workers_started <= 4, "{program}: {report:?}");
        }
        std::fs::remove_file(script).unwrap();
    }
}

test! {
    async fn a_relative_path_starts_at_this_programs_directory() {
        let folder = Path::new(WORKER).parent().unwrap();
        std::env::set_current_dir(folder).unwrap();
        for path in ["./program_worker".into(), Path::new("..").join(folder.file_name().unwrap()).join("program_worker")] {
            let pool = watched(builder(path).current_dir("/").build().unwrap());
            assert_eq!(pool.run(cube { x: 3 }).await.unwrap(), 27);
            pool.shutdown().await.unwrap();
        }
    }
}

#[test]
fn a_worker_that_is_started_by_hand_says_what_it_is_for() {
    let output = Command::new(WORKER).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{text}");
    assert!(text.contains("program_worker") && text.contains("Pool::builder().program(..)"), "{text}");
}

test! {
    async fn threads_run_registered_tasks_themselves() {
        let pool = builder("/nonexistent/worker").in_process().build().unwrap();
        assert_eq!(pool.run(cube { x: 3 }).await.unwrap(), 27);
        assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        pool.shutdown().await.unwrap();
    }
}
