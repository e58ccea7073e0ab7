/**
 * One WebSocket that stays: connects, signs in, notices silence, comes back with growing delays.
 *
 * Always holds here: at most one socket and one timer are alive; after `stop()` none is, and no callback comes.
 * Must not: know what the messages mean. That is the `Dialogue`'s.
 */

/**
 * live          signed in, and data came within the last STALE_AFTER_MS
 * stale         signed in, but silent for longer
 * connecting    the first attempt, or signing in
 * reconnecting  the connection was lost; the next attempt is under way or waits for its delay
 * refused       the server does not take these credentials; it is not tried again
 */
export type LinkState = "connecting" | "live" | "stale" | "reconnecting" | "refused";

export interface LinkStatus {
  state: LinkState;
  /** When the last data came, in epoch milliseconds; null before any did. */
  lastDataAt: number | null;
  /** Why it is not live, where the server said so. */
  reason: string | null;
}

/** What a message means to the link: `data` counts as life, `ready` ends the signing in. */
export type Verdict = "ready" | "data" | "handshake" | "refused" | { retry: string };

export interface Dialogue {
  path: string;
  /** Sent on opening. */
  opening(send: (message: object) => void): void;
  onMessage(message: unknown, send: (message: object) => void): Verdict;
  onReady(): void;
  onLost(): void;
  /** Asks the server for a sign of life, where silence is normal on this stream. */
  probe?: object;
}

/** A trader's price this old may no longer be dealt on; the lamp says so. */
export const STALE_AFTER_MS = 3_000;
/** A quiet stream is asked for a sign of life this often: twice before it would count as stale. */
const PROBE_EVERY_MS = 1_000;
/** A socket silent for this long is dead though TCP has not noticed (a cable pulled, a laptop woken). */
const DEAD_AFTER_MS = 15_000;
const WATCH_EVERY_MS = 500;
/** First retry soon (a restarted gateway is back in a second), then no more than one in five seconds. */
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5_000;

/** Delay before attempt number `attempt` (from 0): doubled each time, capped, and spread so that pages do not come in step. */
export function retryDelay(attempt: number, random: number): number {
  const base = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt, 16));
  return base * (0.75 + 0.5 * random);
}

export class Link {
  private socket: WebSocket | null = null;
  private retryTimer: number | undefined;
  private readonly watchTimer: number;
  private attempt = 0;
  private ready = false;
  private stopped = false;
  private everReady = false;
  private heardAt = 0;
  private probedAt = 0;
  private status: LinkStatus = { state: "connecting", lastDataAt: null, reason: null };

  constructor(
    private readonly dialogue: Dialogue,
    private readonly onStatus: (status: LinkStatus) => void,
  ) {
    this.watchTimer = window.setInterval(() => this.watch(), WATCH_EVERY_MS);
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    window.clearInterval(this.watchTimer);
    window.clearTimeout(this.retryTimer);
    this.socket?.close();
    this.socket = null;
  }

  private connect(): void {
    const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${window.location.host}${this.dialogue.path}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => this.dialogue.opening((message) => this.send(socket, message));
    socket.onmessage = (frame: MessageEvent<string | ArrayBuffer>) => this.receive(socket, frame.data);
    socket.onclose = () => this.lost(socket, null);
  }

  private receive(socket: WebSocket, data: string | ArrayBuffer): void {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    let message: unknown;
    try {
      message = JSON.parse(typeof data === "string" ? data : new TextDecoder().decode(data));
    } catch {
      this.lost(socket, "the server sent something unreadable");
      return;
    }
    const verdict = this.dialogue.onMessage(message, (reply) => this.send(socket, reply));
    if (verdict === "refused") {
      this.abandon(socket);
      this.show({ state: "refused", reason: "the keys were not accepted" });
    } else if (typeof verdict === "object") {
      this.lost(socket, verdict.retry);
    } else if (verdict === "ready") {
      this.ready = true;
      this.everReady = true;
      this.attempt = 0;
      this.show({ state: "live", lastDataAt: this.heardAt, reason: null });
      this.dialogue.onReady();
    } else if (verdict === "data" && this.ready) {
      this.show({ state: "live", lastDataAt: this.heardAt });
    }
  }

  private lost(socket: WebSocket, reason: string | null): void {
    if (this.stopped || socket !== this.socket) return;
    this.abandon(socket);
    if (this.ready) this.dialogue.onLost();
    this.ready = false;
    this.show({ state: this.everReady || this.attempt > 0 ? "reconnecting" : "connecting", reason });
    this.retryTimer = window.setTimeout(() => this.connect(), retryDelay(this.attempt, Math.random()));
    this.attempt += 1;
  }

  private abandon(socket: WebSocket): void {
    this.socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private watch(): void {
    const socket = this.socket;
    if (!socket) return;
    const now = Date.now();
    if (now - this.heardAt > DEAD_AFTER_MS) {
      this.lost(socket, "no answer");
      return;
    }
    if (!this.ready) return;
    if (this.dialogue.probe && now - this.heardAt >= PROBE_EVERY_MS && now - this.probedAt >= PROBE_EVERY_MS) {
      this.probedAt = now;
      this.send(socket, this.dialogue.probe);
    }
    if (now - (this.status.lastDataAt ?? now) > STALE_AFTER_MS) this.show({ state: "stale" });
  }

  private send(socket: WebSocket, message: object): void {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  private show(change: Partial<LinkStatus>): void {
    const before = this.status;
    this.status = { ...before, ...change };
    // Every message moves lastDataAt; only a change that a reader can see is told.
    if (before.state !== this.status.state || before.reason !== this.status.reason) this.onStatus(this.status);
  }
}
