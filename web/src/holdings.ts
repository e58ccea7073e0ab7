/** Positions valued at live quotes, and the account's equity from them. Exact, but an estimate: for the screen only. */

import { mark, type Quotes } from "./board";
import { type Fixed, multiply, parse } from "./decimal";
import type { Account, Position } from "./types";

export interface Holding {
  symbol: string;
  qty: Fixed;
  average: Fixed;
  /** Null where there is no price at all. */
  mark: Fixed | null;
  value: Fixed | null;
  gain: Fixed | null;
}

export interface Holdings {
  rows: readonly Holding[];
  value: Fixed;
  gain: Fixed;
  cash: Fixed | null;
  /** Set aside for open buy orders: cash that is no buying power. */
  reserved: Fixed | null;
  buyingPower: Fixed | null;
  equity: Fixed | null;
}

export function holdings(account: Account | null, positions: readonly Position[], quotes: Quotes): Holdings {
  const rows = positions
    .map((position) => holding(position, mark(quotes.get(position.symbol)) ?? parse(position.current_price)))
    .sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
  const value = sum(rows.map((row) => row.value));
  const cash = parse(account?.cash);
  return {
    rows,
    value,
    gain: sum(rows.map((row) => row.gain)),
    cash,
    reserved: parse(account?.reserved),
    buyingPower: parse(account?.buying_power),
    equity: cash === null ? null : cash + value,
  };
}

function holding(position: Position, price: Fixed | null): Holding {
  const qty = parse(position.qty) ?? 0n;
  const average = parse(position.avg_entry_price) ?? 0n;
  const value = price === null ? null : multiply(qty, price);
  // From the cost, where the average is a rounded quotient of it.
  const cost = parse(position.cost_basis) ?? multiply(qty, average);
  return { symbol: position.symbol, qty, average, mark: price, value, gain: value === null ? null : value - cost };
}

function sum(amounts: readonly (Fixed | null)[]): Fixed {
  return amounts.reduce<Fixed>((total, amount) => total + (amount ?? 0n), 0n);
}
