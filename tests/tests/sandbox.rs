//! Sandboxes: what tasks cannot do in them, and what they can.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, ErrorKind as Io, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use futures::StreamExt;
use procpool::queue::Sender;
use procpool::{Blob, ErrorKind, Limits, Pool, PoolErrorKind, Process, Sandbox, Started, Stdio, call};
use procpool_tests::{Part, part, test};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::runtime::Runtime;

fn fenced(sandbox: Sandbox) -> Pool {
    Pool::builder().workers(1).sandbox(sandbox).build().unwrap()
}

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("procpool-sandbox-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn with(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.at(name), text).unwrap();
        self.at(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Makes a system call, and gives its error's number; 0 for none.
fn attempt(number: i64, arguments: Vec<i64>) -> i32 {
    let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: the arguments that tests give are numbers, or addresses of nothing (0 or 1), which the kernel refuses.
    #[expect(unsafe_code, reason = "calls that std does not make")]
    let result = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if result == -1 { error_of(io::Error::last_os_error()) } else { 0 }
}

fn error_of(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

fn outcome<T>(result: io::Result<T>) -> i32 {
    result.map_or_else(error_of, |_| 0)
}

fn read(path: String) -> Result<String, i32> {
    fs::read_to_string(path).map_err(error_of)
}

fn write(path: String, text: String) -> i32 {
    outcome(fs::write(path, text))
}

fn execute(program: String) -> i32 {
    outcome(Command::new(program).status())
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

fn square(x: u64) -> u64 {
    x * x
}

fn sum_in_threads(numbers: Vec<u64>) -> u64 {
    let halves = numbers.split_at(numbers.len() / 2);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| halves.0.iter().sum::<u64>());
        first.join().unwrap() + halves.1.iter().sum::<u64>()
    })
}

fn count_bytes(blob: Blob) -> usize {
    blob.iter().filter(|byte| **byte == 7).count()
}

fn panics() {
    panic!("in a sandbox")
}

fn aborts() {
    std::process::abort()
}

fn variables() -> Vec<String> {
    std::env::vars().map(|(name, _)| name).collect()
}

fn is_open(fd: i32) -> bool {
    attempt(libc::SYS_fcntl, vec![fd.into(), libc::F_GETFD.into()]) == 0
}

fn connect(address: String) -> i32 {
    outcome(TcpStream::connect(address))
}

fn connect_locally(path: String) -> i32 {
    outcome(UnixStream::connect(path))
}

fn bind() -> i32 {
    outcome(UdpSocket::bind("127.0.0.1:0"))
}

fn open(path: String) -> i32 {
    outcome(File::open(path))
}

fn open_to_write(path: String) -> i32 {
    outcome(OpenOptions::new().write(true).open(path))
}

fn truncate(path: String) -> i32 {
    let path = CString::new(path).unwrap();
    // SAFETY: the name ends with a zero, and lives through the call.
    #[expect(unsafe_code, reason = "std truncates by descriptors only")]
    let result = unsafe { libc::truncate(path.as_ptr(), 0) };
    if result == -1 { error_of(io::Error::last_os_error()) } else { 0 }
}

fn rename(from: String, to: String) -> i32 {
    outcome(fs::rename(from, to))
}

fn remove(path: String) -> i32 {
    outcome(fs::remove_file(path))
}

fn change_by_path(path: String) -> i32 {
    outcome(fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
}

fn change_by_descriptor(path: String) -> i32 {
    outcome(File::open(path).unwrap().set_permissions(fs::Permissions::from_mode(0o600)))
}

/// Signals a child of its own, and then somebody else.
fn signals(somebody: u32) -> (i32, i32) {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let of_child = outcome(child.kill());
    child.wait().unwrap();
    (of_child, attempt(libc::SYS_kill, vec![somebody.into(), 0]))
}

/// Whether processes cannot be had, in what words, and what threads give.
fn nests() -> (bool, String, u64) {
    Runtime::new().unwrap().block_on(async {
        let error = Pool::new().unwrap_err();
        let process = Process::spawn(call!(square(1))).unwrap_err();
        let threads = Pool::builder().workers(1).in_process().build().unwrap();
        let value = threads.run(call!(square(9))).await.unwrap();
        let are_unsupported = [error.kind(), process.kind()] == [PoolErrorKind::Unsupported; 2];
        (are_unsupported, error.to_string(), value)
    })
}

fn reads_in_a_pool(path: String) -> (u64, Result<String, i32>) {
    Runtime::new().unwrap().block_on(async {
        let pool = Pool::new().unwrap();
        let value = pool.run(call!(square(5))).await.unwrap();
        (value, pool.run(call!(read(path))).await.unwrap())
    })
}

fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn produce(sender: Sender<u64>) {
    (0..100).for_each(|x| sender.send_blocking(x).unwrap());
}

/// In a runtime of its own: timers, threads, wake-ups.
fn waits() -> u64 {
    Runtime::new().unwrap().block_on(async {
        let timeout = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
        u64::from(timeout.is_err())
    })
}

fn hoards() -> usize {
    black_box(vec![1u8; 1 << 30]).len()
}

fn spins() {
    loop {
        black_box(0);
    }
}

fn speaks_and_aborts() {
    eprintln!("the last words");
    std::process::abort()
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

test! {
    async fn a_sandboxed_task_cannot_open_connect_execute_trace_or_signal() {
        let folder = Folder::new("all");
        let secret = path(&folder.with("secret", "42"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let local = path(&folder.at("socket"));
        let named = UnixListener::bind(&local).unwrap();
        let pool = fenced(Sandbox::compute_only());
        let me = i64::from(std::process::id());

        assert_eq!(pool.run(call!(parent())).await.unwrap(), std::process::id());
        assert_eq!(pool.run(call!(read(secret.clone()))).await.unwrap(), Err(libc::EACCES));
        assert_eq!(pool.run(call!(write(secret.clone(), "43".to_owned()))).await.unwrap(), libc::EACCES);
        assert_eq!(pool.run(call!(write(path(&folder.at("new")), String::new()))).await.unwrap(), libc::EACCES);
        let memory = format!("/proc/{me}/mem");
        assert_eq!(pool.run(call!(read(memory))).await.unwrap(), Err(libc::EACCES));
        assert_eq!(pool.run(call!(read("/proc/self/environ".to_owned()))).await.unwrap(), Err(libc::EACCES));
        assert_eq!(pool.run(call!(connect(address))).await.unwrap(), libc::EPERM);
        assert_eq!(pool.run(call!(bind())).await.unwrap(), libc::EPERM);
        assert_eq!(pool.run(call!(connect_locally(local))).await.unwrap(), libc::EPERM);
        assert_eq!(pool.run(call!(execute("/bin/true".to_owned()))).await.unwrap(), libc::EPERM);
        for (what, number, arguments) in [
            ("execve", libc::SYS_execve, vec![0, 0, 0]),
            ("fork", libc::SYS_clone, vec![libc::SIGCHLD.into()]),
            ("ptrace", libc::SYS_ptrace, vec![libc::PTRACE_ATTACH.into(), me]),
            ("process_vm_readv", libc::SYS_process_vm_readv, vec![me]),
            ("kill", libc::SYS_kill, vec![me, 0]),
            ("kill everybody", libc::SYS_kill, vec![-1, 0]),
            ("tgkill", libc::SYS_tgkill, vec![me, me, 0]),
            ("prlimit", libc::SYS_prlimit64, vec![me, libc::RLIMIT_NOFILE.into()]),
            ("setpriority", libc::SYS_setpriority, vec![libc::PRIO_PROCESS.into(), me, 19]),
            ("sched_setaffinity", libc::SYS_sched_setaffinity, vec![me]),
            ("a socket of datagrams", libc::SYS_socketpair, vec![libc::AF_UNIX.into(), libc::SOCK_DGRAM.into()]),
            ("io_uring", libc::SYS_io_uring_setup, vec![1]),
            ("unshare", libc::SYS_unshare, vec![libc::CLONE_NEWUSER.into()]),
            ("mount", libc::SYS_mount, vec![]),
            ("bpf", libc::SYS_bpf, vec![]),
            ("shared memory", libc::SYS_shmget, vec![1, 4096, 0o1666]),
            ("chmod", libc::SYS_fchmodat, vec![libc::AT_FDCWD.into(), 0, 0o777]),
            ("typing", libc::SYS_ioctl, vec![0, libc::TIOCSTI.cast_signed()]),
            ("owner of signals", libc::SYS_fcntl, vec![0, libc::F_SETOWN.into(), me]),
            ("setsid", libc::SYS_setsid, vec![]),
        ] {
            assert_eq!(pool.run(call!(attempt(number, arguments))).await.unwrap(), libc::EPERM, "{what}");
        }
        // Neither forbidden by name nor on the list.
        assert_eq!(pool.run(call!(attempt(libc::SYS_sched_rr_get_interval, vec![0, 0]))).await.unwrap(), libc::ENOSYS);
        assert_eq!(pool.run(call!(attempt(libc::SYS_clone3, vec![0, 0]))).await.unwrap(), libc::ENOSYS);
        // All of that has cost nothing: it is one worker's doing, and it is well.
        assert_eq!(pool.run(call!(square(12))).await.unwrap(), 144);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.failed, report.workers_started), (0, 1), "{report:?}");
        drop((listener, named));
    }
}

test! {
    async fn a_sandboxed_task_computes_as_any_other() {
        let pool = fenced(Sandbox::compute_only());
        assert_eq!(pool.run(call!(sum_in_threads((1..=100).collect()))).await.unwrap(), 5050);
        assert_eq!(pool.map(square, 0..5000).await.unwrap().iter().sum::<u64>(), (0..5000).map(square).sum::<u64>());
        let blob = Blob::copy_from(vec![7; 3 << 20]).unwrap();
        assert_eq!(pool.run(call!(count_bytes(blob))).await.unwrap(), 3 << 20);
        assert_eq!(pool.run(call!(echo(vec![1; 10 << 20]))).await.unwrap().len(), 10 << 20);
        let error = pool.run(call!(panics())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.to_string().contains("in a sandbox"), "{error}");
        let error = pool.run(call!(aborts())).await.unwrap_err();
        assert_eq!(error.exit().and_then(procpool::Exit::signal_name), Some("SIGABRT"), "{error}");
        assert_eq!(pool.run(call!(waits())).await.unwrap(), 1);
    }
}

test! {
    queues async fn queues_cross_the_fence() {
        let pool = fenced(Sandbox::compute_only());
        let (sender, receiver) = procpool::queue::bounded::<u64>(16);
            let task = pool.spawn(call!(produce(sender)));
        let mut sum = 0;
        while let Ok(value) = receiver.recv().await {
            sum += value;
        }
        task.await.unwrap();
        assert_eq!(sum, 4950);
    }
}

test! {
    async fn granted_paths_can_be_had_and_no_others() {
        let folder = Folder::new("granted");
        fs::create_dir(folder.at("in")).unwrap();
        fs::create_dir(folder.at("out")).unwrap();
        let (input, secret) = (folder.with("in/input", "data"), folder.with("secret", "42"));
        let file = folder.with("file", "one file");
        symlink(&secret, folder.at("in/link")).unwrap();
        let sandbox = Sandbox::compute_only()
            .allow_read(folder.at("in"))
            .allow_read(&file)
            .allow_read_write(folder.at("out"));
        let pool = fenced(sandbox);
        let read_it = async |name: &Path| pool.run(call!(read(path(name)))).await.unwrap();
        let write_it = async |name: &Path| pool.run(call!(write(path(name), "text".to_owned()))).await.unwrap();
        assert_eq!(read_it(&input).await.as_deref(), Ok("data"));
        assert_eq!(read_it(&file).await.as_deref(), Ok("one file"));
        assert_eq!(read_it(&secret).await, Err(libc::EACCES));
        assert_eq!(read_it(&folder.at("in/link")).await, Err(libc::EACCES));
        assert_eq!(read_it(&folder.at("in/../secret")).await, Err(libc::EACCES));
        for name in ["in/input", "in/new", "file", "secret"] {
            assert_eq!(write_it(&folder.at(name)).await, libc::EACCES, "{name}");
        }
        assert_eq!(write_it(&folder.at("out/new")).await, 0);
        assert_eq!(read_it(&folder.at("out/new")).await.as_deref(), Ok("text"));
        assert_eq!(pool.run(call!(truncate(path(&secret)))).await.unwrap(), libc::EACCES);
        let (from, to) = (path(&folder.at("out/new")), path(&folder.at("out/newer")));
        assert_eq!(pool.run(call!(rename(from, to))).await.unwrap(), 0);
        let (from, to) = (path(&folder.at("out/newer")), path(&folder.at("in/newer")));
        assert_ne!(pool.run(call!(rename(from, to))).await.unwrap(), 0);
        assert_eq!(pool.run(call!(remove(path(&input)))).await.unwrap(), libc::EACCES);
        // By its path no file's mode changes; by a descriptor that one may have, it does.
        assert_eq!(pool.run(call!(change_by_path(path(&secret)))).await.unwrap(), libc::EPERM);
        assert_eq!(pool.run(call!(change_by_descriptor(path(&folder.at("out/newer"))))).await.unwrap(), 0);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "42");
    }
}

test! {
    async fn read_only_reads_all_and_writes_nothing() {
        let folder = Folder::new("read-only");
        let file = folder.with("file", "data");
        let pool = fenced(Sandbox::read_only());
        assert_eq!(pool.run(call!(read(path(&file)))).await.unwrap().as_deref(), Ok("data"));
        assert_eq!(pool.run(call!(write(path(&file), String::new()))).await.unwrap(), libc::EACCES);
        assert_eq!(pool.run(call!(execute("/bin/true".to_owned()))).await.unwrap(), libc::EPERM);
        // Not even the parent's memory, which its user may read elsewhere.
        let memory = format!("/proc/{}/mem", std::process::id());
        assert_eq!(pool.run(call!(open(memory))).await.unwrap(), libc::EACCES);
    }
}

test! {
    async fn offline_runs_programs_that_are_offline_too() {
        let folder = Folder::new("offline");
        let pool = fenced(Sandbox::offline());
        assert_eq!(pool.run(call!(execute("/bin/true".to_owned()))).await.unwrap(), 0);
        assert_eq!(pool.run(call!(write(path(&folder.at("new")), String::new()))).await.unwrap(), 0);
        assert_eq!(pool.run(call!(bind())).await.unwrap(), libc::EPERM);
        // Its own children can be signalled, and nobody else.
        assert_eq!(pool.run(call!(signals(std::process::id()))).await.unwrap(), (0, libc::EPERM));
        let memory = format!("/proc/{}/mem", std::process::id());
        assert_eq!(pool.run(call!(open_to_write(memory))).await.unwrap(), libc::EACCES);
    }
}

test! {
    async fn a_pool_of_processes_in_a_sandbox_without_exec_is_an_error_that_says_so() {
        for (sandbox, words) in [
            (Sandbox::compute_only(), "(no_exec and no_new_processes)"),
            (Sandbox::new().no_exec(), "(no_exec)"),
            (Sandbox::new().no_new_processes(), "(no_new_processes)"),
        ] {
            let (are_unsupported, text, value) = fenced(sandbox).run(call!(nests())).await.unwrap();
            assert!(are_unsupported && value == 81, "{text}");
            assert!(text.contains(words) && text.contains("Pool::in_process()"), "{text}");
        }
    }
}

test! {
    async fn a_pool_in_a_sandbox_with_exec_is_in_that_sandbox_too() {
        let folder = Folder::new("nested");
        let secret = path(&folder.with("secret", "42"));
        let exe = std::env::current_exe().unwrap();
        let mut sandbox = Sandbox::new().allow_read(exe).no_network();
        for library in ["/lib", "/lib64", "/usr/lib"].iter().filter(|path| Path::new(path).exists()) {
            sandbox = sandbox.allow_read(library);
        }
        // What any program opens, and what the harness does.
        let sandbox = sandbox.allow_read("/etc").allow_read("/proc").allow_read_write("/dev/null");
        let pool = fenced(sandbox);
        assert_eq!(pool.run(call!(reads_in_a_pool(secret))).await.unwrap(), (25, Err(libc::EACCES)));
    }
}

static FOUND: Mutex<Option<(File, mpsc::Sender<mpsc::Sender<i32>>)>> = Mutex::new(None);

/// What an initialiser may do and tasks may not: it opens a socket, and starts a thread, which then is asked to.
fn prepare(model: String, secret: String) -> Result<(), String> {
    let (sender, receiver) = mpsc::channel::<mpsc::Sender<i32>>();
    std::thread::spawn(move || {
        while let Ok(reply) = receiver.recv() {
            reply.send(bind()).unwrap();
        }
    });
    drop(UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?);
    let status = Command::new("/bin/true").status().map_err(|error| error.to_string())?;
    if !status.success() || File::open(secret).map_err(|error| error.kind()).unwrap_err() != Io::PermissionDenied {
        return Err("more is forbidden than ought to be, or less".to_owned());
    }
    *FOUND.lock().unwrap() = Some((File::open(model).map_err(|error| error.to_string())?, sender));
    Ok(())
}

fn use_it() -> (String, i32, i32) {
    let mut found = FOUND.lock().unwrap();
    let (file, thread) = found.as_mut().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let (sender, receiver) = mpsc::channel();
    thread.send(sender).unwrap();
    (text, receiver.recv().unwrap(), bind())
}

test! {
    async fn init_may_what_tasks_may_not_and_its_threads_are_fenced_in_with_them() {
        let folder = Folder::new("init");
        let (model, secret) = (folder.with("model", "weights"), path(&folder.with("secret", "42")));
        // Executing takes more than one file, which is not what this is about.
        let mut sandbox = Sandbox::compute_only().allow_read(&model).allow_read("/bin").allow_read("/usr");
        for library in ["/lib", "/lib64", "/etc"].iter().filter(|path| Path::new(path).exists()) {
            sandbox = sandbox.allow_read(library);
        }
        let builder = Pool::builder().workers(1).sandbox(sandbox);
        let pool = builder.init(call!(prepare(path(&model), secret))).build().unwrap();
        let expected = ("weights".to_owned(), libc::EPERM, libc::EPERM);
        assert_eq!(pool.run(call!(use_it())).await.unwrap(), expected);
    }
}

test! {
    async fn a_state_is_made_before_the_fence_is_closed() {
        let builder = Pool::builder().workers(1).sandbox(Sandbox::compute_only());
        let pool = builder.build_with_state(|()| UdpSocket::bind("127.0.0.1:0").unwrap().as_raw_fd(), ()).unwrap();
        assert_eq!(pool.run(|socket: &mut i32, ()| (*socket > 2, bind()), ()).await.unwrap(), (true, libc::EPERM));
    }
}

test! {
    async fn the_environment_and_descriptors_are_dropped() {
        let leak = rustix::io::dup(io::stdin()).unwrap();
        assert!(!rustix::io::fcntl_getfd(&leak).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        let fd = leak.as_raw_fd();
        let open = Pool::builder().workers(1).env("SECRET", "x").build().unwrap();
        assert!(open.run(call!(is_open(fd))).await.unwrap());
        assert!(open.run(call!(variables())).await.unwrap().contains(&"SECRET".to_owned()));
        let pool = Pool::builder().workers(1).sandbox(Sandbox::compute_only()).env("WANTED", "x").build().unwrap();
        assert!(!pool.run(call!(is_open(fd))).await.unwrap());
        assert_eq!(pool.run(call!(variables())).await.unwrap(), ["WANTED"]);
        for standard in 0..3 {
            assert!(pool.run(call!(is_open(standard))).await.unwrap());
        }
    }
}

test! {
    async fn a_violation_ends_its_task_where_that_is_asked_for() {
        let pool = fenced(Sandbox::compute_only().kill_on_violation());
        for _ in 0..2 {
            for (number, arguments) in [
                (libc::SYS_clone, vec![libc::SIGCHLD.into()]),
                (libc::SYS_socket, vec![libc::AF_INET.into(), libc::SOCK_STREAM.into()]),
                (libc::SYS_ptrace, vec![]),
            ] {
                let error = pool.run(call!(attempt(number, arguments))).retries(2).await.unwrap_err();
                assert_eq!((error.kind(), error.started()), (ErrorKind::SandboxViolation, Started::Yes), "{error}");
                assert_eq!(error.exit().and_then(procpool::Exit::signal_name), Some("SIGSYS"));
                assert_eq!(error.attempts(), 1);
                assert!(error.to_string().contains("it made a system call that its sandbox forbids"), "{error}");
            }
            // What programs try all the time is refused as ever.
            assert_eq!(pool.run(call!(read("/etc/passwd".to_owned()))).await.unwrap(), Err(libc::EACCES));
            let error = call!(attempt(libc::SYS_sched_rr_get_interval, vec![0, 0]));
            assert_eq!(pool.run(error).await.unwrap(), libc::ENOSYS);
            assert_eq!(pool.run(call!(sum_in_threads(vec![1, 2]))).await.unwrap(), 3);
        }
        // A worker that somebody outside ends thus has violated nothing.
        let results: Vec<_> = pool.map(square, 0..500).collect().await;
        assert!(results.iter().all(Result::is_ok));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.crashed, report.retried), (6, 0));
    }
}

test! {
    async fn calls_can_be_added_to_the_list() {
        let call = vec![0, 0];
        let pool = fenced(Sandbox::new().only_syscalls([libc::SYS_sched_rr_get_interval]));
        let error = pool.run(call!(attempt(libc::SYS_sched_rr_get_interval, call.clone()))).await.unwrap();
        assert!(error != libc::ENOSYS && error != libc::EPERM, "{error}");
        // It is not on it, but no file is forbidden.
        assert_eq!(pool.run(call!(attempt(libc::SYS_socket, vec![1, 1]))).await.unwrap(), libc::ENOSYS);
        assert!(pool.run(call!(read("/etc/passwd".to_owned()))).await.unwrap().is_ok());
        // What is forbidden by name stays so.
        let pool = fenced(Sandbox::new().no_network().only_syscalls([libc::SYS_socket]));
        assert_eq!(pool.run(call!(attempt(libc::SYS_socket, vec![1, 1]))).await.unwrap(), libc::EPERM);
    }
}

test! {
    async fn limits_hold_in_a_sandbox() {
        let limits = Limits::new().memory(256 << 20).cpu_time(Duration::from_millis(300));
        let pool = Pool::builder().workers(1).sandbox(Sandbox::compute_only()).limits(limits).build().unwrap();
        assert_eq!(pool.run(call!(hoards())).await.unwrap_err().kind(), ErrorKind::MemoryLimit);
        let error = pool.run(call!(spins())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CpuLimit);
        assert_eq!(pool.run(call!(square(3))).await.unwrap(), 9);
    }
}

test! {
    async fn output_of_a_sandboxed_task_is_captured() {
        let pool = Pool::builder().workers(1).sandbox(Sandbox::compute_only()).stderr(Stdio::Capture).build().unwrap();
        let error = pool.run(call!(speaks_and_aborts())).await.unwrap_err();
        assert_eq!(error.stderr(), ["the last words"]);
    }
}

test! {
    async fn what_a_sandbox_cannot_be_is_an_error_of_the_builder() {
        let build = |sandbox: Sandbox| Pool::builder().sandbox(sandbox).build().unwrap_err();
        let error = build(Sandbox::new().allow_read("/there/is/no/such/file"));
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        assert!(error.to_string().contains("grants /there/is/no/such/file, which cannot be had"), "{error}");
        for wrong in [-1, 1 << 40, 0x4000_0001] {
            let error = build(Sandbox::new().only_syscalls([wrong]));
            assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
            assert!(error.to_string().contains(&wrong.to_string()), "{error}");
        }
        let error = Pool::builder().sandbox(Sandbox::new()).in_process().build().unwrap_err();
        assert!(error.to_string().contains("a sandbox is for processes"), "{error}");
        assert_eq!(Sandbox::compute_only().unsupported(), Vec::<String>::new());
        // With all that there is, it does all it should.
        let pool = fenced(Sandbox::compute_only().best_effort());
        assert_eq!(pool.run(call!(read("/etc/passwd".to_owned()))).await.unwrap(), Err(libc::EACCES));
        let pool = fenced(Sandbox::new().only_syscalls([]).best_effort());
        assert_eq!(pool.run(call!(attempt(libc::SYS_socket, vec![1, 1]))).await.unwrap(), libc::ENOSYS);
    }
}

test! {
    async fn a_path_that_goes_away_is_told_by_the_worker() {
        let folder = Folder::new("gone");
        let file = folder.with("file", "");
        let pool = fenced(Sandbox::compute_only().allow_read(&file).best_effort());
        fs::remove_file(&file).unwrap();
        let error = pool.run(call!(square(1))).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No), "{error}");
    }
}

