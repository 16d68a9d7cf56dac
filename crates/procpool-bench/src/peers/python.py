# Answers the requests on stdin, one JSON value a line: helpers/request.rs.
import concurrent.futures, json, multiprocessing, os, signal, socket, struct, sys, time

CORES = len(os.sched_getaffinity(0))
FORK = multiprocessing.get_context("fork")
POOLS = {}
IDLE = []

def empty():
    pass

def tiny(x):
    return x + 1

def echo(data):
    return data

def burn(millis):
    end = time.thread_time() + millis / 1000
    while time.thread_time() < end:
        pass

def stuck(name):
    line = socket.socket(socket.AF_UNIX)
    line.connect("\0" + name)
    line.recv(1)

# One face for all: submit(f, x…) gives something whose result() waits.
class Pool:
    def __init__(self, workers):
        self.pool = FORK.Pool(workers)

    def submit(self, f, *args):
        handle = self.pool.apply_async(f, args)
        handle.result = handle.get
        return handle

    def map(self, f, items):
        return self.pool.map(f, items)

    def end(self):
        self.pool.terminate()
        self.pool.join()

class Executor:
    def __init__(self, workers):
        self.pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=FORK)

    def submit(self, f, *args):
        return self.pool.submit(f, *args)

    # Its default chunk is 1; nobody who is in a hurry leaves it so.
    def map(self, f, items):
        return list(self.pool.map(f, items, chunksize=1000))

    def end(self):
        self.pool.shutdown()

class Loky(Executor):
    def __init__(self, workers):
        import loky
        self.pool = loky.ProcessPoolExecutor(workers)

    def end(self):
        self.pool.shutdown(kill_workers=True)

MAKERS = {"multiprocessing": Pool, "concurrent.futures": Executor, "loky": Loky}

def pool(system):
    if system not in POOLS:
        POOLS[system] = MAKERS[system](CORES)
        POOLS[system].submit(empty).result()
    return POOLS[system]

def latency(system, calls):
    ours, values = pool(system), []
    for number in range(-(-calls // 10) + calls):
        start = time.perf_counter()
        ours.submit(empty).result()
        values.append((time.perf_counter() - start) * 1e6)
    return values[-calls:]

def calls(system, tasks):
    ours, start = pool(system), time.perf_counter()
    handles = [ours.submit(tiny, x) for x in range(tasks)]
    results = [handle.result() for handle in handles]
    took = time.perf_counter() - start
    assert results == list(range(1, tasks + 1))
    return [tasks / took]

def map_(system, tasks, times):
    ours, took = pool(system), 0.0
    for _ in range(times):
        start = time.perf_counter()
        results = ours.map(tiny, range(tasks))
        took += time.perf_counter() - start
        assert results == list(range(1, tasks + 1))
    return [tasks * times / took]

def echoes(system, bytes, calls):
    ours, data, values = pool(system), os.urandom(bytes), []
    for _ in range(calls):
        start = time.perf_counter()
        back = ours.submit(echo, data).result()
        values.append((time.perf_counter() - start) * 1e3)
    assert back == data
    return values

# What is resident besides, from the first time on.
BALLAST = {}

def fill(mib):
    if mib not in BALLAST:
        BALLAST[mib] = b"\1" * (mib << 20)

def start(system, mib):
    fill(mib)
    begin = time.perf_counter()
    ours = MAKERS[system](2)
    ours.submit(empty).result()
    took = (time.perf_counter() - begin) * 1e3
    ours.end()
    return [took]

def process(system, mib):
    assert system == "multiprocessing"
    fill(mib)
    begin = time.perf_counter()
    reader, writer = FORK.Pipe(False)
    child = FORK.Process(target=lambda: writer.send(None))
    child.start()
    reader.recv()
    child.join()
    return [(time.perf_counter() - begin) * 1e3]

def death(system, spares):
    # multiprocessing.Pool would wait for ever; the others have no spares.
    assert system != "multiprocessing" and spares == 0
    listener = socket.socket(socket.AF_UNIX)
    # The kernel finds a name that nobody has.
    listener.bind("")
    listener.listen()
    name = listener.getsockname()[1:].decode()
    ours = MAKERS[system](1)
    handle = ours.submit(stuck, name)
    victim, _ = listener.accept()
    pid, _, _ = struct.unpack("3i", victim.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    try:
        handle.result()
        assert False, "a task that was killed ended well"
    except concurrent.futures.process.BrokenProcessPool:
        error = (time.perf_counter() - begin) * 1e3
    # The pool is lost: only a new one goes on.
    fresh = MAKERS[system](1)
    fresh.submit(empty).result()
    following = (time.perf_counter() - begin) * 1e3
    ours.end()
    fresh.end()
    return [error, following]

def parallel(system, tasks, millis):
    ours, begin = pool(system), time.perf_counter()
    for handle in [ours.submit(burn, millis) for _ in range(tasks)]:
        handle.result()
    return [(time.perf_counter() - begin) * 1e3]

def idle(system):
    ours = MAKERS[system](2)
    for handle in [ours.submit(burn, 20) for _ in range(2)]:
        handle.result()
    IDLE.append(ours)
    return []

WORKS = {"latency": latency, "calls": calls, "map": map_, "echo": echoes, "start": start, "process": process,
         "death": death, "parallel": parallel, "idle": idle}

for line in sys.stdin:
    request = json.loads(line)
    try:
        reply = {"values": WORKS[request.pop("work")](request.pop("system"), **request)}
    except Exception as error:
        reply = {"error": repr(error)}
    print(json.dumps(reply), flush=True)
for ours in [*POOLS.values(), *IDLE]:
    ours.end()
