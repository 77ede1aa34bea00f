"""The first program inside the sandbox: takes on the limits, then runs solution and tests.

It is a text, because it only ever runs there, passed on the command line, so that no file of ours
needs to be visible inside. Its speech on the channel, whose other end `supervision` holds:

    inside -> outside   lines: `started`, `ready` (the solution has run), `passed NONCE`,
                        `failed REASON`, `memory REASON`
    outside -> inside   parts of four bytes of length and that many of content: the solution at the
                        start, then after `ready` the tests and the nonce

The nonce is read only after the last test has run, so that neither the solution's text nor the
memory of the process holds it before. What this does not stop is named in `bubblewrap`.
"""

from __future__ import annotations

__all__ = ["HARNESS"]

HARNESS = r"""
import builtins, os, resource, sys

def main(channel, name, user, cpu, memory, disk, processes):
    read, write, leave, own, own_id = os.read, os.write, os._exit, os.getpid, os.getpid()
    run, prepare, kept = exec, compile, dict(vars(builtins))
    texts = {}

    def say(word, text=""):
        line = " ".join([word, *str(text).split()]).encode("utf-8", "replace")[:1000] + b"\n"
        while line:
            line = line[write(channel, line):]

    def take():
        def exactly(size):
            content = b""
            while len(content) < size:
                more = read(channel, min(size - len(content), 2**20))
                if not more:
                    leave(3)
                content += more
            return content
        return exactly(int.from_bytes(exactly(4), "big")).decode("utf-8", "surrogatepass")

    def flush():
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass

    def explain(error):
        place, trace = "", error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file in texts:
                lines = texts[file].split("\n")
                line = lines[trace.tb_lineno - 1].strip() if trace.tb_lineno <= len(lines) else ""
                place = f" in line {trace.tb_lineno} of the {file[1:-1]}: {line[:200]}"
            trace = trace.tb_next
        try:
            text = str(error)[:300]
        except BaseException:
            text = "(without a message)"
        return f"{type(error).__name__}{': ' if text else ''}{text}{place}"

    def perform(text, label, space):
        texts[label] = text
        try:
            run(prepare(text, label, "exec", 0, True), space)
        except MemoryError as error:
            ending = "memory", explain(error)
        except SystemExit as error:
            place = f"before the end of the {label[1:-1]}"
            ending = "failed", f"it left with status {error.code!r:.50} {place}"
        except BaseException as error:
            ending = "failed", explain(error)
        else:
            ending = None
        if own() != own_id:
            leave(0)
        if ending:
            texts.clear()
            flush()
            say(*ending)
            leave(1)

    # Bubblewrap leaves one of its own open.
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, disk, disk),
        (resource.RLIMIT_NPROC, processes, processes),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        soft, hard = (min(n, most) if most >= 0 else n for n in (soft, hard))
        resource.setrlimit(kind, (soft, hard))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    module = type(sys)(name)
    sys.modules[name] = module
    sys.argv[:] = [""]
    say("started")
    perform(take(), "<solution>", module.__dict__)
    say("ready")
    tests = take()
    vars(builtins).update(kept)
    sys.settrace(None)
    sys.setprofile(None)
    perform(tests, "<tests>", module.__dict__)
    flush()
    say("passed", take())
    leave(0)

main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
"""
