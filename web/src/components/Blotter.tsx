import { type KeyboardEvent, memo, useMemo, useState } from "react";

import { group, newestFirst } from "../state";
import type { Order } from "../types";
import { OrderRow } from "./OrderRow";

interface Props {
  orders: ReadonlyMap<string, Order>;
  loaded: boolean;
  onCancel: (order: Order) => void;
}

const TABS = [
  { id: "working", name: "Working", holds: (order: Order) => group(order) === "working" },
  { id: "filled", name: "Filled", holds: (order: Order) => group(order) === "filled" },
  { id: "closed", name: "Rejected + canceled", holds: (order: Order) => group(order) === "closed" },
  { id: "all", name: "All", holds: () => true },
] as const;

type TabId = (typeof TABS)[number]["id"];

export const Blotter = memo(function Blotter({ orders, loaded, onCancel }: Props) {
  const [open, setOpen] = useState<TabId>("all");
  const sorted = useMemo(() => newestFirst(orders.values()), [orders]);
  const tab = TABS.find(({ id }) => id === open) ?? TABS[3];
  const rows = sorted.filter(tab.holds);

  /** Arrow keys go round the tabs, as the ARIA pattern for tabs asks. */
  function onKeyDown(event: KeyboardEvent<HTMLDivElement>) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
    if (!next) return;
    setOpen(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  }

  return (
    <section className="panel blotter" aria-labelledby="blotter-title">
      <div className="panel-head">
        <h2 id="blotter-title">Orders</h2>
        <div className="tabs" role="tablist" aria-labelledby="blotter-title" onKeyDown={onKeyDown}>
          {TABS.map(({ id, name, holds }) => (
            <button
              key={id}
              id={`tab-${id}`}
              role="tab"
              aria-selected={id === open}
              aria-controls="blotter-rows"
              tabIndex={id === open ? 0 : -1}
              onClick={() => setOpen(id)}
            >
              {name} <span className="count">{sorted.filter(holds).length}</span>
            </button>
          ))}
        </div>
      </div>
      <div className="scroll" id="blotter-rows" role="tabpanel" aria-labelledby={`tab-${open}`} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col" className="wide">
                Time
              </th>
              <th scope="col">Symbol</th>
              <th scope="col">Side</th>
              <th scope="col" className="num">
                Qty
              </th>
              <th scope="col" className="num">
                Filled
              </th>
              <th scope="col" className="num wide">
                Leaves
              </th>
              <th scope="col" className="num">
                Limit
              </th>
              <th scope="col" className="num wide">
                Avg price
              </th>
              <th scope="col" className="wide">
                TIF
              </th>
              <th scope="col">Status</th>
              <th scope="col" className="reason">
                Reason
              </th>
              <th scope="col" className="act">
                <span className="visually-hidden">Cancel</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((order) => (
              <OrderRow key={order.id} order={order} onCancel={onCancel} />
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p className="empty">{loaded ? `No ${tab.id === "all" ? "" : `${tab.name.toLowerCase()} `}orders` : "Loading orders"}</p>}
      </div>
    </section>
  );
});
