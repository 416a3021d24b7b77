"""What is measured, and what is wanted of it."""
from dataclasses import dataclass, field
from typing import Callable

from measures import (bulk_down, bulk_down_at_once, bulk_up, connections_a_second, engine, far_true, fresh_true, idle_memory, idle_tunnels,
                      kept_true, keystroke_echo, our_load, processor_time_per_byte, sessions_a_second, sftp, stalled_channels)


@dataclass
class Goal:
    """What the median of ours, or of the ratios, is to be."""
    sign: str
    value: float
    of_ratio: bool = False

    def __str__(self):
        return f"{self.sign} {self.value:g}{' ×' if self.of_ratio else ''}"

    def met(self, median, ratio):
        figure = ratio if self.of_ratio else median
        return figure is not None and (figure >= self.value if self.sign == "≥" else figure <= self.value)


def least(value): return Goal("≥", value)
def most(value): return Goal("≤", value)
def ratio_least(value): return Goal("≥", value, True)
def ratio_most(value): return Goal("≤", value, True)


@dataclass
class Figure:
    name: str
    unit: str
    # Of a side, in one round: a number, several by name, or None where the side has no such thing.
    measure: Callable
    # By the names that `measure` gives; one number has the name "".
    goals: dict = field(default_factory=dict)
    # Once is enough where nothing else of the machine is in it; there is nobody to compare with then.
    once: bool = False
    # By row, how limit.c is called for the same of bare processes, and by what name it gives that: what there is to be had on this machine,
    # measured in each round.
    limits: dict = field(default_factory=dict)


def on_path(name, unit, measure, mine, theirs, goals=None, limits=None):
    """A measure of a client's command on a path: `mine` of ours, `theirs` of OpenSSH and, where that is the tunnel, of peers."""
    def of(bench, side):
        if side is not bench.ours and side is not bench.openssh and theirs != "tunnel":
            return None
        command = side.commands.get(mine if side is bench.ours else theirs)
        return command and measure(command, bench.mebibytes)
    return Figure(name, unit, of, {"": goals or []}, limits=limits or {})


def timed(name, unit, measure, mine, theirs, goals, of_terminals=False, limits=None):
    def of(bench, side):
        command = (side.terminals if of_terminals else side.commands).get(mine if side is bench.ours else theirs)
        return command and measure(command)
    return Figure(name, unit, of, goals, limits=limits or {})


def far(name, mine, theirs, goals):
    def of(bench, side):
        command = side.far.get(mine if side is bench.ours else theirs)
        return command and far_true(command, side.line)
    return Figure(name, "", of, goals)


def kept(name, mine, theirs):
    def of(bench, side):
        command = side.kept.get(mine if side is bench.ours else theirs)
        return command and kept_true(command, side)
    return Figure(name, "", of, {})


def processor(bench, side):
    return side.middle and processor_time_per_byte(side.commands["tunnel"], bench.mebibytes * 2, side.middle)


def agent_processor(bench, side):
    return processor_time_per_byte(side.commands["tunnel"], bench.mebibytes * 2, side.agent) if side is bench.ours else None


def sessions_by_our_client(bench, side):
    return our_load(side, 32, "root@db1@east", "true") if side is bench.ours else sessions_a_second(side.commands["tunnel"])


def kept_sessions_by_our_client(bench, side):
    return our_load(side, 32, "--kept", "root@db1@east", "true") if side is bench.ours else None


def channels(count):
    def of(bench, side):
        if side.greeting is None:
            return None
        return our_load(side, count, "--channels", side.greeting) if side is bench.ours else connections_a_second(side.greeting, count)
    return of


def once(name, unit, measure, goals=None):
    return Figure(name, unit, lambda bench, side: measure(bench), goals or {}, once=True)


BULK = {"": ("bulk", "bulk")}

