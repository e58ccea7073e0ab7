/** The trader's keys for as long as the tab lives. They are never written anywhere that outlives it. */

import type { Credentials } from "./types";

const PLACE = "tradewind.keys";

export function keptKeys(): Credentials | null {
  const text = sessionStorage.getItem(PLACE);
  return text === null ? null : (JSON.parse(text) as Credentials);
}

export function keepKeys(keys: Credentials): void {
  sessionStorage.setItem(PLACE, JSON.stringify(keys));
}

export function forgetKeys(): void {
  sessionStorage.removeItem(PLACE);
}
