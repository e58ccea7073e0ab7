import { describe, expect, test } from "vitest";

import type { Quote } from "./board";
import { parse, toText } from "./decimal";
import {
  clientOrderIdFor,
  contentOf,
  emptyTicket,
  estimate,
  problems,
  stepLimit,
  type Ticket,
  toRequest,
  withSide,
  withSymbol,
} from "./ticket";

const aapl = { symbol: "AAPL", price_increment: "0.01" };

function at(price: string) {
  return { value: parse(price), move: 0, changes: 1 } as const;
}

const quote: Quote = { symbol: "AAPL", bid: at("187.21"), bidSize: 1n, ask: at("187.23"), askSize: 1n, last: at("187.22") };

function aTicket(change: Partial<Ticket> = {}): Ticket {
  return { ...emptyTicket, symbol: "AAPL", qty: "10", limit: "187.23", ...change };
}

describe("the limit", () => {
  test("starts at the touch of the side, and follows the side", () => {
    const bought = withSymbol(emptyTicket, "AAPL", "buy", quote);
    expect(bought.limit).toBe("187.23");
    expect(withSide(bought, "sell", quote).limit).toBe("187.21");
  });

  test("stays where the trader put it until the symbol changes", () => {
    const typed = aTicket({ limit: "180", limitTyped: true });
    expect(withSide(typed, "sell", quote).limit).toBe("180");
    expect(withSymbol(typed, "MSFT", "buy", undefined).limit).toBe("");
  });

  test("steps by the instrument's tick", () => {
    expect(stepLimit("187.29", 1, aapl)).toBe("187.30");
    expect(stepLimit("0.01", -1, aapl)).toBe("0.01");
    expect(stepLimit("", 1, aapl)).toBe("");
  });
});

describe("what is sent", () => {
  test("is the text that was typed, without commas", () => {
    const request = toRequest(aTicket({ qty: "1,200.", limit: ".50" }), "id");
    expect(request).toMatchObject({ qty: "1200", limit_price: "0.50", client_order_id: "id" });
  });

  test("has no limit price for a market order", () => {
    expect("limit_price" in toRequest(aTicket({ type: "market" }), "id")).toBe(false);
  });

  test("keeps its id only when the same is sent again after no answer came", () => {
    const lost = { clientOrderId: "first", content: contentOf(aTicket()) };
    const fresh = () => "second";
    expect(clientOrderIdFor(aTicket(), lost, fresh)).toBe("first");
    expect(clientOrderIdFor(aTicket({ qty: "11" }), lost, fresh)).toBe("second");
    expect(clientOrderIdFor(aTicket(), null, fresh)).toBe("second");
  });
});

test("problems are named by field", () => {
  expect(problems(aTicket(), [aapl])).toEqual({});
  expect(Object.keys(problems(emptyTicket, [aapl]))).toEqual(["symbol", "qty", "limit"]);
  expect(problems(aTicket({ symbol: "NONE" }), [aapl]).symbol).toBe("NONE is not traded here");
  for (const qty of ["-1", "1e3", "0", "0.0", "ten", "1.123456789"]) expect(problems(aTicket({ qty }), [aapl]).qty).toBeDefined();
  expect(problems(aTicket({ type: "market", limit: "" }), [aapl])).toEqual({});
});

describe("the estimate", () => {
  const text = (value: bigint | null | undefined) => (value == null ? value : toText(value));

  test("takes a limit order at its limit and a market order at the touch", () => {
    expect(text(estimate(aTicket({ limit: "100" }), quote, "5000")?.notional)).toBe("1000");
    expect(text(estimate(aTicket({ type: "market", side: "sell" }), quote, "5000")?.notional)).toBe("1872.1");
  });

  test("goes below 0 when buying power is too little", () => {
    expect(text(estimate(aTicket({ limit: "1000" }), quote, "5000")?.buyingPowerAfter)).toBe("-5000");
  });

  test("is not made up where a number is missing", () => {
    expect(estimate(aTicket({ qty: "" }), quote, "5000")).toBeNull();
    expect(estimate(aTicket({ type: "market" }), undefined, "5000")).toBeNull();
  });
});
