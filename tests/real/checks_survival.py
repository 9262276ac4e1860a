"""Nothing is lost when anything restarts, moves or dies. Clients ask at a fixed rate; each answer carries its request's id, and
is compared byte for byte. `--slow` runs the full numbers."""

import collections
import contextlib
import resource
import socket
import select
import time

from kit.marks import limit
from kit.survival import Load, Network, Service, chaos
from kit.waiting import percentile, promised, same, seconds_until, until

TWO_LINKS, ONE_LINK = ("--connections", "2"), ("--connections", "1")
REUSE_PORT = "--reuse-port"
FAST_HEARTBEAT = ("--heartbeat-interval", "2s", "--heartbeat-timeout", "1s")


@limit(150, slow=1500)
def gateways_that_hand_over_under_load_fail_no_request(world):
    """The new process first, on the same ports; then SIGTERM for the old one."""
    service, gateway = Service(world), world.gateway(REUSE_PORT)
    agent = gateway.agent(service.port, flags=TWO_LINKS)

    def hand_over(_turn, leaving):
        begun = time.monotonic()
        leaving.append(gateway.hand_over())
        if len(leaving) > 1:
            _left(leaving.pop(0))
        time.sleep(max(0, 1 - (time.monotonic() - begun)))  # the pace, so that each one has served

    told = _turns(world, gateway, hand_over)
    same(agent.running(), True, "the agent ran through it")
    _none_failed(world, told)
    _at_rest(gateway, links=2)


@limit(120, slow=600)
def agents_that_restart_one_after_the_other_fail_no_request(world):
    """Two agents on the id. SIGTERM for one, then its heir starts; the other one serves meanwhile."""
    gateway, replace = _two_agents(world)

    def restart(turn, leaving):
        leaving.append(replace(turn, "terminate"))

    _none_failed(world, _turns(world, gateway, restart))
    _at_rest(gateway, links=4)


@limit(120, slow=600)
def agents_that_are_killed_leave_every_client_with_one_outcome(world):
    """Two agents on the id, one of which is killed again and again: no GET fails before its answer has begun."""
    gateway, replace = _two_agents(world)
    told = _turns(world, gateway, lambda turn, _leaving: replace(turn, "kill"))
    _noted(world, told)
    same((told["wrong"], told["silent"]), (0, 0), "wrong bodies, and clients without an outcome within 11 s")
    begun_bodies = "aborted within the body"
    safe = {what: count for what, count in told["outcomes"].items()
            if what.split()[0] in ("small", "stream") and not what.endswith(" whole") and begun_bodies not in what}
    same(safe, {}, "GETs that were not retried")
    same([what for what in told["outcomes"] if what.startswith("small") and begun_bodies in what], [], "small answers that were cut")
    _at_rest(gateway, links=4)


@limit(150, slow=500)
def a_proxy_that_cuts_links_of_an_age_fails_no_request(world):
    """Once the agent has seen how old links become, it is faster than the proxy. What it sees before must not fail a GET either."""
    service, gateway = Service(world), world.gateway()
    age = 20 if world.slow else 8
    with contextlib.closing(Network(gateway.link_port, cut_after=age)) as network:
        gateway.way = network.port
        agent = gateway.agent(service.port, flags=TWO_LINKS)
        lesson = Load(world, gateway, streams=0, uploads=0)
        time.sleep(3 * age)  # ages are what is to be learnt
        _none_failed(world, lesson.end())
        learnt = network.cuts
        assert learnt > 0, "the proxy has cut nothing"
        load = Load(world, gateway, streams=2 if world.slow else 0, uploads=2)
        time.sleep(300 if world.slow else 30)  # so long it must go well
        told = load.end()
        world.note(f"{learnt} links cut while it learnt, {network.cuts - learnt} after that, {network.made} made")
        _none_failed(world, told)
        same(agent.running(), True, "the agent ran through it")


