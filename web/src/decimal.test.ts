import { describe, expect, test } from "vitest";

import { fromNumber, multiply, parse, toText } from "./decimal";

describe("parse", () => {
  test("reads plain decimals exactly", () => {
    expect(parse("10.25")).toBe(1_025_000_000n);
    expect(parse("-0.00000001")).toBe(-1n);
    expect(parse(".5")).toBe(50_000_000n);
    expect(parse("90071992547409.93")).toBe(9_007_199_254_740_993_000_000n); // past what a float holds
  });

  test("is null for anything else", () => {
    for (const text of ["", ".", "-", "1e5", "1,000", "abc", "0x10", null, undefined]) expect(parse(text)).toBeNull();
  });

  test("rounds what has more than eight decimals", () => {
    expect(parse("0.333333335")).toBe(33_333_334n);
    expect(parse("-0.333333335")).toBe(-33_333_334n);
  });
});

test("a price of the feed keeps the digits it was sent with", () => {
  expect(fromNumber(187.23)).toBe(18_723_000_000n);
  expect(fromNumber(0.00000001)).toBe(1n); // its text is 1e-8
  expect(fromNumber(Number.NaN)).toBeNull();
});

test("a product is exact where floats are not", () => {
  expect(toText(multiply(parse("3")!, parse("0.1")!))).toBe("0.3");
  expect(toText(multiply(parse("1234567")!, parse("890.12")!))).toBe("1098912778.04");
});

test("text has as many places as asked for", () => {
  expect(toText(1_025_000_000n)).toBe("10.25");
  expect(toText(1_000_000_000n)).toBe("10");
  expect(toText(1_000_000_000n, 2)).toBe("10.00");
  expect(toText(parse("9.995")!, 2, 2)).toBe("10.00");
  expect(toText(-1n, 2, 2)).toBe("0.00");
});
