/**
 * What the page knows of the account, as a pure reducer: orders, positions, money, links and what happened.
 *
 * Always holds here: an order never goes back (an older picture of it is dropped, however it came); updates that
 * arrive while a snapshot is on its way are applied again on top of it; everything kept is bounded.
 */

import { parse } from "./decimal";
import { averagePrice, price, quantity, words } from "./format";
import type { LinkStatus } from "./link";
import type { Account, Asset, Order, OrderRequest, Position, TradeUpdate } from "./types";

/** A long day of one trader. The oldest finished orders leave first; working ones never do. */
export const ORDERS_MAX = 1_000;
/** More than fits the panel; enough to scroll back over a burst. */
export const NOTES_MAX = 100;

export type Group = "working" | "filled" | "closed";

export interface Note {
  key: number;
  at: string;
  tone: "good" | "bad" | "plain";
  text: string;
}

export interface State {
  orders: ReadonlyMap<string, Order>;
  positions: readonly Position[];
  account: Account | null;
  assets: readonly Asset[];
  /** Where the prices come from, in words; null until the gateway has said it. */
  source: string | null;
  /** Newest first. */
  notes: readonly Note[];
  /** Orders as they became since the snapshot now under way was asked for; null when none is. */
  overlap: ReadonlyMap<string, Order> | null;
  loaded: boolean;
  links: { orders: LinkStatus; prices: LinkStatus };
}

export type Action =
  | { type: "link"; which: "orders" | "prices"; status: LinkStatus }
  | { type: "resync" }
  | { type: "snapshot"; orders: readonly Order[]; account: Account; positions: readonly Position[]; at: string }
  | { type: "holdings"; account: Account; positions: readonly Position[] }
  | { type: "market"; assets: readonly Asset[]; source: string }
  | { type: "update"; update: TradeUpdate }
  | { type: "submitted"; order: Order }
  | { type: "refused"; request: OrderRequest; message: string; at: string }
  | { type: "note"; tone: Note["tone"]; text: string; at: string };

const CONNECTING: LinkStatus = { state: "connecting", lastDataAt: null, reason: null };

export const initialState: State = {
  orders: new Map(),
  positions: [],
  account: null,
  assets: [],
  source: null,
  notes: [],
  overlap: null,
  loaded: false,
  links: { orders: CONNECTING, prices: CONNECTING },
};

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "link":
      return { ...state, links: { ...state.links, [action.which]: action.status } };
    case "resync":
      return { ...state, overlap: new Map() };
    case "snapshot":
      return takeSnapshot(state, action);
    case "holdings":
      return { ...state, account: action.account, positions: action.positions };
    case "market":
      return { ...state, assets: action.assets, source: action.source };
    case "update":
      return takeUpdate(state, action.update);
    case "submitted":
      return { ...state, orders: withOrder(state.orders, action.order), overlap: overlapWith(state, action.order) };
    case "refused":
      return takeRefusal(state, action);
    case "note":
      return noted(state, action);
  }
}

export function group(order: Order): Group {
  switch (order.status) {
    case "filled":
      return "filled";
    case "canceled":
    case "rejected":
    case "expired":
      return "closed";
    default:
      return "working";
  }
}

/** What is still to be filled: nothing once the order is finished. */
export function leaves(order: Order): bigint {
  if (group(order) !== "working") return 0n;
  return (parse(order.qty) ?? 0n) - (parse(order.filled_qty) ?? 0n);
}

/** Whether a cancel can be asked for: the server knows the order, it works, and none is under way. */
export function isCancelable(order: Order): boolean {
  return group(order) === "working" && order.status !== "pending_cancel" && !isLocal(order);
}

export function newestFirst(orders: Iterable<Order>): Order[] {
  return [...orders].sort((a, b) => compareTimes(b.created_at, a.created_at) || (a.id < b.id ? 1 : -1));
}

export function byClientId(orders: ReadonlyMap<string, Order>, clientOrderId: string): Order | undefined {
  for (const order of orders.values()) if (order.client_order_id === clientOrderId) return order;
  return undefined;
}

/** True when `next` may replace `before`: more filled, or finished where it worked, or written later. */
export function isNewer(before: Order, next: Order): boolean {
  const filledBefore = parse(before.filled_qty) ?? 0n;
  const filledNext = parse(next.filled_qty) ?? 0n;
  if (filledNext !== filledBefore) return filledNext > filledBefore;
  const finishedBefore = group(before) !== "working";
  const finishedNext = group(next) !== "working";
  if (finishedNext !== finishedBefore) return finishedNext;
  return compareTimes(next.updated_at ?? next.created_at, before.updated_at ?? before.created_at) >= 0;
}

/** RFC 3339 times in UTC, whose fractions have any number of digits: "…05Z" is before "…05.1Z". */
export function compareTimes(a: string, b: string): number {
  const [x, y] = [sortable(a), sortable(b)];
  return x === y ? 0 : x < y ? -1 : 1;
}

function sortable(time: string): string {
  const [seconds = "", fraction = ""] = time.replace(/(Z|\+00:00)$/, "").split(".");
  return seconds + fraction.padEnd(9, "0");
}

// --- what each action does -------------------------------------------------------------------------------

