"""Order entry under load: programs that buy, sell, rest, cancel and look, over REST, driven by locust.

    python -m loadtests.order_entry --users 20 --seconds 30

It runs against a stack that is up (`tradewind up`) and asks `tradewind status --json` where it is and for the
demo's key. Each user is a closed loop: it sends its next request after the last answer, so the latencies are
those of this load and leave out what a load that does not wait would suffer. A reject of a risk check (403, 422)
is an answer of the desk: it is counted, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from typing import Any, ClassVar, Final

import gevent
from locust import FastHttpUser, constant, task
from locust.env import Environment
from locust.stats import StatsEntry

# Shares in one order: small beside the demo's cash, so that a run of minutes does not use it up.
QTY: Final = "1"
# A resting order stands so far below the bid that it does not trade, and inside the price collar.
RESTING: Final = Decimal("0.99")

REFUSED: Final = (403, 422)
PERCENTILES: Final = (0.50, 0.90, 0.99, 0.999)
ORDER_NAMES: Final = ("buy", "sell", "rest")


class Trader(FastHttpUser):
    """One program. `host`, the key and the symbols are set by `main` before any starts."""

    wait_time = constant(0)
    headers: ClassVar[dict[str, str]] = {}
    symbols: ClassVar[list[str]] = []
    refused: ClassVar[Counter[str]] = Counter()
    started: ClassVar[int] = 0

    def on_start(self) -> None:
        Trader.started += 1
        self.symbol = self.symbols[Trader.started % len(self.symbols)]
        self.resting: list[str] = []

    def _ask(self, method: str, path: str, name: str, body: dict[str, Any] | None = None) -> Any:
        """The decoded answer; None for a reject (counted by its text) and for a failure (locust counts it)."""
        with self.client.request(
            method, path, name=name, json=body, headers=self.headers, catch_response=True
        ) as response:
            if response.status_code in REFUSED:
                self.refused[f"{name}: {response.json()['message']}"[:110]] += 1
                response.success()
                return None
            return response.json() if response.status_code in (200, 207) else None

    def _order(self, name: str, **fields: str) -> Any:
        order = {"symbol": self.symbol, "qty": QTY, "time_in_force": "day", **fields}
        return self._ask("POST", "/v2/orders", name, order)

    @task(4)
    def buy(self) -> None:
        self._order("buy", side="buy", type="market")

    @task(3)
    def sell(self) -> None:
        self._order("sell", side="sell", type="market")

    @task(3)
    def rest(self) -> None:
        quotes = self._ask("GET", f"/v2/stocks/quotes/latest?symbols={self.symbol}", "quote")
        if not quotes or self.symbol not in quotes["quotes"]:
            return
        bid = Decimal(str(quotes["quotes"][self.symbol]["bp"]))
        price = (bid * RESTING).quantize(Decimal("0.01"), rounding=ROUND_DOWN)
        order = self._order("rest", side="buy", type="limit", limit_price=str(price))
        if order is not None:
            self.resting.append(order["id"])

    @task(3)
    def cancel(self) -> None:
        if self.resting:
            self._ask("DELETE", f"/v2/orders/{self.resting.pop()}", "cancel")

    @task(2)
    def look(self) -> None:
        self._ask("GET", "/v2/account", "account")
        self._ask("GET", "/v2/positions", "positions")
        self._ask("GET", "/v2/orders?status=open", "orders")

    def on_stop(self) -> None:
        while self.resting:
            self.cancel()


def _status() -> dict[str, Any]:
    found = subprocess.run(
        [sys.executable, "-m", "app.cli", "status", "--json"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        sys.exit(f"no stack to load: {found.stderr.strip() or found.stdout.strip()}\nstart one: tradewind up")
    status: dict[str, Any] = json.loads(found.stdout)
    return status


def _symbols(host: str) -> list[str]:
    asked = urllib.request.Request(f"{host}/v2/assets", headers=Trader.headers)
    with urllib.request.urlopen(asked) as answer:
        return [asset["symbol"] for asset in json.load(answer) if asset["tradable"]]


def _line(entry: StatsEntry) -> str:
    times = [f"{entry.get_response_time_percentile(percentile):>8.1f}" for percentile in PERCENTILES]
    return (
        f"{entry.name:<12}{entry.num_requests:>9}{entry.total_rps:>10.1f}{''.join(times)}"
        f"{entry.max_response_time:>9.1f}{entry.num_failures:>8}"
    )


def _report(environment: Environment) -> int:
    stats = environment.stats
    heads = "".join(f"{f'p{percentile * 100:g}':>8}" for percentile in PERCENTILES)
    print(f"{'request':<12}{'count':>9}{'per s':>10}{heads}{'max':>9}{'failed':>8}   (ms)")
    for entry in sorted(stats.entries.values(), key=lambda entry: -entry.num_requests):
        print(_line(entry))
    print(_line(stats.total))
    orders = sum(entry.total_rps for entry in stats.entries.values() if entry.name in ORDER_NAMES)
    print(f"\norders: {orders:.1f} a second")
    for text, count in Trader.refused.most_common(10):
        print(f"refused {count:>7}  {text}")
    for error in stats.errors.values():
        print(f"failed  {error.occurrences:>7}  {error.name}: {error.error}")
    return 1 if stats.total.num_failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="load on order entry")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    asked = parser.parse_args()
    status = _status()
    Trader.host, demo = status["endpoints"]["rest"], status["demo"]
    Trader.headers = {"APCA-API-KEY-ID": demo["key_id"], "APCA-API-SECRET-KEY": demo["secret_key"]}
    Trader.symbols = _symbols(Trader.host)
    environment = Environment(user_classes=[Trader])
    runner = environment.create_local_runner()
    runner.start(asked.users, spawn_rate=asked.users)
    gevent.sleep(asked.seconds)
    runner.quit()
    return _report(environment)


if __name__ == "__main__":
    sys.exit(main())
