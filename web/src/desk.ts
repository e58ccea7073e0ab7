/**
 * The desk of one signed-in trader: holds the two links, keeps the state right, sends orders and cancels.
 *
 * Always holds here: the stream listens before the snapshot is asked for, so that nothing falls between them;
 * orders are never polled. Money and positions are fetched again after an update, at most once in HOLDINGS_GAP_MS.
 */

import { Api, Refused, Unreachable } from "./api";
import { Board } from "./board";
import { Link, retryDelay } from "./link";
import { type Action, initialState, reduce, type State } from "./state";
import { prices, tradeUpdates } from "./streams";
import type { Credentials, Order, OrderRequest, TradeUpdate } from "./types";

/** A burst of fills asks for money and positions once, not once a fill. */
const HOLDINGS_GAP_MS = 250;

export type Outcome =
  | { kind: "accepted"; order: Order }
  | { kind: "refused"; message: string }
  | { kind: "unknown"; message: string };

export class Desk {
  readonly board = new Board();
  private readonly api: Api;
  private readonly links: Link[];
  private readonly listeners = new Set<() => void>();
  private state: State = initialState;
  private stopped = false;
  /** Counts the reasons to ask for a snapshot: one that was asked for earlier is not used any more. */
  private generation = 0;
  private holdingsTimer: number | undefined;
  private holdingsWanted = false;

  constructor(credentials: Credentials) {
    this.api = new Api(credentials);
    this.links = [
      new Link(
        tradeUpdates(credentials, {
          onUpdate: (update) => this.onUpdate(update),
          onReady: () => void this.resync(++this.generation, 0),
          onGap: () => void this.resync(++this.generation, 0),
          onLost: () => void ++this.generation,
        }),
        (status) => this.dispatch({ type: "link", which: "orders", status }),
      ),
      new Link(
        prices(credentials, {
          onQuote: (quote) => this.board.quote(quote.S, quote),
          onTrade: (trade) => this.board.trade(trade.S, trade),
        }),
        (status) => this.dispatch({ type: "link", which: "prices", status }),
      ),
    ];
  }

  stop(): void {
    this.stopped = true;
    this.generation += 1;
    window.clearTimeout(this.holdingsTimer);
    for (const link of this.links) link.stop();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): State => this.state;

  /** Never throws: each of the three ends is an answer the ticket shows. */
  async submit(request: OrderRequest): Promise<Outcome> {
    try {
      const order = await this.api.submit(request);
      this.dispatch({ type: "submitted", order });
      return { kind: "accepted", order };
    } catch (error) {
      if (error instanceof Refused) {
        this.dispatch({ type: "refused", request, message: error.message, at: now() });
        return { kind: "refused", message: error.message };
      }
      if (error instanceof Unreachable) return { kind: "unknown", message: error.message };
      throw error;
    }
  }

  /** The blotter shows the outcome as it comes over the stream; only a refusal is told from here. */
  async cancel(order: Order): Promise<void> {
    try {
      await this.api.cancel(order.id);
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      this.dispatch({ type: "note", tone: "bad", text: `Cancel of ${order.symbol} not done: ${error.message}`, at: now() });
    }
  }

  private dispatch(action: Action): void {
    if (this.stopped) return;
    this.state = reduce(this.state, action);
    for (const listener of this.listeners) listener();
  }

  private onUpdate(update: TradeUpdate): void {
    this.dispatch({ type: "update", update });
    this.wantHoldings();
  }

  /** One question at a time: an update that comes while it is under way asks once more after it. */
  private wantHoldings(): void {
    this.holdingsWanted = true;
    if (this.holdingsTimer !== undefined || this.stopped) return;
    this.holdingsTimer = window.setTimeout(() => {
      this.holdingsWanted = false;
      void this.refreshHoldings().finally(() => {
        this.holdingsTimer = undefined;
        if (this.holdingsWanted) this.wantHoldings();
      });
    }, HOLDINGS_GAP_MS);
  }

  private async refreshHoldings(): Promise<void> {
    try {
      const [account, positions] = await Promise.all([this.api.account(), this.api.positions()]);
      this.dispatch({ type: "holdings", account, positions });
    } catch (error) {
      // A lost gateway also drops the stream, and the resync that follows brings the same numbers.
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    }
  }

  /** A symbol that trades seldom would otherwise stay blank until its next tick. */
  private async primeBoard(symbols: readonly string[]): Promise<void> {
    if (symbols.length === 0) return;
    this.board.expect(symbols);
    const [{ quotes }, { trades }] = await Promise.all([this.api.latestQuotes(symbols), this.api.latestTrades(symbols)]);
    this.board.prime(quotes, trades);
  }

  private async resync(generation: number, attempt: number): Promise<void> {
    this.dispatch({ type: "resync" });
    try {
      const [account, positions, open, recent, assets, { label }] = await Promise.all([
        this.api.account(),
        this.api.positions(),
        this.api.openOrders(),
        this.api.recentOrders(),
        this.api.assets(),
        this.api.source(),
      ]);
      if (generation !== this.generation) return;
      this.dispatch({ type: "market", assets, source: label });
      this.dispatch({ type: "snapshot", orders: [...open, ...recent], account, positions, at: now() });
      await this.primeBoard(assets.map((asset) => asset.symbol));
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      if (generation !== this.generation) return;
      window.setTimeout(() => {
        if (generation === this.generation) void this.resync(generation, attempt + 1);
      }, retryDelay(attempt, Math.random()));
    }
  }
}

function now(): string {
  return new Date().toISOString();
}
