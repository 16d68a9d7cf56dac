# shellcheck shell=bash
# Crates outside the repository, as a user would write them. Sourced by .ci/run.

# outside_crate NAME [EDITION]: an empty crate, its dependencies from stdin, with our lock file, so
# that a release of somebody else's crate does not change what we test.
outside_crate() {
    local crate="$work/$1"
    mkdir -p "$crate/src"
    {
        printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "%s"\n\n' "$1" "${2:-2024}"
        cat
        printf '\n[workspace]\n'
    } >"$crate/Cargo.toml"
    cp Cargo.lock "$crate/"
}

outside_cargo() {
    local crate=$1
    shift
    (cd "$work/$crate" && timeout 900 cargo "$@")
}

# The first program of the README, word by word.
readme_program() {
    awk '
        /^```rust/ { on = 1; text = ""; next }
        on && /^```/ { on = 0; if (text ~ /fn main\(/) { printf "%s", text; exit } }
        on { text = text $0 "\n" }' README.md
}

new_user() {
    outside_crate new-user <<TOML
[dependencies]
procpool = { path = "$root/crates/procpool" }
tokio = { version = "1", features = ["full"] }
futures = "0.3"

[dev-dependencies]
procpool = { path = "$root/crates/procpool", features = ["test-harness"] }
TOML
    readme_program >"$work/new-user/src/main.rs"
    expect "a program in the README" test -s "$work/new-user/src/main.rs"
    mkdir -p "$work/new-user/tests"
    cat >"$work/new-user/tests/pool.rs" <<'RUST'
use procpool::{Pool, call};

fn power(x: u64) -> u128 {
    u128::from(x).pow(x as u32)
}

#[tokio::test]
async fn a_pool() {
    let pool = Pool::new().unwrap();
    assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
    pool.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_global_pool() {
    let ys = futures::future::join_all((1..=3).map(|x| procpool::spawn_blocking_process(call!(power(x))))).await;
    let ys: Vec<u128> = ys.into_iter().map(|y| y.unwrap()).collect();
    assert_eq!(ys, [1, 4, 27]);
}
RUST
    outside_cargo new-user run
    outside_cargo new-user test
}

# Where `init()` was not called, a pool is an error at once, and no process is started.
without_init() {
    outside_crate without-init <<TOML
[dependencies]
procpool = { path = "$root/crates/procpool" }
tokio = { version = "1", features = ["full"] }
TOML
    cat >"$work/without-init/src/main.rs" <<'RUST'
fn children() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default())
        .collect()
}

#[tokio::main]
async fn main() {
    let error = procpool::Pool::new().map(drop).expect_err("a pool without init()");
    println!("{error}");
    assert!(error.to_string().contains("init"), "it says what to add");
    assert_eq!(children(), "", "no process is started");
}
RUST
    outside_cargo without-init run
}

# The programs of the contract, where they lie beside the checkout.
contract() {
    local programs="$root/../shared/contract/src" edition program
    if [[ ! -d $programs ]]; then
        echo "no contract beside this checkout: left out"
        return 0
    fi
    for edition in 2021 2024; do
        outside_crate "contract-$edition" "$edition" <<TOML
[dependencies]
procpool = { path = "$root/crates/procpool" }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
tokio = { version = "1", features = ["full"] }
tokio-util = { version = "0.7", features = ["rt"] }
futures = "0.3"
TOML
        cp -r "$programs/." "$work/contract-$edition/src/"
        for program in calls futures tasks; do
            outside_cargo "contract-$edition" run -q --bin "$program"
        done
    done
}