function takeSnapshot(state: State, action: Extract<Action, { type: "snapshot" }>): State {
  // The server keeps no order that it refused: what was seen of those stays.
  let orders: ReadonlyMap<string, Order> = new Map([...state.orders].filter(([, order]) => order.status === "rejected"));
  for (const order of action.orders) {
    const before = state.orders.get(order.id);
    const kept = before?.reject_reason && !order.reject_reason ? { ...order, reject_reason: before.reject_reason } : order;
    orders = withOrder(orders, kept);
  }
  for (const order of state.overlap?.values() ?? []) orders = withOrder(orders, order);

  let next: State = { ...state, orders, account: action.account, positions: action.positions, overlap: null, loaded: true };
  if (!state.loaded) return next;
  for (const order of orders.values()) {
    const before = state.orders.get(order.id);
    if (before && (before.status !== order.status || before.filled_qty !== order.filled_qty)) {
      next = noted(next, { tone: "plain", text: `While away: ${describe(order)} is now ${progress(order)}`, at: action.at });
    }
  }
  return next;
}

function takeUpdate(state: State, update: TradeUpdate): State {
  const before = state.orders.get(update.order.id);
  const overlap = overlapWith(state, update.order);
  if (before && !isNewer(before, update.order)) return { ...state, overlap };
  const next = { ...state, overlap, orders: withOrder(state.orders, update.order) };
  const told = state.orders.has(LOCAL + update.order.client_order_id); // the answer to the request was first
  const note = told ? null : noteOf(update);
  return note ? noted(next, { ...note, at: update.timestamp }) : next;
}

function takeRefusal(state: State, { request, message, at }: Extract<Action, { type: "refused" }>): State {
  const known = byClientId(state.orders, request.client_order_id);
  const order: Order = known
    ? { ...known, reject_reason: message }
    : {
        id: LOCAL + request.client_order_id,
        client_order_id: request.client_order_id,
        created_at: at,
        updated_at: at,
        symbol: request.symbol,
        side: request.side,
        type: request.type,
        time_in_force: request.time_in_force,
        qty: request.qty,
        filled_qty: "0",
        filled_avg_price: null,
        limit_price: request.limit_price ?? null,
        status: "rejected",
        reject_reason: message,
      };
  const next = { ...state, orders: new Map(state.orders).set(order.id, order) };
  // Where the stream was first, its note already says so.
  return known ? next : noted(next, { tone: "bad", text: `Rejected: ${describe(order)}: ${message}`, at });
}

function noteOf({ event, order, price: px, qty, reason }: TradeUpdate): Omit<Note, "key" | "at"> | null {
  switch (event) {
    case "fill":
    case "partial_fill": {
      const done = order.side === "buy" ? "Bought" : "Sold";
      const rest = event === "fill" ? "order filled" : progress(order);
      return { tone: "good", text: `${done} ${quantity(qty)} ${order.symbol} at ${price(px)}, ${rest}` };
    }
    case "rejected":
      return { tone: "bad", text: `Rejected: ${describe(order)}${reason ? `: ${reason}` : ""}` };
    case "order_cancel_rejected":
      return { tone: "bad", text: `Not canceled: ${describe(order)}${reason ? `: ${reason}` : ""}` };
    case "canceled":
    case "expired":
      return { tone: "plain", text: `${event === "canceled" ? "Canceled" : "Expired"}: ${describe(order)}` };
    default:
      return null;
  }
}

/** "buy 10 AAPL at 187.23". */
export function describe(order: Pick<Order, "side" | "qty" | "symbol" | "limit_price">): string {
  const at = order.limit_price === null ? "at market" : `at ${price(order.limit_price)}`;
  return `${order.side} ${quantity(order.qty)} ${order.symbol} ${at}`;
}

/** "filled at 187.20", "partially filled, 4 of 10", "canceled". */
export function progress(order: Order): string {
  if (order.status === "filled") return `filled at ${averagePrice(order.filled_avg_price)}`;
  const some = (parse(order.filled_qty) ?? 0n) > 0n;
  return some ? `${words(order.status)}, ${quantity(order.filled_qty)} of ${quantity(order.qty)}` : words(order.status);
}

// --- keeping -----------------------------------------------------------------------------------------------

/** Orders that never reached the book: the gateway refused them before they had an id. */
const LOCAL = "refused:";

function isLocal(order: Order): boolean {
  return order.id.startsWith(LOCAL);
}

function withOrder(orders: ReadonlyMap<string, Order>, order: Order): ReadonlyMap<string, Order> {
  const before = orders.get(order.id);
  if (before && !isNewer(before, order)) return orders;
  const local = orders.get(LOCAL + order.client_order_id);
  const reason = order.reject_reason ?? before?.reject_reason ?? local?.reject_reason;
  const next = new Map(orders);
  if (local) next.delete(local.id);
  next.set(order.id, reason ? { ...order, reject_reason: reason } : order);
  return next.size > ORDERS_MAX ? withoutOldest(next) : next;
}

function overlapWith(state: State, order: Order): State["overlap"] {
  return state.overlap && withOrder(state.overlap, order);
}

function withoutOldest(orders: Map<string, Order>): Map<string, Order> {
  const finished = newestFirst(orders.values()).filter((order) => group(order) !== "working");
  for (const order of finished.reverse().slice(0, orders.size - ORDERS_MAX)) orders.delete(order.id);
  return orders;
}

function noted(state: State, note: Omit<Note, "key">): State {
  const key = (state.notes[0]?.key ?? 0) + 1;
  const { tone, text, at } = note;
  return { ...state, notes: [{ key, tone, text, at }, ...state.notes].slice(0, NOTES_MAX) };
}
