import { money, words } from "../format";
import type { Holdings } from "../holdings";
import type { State } from "../state";
import type { Account } from "../types";
import { Lamp } from "./Lamp";
import { Mark } from "./Mark";

interface Props {
  links: State["links"];
  account: Account | null;
  held: Holdings;
  source: string | null;
  onSignOut: (() => void) | null;
}

export function Header({ links, account, held, source, onSignOut }: Props) {
  return (
    <header className="header">
      <div className="brand">
        <Mark />
        <h1>Tradewind</h1>
      </div>
      <div className="lamps">
        <Lamp name="Orders" status={links.orders} />
        <Lamp name="Prices" status={links.prices} />
      </div>
      <p className="source" title="Where the prices come from">
        <span className="visually-hidden">Price source: </span>
        {source ?? "Price source unknown"}
      </p>
      <dl className="figures">
        <Figure name="Account" value={account?.account_number ?? "–"} />
        {account && account.status.toUpperCase() !== "ACTIVE" && (
          <Figure name="State" value={words(account.status.toLowerCase())} warn />
        )}
        <Figure name="Equity" value={money(held.equity)} strong />
        <Figure name="Cash" value={money(held.cash)} />
        <Figure name="Buying power" value={money(held.buyingPower)} />
      </dl>
      {onSignOut && (
        <button className="quiet" onClick={onSignOut}>
          Sign out
        </button>
      )}
    </header>
  );
}

function Figure({ name, value, strong, warn }: { name: string; value: string; strong?: boolean; warn?: boolean }) {
  return (
    <div className={`figure${strong ? " figure-strong" : ""}${warn ? " warn" : ""}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