@limit(60, slow=120)
def a_link_that_falls_silent_is_noticed_and_replaced(world):
    """Nothing passes any more, and both ends stay open. The defaults, with --slow; a tenth of their times without."""
    service = Service(world)
    gateway = world.gateway(*([] if world.slow else FAST_HEARTBEAT))
    with contextlib.closing(Network(gateway.link_port)) as network:
        gateway.way = network.port
        agent = gateway.agent(service.port, flags=ONE_LINK)
        until(lambda: "online" in agent.log(), "the agent says so")
        same(len(network.lines()), 1, "links")

        def falls_silent():
            made, online = network.made, agent.log().count("online")
            network.lines()[-1].hold()  # the newest: those that were held stay open
            noticed = seconds_until(lambda: network.made > made, "the agent dials again", 60 if world.slow else 8)
            assert noticed <= (30 if world.slow else 5), f"noticed after {noticed:.1f} s"
            # What is asked before the gateway knows the new link goes to the old one.
            until(lambda: agent.log().count("online") > online, "the agent is online again", 10)
            back = seconds_until(lambda: gateway.status_of("/small?id=1") == 200, "requests flow again", 5)
            world.note(f"noticed after {noticed:.1f} s, requests flow {back * 1e3:.0f} ms after the agent's return")
            return back

        promised(1, falls_silent, "requests flow after the agent's return")


@limit(60, slow=120)
def one_of_two_links_that_falls_silent_fails_no_request(world):
    """GETs that were sent on it are asked again on the other one, and new ones go there."""
    service = Service(world)
    gateway = world.gateway(*([] if world.slow else FAST_HEARTBEAT))
    with contextlib.closing(Network(gateway.link_port)) as network:
        gateway.way = network.port
        gateway.agent(service.port, flags=TWO_LINKS)
        until(lambda: gateway.sessions() == 2, "both links are there", 5)
        load = Load(world, gateway, rate=100, streams=0, uploads=0)
        time.sleep(1)  # the load comes to speed
        network.lines()[0].hold()
        held = time.monotonic() - load.began
        time.sleep(45 if world.slow else 8)  # longer than it takes to be noticed
        told = load.end()
        world.note(f"held {held:.1f} s after the load began; the slowest request took {told['max_ms']:.0f} ms")
        _none_failed(world, told)
        until(lambda: gateway.sessions() == 2, "there are two links again", 5)


@limit(100, slow=120)
def strangers_are_cut_and_disturb_nobody(world):
    """Connections to the agents' port that never say a word: gone after 5 s, and clients hardly notice."""
    count, pairs = 5000 if world.slow else 500, []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the gateway inherits it
    try:
        service, gateway = Service(world), world.gateway()
        gateway.agent(service.port)
        for _ in range(3):  # noise only makes each figure worse, so the best ones count
            pairs.append(_without_and_with_strangers(world, gateway, count))
            without, beside, age = map(min, zip(*pairs))
            # Below 10 ms, it is the machine that is measured. Five seconds, a moment for last words, and the machine.
            if beside <= max(2 * without, 10) and age <= 5.9:
                return
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    raise AssertionError(f"p99 {beside:.1f} ms, {without:.1f} ms without them, and they were cut after {age:.1f} s, at best of three times")


@limit(300, slow=1200)
def a_town_in_which_everything_fails_keeps_its_promises(world):
    """`chaos soak`, with another seed each time, which is in the log of a failure."""
    seconds = 600 if world.slow else 20
    soak = world.start("chaos", [chaos(world), "soak", "--seconds", str(seconds), "--transport", world.transport, "--bin-dir", world.bin_dir])
    code = soak.exit_code(seconds + 270)
    lines = soak.stdout().splitlines()
    world.note("; ".join(line for line in lines if line.startswith(("chaos ", "resident"))))
    told = "\n".join([line for line in lines if "VIOLATION" in line] or lines[-40:])
    assert code == 0, f"exit {code}\n{told}"


# ---- what the checks share

