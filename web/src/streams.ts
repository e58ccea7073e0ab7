/**
 * The two streams the page listens to, as dialogues of a `Link`: trade updates (`/stream`) and prices (`/v2/iex`).
 * Both speak Alpaca's protocol in JSON; frames come as text or binary.
 */

import type { Dialogue } from "./link";
import type { Credentials, QuoteMessage, TradeMessage, TradeUpdate } from "./types";

export interface TradeUpdateEvents {
  onUpdate(update: TradeUpdate): void;
  /** Signed in and listening: from here on every update comes, until `onLost`. */
  onReady(): void;
  /** The sequence numbers say that updates are missing. */
  onGap(): void;
  onLost(): void;
}

const LISTEN = { action: "listen", data: { streams: ["trade_updates"] } };

interface StreamMessage {
  stream: string;
  data: unknown;
}

export function tradeUpdates(credentials: Credentials, events: TradeUpdateEvents): Dialogue {
  let listening = false;
  let last = 0; // sequence of the account's last update
  return {
    path: "/stream",
    // No order, no message: an account may be quiet for hours. Listening again is harmless and is answered.
    probe: LISTEN,
    opening(send) {
      listening = false;
      send({ action: "authenticate", data: credentials });
    },
    onMessage(message, send) {
      const { stream, data } = message as StreamMessage;
      if (stream === "authorization") {
        if ((data as { status?: string }).status !== "authorized") return "refused";
        send(LISTEN);
        return "handshake";
      }
      if (stream === "error") return { retry: (data as { message: string }).message };
      if (stream === "listening" && !listening) {
        listening = true;
        last = (data as { sequence: number }).sequence;
        return "ready";
      }
      if (stream === "trade_updates") {
        const update = data as TradeUpdate;
        if (update.previous_sequence !== last) events.onGap();
        last = update.sequence;
        events.onUpdate(update);
      }
      return "data";
    },
    onReady: events.onReady,
    onLost: events.onLost,
  };
}

export interface PriceEvents {
  onQuote(quote: QuoteMessage): void;
  onTrade(trade: TradeMessage): void;
}

/** Alpaca's codes: keys not accepted (401 not signed in, 402 auth failed). Others may pass, so they are retried. */
const AUTH_FAILED = new Set([401, 402]);

type PriceMessage =
  | QuoteMessage
  | TradeMessage
  | { T: "success"; msg: string }
  | { T: "subscription" }
  | { T: "error"; code: number; msg: string };

export function prices(credentials: Credentials, events: PriceEvents): Dialogue {
  return {
    path: "/v2/iex",
    opening() {
      // The server speaks first: "connected".
    },
    onMessage(message, send) {
      let verdict: ReturnType<Dialogue["onMessage"]> = "handshake";
      for (const item of message as PriceMessage[]) {
        if (item.T === "q") {
          events.onQuote(item);
          if (verdict === "handshake") verdict = "data";
        } else if (item.T === "t") {
          events.onTrade(item);
          if (verdict === "handshake") verdict = "data";
        } else if (item.T === "subscription") {
          verdict = "ready";
        } else if (item.T === "success" && item.msg === "connected") {
          send({ action: "auth", key: credentials.key_id, secret: credentials.secret_key });
        } else if (item.T === "success" && item.msg === "authenticated") {
          send({ action: "subscribe", quotes: ["*"], trades: ["*"] });
        } else if (item.T === "error") {
          return AUTH_FAILED.has(item.code) ? "refused" : { retry: item.msg };
        }
      }
      return verdict;
    },
    onReady() {},
    onLost() {},
  };
}
