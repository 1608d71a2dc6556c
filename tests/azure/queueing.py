"""What queueing and scheduling theory says in closed form, for simulations to agree with."""

from __future__ import annotations

import math


def erlang_c(rate: float, service_rate: float, servers: int) -> float:
    """Probability that an arrival must wait in M/M/c (Erlang 1917)."""
    offered = rate / service_rate
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


def mean_wait(rate: float, service_rate: float, servers: int) -> float:
    """Seconds that an arrival waits in M/M/c, in the mean."""
    return erlang_c(rate, service_rate, servers) / (servers * service_rate - rate)


def share_waiting_longer(seconds: float, rate: float, service_rate: float, servers: int) -> float:
    """Of arrivals of M/M/c, served in their order."""
    slack = servers * service_rate - rate
    return erlang_c(rate, service_rate, servers) * math.exp(-slack * seconds)


def mean_restarts(rate: float, seconds: float) -> float:
    """Of work that begins anew whenever it is interrupted, at moments of a Poisson process."""
    return math.expm1(rate * seconds)


def mean_time_with_restarts(rate: float, seconds: float, delay_s: float) -> float:
    """Seconds until such work is done, if each restart waits for a new machine first.

    An attempt lasts 1/rate in the mean if it is interrupted whenever; that makes the well-known
    (exp(rate * seconds) - 1) * (1 / rate + delay).
    """
    return mean_restarts(rate, seconds) * (1 / rate + delay_s)
