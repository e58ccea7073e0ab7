import { describe, expect, test } from "vitest";

import { type Action, compareTimes, initialState, isNewer, leaves, NOTES_MAX, ORDERS_MAX, reduce, type State } from "./state";
import type { Account, Order, TradeUpdate } from "./types";

const account: Account = {
  account_number: "TW000001",
  status: "ACTIVE",
  cash: "1000000",
  equity: "1000000",
  buying_power: "1000000",
  reserved: "0",
};

function anOrder(change: Partial<Order> = {}): Order {
  return {
    id: "order-1",
    client_order_id: "web-1",
    created_at: "2026-11-24T10:00:00.000000000Z",
    updated_at: "2026-11-24T10:00:00.000000000Z",
    symbol: "AAPL",
    side: "buy",
    type: "limit",
    time_in_force: "day",
    qty: "10",
    filled_qty: "0",
    filled_avg_price: null,
    limit_price: "187.23",
    status: "new",
    ...change,
  };
}

let sequence = 0;

function anUpdate(event: string, order: Order, change: Partial<TradeUpdate> = {}): Action {
  const numbers = { previous_sequence: sequence, sequence: ++sequence };
  return { type: "update", update: { event, order, timestamp: order.updated_at!, execution_id: "e", ...numbers, ...change } };
}

function aSnapshot(...orders: Order[]): Action {
  return { type: "snapshot", orders, account, positions: [], at: "2026-11-24T10:00:01Z" };
}

function after(...actions: Action[]): State {
  return actions.reduce(reduce, initialState);
}

const working = anOrder();
const partly = anOrder({ status: "partially_filled", filled_qty: "4", updated_at: "2026-11-24T10:00:02.000000000Z" });
const filled = anOrder({ status: "filled", filled_qty: "10", updated_at: "2026-11-24T10:00:03.000000000Z" });

describe("an order", () => {
  test("moves on with its updates, and each fill is noted", () => {
    const state = after(
      aSnapshot(working),
      anUpdate("partial_fill", partly, { qty: "4", price: "187.20" }),
      anUpdate("fill", { ...filled, filled_avg_price: "187.21" }, { qty: "6", price: "187.22" }),
    );
    expect(state.orders.get("order-1")?.status).toBe("filled");
    expect(state.notes.map((note) => note.text)).toEqual([
      "Bought 6 AAPL at 187.22, order filled",
      "Bought 4 AAPL at 187.20, partially filled, 4 of 10",
    ]);
  });

  test("never goes back to an older picture", () => {
    const state = after(aSnapshot(filled), anUpdate("partial_fill", partly), { type: "submitted", order: working });
    expect(state.orders.get("order-1")?.status).toBe("filled");
    expect(state.notes).toEqual([]);
  });

  test("works again when its cancel was refused", () => {
    const pending = anOrder({ status: "pending_cancel", updated_at: "2026-11-24T10:00:02Z" });
    expect(isNewer(pending, anOrder({ updated_at: "2026-11-24T10:00:02.5Z" }))).toBe(true);
  });

  test("leaves nothing once it is finished", () => {
    expect(leaves(partly)).toBe(600_000_000n);
    expect(leaves({ ...partly, status: "canceled" })).toBe(0n);
  });
});

describe("a snapshot", () => {
  test("does not undo an update that came while it was on its way", () => {
    const state = after(aSnapshot(working), { type: "resync" }, anUpdate("fill", filled), aSnapshot(working));
    expect(state.orders.get("order-1")?.status).toBe("filled");
    expect(state.overlap).toBeNull();
  });

  test("keeps an order that was sent while it was on its way", () => {
    const state = after({ type: "resync" }, { type: "submitted", order: working }, aSnapshot());
    expect(state.orders.size).toBe(1);
  });

  test("drops what the server does not have any more", () => {
    expect(after(aSnapshot(working), { type: "resync" }, aSnapshot()).orders.size).toBe(0);
  });

  test("says what happened while the connection was gone", () => {
    const state = after(aSnapshot(working), { type: "resync" }, aSnapshot({ ...filled, filled_avg_price: "187.20" }));
    expect(state.notes[0]?.text).toBe("While away: buy 10 AAPL at 187.23 is now filled at 187.20");
  });
});

describe("a refusal", () => {
  const request = {
    symbol: "AAPL",
    side: "buy",
    qty: "10",
    type: "limit",
    time_in_force: "day",
    limit_price: "187.23",
    client_order_id: "web-1",
  } as const;
  const refusal: Action = { type: "refused", request, message: "buying power: too little", at: "2026-11-24T10:00:00Z" };
  const rejected = anOrder({ status: "rejected" });

  test("stands in the blotter with the server's words", () => {
    const [order] = after(refusal).orders.values();
    expect(order).toMatchObject({ status: "rejected", reject_reason: "buying power: too little" });
  });

  test("is one row and one note, whether the answer or the stream is first", () => {
    for (const actions of [
      [refusal, anUpdate("rejected", rejected)],
      [anUpdate("rejected", rejected), refusal],
    ]) {
      const state = after(...actions);
      expect([...state.orders.values()].map((order) => order.reject_reason)).toEqual(["buying power: too little"]);
      expect(state.notes.length).toBe(1);
    }
  });

  test("outlives a snapshot, for the server does not keep it", () => {
    expect(after(refusal, { type: "resync" }, aSnapshot()).orders.size).toBe(1);
    expect(after(anUpdate("rejected", rejected), { type: "resync" }, aSnapshot()).orders.size).toBe(1);
  });
});

test("what is kept is bounded, and working orders are kept first", () => {
  let state = after(aSnapshot(anOrder({ id: "oldest", client_order_id: "oldest", created_at: "2026-11-23T00:00:00Z" })));
  for (let n = 0; n < ORDERS_MAX + 5; n += 1) {
    const created_at = new Date(Date.UTC(2026, 10, 24) + n).toISOString();
    state = reduce(state, anUpdate("canceled", anOrder({ id: `id-${n}`, client_order_id: `c-${n}`, created_at, status: "canceled" })));
  }
  expect(state.orders.size).toBe(ORDERS_MAX);
  expect(state.orders.has("oldest")).toBe(true);
  expect(state.orders.has("id-0")).toBe(false);
  expect(state.notes.length).toBe(NOTES_MAX);
});

test("times compare by their instant, whatever number of digits they have", () => {
  expect(compareTimes("2026-11-24T10:00:05Z", "2026-11-24T10:00:05.1Z")).toBe(-1);
  expect(compareTimes("2026-11-24T10:00:05.100Z", "2026-11-24T10:00:05.1Z")).toBe(0);
});
