import { type Dispatch, type FocusEvent, type KeyboardEvent, type SetStateAction, useEffect, useEffectEvent, useRef, useState } from "react";

import type { Quotes } from "../board";
import type { Outcome } from "../desk";
import { money, price, quantity } from "../format";
import { byClientId, type State } from "../state";
import {
  clientOrderIdFor,
  contentOf,
  emptyTicket,
  estimate,
  freshClientOrderId,
  problems,
  stepLimit,
  type Ticket,
  toRequest,
  type Unanswered,
  withSide,
  withSymbol,
} from "../ticket";
import type { Account, OrderRequest, OrderType, Side, TimeInForce } from "../types";
import { Choice } from "./Choice";
import { SendResult, type Sent } from "./SendResult";

interface Props {
  ticket: Ticket;
  setTicket: Dispatch<SetStateAction<Ticket>>;
  quotes: Quotes;
  assets: State["assets"];
  account: Account | null;
  orders: State["orders"];
  submit: (request: OrderRequest) => Promise<Outcome>;
}

const SIDES: readonly Side[] = ["buy", "sell"];
const TYPES: readonly OrderType[] = ["limit", "market"];
const TIFS: readonly TimeInForce[] = ["day", "ioc"];

export function TicketPanel({ ticket, setTicket, quotes, assets, account, orders, submit }: Props) {
  const [sending, setSending] = useState(false);
  const inFlight = useRef(false); // what `sending` shows, but true at once: two keys may come before one drawing
  const [sent, setSent] = useState<Sent | null>(null);
  const [asked, setAsked] = useState(false); // problems are shown once sending was tried, not while typing
  const symbolField = useRef<HTMLInputElement>(null);
  const qtyField = useRef<HTMLInputElement>(null);

  const quote = quotes.get(ticket.symbol);
  const wrong = problems(ticket, assets);
  const shown = asked ? wrong : {};
  const cost = estimate(ticket, quote, account?.buying_power ?? null);
  const short = ticket.side === "buy" && cost?.buyingPowerAfter != null && cost.buyingPowerAfter < 0n;
  const lost = unanswered(sent, orders);

  function change(part: Partial<Ticket>) {
    setTicket((before) => ({ ...before, ...part }));
  }

  function clear() {
    setTicket(emptyTicket);
    setAsked(false);
    setSent(null);
    symbolField.current?.focus();
  }

  async function send() {
    if (inFlight.current) return;
    if (Object.keys(wrong).length > 0) {
      setAsked(true);
      (wrong.symbol ? symbolField : qtyField).current?.focus();
      return;
    }
    const clientOrderId = clientOrderIdFor(ticket, lost, freshClientOrderId);
    const request = toRequest(ticket, clientOrderId);
    inFlight.current = true;
    setSending(true);
    setAsked(false);
    const outcome = await submit(request);
    inFlight.current = false;
    setSending(false);
    setSent({ request, outcome, content: contentOf(ticket) });
    // A second press must not be a second order: what was taken leaves the ticket.
    if (outcome.kind === "accepted") change({ qty: "" });
    qtyField.current?.focus();
  }

  const onKey = useEffectEvent((event: globalThis.KeyboardEvent) => {
    if (event.repeat) return; // a key held down is one decision
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void send();
    } else if (event.key === "Escape") {
      clear();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !takesLetters(event.target)) {
      const side = { b: "buy", s: "sell" }[event.key.toLowerCase()] as Side | undefined;
      if (!side) return;
      event.preventDefault();
      setTicket((before) => withSide(before, side, quote));
    }
  });
  useEffect(() => {
    const listener = (event: globalThis.KeyboardEvent) => onKey(event);
    window.addEventListener("keydown", listener);
    return () => window.removeEventListener("keydown", listener);
  }, []);

  function onLimitKey(event: KeyboardEvent<HTMLInputElement>) {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const asset = assets.find(({ symbol }) => symbol === ticket.symbol);
    change({ limit: stepLimit(ticket.limit, event.key === "ArrowUp" ? 1 : -1, asset), limitTyped: true });
  }

  return (
    <section className={`panel ticket ticket-${ticket.side}`} aria-labelledby="ticket-title" aria-busy={sending}>
      <div className="panel-head">
        <h2 id="ticket-title">Order ticket</h2>
        <p className="hint">
          <kbd>B</kbd> <kbd>S</kbd> side <kbd>Esc</kbd> clear
        </p>
      </div>
      <fieldset className="ticket-fields" disabled={sending}>
        <legend className="visually-hidden">Order</legend>
        <label className="field">
          <span>Symbol</span>
          <input
            ref={symbolField}
            list="ticket-symbols"
            data-takes-letters
            autoComplete="off"
            autoCapitalize="characters"
            spellCheck={false}
            value={ticket.symbol}
            aria-invalid={shown.symbol !== undefined}
            aria-describedby="ticket-problems"
            onChange={(event) => {
              const symbol = event.target.value.toUpperCase().trim();
              setTicket((before) => withSymbol(before, symbol, before.side, quotes.get(symbol)));
            }}
          />
          <datalist id="ticket-symbols">
            {assets.map((asset) => (
              <option key={asset.symbol} value={asset.symbol} />
            ))}
          </datalist>
        </label>
        <Choice
          name="Side"
          options={SIDES}
          value={ticket.side}
          onChange={(side) => setTicket((before) => withSide(before, side, quote))}
        />
        <label className="field">
          <span>Quantity</span>
          <input
            ref={qtyField}
            className="num"
            inputMode="decimal"
            autoComplete="off"
            value={ticket.qty}
            onFocus={selectAll}
            aria-invalid={shown.qty !== undefined}
            aria-describedby="ticket-problems"
            onChange={(event) => change({ qty: event.target.value })}
          />
        </label>
        <Choice name="Type" options={TYPES} value={ticket.type} onChange={(type) => change({ type })} />
        <label className="field">
          <span>Limit price</span>
          <input
            className="num"
            inputMode="decimal"
            autoComplete="off"
            disabled={ticket.type === "market"}
            value={ticket.type === "market" ? "" : ticket.limit}
            placeholder={ticket.type === "market" ? "market" : ""}
            aria-invalid={shown.limit !== undefined}
            aria-describedby="ticket-problems"
            onFocus={selectAll}
            onKeyDown={onLimitKey}
            onChange={(event) => change({ limit: event.target.value, limitTyped: true })}
          />
        </label>
        <Choice name="Time in force" options={TIFS} value={ticket.tif} onChange={(tif) => change({ tif })} />
      </fieldset>
      <dl className="estimate">
        <div>
          <dt>Touch</dt>
          <dd>
            {price(quote?.bid.value)} <span className="dim">×</span> {price(quote?.ask.value)}
          </dd>
        </div>
        <div>
          <dt>{ticket.side === "buy" ? "Estimated cost" : "Estimated proceeds"}</dt>
          <dd>{money(cost?.notional)}</dd>
        </div>
        <div className={short ? "warn" : undefined}>
          <dt>Buying power after</dt>
          <dd>{money(cost?.buyingPowerAfter)}</dd>
        </div>
      </dl>
      <button className={`send send-${ticket.side}`} disabled={sending} onClick={() => void send()}>
        <span>{sending ? "Sending" : sendLabel(ticket)}</span>
        <kbd>Ctrl ⏎</kbd>
      </button>
      <p className="ticket-problems" id="ticket-problems" role="alert">
        {Object.values(shown).join(". ")}
      </p>
      <SendResult sent={sent} order={sent ? byClientId(orders, sent.request.client_order_id) : undefined} />
    </section>
  );
}

/** The last order where no answer came and no stream has shown it since: it may or may not exist. */
function unanswered(sent: Sent | null, orders: State["orders"]): Unanswered | null {
  if (sent?.outcome.kind !== "unknown" || byClientId(orders, sent.request.client_order_id)) return null;
  return { clientOrderId: sent.request.client_order_id, content: sent.content };
}

function sendLabel(ticket: Ticket): string {
  const verb = ticket.side === "buy" ? "Buy" : "Sell";
  const at = ticket.type === "market" ? "at market" : ticket.limit ? `at ${ticket.limit}` : "";
  return [verb, ticket.qty && quantity(ticket.qty.replaceAll(",", "")), ticket.symbol, at].filter(Boolean).join(" ");
}

/** What is typed next replaces the number, and is never added to its digits. */
function selectAll(event: FocusEvent<HTMLInputElement>) {
  event.target.select();
}

/** B and S are letters of a symbol; quantity and price are numbers, where they can still mean the side. */
function takesLetters(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && "takesLetters" in target.dataset;
}
