import { expect, test } from "vitest";

import { retryDelay } from "./link";

test("retries grow from soon to seldom, and stay there", () => {
  const delays = [0, 1, 2, 3, 10, 1_000].map((attempt) => retryDelay(attempt, 0.5));
  expect(delays).toEqual([250, 500, 1_000, 2_000, 5_000, 5_000]);
});

test("retries are spread by a quarter either way", () => {
  expect(retryDelay(0, 0)).toBe(187.5);
  expect(retryDelay(0, 1)).toBe(312.5);
});