def _two_agents(world):
    """A gateway with two agents on one id, and what ends the next of them so and starts its heir."""
    service, gateway = Service(world), world.gateway()
    agents = [gateway.agent(service.port, flags=TWO_LINKS), _online(gateway.start_agent(service.port, flags=TWO_LINKS))]

    def replace(turn, end):
        old = agents[turn % 2]
        getattr(old, end)()
        agents[turn % 2] = _online(gateway.start_agent(service.port, flags=TWO_LINKS))
        time.sleep(0.5)  # the pace, so that each one has served
        return old

    return gateway, replace


def _turns(world, gateway, turn):
    """What became of a load, in which `turn` was done again and again. It may leave processes to be waited for in a list."""
    load, leaving = Load(world, gateway), []
    for number in range(100 if world.slow else 10):
        turn(number, leaving)
    told = load.end()
    for process in leaving:
        _left(process)
    return told


def _at_rest(gateway, links):
    until(lambda: gateway.sessions() == links, f"there are {links} links", 5)
    gateway.nothing_in_flight()


def _online(agent):
    """Its URL on standard output is the word that it is online."""
    until(lambda: agent.stdout() or not agent.running(), f"{agent.name} is online", 10)
    assert agent.running(), f"{agent.name} exited {agent.child.returncode}: {agent.log()[-600:]}"
    return agent


def _left(process):
    """It was told to go; streams of five seconds may keep it."""
    same(process.exit_code(15), 0, f"exit of {process.name}")


def _noted(world, told):
    world.note(f"{told['asked']} requests, {told['failed']} failed; p99 of small ones {told['p99_ms']:.1f} ms")


def _none_failed(world, told):
    _noted(world, told)
    kinds = collections.Counter(f"{failure['kind']}: {failure['outcome']}" for failure in told["failures"])
    times = [f"{failure['begun']:.2f}-{failure['ended']:.2f}" for failure in told["failures"][:12]]
    assert told["failed"] == 0, f"{told['failed']} of {told['asked']} failed: {dict(kinds)}; in seconds of the load: {', '.join(times)}"


def _without_and_with_strangers(world, gateway, count):
    """The load's p99 in ms without strangers and beside so many, and the seconds after which half of those were cut that were let in.
    All else is as it should be."""
    quiet = Load(world, gateway, streams=0, uploads=0)
    time.sleep(8)  # as long as the other load
    normal = quiet.end()
    load = Load(world, gateway, streams=0, uploads=0)
    ages = _strangers(gateway.link_port, count)
    told = load.end()
    let_in = [age for age in ages if age > 3]  # the others were too many for one address, and cut at once
    assert let_in, f"every stranger was cut within {max(ages):.1f} s"
    half = percentile(let_in, 0.5)
    world.note(f"{count} strangers, {len(let_in)} of them let in, cut after {half:.1f} and at most {max(ages):.1f} s; p99 {normal['p99_ms']:.1f} ms without, "
               f"{told['p99_ms']:.1f} ms with them")
    _none_failed(world, told)
    assert max(ages) <= 8, f"one was cut after {max(ages):.1f} s"
    return normal["p99_ms"], told["p99_ms"], half


def _strangers(port, count):
    """Opens so many connections within two seconds, says nothing, and returns how long each was left alone."""
    begun, ages = {}, []
    poll = select.poll()
    try:
        for number in range(count):
            stranger = socket.create_connection(("127.0.0.1", port), timeout=5)
            begun[stranger.fileno()] = (time.monotonic(), stranger)
            poll.register(stranger, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
            if number % 50 == 49:
                ages += _cut(poll, begun, 0)
                time.sleep(2 * 50 / count)  # nobody opens them all in one instant
        end = time.monotonic() + 10
        while begun:
            ages += _cut(poll, begun, 100)
            assert time.monotonic() < end, f"{len(begun)} of {count} strangers were not cut"
        return ages
    finally:
        for _, stranger in begun.values():
            stranger.close()


def _cut(poll, begun, wait):
    ages = []
    for descriptor, _ in poll.poll(wait):
        poll.unregister(descriptor)
        since, stranger = begun.pop(descriptor)
        ages.append(time.monotonic() - since)
        stranger.close()
    return ages