FIGURES = [
    on_path("bulk down, tunnel, tsh", "MiB/s", bulk_down, "tsh", "tunnel", [least(500), ratio_least(8)], BULK),
    on_path("bulk up, tunnel, tsh", "MiB/s", bulk_up, "tsh", "tunnel"),
    on_path("bulk down, tunnel, ssh -J", "MiB/s", bulk_down, "tunnel", "tunnel", [least(450), ratio_least(5)], BULK),
    on_path("bulk up, tunnel, ssh -J", "MiB/s", bulk_up, "tunnel", "tunnel", [least(450)]),
    on_path("bulk down, proxy, ssh -J", "MiB/s", bulk_down, "proxy", "proxy", [ratio_least(1)]),
    on_path("bulk up, proxy, ssh -J", "MiB/s", bulk_up, "proxy", "proxy", [ratio_least(1)]),
    on_path("bulk down, direct, ssh", "MiB/s", bulk_down, "direct", "direct", [ratio_least(1)]),
    on_path("bulk up, direct, ssh", "MiB/s", bulk_up, "direct", "direct", [ratio_least(1)]),
    on_path("four at once down, tunnel, ssh -J", "MiB/s", bulk_down_at_once, "tunnel", "tunnel"),
    on_path("four at once down, tunnel, tsh", "MiB/s", bulk_down_at_once, "tsh", "tunnel"),
    on_path("file down, direct, sftp", "MiB/s", sftp("get"), "sftp", "sftp"),
    on_path("file up, direct, sftp", "MiB/s", sftp("put"), "sftp", "sftp"),
    Figure("CPU of the proxy, tunnel", "ns/B", processor, {"": [most(0.9)]}, limits={"": ("bulk", "proxy")}),
    Figure("CPU of the agent, tunnel", "ns/B", agent_processor, limits={"": ("bulk", "agent")}),
    timed("true, tunnel, tsh", "ms", fresh_true, "tsh", "tunnel", {"p50": [most(12), ratio_most(0.1)], "p99": [most(30)]}),
    timed("true, tunnel, ssh ProxyCommand", "ms", fresh_true, "subsystem", "tunnel", {"p50": [ratio_most(0.5)], "p99": []}),
    timed("true, tunnel, ssh -J", "ms", fresh_true, "tunnel", "tunnel", {}),
    timed("true, direct, ssh", "ms", fresh_true, "direct", "direct", {}),
    far("true, line of 100 ms, tsh", "tsh", "tunnel", {"round trips": [most(4)]}),
    kept("true, line of 100 ms, kept, tsh", "tsh", "tunnel"),
    far("true, line of 100 ms, ssh -J", "tunnel", "tunnel", {}),
    timed("keystroke echo, tunnel, ssh -J", "µs", keystroke_echo, "tunnel", "tunnel",
          {"p50": [most(200), ratio_most(1)], "p99": [most(300), ratio_most(1)]}, of_terminals=True, limits={"p50": ("echo", "echo")}),
    timed("keystroke echo, tunnel, tsh", "µs", keystroke_echo, "tsh", "tunnel",
          {"p50": [most(200), ratio_most(1)], "p99": [most(300), ratio_most(1)]}, of_terminals=True, limits={"p50": ("echo", "echo")}),
    timed("sessions, 32 at once, ssh -J", "1/s", sessions_a_second, "tunnel", "tunnel", {"": [ratio_least(2)]}),
    Figure("sessions, 32 at once, tsh bench", "1/s", sessions_by_our_client, {"": [least(400)]}),
    Figure("sessions, 32 at once, tsh bench --kept", "1/s", kept_sessions_by_our_client),
    Figure("channels of a tunnel, one at a time", "1/s", channels(1), {"": [least(3000)]}, limits={"": ("channels 1", "channels")}),
    Figure("channels of a tunnel, 32 at once", "1/s", channels(32), {"": [least(8000)]}, limits={"": ("channels 32", "channels")}),
    once("idle daemon, all roles", "MiB", lambda bench: idle_memory(bench.folder, bench.net + "250"), {"resident": [most(20)]}),
    once("1000 stalled channels", "MiB", lambda bench: stalled_channels(bench.ours, bench.folder, bench.net + "204")),
    once("allocations per relayed packet", "", lambda bench: bench.allocations_per_packet(), {"": [most(0)]}),
    once("engine", "", lambda bench: {row["name"]: row["median"] for row in engine()}),
]


def of_tunnels(sites):
    return once(f"{sites} idle tunnels", "", lambda bench: idle_tunnels(sites), {"KiB each": [most(16)], "% of a core": [most(3)]})