/// Makes this thread, and those that it starts, one of a kernel without these calls.
fn take_away(calls: &[i64]) {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let filter: BpfProgram = SeccompFilter::new(rules, allow, refuse, arch).unwrap().try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

part! {
    /// Has pools on a kernel without Landlock, and then without seccomp as well.
    fn a_service_on_an_old_kernel(folder: String) {
        let mut lines = String::new();
        for missing in [libc::SYS_landlock_create_ruleset, libc::SYS_seccomp] {
            let line = std::thread::spawn(move || {
                take_away(match missing {
                    libc::SYS_seccomp => &[libc::SYS_landlock_create_ruleset, libc::SYS_seccomp],
                    _ => &[libc::SYS_landlock_create_ruleset],
                });
                Runtime::new().unwrap().block_on(async {
                    let strict = Pool::builder().sandbox(Sandbox::compute_only()).build().unwrap_err();
                    let lax = Pool::builder().workers(1).stderr(Stdio::Capture);
                    let pool = lax.sandbox(Sandbox::compute_only().best_effort()).build().unwrap();
                    let file = pool.run(call!(read("/etc/passwd".to_owned()))).await.unwrap().is_ok();
                    let socket = pool.run(call!(attempt(libc::SYS_socket, vec![1, 1]))).await.unwrap();
                    pool.shutdown().await.unwrap();
                    format!("{:?}: {strict}\n{file} {socket}\n", strict.kind())
                })
            });
            lines.push_str(&line.join().unwrap());
        }
        fs::write(Path::new(&folder).join("result"), lines).unwrap();
    }
}

test! {
    async fn what_the_kernel_cannot_do_is_an_error_unless_it_may_go_without() {
        let folder = Folder::new("old-kernel");
        let mut service = Part::start("a_service_on_an_old_kernel", &path(&folder.0));
        assert!(tokio::task::spawn_blocking(move || service.end()).await.unwrap().success());
        let result = fs::read_to_string(folder.at("result")).unwrap();
        let lines: Vec<_> = result.lines().collect();
        let files = "files cannot be kept from it, which needs Landlock of Linux 6.2";
        let calls = "system calls cannot be forbidden, which needs seccomp filters";
        assert!(lines[0].starts_with("Unsupported: this kernel cannot put up the sandbox: "), "{result}");
        assert!(lines[0].contains(files) && !lines[0].contains(calls), "{result}");
        assert!(lines[0].ends_with("Sandbox::best_effort() goes without that"), "{result}");
        // It reads what it should not, and opens no socket.
        assert_eq!(lines[1], format!("true {}", libc::EPERM));
        assert!(lines[2].contains(files) && lines[2].contains(calls), "{result}");
        assert_eq!(lines[3], "true 0");
    }
}
