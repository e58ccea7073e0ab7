import { expect, test } from "vitest";

import { mark, type Quote, tick } from "./board";

const unset = { value: null, move: 0, changes: 0 } as const;

test("a tick knows which way it moved, and an unchanged price is the same tick", () => {
  const first = tick(unset, 100n);
  expect(first.move).toBe(0);
  expect(tick(first, 101n).move).toBe(1);
  expect(tick(first, 99n).move).toBe(-1);
  expect(tick(first, 100n)).toBe(first);
});

test("a position is marked at the last trade, else at the bid, else not at all", () => {
  const quote: Quote = { symbol: "AAPL", bid: tick(unset, 99n), bidSize: 1n, ask: unset, askSize: null, last: unset };
  expect(mark(quote)).toBe(99n);
  expect(mark({ ...quote, last: tick(unset, 101n) })).toBe(101n);
  expect(mark(undefined)).toBeNull();
});
