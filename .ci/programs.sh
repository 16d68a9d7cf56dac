# shellcheck shell=bash
# The examples and the benchmark: what they print is checked. Sourced by .ci/run.

# Builds an example once and runs it; a hang is a failure.
example() {
    local name=$1
    shift
    cargo build -q --locked --release -p procpool-examples --example "$name"
    timeout 120 "$CARGO_TARGET_DIR/release/examples/$name" "$@"
}

expect() {
    local what=$1
    shift
    "$@" || {
        echo "expected: $what"
        return 1
    }
}

quickstart() {
    local command
    command=$(readme_command 'cargo run --release --example quickstart')
    echo "from the README: $command"
    timeout 900 bash -c "$command"
    expect "the README's first program" cmp <(readme_program) examples/quickstart.rs
}

tutorial_process() {
    local out="$work/tutorial_process.txt"
    example tutorial_process | tee "$out"
    expect "four numbers in [0, 1), one a line" awk '
        !/^[0-9]+(\.[0-9]+)?(e-[0-9]+)?$/ || $1 < 0 || $1 >= 1 { bad = 1 }
        END { exit bad || NR != 4 }' "$out"
    expect "four different numbers" test "$(sort -u "$out" | wc -l)" = 4
}

tutorial_pool() {
    local out="$work/tutorial_pool.txt" line
    example tutorial_pool | tee "$out"
    for line in \
        '[256, 4, 27, 3125, 27, 4, 1, 4]' \
        '[256, 46656, 3125, 256, 46656, 27, 20880467999847912034355032910567, 256, 46656]'; do
        expect "the line $line, once" test "$(grep -cFx -- "$line" "$out")" = 1
    done
    for line in 256 4 27; do
        expect "$line, printed by a worker" grep -qwF -- "$line" <(grep -v '^\[' "$out")
    done
    expect "worker names that repeat" test -n "$(grep -oE 'worker-[0-9]+' "$out" | sort | uniq -d)"
}

tutorial_queue() {
    local out="$work/tutorial_queue.txt"
    example tutorial_queue | tee "$out"
    expect "one line, a list of four numbers in [0, 1)" awk '
        !/^\[.*\]$/ { bad = 1 }
        {
            n = split(substr($0, 2, length($0) - 2), numbers, ", ")
            if (n != 4) bad = 1
            for (; n > 0; n--)
                if (numbers[n] !~ /^[0-9]+(\.[0-9]+)?(e-[0-9]+)?$/ || numbers[n] < 0 || numbers[n] >= 1) bad = 1
        }
        END { exit bad || NR != 1 }' "$out"
}

# 10,000 files in a few shapes, one over 1 GiB, and names that sha256sum escapes.
digest_tree() {
    local tree=$1 d
    mkdir -p "$tree"/{00..99}
    for d in "$tree"/{00..99}; do
        seq -f "%04g of $d" 1 10000 | split -l 100 -a 2 - "$d/file-"
    done
    : >"$tree/empty"
    printf x >"$tree/00.before-the-directory-in-byte-order"
    printf x >"$tree/with space and ünï"
    printf x >"$tree/-dash"
    printf x >"$tree/back\\slash"
    printf x >"$tree/new"$'\n'"line"
    printf x >"$tree/not-utf8-"$'\xff'
    head -c 3000000 /dev/urandom >"$tree/random"
    truncate -s 1100M "$tree/sparse" && printf end >>"$tree/sparse"
}

digest() {
    local tree="$work/tree" seen="$work/digest.txt" wanted="$work/sha256sum.txt"
    digest_tree "$tree"
    echo "$(find "$tree" -type f -printf . | wc -c) files"
    find "$tree" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum -- >"$wanted"
    example digest "$tree" >"$seen"
    expect "byte for byte what sha256sum prints" cmp "$wanted" "$seen"
    if command -v script >/dev/null; then # the progress bar shows on a terminal only
        script -qec "'$CARGO_TARGET_DIR/release/examples/digest' '$tree' >'$work/again.txt'" "$work/progress.txt" >/dev/null
        expect "a progress bar on stderr" grep -q '[0-9]/[0-9]' "$work/progress.txt"
        expect "the same lines as before" cmp "$wanted" "$work/again.txt"
    fi
    # Without an argument: this repository's sources.
    example digest 2>/dev/null >"$seen"
    expect "at least ten sources" test "$(wc -l <"$seen")" -ge 10
    sha256sum --check --quiet --strict "$seen"
}

