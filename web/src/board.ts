/**
 * The quote board: the latest bid, ask and last of each symbol, drawn at most once per animation frame.
 *
 * Always holds here: memory is one row per symbol however fast prices come; a row object is replaced when it
 * changes and only then, so an unchanged row is not drawn again. Must not: be read for anything that is sent,
 * except the price a trader sees and takes.
 */

import { type Fixed, fromNumber } from "./decimal";
import type { QuoteBody, TradeBody } from "./types";

export type Move = -1 | 0 | 1;

/** A price that moved: its value, which way the last change went, and how often it has changed. */
export interface Tick {
  value: Fixed | null;
  move: Move;
  changes: number;
}

export interface Quote {
  symbol: string;
  bid: Tick;
  bidSize: Fixed | null;
  ask: Tick;
  askSize: Fixed | null;
  last: Tick;
}

export type Quotes = ReadonlyMap<string, Quote>;

const UNSET: Tick = { value: null, move: 0, changes: 0 };

export function tick(before: Tick, value: Fixed | null): Tick {
  if (value === before.value) return before;
  const move: Move = value === null || before.value === null ? 0 : value > before.value ? 1 : -1;
  return { value, move, changes: before.changes + 1 };
}

/** What a position is valued at, by the server's own rule: the last trade, else the bid. Null without either. */
export function mark(quote: Quote | undefined): Fixed | null {
  return quote?.last.value ?? quote?.bid.value ?? null;
}

export class Board {
  private rows = new Map<string, Quote>();
  private shown: Quotes = new Map();
  private frame: number | null = null;
  private readonly listeners = new Set<() => void>();

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Stable between frames, as useSyncExternalStore asks. */
  snapshot = (): Quotes => this.shown;

  /** A row for each symbol, priced or not, so that the table does not jump while prices arrive. */
  expect(symbols: Iterable<string>): void {
    for (const symbol of symbols) this.put(this.row(symbol));
  }

  /** The latest prices as they were when asked for: they fill what the stream has not brought yet. */
  prime(quotes: Record<string, QuoteBody>, trades: Record<string, TradeBody>): void {
    for (const [symbol, body] of Object.entries(quotes)) {
      const { bid, ask } = this.row(symbol);
      if (bid.changes === 0 && ask.changes === 0) this.quote(symbol, body);
    }
    for (const [symbol, body] of Object.entries(trades)) {
      if (this.row(symbol).last.changes === 0) this.trade(symbol, body);
    }
  }

  quote(symbol: string, body: QuoteBody): void {
    const before = this.row(symbol);
    this.put({
      ...before,
      bid: tick(before.bid, priced(body.bp)),
      ask: tick(before.ask, priced(body.ap)),
      bidSize: fromNumber(body.bs),
      askSize: fromNumber(body.as),
    });
  }

  trade(symbol: string, body: TradeBody): void {
    const before = this.row(symbol);
    this.put({ ...before, last: tick(before.last, fromNumber(body.p)) });
  }

  private row(symbol: string): Quote {
    return this.rows.get(symbol) ?? { symbol, bid: UNSET, bidSize: null, ask: UNSET, askSize: null, last: UNSET };
  }

  private put(quote: Quote): void {
    this.rows.set(quote.symbol, quote);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.shown = new Map([...this.rows].sort(([a], [b]) => (a < b ? -1 : 1)));
      for (const listener of this.listeners) listener();
    });
  }
}

/** A side of the touch that is empty comes as 0. */
function priced(value: number): Fixed | null {
  return value > 0 ? fromNumber(value) : null;
}
