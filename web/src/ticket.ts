/**
 * The order ticket as pure functions: what it holds, what is wrong with it, what it would cost, what is sent.
 *
 * Always holds here: what is sent is the text that was typed (commas taken out), never a computed number; one
 * client_order_id stands for one decision of the trader, so that sending again after a lost answer cannot double.
 */

import type { Quote } from "./board";
import { type Fixed, multiply, parse, toText } from "./decimal";
import type { Asset, OrderRequest, OrderType, Side, TimeInForce } from "./types";

export interface Ticket {
  symbol: string;
  side: Side;
  qty: string;
  type: OrderType;
  limit: string;
  /** The trader set the limit: it no longer follows the symbol's or the side's touch. */
  limitTyped: boolean;
  tif: TimeInForce;
}

export const emptyTicket: Ticket = {
  symbol: "",
  side: "buy",
  qty: "",
  type: "limit",
  limit: "",
  limitTyped: false,
  tif: "day",
};

/** Another symbol, at its touch: a price typed for the old one means nothing for the new. */
export function withSymbol(ticket: Ticket, symbol: string, side: Side, quote: Quote | undefined): Ticket {
  return { ...ticket, symbol, side, limit: touchText(side, quote), limitTyped: false };
}

export function withSide(ticket: Ticket, side: Side, quote: Quote | undefined): Ticket {
  return { ...ticket, side, limit: ticket.limitTyped ? ticket.limit : touchText(side, quote) };
}

export type Problems = Partial<Record<"symbol" | "qty" | "limit", string>>;

/** As many decimals as the server's fixed point has (e8), and no more than its ten billion. */
const NUMBER = /^(?:\d{1,11}(?:\.\d{0,8})?|\.\d{1,8})$/;

export function problems(ticket: Ticket, assets: readonly Asset[]): Problems {
  const found: Problems = {};
  if (ticket.symbol === "") found.symbol = "Choose a symbol";
  else if (assets.length > 0 && !assets.some((asset) => asset.symbol === ticket.symbol)) {
    found.symbol = `${ticket.symbol} is not traded here`;
  }
  const qty = numberProblem(ticket.qty, "quantity");
  if (qty) found.qty = qty;
  const limit = ticket.type === "limit" ? numberProblem(ticket.limit, "limit price") : null;
  if (limit) found.limit = limit;
  return found;
}

function numberProblem(text: string, name: string): string | null {
  const plain = cleaned(text);
  if (plain === "") return `Enter a ${name}`;
  if (!NUMBER.test(plain)) return `The ${name} is a number of at most 11 digits and 8 decimals`;
  return parse(plain) === 0n ? `The ${name} must be more than 0` : null;
}

/** What goes over the wire. Call it only on a ticket without problems. */
export function toRequest(ticket: Ticket, clientOrderId: string): OrderRequest {
  return {
    symbol: ticket.symbol,
    side: ticket.side,
    qty: canonical(ticket.qty),
    type: ticket.type,
    time_in_force: ticket.tif,
    ...(ticket.type === "limit" ? { limit_price: canonical(ticket.limit) } : {}),
    client_order_id: clientOrderId,
  };
}

/** "1,000." -> "1000", ".5" -> "0.5": the same number, as every JSON reader takes it. */
function canonical(text: string): string {
  const plain = cleaned(text).replace(/\.$/, "");
  return plain.startsWith(".") ? `0${plain}` : plain;
}

function cleaned(text: string): string {
  return text.replace(/[,\s]/g, "");
}

/** The price the ticket would deal at now: its limit, or for a market order the other side's touch. */
export function dealingPrice(ticket: Ticket, quote: Quote | undefined): Fixed | null {
  if (ticket.type === "limit") return parse(cleaned(ticket.limit));
  return touch(ticket.side, quote);
}

/** Where an order of this side would trade at once: a buyer takes the ask, a seller hits the bid. */
export function touch(side: Side, quote: Quote | undefined): Fixed | null {
  return (side === "buy" ? quote?.ask.value : quote?.bid.value) ?? null;
}

function touchText(side: Side, quote: Quote | undefined): string {
  const value = touch(side, quote);
  return value === null ? "" : toText(value, 2, 8);
}

export interface Estimate {
  notional: Fixed;
  buyingPowerAfter: Fixed | null;
}

/** Null while quantity or price is missing. A sale frees its proceeds when it fills. */
export function estimate(ticket: Ticket, quote: Quote | undefined, buyingPower: string | null): Estimate | null {
  const qty = parse(cleaned(ticket.qty));
  const price = dealingPrice(ticket, quote);
  if (qty === null || price === null || ticket.qty.trim() === "") return null;
  const notional = multiply(qty, price);
  const before = parse(buyingPower);
  const after = before === null ? null : ticket.side === "buy" ? before - notional : before + notional;
  return { notional, buyingPowerAfter: after };
}

/** The limit one tick up or down, still text; unchanged where there is no tick, no number, or it would fall to 0. */
export function stepLimit(limit: string, steps: 1 | -1, asset: Asset | undefined): string {
  const increment = parse(asset?.price_increment) ?? 0n;
  const now = parse(cleaned(limit));
  const next = now === null ? 0n : now + BigInt(steps) * increment;
  return next > 0n ? toText(next, 2, 8) : limit;
}

/** An order whose answer was lost: its id and what it said. */
export interface Unanswered {
  clientOrderId: string;
  content: string;
}

/** The id to send under: the lost order's own where this ticket says the same again, else a new one. */
export function clientOrderIdFor(ticket: Ticket, unanswered: Unanswered | null, fresh: () => string): string {
  return unanswered && unanswered.content === contentOf(ticket) ? unanswered.clientOrderId : fresh();
}

export function contentOf(ticket: Ticket): string {
  const { client_order_id: _, ...content } = toRequest(ticket, "");
  return JSON.stringify(content);
}

/** 128 random bits. Not crypto.randomUUID: a page on plain HTTP from another machine does not have it. */
export function freshClientOrderId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