# A file that cannot be read is named at the end, and the others are hashed.
digest_failures() {
    local tree="$work/unreadable" program="$work/digest" status=0 as=()
    mkdir -p "$tree"
    printf 1 >"$tree/a"
    printf 2 >"$tree/secret"
    printf 3 >"$tree/z"
    chmod 000 "$tree/secret"
    chmod 755 "$work" "$tree"
    cargo build -q --locked --release -p procpool-examples --example digest
    cp "$CARGO_TARGET_DIR/release/examples/digest" "$program"
    if [[ $(id -u) == 0 ]]; then # who may read everything
        command -v setpriv >/dev/null || {
            echo "no setpriv to give up root with: left out"
            return 0
        }
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    fi
    (cd "$work" && timeout 60 "${as[@]}" "$program" "$tree" >seen 2>errors) || status=$?
    cat "$work/errors"
    expect "exit code 1" test "$status" = 1
    expect "the file and why" grep -qE "$tree/secret.*[Pp]ermission denied" "$work/errors"
    (cd "$tree" && sha256sum "$tree/a" "$tree/z") | expect "the others" cmp - "$work/seen"
}

# Errors as a user reads them. After each of the five the pool works, which the example asserts.
deadline() {
    local out="$work/deadline.txt" word
    example deadline 2>&1 | tee "$out"
    for word in 'time' 'SIGSEGV' 'stack' 'panic' 'exit'; do
        expect "a word about $word" grep -qi -- "$word" "$out"
    done
}

# Six errors, each with the kind that it should have; the host's memory and processes are looked at by the example.
hostile() {
    local out="$work/hostile.txt" kind
    example hostile | tee "$out"
    for kind in 'MemoryLimit 2' 'TimedOut 1' 'WorkerDied 2' 'SandboxViolation 1'; do
        expect "$kind times" test "$(grep -c "^  ${kind% *}: " "$out")" = "${kind#* }"
    done
    expect "the last line" grep -qx '6 of 6 ended as they should' "$out"
}

# A corpus of at least 1 GiB, made of this repository's sources.
corpus() {
    local dir=$1 one="$1/one" size copies copy
    mkdir -p "$dir"
    find "$root/crates" "$root/docs" "$root/examples" "$root/tests" "$root/README.md" -type f -print0 |
        LC_ALL=C sort -z | xargs -0 cat -- >"$one"
    size=$(stat -c %s "$one")
    copies=$(((300 << 20) / size + 1))
    for copy in big-1 big-2 big-3; do
        seq "$copies" | while read -r _; do cat -- "$one"; done >"$dir/$copy"
    done
    mkdir "$dir/small"
    for copy in $(seq 128); do
        cp "$one" "$dir/small/$copy"
    done
}

wordcount() {
    local out="$work/wordcount.txt" dir="$work/corpus" size
    example wordcount --check "$root" | tee "$out"
    expect "equal on this repository" grep -qx 'check: equal' "$out"
    example wordcount --check --piece 100 "$root/crates/procpool/src/lib.rs" | tee "$out"
    expect "equal in tiny pieces" grep -qx 'check: equal' "$out"
    corpus "$dir"
    size=$(du -sb "$dir" | cut -f1)
    expect "a corpus of 1 GiB" test "$size" -ge $((1 << 30))
    example wordcount --check "$dir" | tee "$out"
    expect "equal on $size bytes" grep -qx 'check: equal' "$out"
    rm -r "$dir"
}

pipeline() {
    local out="$work/pipeline.txt" corpus="$work/texts" copy
    example pipeline --check | tee "$out"
    expect "equal on this repository's sources" grep -qx 'check: both answers are equal' "$out"
    expect "twenty identifiers" test "$(grep -cE '^ *[0-9]+ in +[0-9]+ files  [A-Za-z_]' "$out")" = 20
    mkdir "$corpus"
    for copy in $(seq 20); do
        cp -r "$root/crates" "$corpus/$copy"
    done
    # A file larger than a fragment, and one that is empty.
    find "$root/crates" -name '*.rs' -exec cat {} + >"$corpus/all"
    : >"$corpus/empty"
    example pipeline --check --parsers 3 --top 3 "$corpus" | tee "$out"
    expect "equal on more" grep -qx 'check: both answers are equal' "$out"
    rm -r "$corpus"
}

cpu_bound() {
    local out="$work/cpu_bound.txt" word
    example cpu_bound | tee "$out"
    for word in '^alone ' '^threads .* times as fast$' '^processes .* times as fast$' '^all three agree'; do
        expect "a line $word" grep -q -- "$word" "$out"
    done
}

# What it prints is asserted inside; the counts are for the reader.
retry() {
    local out="$work/retry.txt"
    example retry 2>/dev/null | tee "$out"
    expect "the last line" grep -qx '6 tasks: 2 values, 3 crashes, 4 attempts more' "$out"
}

# The answers are compared inside.
state() {
    local out="$work/state.txt"
    example state 2>/dev/null | tee "$out"
    expect "five corrections" test "$(grep -c ' → ' "$out")" = 5
    expect "a worker's own count" grep -qE '^process [0-9]+ was asked [0-9]+ times and looked up [0-9]+ words$' "$out"
    expect "the last line" grep -qx "2102 tasks, 2101 values: equal to one process's" "$out"
}

