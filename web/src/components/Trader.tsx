import { useCallback, useMemo, useState, useSyncExternalStore } from "react";

import type { Desk } from "../desk";
import { holdings } from "../holdings";
import { emptyTicket, withSymbol } from "../ticket";
import type { Order, Side } from "../types";
import { Activity } from "./Activity";
import { Blotter } from "./Blotter";
import { Header } from "./Header";
import { Positions } from "./Positions";
import { QuoteTable } from "./QuoteTable";
import { TicketPanel } from "./TicketPanel";

interface Props {
  desk: Desk;
  onSignOut: (() => void) | null;
}

/** The whole screen. It holds what the panels share: the ticket, which quotes and positions fill in. */
export function Trader({ desk, onSignOut }: Props) {
  const state = useSyncExternalStore(desk.subscribe, desk.snapshot);
  const quotes = useSyncExternalStore(desk.board.subscribe, desk.board.snapshot);
  const [ticket, setTicket] = useState(emptyTicket);

  const held = useMemo(() => holdings(state.account, state.positions, quotes), [state.account, state.positions, quotes]);

  // The board is read at the click, not at the last draw, so that these stay the same function.
  const pick = useCallback(
    (symbol: string, side?: Side) => {
      setTicket((before) => withSymbol(before, symbol, side ?? before.side, desk.board.snapshot().get(symbol)));
    },
    [desk],
  );
  const cancel = useCallback((order: Order) => void desk.cancel(order), [desk]);

  return (
    <div className="screen">
      <Header links={state.links} account={state.account} held={held} source={state.source} onSignOut={onSignOut} />
      <main className="desk">
        <div className="desk-left">
          <QuoteTable quotes={quotes} live={state.links.prices.state === "live"} selected={ticket.symbol} onPick={pick} />
          <Activity notes={state.notes} />
        </div>
        <TicketPanel
          ticket={ticket}
          setTicket={setTicket}
          quotes={quotes}
          assets={state.assets}
          account={state.account}
          orders={state.orders}
          submit={(request) => desk.submit(request)}
        />
        <Positions held={held} onPick={pick} />
        <Blotter orders={state.orders} loaded={state.loaded} onCancel={cancel} />
      </main>
    </div>
  );
}
