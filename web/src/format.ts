/**
 * Numbers and times as a trader reads them. Text in, text out; nothing here is ever sent.
 *
 * An absent number is an en dash, never 0: "no bid" and "bid 0" are not the same thing.
 */

import { type Fixed, parse, toText } from "./decimal";

export const ABSENT = "–";
const MINUS = "−";

type Amount = string | Fixed | null | undefined;

/** 1234567.5 -> "1,234,567.50". */
export function money(amount: Amount): string {
  return decimal(amount, 2, 2);
}

/** Money that changed: its sign always shown. "+12.00", "−3.50", "0.00". */
export function gain(amount: Amount): string {
  const text = money(amount);
  const fixed = toFixed(amount);
  return fixed !== null && fixed > 0n && text !== "0.00" ? `+${text}` : text;
}

/** At least cents; more places only where the price has them. */
export function price(amount: Amount): string {
  return decimal(amount, 2, 8);
}

/** Average prices are quotients: four places are enough to tell two fills apart. */
export function averagePrice(amount: Amount): string {
  return decimal(amount, 2, 4);
}

export function quantity(amount: Amount): string {
  return decimal(amount, 0, 8);
}

/** "2026-11-24T05:45:45.123456Z" -> local "05:45:45". */
export function clock(timestamp: string | null | undefined): string {
  const time = timestamp ? new Date(timestamp) : null;
  if (!time || Number.isNaN(time.getTime())) return ABSENT;
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** "partially_filled" -> "partially filled". */
export function words(code: string): string {
  return code.replaceAll("_", " ");
}

/** -1, 0 or 1 as the number reads on the screen, at cents. */
export function direction(amount: Amount): -1 | 0 | 1 {
  const fixed = toFixed(amount);
  if (fixed === null || money(fixed) === "0.00") return 0;
  return fixed < 0n ? -1 : 1;
}

function decimal(amount: Amount, placesMin: number, placesMax: number): string {
  const fixed = toFixed(amount);
  if (fixed === null) return ABSENT;
  const text = toText(fixed, placesMin, placesMax);
  const negative = text.startsWith("-");
  const [whole = "0", part] = (negative ? text.slice(1) : text).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const unsigned = part === undefined ? grouped : `${grouped}.${part}`;
  return negative ? MINUS + unsigned : unsigned;
}

function toFixed(amount: Amount): Fixed | null {
  return typeof amount === "bigint" ? amount : parse(amount);
}
