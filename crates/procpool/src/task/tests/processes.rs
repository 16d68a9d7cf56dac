//! Offsets hold in another process that runs the same executable, wherever the kernel put it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use super::loopback::Sent;
use crate::task::{Steps, WireEntry, build_id, map_parts};
use crate::{Job, call};

const ENTRY: &str = "PROCPOOL_TEST_ENTRY";
const ARGUMENTS: &str = "PROCPOOL_TEST_ARGUMENTS";

fn describe(name: &str, n: u64) -> String {
    format!("{name} {n}")
}

#[procpool::task]
fn doubled(x: u64) -> u64 {
    x * 2
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("works"), 16).expect("works"))
        .collect()
}

/// Runs in the other process; an ordinary run of the tests gives it nothing to do.
#[test]
fn the_other_process() {
    let Ok(entry) = std::env::var(ENTRY) else {
        return;
    };
    let entry = WireEntry::from_bytes(&from_hex(&entry)).expect("works");
    let mut reply = Vec::new();
    let arguments = from_hex(&std::env::var(ARGUMENTS).expect("works"));
    entry.resolve().expect("the entry is whole").run(&arguments, &mut reply, Steps(None)).expect("works");
    let place = describe as *const () as usize;
    let build_id = hex(build_id().unwrap_or_default());
    writeln!(std::io::stdout(), "reply={} place={place:x} build_id={build_id}.", hex(&reply)).expect("works");
}

fn field<'a>(output: &'a str, name: &str) -> &'a str {
    let (_, rest) = output.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {output}"));
    rest.split([' ', '.']).next().expect("works")
}

/// Runs it in a new process; also says where a function lay there.
fn run_elsewhere<R>(sent: &Sent<R>) -> (R, String) {
    let name = concat!(module_path!(), "::the_other_process");
    let name = name.split_once("::").expect("works").1;
    let output = Command::new(std::env::current_exe().expect("works"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ENTRY, hex(&sent.entry.to_bytes()))
        .env(ARGUMENTS, hex(&sent.arguments))
        .output()
        .expect("works");
    let text = String::from_utf8(output.stdout).expect("works");
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(field(&text, "build_id"), hex(build_id().unwrap_or_default()));
    (sent.decode(&from_hex(field(&text, "reply"))), field(&text, "place").to_owned())
}

fn job<J: Job>(job: J) -> J::Output {
    run_elsewhere(&Sent::job(job)).0
}

#[test]
fn tasks_calls_and_maps_are_found_in_another_process() {
    let name = String::from("bob");
    assert_eq!(job(call!(describe(&name, 3))), "bob 3");
    assert_eq!(job(doubled { x: 4 }), 8);
    assert_eq!(run_elsewhere(&Sent::parts(map_parts(|x: u64| x + 1, 4))).0, 5);
}

#[test]
fn the_kernel_places_each_process_elsewhere() {
    let randomised =
        std::fs::read_to_string("/proc/sys/kernel/randomize_va_space").is_ok_and(|text| text.trim() != "0");
    let sent = Sent::job(doubled { x: 1 });
    let places: std::collections::HashSet<_> = (0..4).map(|_| run_elsewhere(&sent).1).collect();
    // Else the tests above show less than they say.
    assert!(places.len() > 1 || !randomised, "{places:?}");
}
