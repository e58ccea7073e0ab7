/**
 * The gateway's REST door, one function for each thing the page asks.
 *
 * Errors: `Refused` is the server's answer no (its message says which check and which value), `Unreachable`
 * means that nobody knows whether the request was taken. The two must never be confused for an order.
 */

import type { Account, Asset, Credentials, Order, OrderRequest, Position, QuoteBody, TradeBody } from "./types";

/** Longer than the slowest order the gateway waits for; past it the outcome counts as unknown. */
const REQUEST_TIMEOUT_MS = 10_000;

/** The newest orders shown after a load. Older ones that still work come with `openOrders`. */
const RECENT_ORDERS_MAX = 200;
const OPEN_ORDERS_MAX = 500;

/** What the gateway answers to a client_order_id that it already has. */
const DUPLICATE_CODE = 40010001;

/** How the gateway begins a 503 for a request that it passed on and has no answer to. */
const UNKNOWN = "outcome unknown";

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
  ) {
    super(message);
  }

  get isDuplicate(): boolean {
    return this.code === DUPLICATE_CODE;
  }
}

export class Unreachable extends Error {}

export class Api {
  constructor(private readonly credentials: Credentials) {}

  account = () => this.get<Account>("/v2/account");
  positions = () => this.get<Position[]>("/v2/positions");
  /** Where the prices come from, in words. */
  source = () => this.get<{ label: string }>("/v1/source");
  assets = () => this.get<Asset[]>("/v2/assets");
  latestQuotes = (symbols: readonly string[]) =>
    this.get<{ quotes: Record<string, QuoteBody> }>(`/v2/stocks/quotes/latest?symbols=${symbols.map(encodeURIComponent).join()}`);
  latestTrades = (symbols: readonly string[]) =>
    this.get<{ trades: Record<string, TradeBody> }>(`/v2/stocks/trades/latest?symbols=${symbols.map(encodeURIComponent).join()}`);
  recentOrders = () => this.get<Order[]>(`/v2/orders?status=all&limit=${RECENT_ORDERS_MAX}`);
  openOrders = () => this.get<Order[]>(`/v2/orders?status=open&limit=${OPEN_ORDERS_MAX}`);
  orderByClientId = (id: string) =>
    this.get<Order>(`/v2/orders:by_client_order_id?client_order_id=${encodeURIComponent(id)}`);

  cancel = (orderId: string) => this.send<void>("DELETE", `/v2/orders/${encodeURIComponent(orderId)}`);

  /**
   * Safe to repeat with the same client_order_id: where the first try did arrive, the server refuses the
   * second as a duplicate and the order that exists is returned.
   */
  async submit(request: OrderRequest): Promise<Order> {
    try {
      return await this.send<Order>("POST", "/v2/orders", request);
    } catch (error) {
      if (error instanceof Refused && error.isDuplicate) return this.orderByClientId(request.client_order_id);
      throw error;
    }
  }

  private get<T>(path: string): Promise<T> {
    return this.send<T>("GET", path);
  }

  private send<T>(method: string, path: string, body?: unknown): Promise<T> {
    return request<T>(method, path, body, {
      "APCA-API-KEY-ID": this.credentials.key_id,
      "APCA-API-SECRET-KEY": this.credentials.secret_key,
    });
  }
}

/** The demo account's keys, which only the embedded default gives out, on loopback. Null where it does not. */
export async function demoCredentials(): Promise<Credentials | null> {
  try {
    return await request<Credentials>("GET", "/demo");
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const init: RequestInit = {
    method,
    headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    cache: "no-store",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch {
    throw new Unreachable("The gateway did not answer");
  }
  const reply = readJson(text);
  if (response.ok) {
    if (response.status !== 204 && reply === null) throw new Unreachable(`${path} answered with something unreadable`);
    return reply as T;
  }
  const said = reply as { code?: unknown; message?: unknown } | null;
  const message = typeof said?.message === "string" ? said.message : `${response.status} ${response.statusText}`;
  // 500, 502 and 504 come from a crash or from something in between: the request may have been taken. The
  // gateway's own 503 means that it was not, unless its text says that the outcome is unknown.
  const surelyNot = response.status < 500 || (response.status === 503 && said !== null && !message.startsWith(UNKNOWN));
  if (!surelyNot) throw new Unreachable(message);
  throw new Refused(response.status, typeof said?.code === "number" ? said.code : 0, message);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
