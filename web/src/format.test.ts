import { expect, test } from "vitest";

import { ABSENT, averagePrice, clock, direction, gain, money, price, quantity, words } from "./format";

test("money is grouped, at cents, with a true minus", () => {
  expect(money("1000000")).toBe("1,000,000.00");
  expect(money("-1234.5")).toBe("−1,234.50");
  expect(money("999.995")).toBe("1,000.00");
});

test("a number that is not there is a dash, never 0", () => {
  expect(money(null)).toBe(ABSENT);
  expect(price(undefined)).toBe(ABSENT);
  expect(quantity("")).toBe(ABSENT);
});

test("a price keeps the decimals it has, and at least cents", () => {
  expect(price("187.2")).toBe("187.20");
  expect(price("0.12345")).toBe("0.12345");
  expect(averagePrice("187.23333333")).toBe("187.2333");
});

test("a gain shows its sign, and nothing has none", () => {
  expect(gain("12")).toBe("+12.00");
  expect(gain("-12")).toBe("−12.00");
  expect(gain("0.001")).toBe("0.00");
  expect(direction("0.001")).toBe(0);
  expect(direction("-3")).toBe(-1);
});

test("a quantity shows its fraction only where it has one", () => {
  expect(quantity("1200")).toBe("1,200");
  expect(quantity("0.5")).toBe("0.5");
});

test("a time is the local clock", () => {
  const time = new Date(2026, 10, 24, 5, 7, 9);
  expect(clock(time.toISOString())).toBe("05:07:09");
  expect(clock(null)).toBe(ABSENT);
  expect(clock("no time")).toBe(ABSENT);
});

test("a status reads as words", () => {
  expect(words("partially_filled")).toBe("partially filled");
});