# A package of its own, tested alone, so that no other package's features help it.
test_harness() {
    local out="$work/test_harness.txt"
    timeout 900 cargo test -q --locked -p procpool-example-test-harness
    timeout 900 cargo run -q --locked -p procpool-example-test-harness -- "1 + 2" crash "3 + x" | tee "$out"
    expect "a sum" grep -qx '1 + 2 = 3' "$out"
    expect "a crash" grep -q '^crash: .*SIGABRT' "$out"
    expect "what is wrong" grep -q '^3 + x: ' "$out"
}

# How fast is a matter of the machine, and looked at by the benchmark.
blob() {
    local out="$work/blob.txt"
    example blob 16 | tee "$out"
    expect "the time of a Blob" grep -qE '^16 MiB to a worker .* [0-9.]+ ms as a Blob$' "$out"
    expect "the time of a Vec<u8>" grep -qE '^16 MiB to a worker .* [0-9.]+ ms as a Vec<u8>$' "$out"
    expect "what was found" grep -qE '^GATTAC was found [1-9][0-9]+ times$' "$out"
}

# A map with a slow consumer: memory stays where it was. (The whole ten million take minutes.)
flat_memory() {
    local out="$work/flat_memory.txt"
    example flat_memory --items 300000 | tee "$out"
    expect "memory before, on the way and at the end" test "$(grep -c 'MiB' "$out")" = 12
}

check_bench() {
    expect "a whole picture" test "$(tail -n 1 "$2")" = "</svg>"
    if command -v python3 >/dev/null; then
        python3 - "$1" <<'PYTHON'
import json, os, sys

rows = json.load(open(sys.argv[1]))
fields = {"workload": str, "variant": str, "system": str, "metric": str, "unit": str,
          "median": (int, float), "min": (int, float), "max": (int, float), "rounds": int}
assert isinstance(rows, list) and rows, "an array of results"
for row in rows:
    assert set(row) == set(fields), f"other fields: {row}"
    for name, kind in fields.items():
        assert isinstance(row[name], kind), f"{name}: {row}"
    # An idle pool has no wake-ups; nothing else is free.
    least = 0 if row["metric"] == "wakeups_per_second" else sys.float_info.min
    assert least <= row["min"] <= row["median"] <= row["max"] and row["rounds"] > 0, f"numbers: {row}"

def systems(workload, variant, metric):
    return {row["system"] for row in rows if (row["workload"], row["variant"], row["metric"]) == (workload, variant, metric)}

threads, spawned, python = {"tokio_spawn_blocking"}, {"procspawn"}, {"multiprocessing", "concurrent.futures"}
spinning = {"limit_spinning"} if len(os.sched_getaffinity(0)) > 1 else set()
wanted = {}
for variant in ("spawned-mt", "spawned-ct", "block_on-mt", "block_on-ct", "pinned"):
    for metric in ("p50", "p99"):
        wanted["W1", variant, metric] = {"limit"} | (threads if variant != "pinned" else set())
        if variant == "spawned-mt":
            wanted["W1", variant, metric] |= spawned | python | {"ipc-channel"} | spinning
for variant in ("join_all-mt", "join_all-ct", "spawn-mt"):
    wanted["W2", variant, "per_second"] = threads | spawned | python
wanted["W2", "map", "per_second"] = threads | python
for variant in ("1KiB", "64KiB", "1MiB", "16MiB", "64MiB"):
    wanted["W3", variant, "ms"] = threads | spawned | python | {"ipc-channel"}
wanted["W3", "64MiB-blob", "ms"] = set()
for variant in ("small", "1GiB"):
    wanted["W4", variant, "ms"] = spawned | python | {"ipc-channel", "limit"}
    wanted["W4", f"process-{variant}", "ms"] = spawned | {"limit", "multiprocessing"}
for variant in (f"{size}-{ways}" for size in ("8B", "1KiB", "64KiB") for ways in ("1to1", "2to2", "4to1", "1to4")):
    for metric in ("per_second", "gigabytes_per_second"):
        wanted["W5", variant, metric] = {"async_channel_threads", "multiprocessing"}
        wanted["W5", variant, metric] |= {"ipc-channel"} if variant.endswith("to1") else set()
for variant in ("error", "next"):
    wanted["W6", variant, "ms"] = spawned | {"concurrent.futures"}
wanted["W6", "next-spare", "ms"] = set()
wanted["W7", "20ms", "ratio_to_ideal"] = threads | spawned | python
for metric in ("wakeups_per_second", "pss_mib"):
    wanted["W8", "idle", metric] = spawned | python
for metric in ("p50", "p99"):
    wanted["W9", "short", metric] = threads | {"limit"}
wanted["W9", "short", "ratio_to_ideal"] = threads
for figure, others in wanted.items():
    missing = ({"procpool"} | others) - systems(*figure)
    assert not missing, f"{figure} without {missing}"
print(f"{len(rows)} results of the right shape")
PYTHON
    else
        local word
        for word in workload variant system metric unit median min max rounds W{1..9} procpool spawn_blocking procspawn ipc-channel limit; do
            expect "$word in the JSON" grep -qF -- "$word" "$1"
        done
    fi
}
